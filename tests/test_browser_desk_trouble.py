"""The desk in a real Chromium when the network is gone or the server stands still: said in the page, nothing lost."""

from __future__ import annotations

import asyncio
import http.client
import re
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import pytest
from playwright.async_api import Dialog, Route, expect

from schemas.alert import Rule, Tier
from service import database as databases
from service.alerting import alerts
from tests.axe import faults
from tests.browser import watched_context
from tests.desk_browser import LIVE, Desk, a_live_inbox

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# The browser's own waits, as in the neighbours: how long something may take on a machine with other work.
PATIENCE = 40_000


async def state_of(desk: Desk, alert_id: UUID) -> str:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        return (await alerts.get(db, alert_id)).state


async def test_an_inbox_says_since_when_it_hears_nothing_from_a_server_that_stands_still(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await a_live_inbox(desk, context)
        heard = await page.locator("#live").get_attribute("data-clock")
        with desk.web.standing_still():
            await page.clock.fast_forward(20_000)
            await expect(page.get_by_text(LIVE)).to_be_visible()
            await page.clock.fast_forward(10_000)
            said = page.get_by_role("status").filter(has_text="nothing was heard from the server since")
            await expect(said).to_contain_text(f"since {heard}")
            await expect(said).to_contain_text(f"What stands below is of {heard}")
            await desk.alert(Rule.SAFETY, Tier.URGENT)
        await page.clock.fast_forward(30_000)
        await expect(page.get_by_text(LIVE)).to_be_visible(timeout=PATIENCE)
        await expect(page.get_by_role("button", name="Acknowledge")).to_be_visible(timeout=PATIENCE)


async def test_an_inbox_says_at_once_that_the_device_is_offline_and_catches_up_when_it_is_back(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=390) as context:
        page = await a_live_inbox(desk, context)
        await context.set_offline(True)
        await expect(page.get_by_text("Not live: this device is offline")).to_be_visible(timeout=1_000)
        await desk.alert(Rule.SAFETY, Tier.URGENT)
        await context.set_offline(False)
        await expect(page.get_by_role("button", name="Acknowledge")).to_be_visible(timeout=PATIENCE)
        await expect(page.get_by_text(LIVE)).to_be_visible(timeout=PATIENCE)


async def test_how_long_an_alert_has_been_open_goes_on_in_an_inbox_in_which_nothing_changes(desk: Desk) -> None:
    await desk.alert(Rule.SAFETY, Tier.URGENT)
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await a_live_inbox(desk, context)
        opened = page.get_by_role("listitem").filter(has_text="nobody has it yet")
        await expect(opened).to_contain_text(re.compile(r", [01] min ago"))
        for further, said in ((20, "2[01] min"), (65, r"1 h 2[5-7] min"), (60 * 47, "2 days")):
            await page.clock.fast_forward(further * 60_000)
            await expect(opened).to_contain_text(re.compile(f", {said} ago"), timeout=PATIENCE)


async def test_an_inbox_says_that_its_list_could_not_be_fetched_although_it_hears(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await a_live_inbox(desk, context)
        await page.route("**/inbox?seen=*", lambda route: route.abort())
        await desk.alert()
        await expect(page.get_by_text("The list could not be fetched.")).to_be_visible(timeout=PATIENCE)
        await page.unroute("**/inbox?seen=*")
        await page.clock.fast_forward(6_000)
        await expect(page.get_by_role("button", name="Acknowledge")).to_be_visible(timeout=PATIENCE)
        await expect(page.get_by_text(LIVE)).to_be_visible(timeout=PATIENCE)


async def test_an_acknowledgement_without_a_network_is_told_in_the_page_and_can_be_pressed_again(desk: Desk) -> None:
    alert_id = await desk.alert(Rule.SAFETY, Tier.URGENT)
    async with watched_context(desk.started, desk.address, width=390) as context:
        page = await a_live_inbox(desk, context)
        await context.set_offline(True)
        await expect(page.get_by_text("Not live: this device is offline")).to_be_visible()
        # What was said above the list moved it.
        await page.clock.fast_forward(600)
        await page.get_by_role("button", name="Acknowledge").click()
        said = page.get_by_role("alert")
        await expect(said).to_contain_text("This device is offline: nothing was sent.")
        await expect(said).to_contain_text("Until then nobody has this alert")
        assert page.url == f"{desk.address}/inbox"
        assert await state_of(desk, alert_id) == "open"
        await context.set_offline(False)
        await expect(page.get_by_text(LIVE)).to_be_visible(timeout=PATIENCE)
        await page.clock.fast_forward(600)
        await page.get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_text("Maren Holt has it")).to_be_visible()


async def test_an_answer_that_is_lost_leaves_no_doubt_and_a_note_pressed_again_is_kept_once(desk: Desk) -> None:
    alert_id = await desk.alert()
    async with watched_context(desk.started, desk.address, width=390) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/alerts/{alert_id}")

        async def loses_the_answer(route: Route) -> None:
            assert (await route.fetch(max_redirects=0)).status < 400
            await route.abort("connectionreset")

        await page.route("**/note", loses_the_answer)
        await page.get_by_label("Write down something").fill("Called him, no answer.")
        keep = page.get_by_role("button", name="Keep the note")
        for _ in range(2):
            await keep.click()
            said = page.get_by_role("alert")
            await expect(said).to_contain_text("probably not gone through. What you typed still stands here.")
            await expect(said).to_contain_text("what did go through is not done twice")
        await page.unroute("**/note")
        await keep.click()
        await expect(page.get_by_text("Called him, no answer.")).to_have_count(1)


async def test_a_link_within_the_page_takes_nothing_of_what_was_typed(desk: Desk) -> None:
    alert_id = await desk.alert()
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto("/caseload")
        await page.goto(f"/alerts/{alert_id}")
        await page.get_by_label("Write down something").fill("Half a sentence")
        asked = list[Dialog]()
        page.on("dialog", lambda dialog: asked.append(dialog))
        await page.get_by_role("link", name="Skip to the page").press("Enter")
        await expect(page.locator("#main")).to_be_in_viewport()
        await page.go_back()
        await page.go_forward()
        await expect(page.get_by_label("Write down something")).to_have_value("Half a sentence")
        assert not asked


async def test_a_server_that_stands_still_keeps_nobody_waiting_for_ever_and_what_was_typed_stays(desk: Desk) -> None:
    alert_id = await desk.alert()
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/alerts/{alert_id}")
        # Half a minute is long for a test: the page's own patience is shortened.
        await page.evaluate("AbortSignal.timeout = ((own) => () => own.call(AbortSignal, 1500))(AbortSignal.timeout)")
        note = page.get_by_label("Write down something")
        await note.fill("Called twice, nobody answered.")
        with desk.web.standing_still():
            await page.get_by_role("button", name="Keep the note").click()
            said = page.get_by_role("alert")
            await expect(said).to_contain_text("Sending …")
            await expect(said).to_contain_text("this may have gone through or not")
            await expect(said).to_contain_text("What you typed still stands here.")
            await expect(note).to_have_value("Called twice, nobody answered.")
        await page.reload(timeout=PATIENCE)


async def test_what_is_refused_is_told_beside_what_was_typed(desk: Desk) -> None:
    alert_id = await desk.alert()
    async with watched_context(desk.started, desk.address, width=320) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/alerts/{alert_id}")
        await page.get_by_text("Put it off").first.click()
        await page.get_by_label("Until, on the clinic's clock").fill("2020-01-01T08:00")
        await page.get_by_label("Why", exact=True).fill("Away until Monday.")
        await page.get_by_role("button", name="Put it off").click()
        said = page.get_by_role("alert")
        until = page.get_by_label("Until, on the clinic's clock")
        await expect(until).to_have_attribute("aria-invalid", "true")
        await expect(until).to_have_accessible_description(re.compile("."))
        await expect(until).to_be_focused()
        await expect(said).to_contain_text("It cannot be put off until then.")
        await expect(said).to_contain_text("Correct it and press again; what you typed still stands here.")
        await expect(said).to_be_in_viewport()
        await expect(page.get_by_label("Why", exact=True)).to_have_value("Away until Monday.")
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        assert not await faults(page)
        await until.fill(f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%dT%H:%M}")
        await page.get_by_role("button", name="Put it off").click()
        await expect(page.get_by_text("Put off.")).to_be_visible()
        await expect(page.locator(".refused")).to_have_count(0)


async def test_whoever_leaves_a_half_written_note_is_warned_and_nothing_of_it_is_kept_in_the_browser(
    desk: Desk,
) -> None:
    alert_id = await desk.alert()
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        asked: list[str] = []

        async def stay(dialog: Dialog) -> None:
            asked.append(dialog.type)
            await dialog.dismiss()

        page.on("dialog", stay)
        await page.goto(f"/alerts/{alert_id}")
        await page.get_by_label("Write down something").press_sequentially("Half a sen")
        async with page.expect_event("dialog"):
            await page.evaluate("setTimeout(() => location.assign('/caseload'))")
        await expect(page.get_by_label("Write down something")).to_have_value("Half a sen")
        assert asked == ["beforeunload"]
        kept = await page.evaluate("JSON.stringify([sessionStorage, localStorage])")
        assert "Half" not in kept
        await page.get_by_role("button", name="Keep the note").click()
        await expect(page.get_by_text("Half a sen")).to_be_visible()
        assert asked == ["beforeunload"], "what was sent is lost to nobody"


async def test_the_number_of_open_alerts_is_doubted_while_nobody_answers(desk: Desk) -> None:
    await desk.alert()
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto("/caseload")
        count = page.locator("nav .count")
        await expect(count).to_have_text("1 open")
        with desk.web.standing_still():
            await page.clock.fast_forward(20_000)
            await expect(count).to_contain_text("This may be old: the server is not heard.", timeout=PATIENCE)
            assert not await faults(page)
        await page.clock.fast_forward(21_000)
        await expect(count).to_have_text("1 open", timeout=PATIENCE)
        await context.set_offline(True)
        await expect(count).to_contain_text("This may be old")
        await context.set_offline(False)
        await expect(count).to_have_text("1 open", timeout=PATIENCE)


async def test_a_form_that_the_page_sends_is_answered_without_closing_the_connection(desk: Desk) -> None:
    """A body where none belongs is taken by an application in process, and by no server."""
    alert_id = await desk.alert()
    place = urlsplit(desk.address)
    body = urlencode({"csrf_token": desk.person.csrf_token, "note": "Reached in the evening."})
    headers = {
        **desk.person.cookie,
        "Neap-Form": "yes",
        "Origin": desk.address,
        "Content-Type": "application/x-www-form-urlencoded",
    }

    def twice() -> list[tuple[int, bytes]]:
        connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=30)
        connection.auto_open = 0
        connection.connect()
        answered = []
        for _ in range(2):
            connection.request("POST", f"/alerts/{alert_id}/note", body, headers)
            reply = connection.getresponse()
            answered.append((reply.status, reply.read()))
        connection.close()
        return answered

    assert await asyncio.to_thread(twice) == [(204, b""), (204, b"")]
