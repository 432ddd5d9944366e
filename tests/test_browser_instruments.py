"""Questionnaires on the client's page in Chromium, against a real web process and the real database."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from schemas.course import Substance
from service import database as databases
from tests.builders import a_client, a_clinic
from tests.house import House
from tests.phone_browser import ARRIVED, NOT_SENT, Here, choose, network_comes_back, no_network, online

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PHQ9, AUDIT_C = "The last two weeks: how you have been", "Three short questions"


@pytest_asyncio.fixture(loop_scope="session")
async def here(house: House) -> Here:
    """A clinic with one client whose course began yesterday: everything is due."""
    now = datetime.now(UTC)
    clinic = await a_clinic(house.owner, slug=f"harbour-{uuid4().hex[:8]}", now=now)
    async with databases.transaction(house.owner, clinic.clinic_id) as db:
        began = (now - timedelta(days=1)).date()
        client_id = await a_client(db, now=now, substances=(Substance.ALCOHOL,), started_on=began)
    return Here(house.address, house.chromium, house.owner, clinic.slug, clinic.clinic_id, client_id)


async def responses(here: Here) -> list[tuple[str, float | None, list[str]]]:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        records = await db.connection.fetch(
            "select code, total, missing from instrument_response where clinic_id = $1 order by counted_at",
            here.clinic_id,
        )
    return [(record["code"], record["total"], record["missing"]) for record in records]


async def alerts(here: Here) -> object:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        return await db.value("select count(*) from alert where clinic_id = $1 and tier = 1", here.clinic_id)


async def check_in(page: Page) -> None:
    for name in ("craving.alcohol", "mood", "anxiety"):
        await choose(page, name, 4)
    await send(page)
    await expect(page.get_by_role("heading", name="A few more questions")).to_be_visible()


async def send(page: Page) -> None:
    await page.get_by_role("button", name="Send", exact=True).click()


async def tap(page: Page, item: str, value: int) -> None:
    await page.locator(f'input[name="item.{item}"][value="{value}"]').check()


async def test_what_is_due_is_offered_after_the_check_in_and_arrives_once(here: Here) -> None:
    async with here.connected() as page:
        assert await page.get_by_text("A few more questions").is_hidden()
        await check_in(page)
        await page.get_by_role("button", name=PHQ9).click()
        await expect(page.get_by_role("heading", name=PHQ9)).to_be_focused()
        await expect(page.get_by_text("Over the last 2 weeks, how often")).to_be_visible()
        assert await page.locator("#items input:checked").count() == 0
        assert await page.locator("#items fieldset:visible").count() == 9
        for item in range(1, 10):
            if item != 4:
                await tap(page, str(item), 0 if item == 9 else 1)
        await send(page)
        await expect(page.get_by_text("Not answered: question 4.")).to_be_visible()
        await send(page)
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        await expect(page.get_by_role("button", name=PHQ9)).to_be_hidden()
        await expect(page.get_by_role("button", name=AUDIT_C)).to_be_visible()
        assert await responses(here) == [("phq9", 7.88, ["4"])]
        await page.reload()
        await expect(page.get_by_role("button", name=AUDIT_C)).to_be_visible()
        await expect(page.get_by_role("button", name=PHQ9)).to_be_hidden()
        assert await alerts(here) == 0


async def test_an_urgent_answer_is_sent_at_the_first_tap_whatever_is_left_out(here: Here) -> None:
    async with here.connected() as page:
        await check_in(page)
        await page.get_by_role("button", name=PHQ9).click()
        await tap(page, "9", 1)
        await send(page)
        await expect(page.locator("#done #crisis")).to_be_visible()
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert await responses(here) == [("phq9", None, list("12345678"))]
        assert await alerts(here) == 1


async def test_answered_offline_the_card_is_there_at_the_tap_and_everything_is_sent_once(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/**", no_network)
        await check_in(page)
        await page.get_by_role("button", name=PHQ9).click()
        card = page.get_by_role("alert").filter(has_text="You do not have to be alone")
        for item in range(1, 9):
            await tap(page, str(item), 2)
        assert await card.is_hidden()
        await tap(page, "9", 1)
        await expect(card.get_by_role("link", name="988")).to_be_visible()
        await tap(page, "9", 0)
        await expect(card).to_be_hidden()
        await tap(page, "9", 3)
        await send(page)
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await expect(card).to_be_visible()
        await expect(page.get_by_role("status")).to_contain_text("saved on this phone and not sent yet: 2")
        await page.reload()
        await expect(page.get_by_role("status")).to_contain_text("saved on this phone and not sent yet: 2")
        await expect(page.get_by_role("button", name=PHQ9)).to_be_hidden()
        assert await responses(here) == []
        await online(page)
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert await responses(here) == [("phq9", 19, [])]
        assert len(await here.stored()) == 1
        assert await alerts(here) == 1


async def test_a_response_whose_reply_was_lost_is_sent_again_under_its_id_and_stored_once(here: Here) -> None:
    async with here.connected() as page:
        await check_in(page)
        sent = []
        lost = asyncio.Event()

        async def lose_reply(route: Route) -> None:
            sent.append(route.request.url)
            await route.fetch()
            await route.abort("connectionreset")
            lost.set()

        await page.route("**/v1/instrument-responses/*", lose_reply)
        await page.get_by_role("button", name=AUDIT_C).click()
        await tap(page, "1", 0)
        await send(page)
        await lost.wait()
        await expect(page.get_by_role("status")).to_contain_text(NOT_SENT)
        await page.unroute("**/v1/instrument-responses/*")
        async with page.expect_request("**/v1/instrument-responses/*") as again:
            await network_comes_back(page)
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert [(await again.value).url] == sent
        assert await responses(here) == [("audit_c", 0, [])]


async def test_what_need_not_be_asked_goes_and_not_now_leaves_it_due(here: Here) -> None:
    async with here.connected(width=320) as page:
        await check_in(page)
        await page.get_by_role("button", name=AUDIT_C).click()
        await send(page)
        await expect(page.get_by_text("Please answer at least one question, or tap Not now.")).to_be_visible()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        heights = await page.locator("#items .score").evaluate_all("all => all.map(one => one.offsetHeight)")
        assert min(heights) >= 44
        assert await page.locator("#items fieldset:visible").count() == 3
        await tap(page, "1", 2)
        await tap(page, "2", 1)
        await tap(page, "1", 0)
        assert await page.locator("#items fieldset:visible").count() == 1
        await page.get_by_role("button", name="Not now").click()
        await expect(page.get_by_role("button", name=AUDIT_C)).to_be_visible()
        await page.get_by_role("button", name=AUDIT_C).click()
        await expect(page.get_by_role("heading", name=AUDIT_C)).to_be_visible()
        # What was chosen is still there; in the phone's store, that is, and not at the clinic.
        await expect(page.locator('input[name="item.1"]:checked')).to_have_value("0")
        assert await page.locator("#items fieldset:visible").count() == 1
        assert await responses(here) == []


async def test_a_refused_response_is_kept_until_the_client_decides(here: Here) -> None:
    async with here.connected() as page:
        await check_in(page)

        async def refuse(route: Route) -> None:
            problem = json.dumps(
                {"type": "/problems/invalid", "status": 400, "errors": [{"field": "answers.1", "message": "x"}]}
            )
            await route.fulfill(status=400, body=problem, content_type="application/problem+json")

        await page.route("**/v1/instrument-responses/*", refuse)
        await page.get_by_role("button", name=AUDIT_C).click()
        await tap(page, "1", 0)
        await send(page)
        await expect(page.locator("#refused")).to_contain_text("answers.1")
        await page.unroute("**/v1/instrument-responses/*")
        await page.locator("#refused").get_by_role("button", name="Send again").click()
        await expect(page.locator("#refused")).to_be_hidden()
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert await responses(here) == [("audit_c", 0, [])]


async def in_spanish(page: Page) -> None:
    async with page.expect_response("**/v1/phone-settings/language"):
        await page.get_by_role("link", name="Español").click()
    await expect(page.locator("#check-in")).to_be_visible()


async def languages_of_texts(page: Page) -> set[str]:
    """In which languages the questionnaire's own words are marked, as a screen reader takes them."""
    places = "#questions-title, #questions-lead, #questions-source, #items legend, #items .score span"
    said: list[str] = await page.locator(places).evaluate_all("all => all.map(one => one.closest('[lang]').lang)")
    return set(said)


async def test_questions_are_asked_in_the_client_s_language_and_the_answer_says_so(here: Here) -> None:
    async with here.connected() as page:
        await in_spanish(page)
        for name in ("craving.alcohol", "mood", "anxiety"):
            await choose(page, name, 4)
        await page.get_by_role("button", name="Enviar", exact=True).click()
        await page.get_by_role("button", name="Las últimas dos semanas: cómo se ha sentido").click()
        await expect(page.locator("#questions-lead")).to_contain_text("Durante las últimas 2 semanas")
        await expect(page.locator("#questions-foreign")).to_be_hidden()
        assert await languages_of_texts(page) == {"es"}
        await expect(page.locator("#items fieldset").first).to_contain_text("Casi todos los días")
        await tap(page, "1", 3)
        await tap(page, "9", 1)
        # The card stands among the questions, and is the page's own.
        await expect(page.locator("#items #crisis")).to_contain_text("No tiene que pasar por esto a solas")
        assert await page.locator("#crisis").get_attribute("lang") == "es"
        async with page.expect_response("**/v1/instrument-responses/*"):
            await page.locator("#questions-form button[type=submit]").click()
        async with databases.transaction(here.owner, here.clinic_id) as db:
            kept = await db.value("select language from instrument_response where clinic_id = $1", here.clinic_id)
        assert kept == "es"


async def test_questions_without_a_translation_are_marked_as_english_with_a_kind_word(here: Here) -> None:
    async with here.connected() as page:
        await in_spanish(page)
        for name in ("craving.alcohol", "mood", "anxiety"):
            await choose(page, name, 4)
        await page.get_by_role("button", name="Enviar", exact=True).click()
        pacs = page.get_by_role("button", name="The last week: thoughts and urges")
        assert await pacs.get_attribute("lang") == "en"
        await pacs.click()
        await expect(page.locator("#questions-foreign")).to_contain_text("todavía no están en español")
        assert await languages_of_texts(page) == {"en"}
        assert await page.locator("#questions-foreign").evaluate("one => one.closest('[lang]').lang") == "es"
        assert (
            await page.locator("#questions-form button[type=submit]").evaluate("one => one.closest('[lang]').lang")
            == "es"
        )
