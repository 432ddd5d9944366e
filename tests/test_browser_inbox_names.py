"""The inbox by keyboard and by ear: what each button is about, and where one is after something was done."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.async_api import Page, expect

from schemas.alert import Outcome, Rule, Tier
from service import database as databases
from service.alerting import alerts
from tests.axe import faults
from tests.browser import watched_context
from tests.desk import a_person
from tests.desk_browser import Desk, an_alert_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# How long something may take on a machine with other work.
PATIENCE = 40_000


async def names_of(page: Page, role: str) -> list[str]:
    """What a screen reader calls the buttons or links of the list."""
    said = re.findall(rf'\b{role} "(.*?)"', await page.get_by_role("main").aria_snapshot())
    return [each for each in said if each.startswith(("Acknowledge", "Open"))]


async def test_each_button_says_whose_alert_it_is_and_what_it_is_about(desk: Desk) -> None:
    await an_alert_of(desk, "Greta", Rule.SAFETY, Tier.URGENT)
    await an_alert_of(desk, "Thea")
    await desk.alert(Rule.SAFETY, Tier.URGENT)
    await desk.alert()
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto("/inbox")
        acknowledge = page.get_by_role("button", name="Acknowledge: Greta Marlow, urgent", exact=True)
        await expect(acknowledge).to_have_accessible_description(re.compile("Safety question answered yes"))
        for role, number in (("button", 4), ("link", 4)):
            names = await names_of(page, role)
            assert len(set(names)) == len(names) == number, names
        assert not await faults(page)
        await page.goto(f"/clients/{desk.client_id}")
        urgent = page.get_by_role("button", name="Acknowledge: urgent", exact=True)
        await expect(urgent).to_have_accessible_description(re.compile("Safety question answered yes"))
        await expect(page.get_by_role("button", name="Acknowledge: today", exact=True)).to_be_visible()
        assert not await faults(page)


async def test_whoever_takes_back_by_keyboard_stays_where_they_were_and_hears_it(desk: Desk) -> None:
    alert_id = await an_alert_of(desk, "Greta")
    await an_alert_of(desk, "Thea")
    async with watched_context(desk.started, desk.address, width=390) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for address, whose, told in (
            ("/inbox", "Acknowledge: Greta", "Greta Marlow: taken back: it stands as it stood."),
            (f"/alerts/{alert_id}", "Acknowledge", "Taken back: it stands as it stood."),
        ):
            await page.goto(address)
            await page.get_by_role("button", name=whose).press("Enter")
            await expect(page.get_by_text("you have taken it on.")).to_be_focused()
            await page.keyboard.press("Tab")
            await expect(page.get_by_role("button", name="Undo")).to_be_focused()
            await page.keyboard.press("Enter")
            said = page.get_by_role("status").get_by_text(told, exact=True)
            await expect(said).to_be_focused()
            await expect(page.get_by_role("button", name="Undo")).to_have_count(0)
            assert not await faults(page)
            await page.keyboard.press("Tab")
            await expect(page.locator("#main :focus")).to_have_count(1)


@pytest.mark.parametrize("closed", [False, True])
async def test_whose_button_goes_because_somebody_else_was_faster_stays_there_and_hears_it(
    desk: Desk, closed: bool
) -> None:
    alert_id = await an_alert_of(desk, "Greta")
    await an_alert_of(desk, "Thea")
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto("/inbox")
        await page.get_by_role("button", name="Acknowledge: Greta").focus()
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            other = await a_person(db, name="Tom Okafor", email="tom@clinic.example")
            if closed:
                await alerts.resolve(db, alert_id, Outcome.CALLED, by=other, now=datetime.now(UTC))
            else:
                await alerts.acknowledge(db, alert_id, by=other, now=datetime.now(UTC))
        said = page.get_by_role("status").filter(has_text="Greta Marlow:")
        await expect(said).to_have_text(
            "Greta Marlow: not open any more." if closed else "Greta Marlow: somebody else did something here.",
            timeout=PATIENCE,
        )
        at = page.get_by_role("link", name="Thea Marlow" if closed else "Greta Marlow", exact=True)
        await expect(at).to_be_focused()
