"""The inbox by keyboard and by ear: what each button is about, and where one is after something was done."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID

import pytest
from playwright.async_api import Page, expect

from schemas.alert import Rule, Tier
from schemas.staff import Role
from service import database as databases
from service.people import clients
from tests.axe import faults
from tests.browser import watched_context
from tests.builders import a_client
from tests.desk import an_alert
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# How long something may take on a machine with other work.
PATIENCE = 40_000


async def an_alert_of(desk: Desk, name: str, rule: Rule = Rule.WORSENING, tier: Tier = Tier.TODAY) -> UUID:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_client(db, given_name=name, family_name="Marlow")
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
        return await an_alert(db, client_id, rule, tier)


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
