"""An alert's page in a real Chromium, while a further reason joins and a colleague is faster: nothing typed is lost."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from playwright.async_api import expect

from schemas.alert import Outcome, Rule, Tier
from service import database as databases
from service.alerting import alerts
from tests.axe import faults
from tests.browser import watched_context
from tests.desk import a_finding, a_person
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# How long something may take on a machine with other work.
PATIENCE = 40_000


async def joins(desk: Desk) -> None:
    now = datetime.now(UTC)
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        found = [a_finding(Rule.SILENCE, Tier.URGENT, on=now.date())]
        await alerts.open_or_join(db, desk.client_id, found, now=now, rule_set_version=1)


@pytest.mark.parametrize("width", [1440, 320])
async def test_what_joined_is_shown_before_it_is_closed_and_all_that_was_typed_stays(desk: Desk, width: int) -> None:
    alert_id = await desk.alert(Rule.SAFETY, Tier.URGENT)
    async with watched_context(desk.started, desk.address, width=width) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/alerts/{alert_id}")
        await page.get_by_label("Write down something").fill("Called: pressed the wrong button.")
        await joins(desk)
        await page.get_by_role("button", name="False alarm").click()
        said = page.get_by_role("alert").filter(has_text="Since you opened this page")
        await expect(said).to_contain_text(
            re.compile(r"a new reason joined at \d\d:\d\d\. Look at it, then press again\.")
        )
        await expect(said).to_be_focused()
        await expect(said).to_be_in_viewport()
        await expect(page.locator(".finding")).to_have_count(2)
        await expect(page.get_by_label("Write down something")).to_have_value("Called: pressed the wrong button.")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert not await faults(page)
        await page.get_by_role("button", name="False alarm").click()
        await expect(page.get_by_text("Closed.")).to_be_visible()
        await expect(page.get_by_text("Called: pressed the wrong button.")).to_be_visible()


async def test_a_page_says_who_has_it_by_now_and_shows_it_with_what_was_typed(desk: Desk) -> None:
    alert_id = await desk.alert(Rule.SAFETY, Tier.URGENT)
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        colleague = await a_person(db, email="ada@clinic.example", name="Ada Brandt")
    async with watched_context(desk.started, desk.address, width=390) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto(f"/alerts/{alert_id}")
        await expect(page.locator("p.as-of")).to_contain_text("As of")
        await page.get_by_label("Write down something").fill("Half a note")
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await alerts.acknowledge(db, alert_id, by=colleague, now=datetime.now(UTC))
        await page.clock.fast_forward(20_000)
        said = page.get_by_role("status").filter(has_text="Ada Brandt took it on at")
        await expect(said).to_be_visible(timeout=PATIENCE)
        await joins(desk)
        await page.clock.fast_forward(20_000)
        await expect(said).to_contain_text("a new reason joined at", timeout=PATIENCE)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390
        assert not await faults(page)
        await said.get_by_role("link", name="Show it").click()
        await expect(page.locator(".finding")).to_have_count(2, timeout=PATIENCE)
        await expect(page.get_by_label("Write down something")).to_have_value("Half a note")
        await expect(said).to_have_count(0)
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await alerts.resolve(db, alert_id, Outcome.CALLED, by=colleague, now=datetime.now(UTC))
        await page.get_by_role("button", name="No action needed").click()
        await expect(page.get_by_role("alert").filter(has_text="Ada Brandt closed it at")).to_be_focused()
        await expect(page.get_by_label("Add to it")).to_have_value("Half a note")
        await page.get_by_role("button", name="Keep the note").click()
        await expect(page.get_by_text("Half a note")).to_be_visible()
