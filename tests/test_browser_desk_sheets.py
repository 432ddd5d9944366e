"""Sheets and lists of the desk in a real Chromium: nothing without its matter is printed, and nothing pushes the rest
away."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from service import database as databases
from tests.appointments import a_planned_infusion, a_session_of
from tests.browser import watched_context
from tests.builders import a_client
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


async def test_a_name_without_a_space_widens_no_page(desk: Desk) -> None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_client(db, given_name="W" * 200, family_name="Ü" * 200)
    async with watched_context(desk.started, desk.address, width=1280) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for width in (1440, 320):
            await page.set_viewport_size({"width": width, "height": 900})
            for address in ("/caseload", f"/clients/{client_id}", f"/clients/{client_id}/sessions"):
                await page.goto(address)
                assert await page.evaluate("document.documentElement.scrollWidth") <= width, (address, width)


async def test_a_row_whose_form_is_open_stays_at_its_top(desk: Desk) -> None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_session_of(db, desk.client_id)
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/clients/{desk.client_id}/sessions")
        await page.locator("summary").filter(has_text="Change").click()
        row = await page.locator(".wide-rows > li").first.bounding_box()
        said = await page.locator(".wide-rows > li > span").first.bounding_box()
        assert row is not None
        assert said is not None
        assert row["height"] > 200
        assert said["y"] - row["y"] < 40
