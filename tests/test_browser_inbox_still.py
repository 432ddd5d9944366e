"""The live inbox in a real Chromium: what arrives by itself puts no other button under a finger about to press."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest
from playwright.async_api import Locator, Page, expect

from schemas.alert import Rule, Tier
from service import database as databases
from service.alerting import alerts
from tests.axe import faults
from tests.browser import watched_context
from tests.desk_browser import LIVE, Desk, a_live_inbox, an_alert_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# How long something may take on a machine with other work.
PATIENCE = 40_000


async def has_it(desk: Desk, alert_id: UUID) -> UUID | None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        return (await alerts.get(db, alert_id)).acknowledged_by


def acknowledge_of(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has_text=name).get_by_role("button", name="Acknowledge")


async def test_no_other_button_comes_under_a_pointer_that_is_about_to_press(desk: Desk) -> None:
    read = await an_alert_of(desk, "Greta", Rule.SAFETY, Tier.URGENT)
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await a_live_inbox(desk, context)
        place = await acknowledge_of(page, "Greta").bounding_box()
        assert place is not None
        x, y = place["x"] + 20, place["y"] + 15
        await page.mouse.move(x, y)
        unread = await an_alert_of(desk, "Thea", Rule.SAFETY, Tier.URGENT)
        waits = page.get_by_role("status").get_by_role("button", name="1 new urgent alert: show it")
        await expect(waits).to_be_visible(timeout=PATIENCE)
        await page.clock.run_for(60_000)
        assert await acknowledge_of(page, "Greta").bounding_box() == place
        async with page.expect_navigation():
            await page.mouse.click(x, y)
        await expect(page.get_by_text("Greta Marlow: you have taken it on.")).to_be_visible()
        assert (await has_it(desk, read), await has_it(desk, unread)) == (desk.person.staff_id, None)


async def test_a_button_above_the_list_shows_what_waits_and_leads_to_it(desk: Desk) -> None:
    await an_alert_of(desk, "Greta")
    async with watched_context(desk.started, desk.address, width=320) as context:
        page = await a_live_inbox(desk, context)
        await page.get_by_role("link", name="Greta Marlow", exact=True).press("Shift")
        place = await acknowledge_of(page, "Greta").bounding_box()
        await an_alert_of(desk, "Thea", Rule.SAFETY, Tier.URGENT)
        bar = page.get_by_role("button", name="show it")
        await expect(bar).to_have_text("1 new urgent alert: show it", timeout=PATIENCE)
        await an_alert_of(desk, "Hugo")
        bar = page.get_by_role("button", name="show them")
        await expect(bar).to_have_text("2 new alerts, 1 urgent: show them", timeout=PATIENCE)
        assert await acknowledge_of(page, "Greta").bounding_box() == place
        await expect(page.get_by_role("link", name="Greta Marlow", exact=True)).to_be_focused()
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        assert not await faults(page)
        await bar.focus()
        await page.clock.run_for(10_000)
        await expect(bar).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("button", name="Acknowledge")).to_have_count(3)
        await expect(page.get_by_role("link", name="Thea Marlow", exact=True)).to_be_focused()
        await expect(bar).to_have_count(0)


async def test_what_waits_is_put_in_when_the_pointer_has_left_the_list(desk: Desk) -> None:
    await an_alert_of(desk, "Greta")
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await a_live_inbox(desk, context)
        await acknowledge_of(page, "Greta").hover()
        await an_alert_of(desk, "Thea")
        await expect(page.get_by_role("button", name="1 new alert: show it")).to_be_visible(timeout=PATIENCE)
        await page.clock.run_for(60_000)
        await expect(acknowledge_of(page, "Thea")).to_have_count(0)
        await page.get_by_role("heading", name="Inbox").hover()
        await page.clock.run_for(1_000)
        await expect(acknowledge_of(page, "Thea")).to_be_visible(timeout=PATIENCE)
        await expect(page.get_by_role("status").get_by_role("button")).to_have_count(0)


async def test_a_press_just_after_the_list_changed_is_not_taken_and_says_so(desk: Desk) -> None:
    await an_alert_of(desk, "Greta")
    async with watched_context(desk.started, desk.address, width=390) as context:
        page = await a_live_inbox(desk, context)
        await page.clock.pause_at(datetime.now(UTC).timestamp() * 1_000 + 60_000)
        unread = await an_alert_of(desk, "Thea")
        # From here on the page's clock stands: the list changed just now, however slow the machine is.
        await expect(acknowledge_of(page, "Thea")).to_be_visible(timeout=PATIENCE)
        await acknowledge_of(page, "Thea").click()
        await expect(page.get_by_role("alert")).to_contain_text("nothing was pressed. Look, and press again.")
        assert await has_it(desk, unread) is None
        await page.clock.run_for(600)
        await acknowledge_of(page, "Thea").click()
        await expect(page.get_by_text("Thea Marlow: you have taken it on.")).to_be_visible()
        assert await has_it(desk, unread) == desk.person.staff_id


async def test_who_presses_again_because_nothing_seems_to_happen_takes_on_no_other_alert(desk: Desk) -> None:
    wanted = await an_alert_of(desk, "Greta", Rule.SAFETY, Tier.URGENT)
    others = [await an_alert_of(desk, name, Rule.SAFETY, Tier.URGENT) for name in ("Thea", "Wanda", "Bruno")]
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await a_live_inbox(desk, context)
        place = await acknowledge_of(page, "Greta").bounding_box()
        assert place is not None
        x, y = place["x"] + 20, place["y"] + 15
        # The clock of the page stands, and of the one that comes: it comes just now, however slow the machine is.
        await page.clock.pause_at(datetime.now(UTC).timestamp() * 1_000 + 60_000)
        async with page.expect_navigation():
            await page.mouse.click(x, y)
        under = await page.evaluate("([x, y]) => document.elementFromPoint(x, y).closest('button').textContent", [x, y])
        assert under == "Acknowledge"
        await page.mouse.click(x, y)
        await expect(page.get_by_role("alert")).to_contain_text("nothing more was pressed. Look, and press again.")
        assert await has_it(desk, wanted) == desk.person.staff_id
        assert [await has_it(desk, each) for each in others] == [None, None, None]
        await page.clock.run_for(800)
        async with page.expect_navigation():
            await page.mouse.click(x, y)
        assert [await has_it(desk, each) for each in others].count(desk.person.staff_id) == 1


async def test_an_offer_that_runs_out_moves_no_button(desk: Desk) -> None:
    await an_alert_of(desk, "Greta")
    await an_alert_of(desk, "Thea")
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await a_live_inbox(desk, context)
        first = page.get_by_role("button", name="Acknowledge").first
        await first.press("Enter")
        undo = page.get_by_role("button", name="Undo")
        await expect(undo).to_be_visible()
        await expect(page.get_by_text(LIVE)).to_be_visible()
        before = await page.locator("#open").bounding_box()
        await page.clock.fast_forward(10_000)
        await expect(undo).to_have_count(0)
        assert await page.locator("#open").bounding_box() == before
