"""Sheets and lists of the desk in a real Chromium: nothing without its matter is printed, and nothing pushes the rest
away."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from service import database as databases
from tests.appointments import a_planned_infusion
from tests.browser import watched_context
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_gate_that_is_printed_has_no_heading_of_a_form_that_is_not(desk: Desk) -> None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, desk.client_id)
    async with watched_context(desk.started, desk.address, width=1280) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/infusions/{infusion_id}/gate")
        headings = [page.locator("summary").filter(has_text=each) for each in ("Record a screen", "Record the list")]
        for heading in headings:
            await expect(heading).to_be_visible()
        await page.emulate_media(media="print")
        for heading in headings:
            await expect(heading).to_be_hidden()
        await expect(page.get_by_text("Not asked for this infusion yet.")).to_be_visible()
