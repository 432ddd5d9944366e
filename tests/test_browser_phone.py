"""The client's page in Chromium, against a real web process and the real database."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Route, expect

from service import database as databases
from service.people import audit, devices
from tests.browser import until
from tests.phone_browser import (
    ARRIVED,
    NOT_SENT,
    SHELL_IS_KEPT,
    Here,
    answer,
    choose,
    connect_without_a_pin,
    items_of,
    network_comes_back,
    no_network,
    online,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_enrols_by_link_and_the_answer_arrives_once(here: Here) -> None:
    async with here.page() as page:
        code = await here.code()
        await page.goto(f"/phone/{here.slug}#{code}")
        await expect(page.get_by_label("Code from your clinic")).to_have_value(code)
        assert page.url == f"{here.address}/phone/{here.slug}"
        await connect_without_a_pin(page)
        await expect(page.get_by_text("after infusion 1")).to_be_visible()
        assert await page.title() == "Neap"
        assert await page.locator("#answers input:checked").count() == 0
        await answer(page)
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        stored = await here.stored()
        assert len(stored) == 1
        assert stored[0]["craving"] == {"cocaine": 6, "alcohol": 2}
        assert (stored[0]["mood"], stored[0]["anxiety"], stored[0]["used"], stored[0]["safety"]) == (4, 7, None, None)
        assert await page.evaluate(KEY_MAY_LEAVE, here.slug) is False


KEY_MAY_LEAVE = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = (event) => {
    const store = event.target.result.transaction("kept").objectStore("kept");
    store.get("device").onsuccess = (found) => resolve(found.target.result.key.extractable);
  };
})
"""


async def test_code_typed_by_hand_and_what_a_wrong_one_says(here: Here) -> None:
    async with here.page() as page:
        code = await here.code()
        await page.goto(f"/phone/{here.slug}")
        await page.get_by_label("Code from your clinic").fill(code[:4] + "000000")
        await page.get_by_role("button", name="Connect", exact=True).click()
        await expect(page.locator("#connect-fault")).to_contain_text("This code is not right")
        await page.get_by_label("Code from your clinic").fill(f"{code[:4]}-{code[4:7]} {code[7:]}".lower())
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Not now").click()
        await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()


async def test_answer_given_offline_survives_a_reload_and_is_sent_once(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/**", no_network)
        await answer(page)
        await expect(page.get_by_role("status")).to_contain_text(f"{NOT_SENT}: 1")
        await page.reload()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await expect(page.get_by_role("status")).to_contain_text(f"{NOT_SENT}: 1")
        assert await here.stored() == []
        await online(page)
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        await page.reload()
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1


async def test_page_opens_without_a_network_and_what_is_answered_there_arrives_later(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        await page.context.set_offline(True)
        await page.reload()
        await page.get_by_text("Need help now?").click()
        await expect(page.locator("#help-card a").first).to_be_visible()
        await answer(page)
        await expect(page.get_by_role("status")).to_contain_text(NOT_SENT)
        await page.reload()
        await expect(page.get_by_role("status")).to_contain_text(NOT_SENT)
        await page.context.set_offline(False)
        # No event tells it: a page loaded without a network takes itself to be online. The timer does.
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1


async def test_answer_whose_reply_was_lost_is_sent_again_and_stored_once(here: Here) -> None:
    async with here.connected() as page:
        sent = []
        lost = asyncio.Event()

        async def lose_reply(route: Route) -> None:
            sent.append(items_of(route.request)[0]["id"])
            await route.fetch()
            await route.abort("connectionreset")
            lost.set()

        await page.route("**/v1/check-ins/batch", lose_reply)
        await answer(page)
        await lost.wait()
        await expect(page.get_by_role("status")).to_contain_text(NOT_SENT)
        assert len(await here.stored()) == 1
        await page.unroute("**/v1/check-ins/batch")
        async with page.expect_request("**/v1/check-ins/batch") as again:
            await network_comes_back(page)
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        stored = await here.stored()
        assert [str(row["check_in_id"]) for row in stored] == [items_of(await again.value)[0]["id"]] == sent


async def test_second_tap_on_send_sends_nothing_more(here: Here) -> None:
    async with here.connected() as page:
        for name, value in (("craving.cocaine", 6), ("craving.alcohol", 2), ("mood", 4), ("anxiety", 7)):
            await choose(page, name, value)
        await page.get_by_role("button", name="Send", exact=True).dblclick()
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1


async def test_refused_answer_is_shown_and_kept_until_the_client_decides(here: Here) -> None:
    async with here.connected() as page:

        async def spoil(route: Route) -> None:
            await route.continue_(post_data=[item | {"mood": 11} for item in items_of(route.request)])

        await page.route("**/v1/check-ins/batch", spoil)
        await answer(page)
        refused = page.locator("#refused")
        await expect(refused).to_contain_text("Not accepted, kept on this phone")
        await expect(refused).to_contain_text("Mood")
        await page.unroute("**/v1/check-ins/batch")
        await page.reload()
        await expect(refused).to_contain_text("Mood")
        assert await here.stored() == []
        await refused.get_by_role("button", name="Send again").click()
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        await expect(refused).to_be_hidden()
        assert [row["mood"] for row in await here.stored()] == [4]


async def test_one_refused_answer_never_holds_up_the_others(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/**", no_network)
        for mood in (1, 9, 5):
            await answer(page, mood=mood)
            await page.get_by_role("button", name="Answer again").click()
        await page.unroute("**/v1/**")

        async def refuse_nine(route: Route) -> None:
            body = items_of(route.request)
            if len(body) > 1:
                problem = json.dumps(
                    {"type": "/problems/bad-request", "detail": "The batch was refused.", "status": 400}
                )
                await route.fulfill(status=400, body=problem, content_type="application/problem+json")
            else:
                await route.continue_(post_data=[item | ({"mood": "9"} if item["mood"] == 9 else {}) for item in body])

        await page.route("**/v1/check-ins/batch", refuse_nine)
        await network_comes_back(page)
        await expect(page.locator("#refused li")).to_have_count(1)
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert sorted(str(row["mood"]) for row in await here.stored()) == ["1", "5"]


async def test_crisis_card_is_there_at_the_tap_without_any_network(here: Here) -> None:
    async with here.connected() as page:
        asked: list[str] = []
        await page.context.set_offline(True)
        page.on("request", lambda request: asked.append(request.url))
        await page.get_by_role("radio", name="Yes").check()
        card = page.get_by_role("alert").filter(has_text="You do not have to be alone")
        await expect(card.get_by_role("link", name="988")).to_be_visible()
        assert await card.get_by_role("link", name="988").get_attribute("href") == "tel:988"
        assert asked == []
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await expect(card).to_be_visible()
        await page.context.set_offline(False)
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert [row["safety"] for row in await here.stored()] == [True]


async def test_help_is_always_there_even_before_connecting_and_without_script(here: Here) -> None:
    async with here.page(script=False) as page:
        await page.goto(f"/phone/{here.slug}")
        await page.get_by_text("Need help now?").click()
        await expect(page.locator("#help-card a").first).to_be_visible()


async def test_access_token_that_ran_out_is_renewed_by_the_key(here: Here) -> None:
    async with here.connected() as page:
        async with databases.transaction(here.owner, here.clinic_id) as db:
            await db.execute(
                "update device_token set expires_at = $2 where clinic_id = $1 and kind = 'access'",
                here.clinic_id,
                datetime.now(UTC) - timedelta(seconds=1),
            )
        await answer(page)
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1


async def test_unsent_answers_survive_a_revocation_and_go_out_when_the_client_says_they_are_theirs(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/**", no_network)
        await answer(page)
        async with databases.transaction(here.owner, here.clinic_id) as db:
            (device,) = await devices.devices_of(db, here.client_id)
            await devices.revoke(db, device.device_id, by=audit.COMMAND, why="by_clinic", now=datetime.now(UTC))
        await online(page)
        await expect(page.get_by_text("This phone is no longer connected")).to_be_visible()
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await connect_without_a_pin(page)
        await expect(page.get_by_role("heading", name="Are these answers yours?")).to_be_visible()
        # The day's questions come above it, and would move the button away under the tap.
        await expect(page.locator("#check-in")).to_be_visible()
        assert await here.stored() == []
        await page.get_by_role("button", name="Yes, send them").click()
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1


async def test_disconnecting_ends_the_device_and_deletes_what_the_phone_kept(here: Here) -> None:
    async with here.connected() as page:
        await page.get_by_text("This phone", exact=True).click()
        disconnect = page.get_by_role("button", name="Disconnect this phone")
        await disconnect.click()
        await expect(page.get_by_text("Tap again to disconnect.")).to_be_visible()
        await disconnect.click()
        await expect(page.get_by_text("what it kept is deleted")).to_be_visible()
        async with databases.transaction(here.owner, here.clinic_id) as db:
            (device,) = await devices.devices_of(db, here.client_id)
        assert device.revoked_why == "by_client"


async def test_page_fits_320_pixels_and_answers_by_keyboard_with_the_last_answer_named(here: Here) -> None:
    async with here.connected(width=320) as page:
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        heights = await page.locator(".score").evaluate_all("all => all.map(one => one.getBoundingClientRect().height)")
        assert min(heights) >= 44
        await page.locator('input[name="craving.cocaine"][value="0"]').focus()
        await page.keyboard.press("ArrowRight")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Space")
        await page.get_by_role("button", name="Send", exact=True).press("Enter")
        await expect(page.get_by_text("Not answered: anxiety")).to_be_visible()
        # Past the summary and the question of safety.
        for _ in range(3):
            await page.keyboard.press("Shift+Tab")
        await page.keyboard.press("Space")
        await expect(page.get_by_text("Not answered: anxiety")).to_be_hidden()
        await page.get_by_role("button", name="Send", exact=True).press("Enter")
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        stored = (await here.stored())[0]
        assert (stored["craving"], stored["anxiety"]) == ({"cocaine": 1, "alcohol": 0}, 10)
        await page.get_by_role("button", name="Answer again").click()
        group = page.get_by_role("group", name="Craving for cocaine, strongest today")
        await expect(group.get_by_role("radio", name="1 your last answer")).to_have_count(1)
        assert await page.locator("#answers input:checked").count() == 0
