"""Something between the phone and the clinic answers in its place: nothing is ended, refused or forgotten for it."""

from __future__ import annotations

import asyncio
import json

import pytest
from playwright.async_api import Page, Route, expect

from service import database as databases
from tests.browser import until
from tests.phone_browser import (
    ARRIVED,
    NOT_SENT,
    PHQ9,
    SHELL_IS_KEPT,
    Here,
    an_hour_later,
    answer,
    choose,
    connect_without_a_pin,
    items_of,
    network_comes_back,
    no_network,
    online,
    told,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NO_TODAY = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = (event) => {
    const writing = event.target.result.transaction("kept", "readwrite");
    writing.objectStore("kept").put({}, "today");
    writing.oncomplete = resolve;
  };
})
"""


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, ""),
        (401, '{"message": "Unauthorized"}'),
        (401, '{"type": "about:blank", "title": "Unauthorized"}'),
        (413, ""),
        (400, '{"error": "bad"}'),
    ],
)
async def test_what_is_no_answer_of_the_clinic_ends_nothing_and_refuses_nothing(
    here: Here, status: int, body: str
) -> None:
    async with here.connected() as page:

        async def between(route: Route) -> None:
            await route.fulfill(status=status, body=body, content_type="application/problem+json")

        await page.route("**/v1/**", between)
        async with page.expect_response("**/v1/check-ins/batch"):
            await answer(page)
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        await expect(page.locator("#refused")).to_be_hidden()
        await online(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1


@pytest.mark.parametrize("body", ["", "{}", "null", "[]"])
async def test_a_day_that_is_none_is_not_kept(here: Here, body: str) -> None:
    async with here.connected() as page:
        await page.route("**/v1/today*", lambda route: route.fulfill(body=body, content_type="application/json"))
        async with page.expect_response("**/v1/today*"):
            await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await page.unroute("**/v1/today*")
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)


async def test_a_kept_day_that_is_none_heals_at_the_next_opening(here: Here) -> None:
    async with here.connected() as page:
        await page.evaluate(NO_TODAY, here.slug)
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()


async def test_a_rest_that_another_request_was_told_holds_up_no_answer(here: Here) -> None:
    async with here.connected() as page:
        problem = json.dumps({"type": "/problems/too-many-requests", "title": "Too often", "status": 429})

        async def busy(route: Route) -> None:
            await route.fulfill(
                status=429, headers={"Retry-After": "600"}, body=problem, content_type="application/problem+json"
            )

        await page.route("**/v1/today*", busy)
        async with page.expect_response("**/v1/today*"):
            await page.reload()
        await page.locator("#more summary").click()
        await page.locator("input[name=safety][value=yes]").check()
        for name, value in (("craving.cocaine", 9), ("craving.alcohol", 2), ("mood", 1), ("anxiety", 7)):
            await choose(page, name, value)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [row["safety"] for row in await here.stored()] == [True]


async def test_a_language_that_is_not_kept_here_needs_a_connection_and_says_so(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        await page.context.set_offline(True)
        await page.get_by_role("link", name="Español").click()
        await expect(page.locator("#language-said")).to_have_text("This needs a connection. Please try again.")
        await page.context.set_offline(False)
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("lang", "es")


async def test_what_was_left_out_is_said_where_the_finger_is_and_marked_where_it_belongs(here: Here) -> None:
    async with here.connected() as page:
        await choose(page, "mood", 4)
        await choose(page, "anxiety", 4)
        await choose(page, "craving.alcohol", 4)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#answers-fault")).to_contain_text("craving for cocaine")
        await expect(page.locator("#answers-fault")).to_be_in_viewport()
        await expect(page.locator("fieldset.left-out legend")).to_have_text("Craving for cocaine, strongest today")
        await choose(page, "craving.cocaine", 4)
        await expect(page.locator("fieldset.left-out")).to_have_count(0)


async def say_yes(route: Route, status: int = 200, body: str = "") -> None:
    await route.fulfill(status=status, body=body, content_type="application/json")


@pytest.mark.parametrize(("status", "body"), [(200, ""), (204, ""), (200, "{}"), (200, "null")])
async def test_a_yes_that_is_not_the_clinic_s_takes_no_questionnaire(here: Here, status: int, body: str) -> None:
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name=PHQ9).click()
        for item in range(1, 10):
            await page.locator(f'input[name="item.{item}"][value="3"]').check()
        await page.route("**/v1/instrument-responses/**", lambda route: say_yes(route, status, body))
        async with page.expect_response("**/v1/instrument-responses/**"):
            await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        await page.unroute("**/v1/instrument-responses/**")
        await online(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert await db.value("select count(*) from instrument_response where clinic_id = $1", here.clinic_id) == 1


async def test_a_yes_that_is_not_the_clinic_s_ends_no_connection(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/device/enrol", lambda route: say_yes(route))
        await page.goto("about:blank")
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await page.locator("#connect-form button[type=submit]").click()
        await expect(page.locator("#connect-fault")).to_have_text(
            "There is no connection to the clinic just now. Please try again."
        )
        await page.reload()
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)


async def test_a_token_that_is_none_refuses_no_answer(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/device/nonce", lambda route: say_yes(route, body="{}"))
        await an_hour_later(page, here.slug)
        await page.goto(f"/phone/{here.slug}")
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        await expect(page.locator("#refused")).to_be_hidden()
        await page.unroute("**/v1/device/nonce")
        await online(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)


async def test_an_answer_waits_for_nothing_that_the_clinic_has_to_say(here: Here) -> None:
    async with here.connected() as page:
        may_come = asyncio.Event()

        async def hangs(route: Route) -> None:
            await may_come.wait()
            await route.continue_()

        await page.route("**/v1/today*", hangs)
        async with page.expect_request("**/v1/today*"):
            await page.reload()
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1
        may_come.set()


async def connect_and_choose_elsewhere(page: Page, here: Here) -> None:
    """An English page whose client has chosen Spanish on another phone."""
    await page.goto(f"/phone/{here.slug}#{await here.code()}")
    async with page.expect_response("**/v1/phone-settings/language"):
        await connect_without_a_pin(page)
    await until(page, SHELL_IS_KEPT)
    async with databases.transaction(here.owner, here.clinic_id) as db:
        await db.execute("update phone_setting set language = 'es' where clinic_id = $1", here.clinic_id)


async def noted_language(here: Here) -> object:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        return await db.value("select language from phone_setting where clinic_id = $1", here.clinic_id)


async def test_a_page_that_came_in_another_language_is_no_choice_of_the_client_s(here: Here) -> None:
    async with here.page() as page:
        await connect_and_choose_elsewhere(page, here)
        tried = page.wait_for_event("request", lambda request: request.url.endswith("?language=es"))
        # Whatever is asked for in Spanish does not come: the kept page opens in its place.
        await page.context.route(f"**/phone/{here.slug}?language=es", no_network)
        async with page.expect_response("**/v1/today*"):
            await page.reload()
        await tried
        await expect(page.locator("#language-said")).not_to_be_empty()
        async with page.expect_response("**/v1/today*"):
            await network_comes_back(page)
        assert await noted_language(here) == "es"
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await page.context.unroute(f"**/phone/{here.slug}?language=es")
        # As at another opening.
        again = await page.context.new_page()
        await again.goto(f"/phone/{here.slug}")
        await expect(again.locator("html")).to_have_attribute("lang", "es")
        assert await noted_language(here) == "es"


async def test_another_language_says_who_reads_the_answers_in_its_own_words_before_the_clinic_is_asked(
    here: Here,
) -> None:
    async with here.connected() as page:
        notices = page.locator("[data-monitoring]")
        await told(page)
        await expect(notices.first).to_contain_text("Read on working days")
        await page.route("**/v1/**", no_network)
        await page.locator("#language a[hreflang=es]").click()
        await expect(page.locator("html")).to_have_attribute("lang", "es")
        await expect(page.locator("#check-in")).to_be_visible()
        for notice in await notices.all():
            await expect(notice).not_to_contain_text("Read on")
            await expect(notice).not_to_be_empty()


async def test_the_code_of_a_link_is_not_lost_to_the_client_s_other_language(here: Here) -> None:
    async with here.page() as page:
        await connect_and_choose_elsewhere(page, here)
        await page.goto("about:blank")
        code = await here.code()
        async with page.expect_response("**/phone_after.js"), page.expect_response("**/v1/today*"):
            await page.goto(f"/phone/{here.slug}#{code}")
        await told(page)
        await expect(page.locator("#code")).to_have_value(code)
        await expect(page.locator("html")).to_have_attribute("lang", "en")
        await connect_without_a_pin(page)
        await expect(page.locator("html")).to_have_attribute("lang", "es")


async def test_a_language_whose_scripts_cannot_be_had_is_tried_once_and_the_page_stays(here: Here) -> None:
    async with here.page() as page:
        await connect_and_choose_elsewhere(page, here)
        tried: list[str] = []
        has_tried = asyncio.Event()

        async def count(route: Route) -> None:
            tried.append(route.request.url)
            has_tried.set()
            await route.continue_()

        await page.context.route(f"**/phone/{here.slug}?language=es", count)
        await page.context.route("**/static/*/es/**", no_network)
        await page.reload()
        async with asyncio.timeout(30):
            await has_tried.wait()
        await page.goto("about:blank")
        for _ in range(2):
            async with page.expect_response("**/v1/today*"):
                await page.goto(f"/phone/{here.slug}")
            await answer_or_again(page)
        assert len(tried) == 1
        assert await noted_language(here) == "es"


async def answer_or_again(page: Page) -> None:
    """An answer takes two rounds with the clinic: whatever those lead to has begun."""
    again = page.get_by_role("button", name="Answer again")
    if await again.is_visible():
        await again.click()
    async with page.expect_response("**/v1/today*"):
        await answer(page)
    await expect(page.locator("#sent")).to_contain_text(ARRIVED)


@pytest.mark.parametrize("status", [400, 403, 413])
async def test_an_answer_that_something_in_between_lets_not_through_holds_up_none_behind_it(
    here: Here, status: int
) -> None:
    async with here.connected() as page:

        async def firewall(route: Route) -> None:
            if "drop table" in (route.request.post_data or ""):
                await route.fulfill(status=status, body="<h1>Blocked</h1>", content_type="text/html")
            else:
                await route.continue_()

        await page.route("**/v1/check-ins/batch", firewall)
        await page.locator("#more summary").click()
        await page.locator("#note").fill("select a chair; drop table manners")
        await answer(page, mood=1)
        await page.get_by_role("button", name="Answer again").click()
        await answer(page, mood=2)
        await expect(page.locator("#sent")).to_contain_text("saved on this phone and not sent yet: 1")
        # And what the clinic has to say is heard.
        async with page.expect_response("**/v1/today*"):
            await page.reload()
        assert [row["mood"] for row in await here.stored()] == [2]
        await page.unroute("**/v1/check-ins/batch")
        await online(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)


async def test_a_script_that_hangs_holds_up_no_answer_and_no_question(here: Here) -> None:
    async with here.page() as page:
        asked, may_come = asyncio.Event(), asyncio.Event()

        async def hangs(route: Route) -> None:
            asked.set()
            await may_come.wait()
            await route.continue_()

        await page.context.route("**/phone_questions.js", hangs)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        async with asyncio.timeout(30):
            await asked.wait()
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name="Answer again").click()
        await answer(page, mood=5)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 2
        may_come.set()


@pytest.mark.parametrize("part", ["phone_unsent.js", "phone_log.js"])
async def test_a_list_whose_script_hangs_holds_up_no_answer(here: Here, part: str) -> None:
    async with here.connected() as page:
        may_come = asyncio.Event()

        async def hangs(route: Route) -> None:
            await may_come.wait()
            await route.continue_()

        await page.context.route(f"**/{part}", hangs)
        await page.route("**/v1/check-ins/batch", refuse_each)
        async with page.expect_response("**/v1/check-ins/batch"):
            await answer(page, mood=1)
        await page.unroute("**/v1/check-ins/batch")
        await page.locator("#log summary").click()
        await page.get_by_role("button", name="Answer again").click()
        await answer(page, mood=2)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [row["mood"] for row in await here.stored()] == [2]
        may_come.set()
        await expect(page.locator("#refused")).to_be_visible()


async def refuse_each(route: Route) -> None:
    results = [{"status": 422, "problem": {}} for _ in items_of(route.request)]
    await route.fulfill(body=json.dumps({"results": results}), content_type="application/json")
