"""Two people decide at one gate: whoever comes second keeps their words, by script and without."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import expect

from schemas.gate import Decision
from schemas.staff import Role
from service import database
from service.people import clients
from tests.appointments import a_decision, a_planned_infusion
from tests.axe import faults
from tests.browser import watched_context
from tests.desk import a_person
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

WHY = "Looked pale and confused, wants to wait, blood sugar 2.9"


@pytest.mark.parametrize("width", [1280, 320])
@pytest.mark.parametrize("scripted", [True, False])
async def test_a_reason_is_there_to_be_copied_where_a_colleague_decided_first(
    desk: Desk, scripted: bool, width: int
) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        since = datetime.now(UTC) - timedelta(minutes=1)
        await clients.assign(db, desk.client_id, desk.person.staff_id, Role.NURSE, from_at=since)
        colleague = await a_person(db, Role.PRESCRIBER, email="ingrid@clinic.example", name="Ingrid Solis")
        infusion_id = await a_planned_infusion(db, desk.client_id)
    async with watched_context(desk.started, desk.address, width=width, script=scripted) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/infusions/{infusion_id}/gate")
        await page.get_by_label("Why it waits").fill(WHY)
        if scripted:
            await page.get_by_text("Let it go ahead all the same").click()
            await page.get_by_label("Why it may go ahead").fill("Not this one.")
        async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await a_decision(db, desk.client_id, infusion_id, Decision.HOLD, reason="Other.", by=colleague)
        await page.get_by_role("button", name="Put on hold").click()
        await expect(page.get_by_text("Not now: somebody put it on hold.")).to_be_visible()
        told = page.get_by_text(re.compile(r"Since you opened this page: Ingrid Solis put it on hold at \d\d:\d\d\."))
        await expect(told).to_be_in_viewport()
        await expect(page.get_by_label("What you had typed")).to_have_value(WHY)
        await expect(page.get_by_label("What you had typed")).to_be_in_viewport()
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        if scripted:
            await expect(page.get_by_label("Why it may go ahead")).to_have_value("Not this one.")
            assert not await faults(page)


async def test_words_for_which_there_is_no_field_any_more_stand_beside_what_the_server_says(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        since = datetime.now(UTC) - timedelta(minutes=1)
        await clients.assign(db, desk.client_id, desk.person.staff_id, Role.NURSE, from_at=since)
        colleague = await a_person(db, Role.PRESCRIBER, email="ingrid@clinic.example", name="Ingrid Solis")
        infusion_id = await a_planned_infusion(db, desk.client_id)
    async with watched_context(desk.started, desk.address, width=1280) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/infusions/{infusion_id}/gate")
        await page.get_by_label("Why it waits").fill(WHY)
        await page.get_by_text("Let it go ahead all the same").click()
        await page.get_by_label("Why it may go ahead").fill("Not this one.")
        async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await a_decision(db, desk.client_id, infusion_id, Decision.HOLD, reason="Other.", by=colleague)
        # The other of the two is sent: what was typed into this one has no place, either.
        await page.get_by_role("button", name="Override").click()
        told = page.get_by_text(re.compile("Since you opened this page: Ingrid Solis put it on hold at"))
        await expect(told).to_be_visible()
        await expect(page.get_by_label("What you had typed")).to_have_value(WHY)
        await expect(page.get_by_label("Why it may go ahead")).to_have_value("Not this one.")
