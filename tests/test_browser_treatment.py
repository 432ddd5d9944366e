"""The page of a client's treatment in a real Chromium, on a narrow screen and without script."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from playwright.async_api import expect

from schemas.staff import Role
from service import database as databases
from service.people import clients
from service.web.desk_session import COOKIE
from tests.browser import watched_context
from tests.builders import a_client, a_clinic
from tests.desk import a_person, a_session
from tests.house import House

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_course_is_planned_and_recorded_on_a_narrow_screen_without_script(house: House) -> None:
    clinic, now = await a_clinic(house.owner, slug=f"harbour-{uuid4().hex[:8]}"), datetime.now(UTC)
    async with databases.transaction(house.owner, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=now.date() - timedelta(days=9), now=now)
        nurse = await a_person(db, Role.NURSE, name="Tomas Reyes")
        await clients.assign(db, client_id, nurse, Role.NURSE, from_at=now)
        session = await a_session(db, nurse)
    async with watched_context(house.chromium, house.address, script=False) as context:
        await context.add_cookies(
            [{"name": COOKIE, "value": session.token, "domain": "127.0.0.1", "path": "/", "secure": True}]
        )
        page = await context.new_page()
        await page.goto(f"/clients/{client_id}")
        await page.get_by_role("link", name="Treatment", exact=True).click()
        await page.get_by_text("Plan from a template").click()
        await page.get_by_label("From", exact=True).fill((now.date() - timedelta(days=7)).isoformat())
        await page.get_by_label("Weeks", exact=True).fill("2")
        await page.get_by_role("button", name="Plan from the template").click()
        # A week ago is asked about once.
        await page.get_by_label("Plan it all the same").first.check()
        await page.get_by_role("button", name="Plan from the template").click()
        rows = page.locator(".slots > li")
        await expect(rows).to_have_count(4)
        await rows.first.locator("summary").click()
        await rows.first.get_by_label("Dose, mg per kg").fill("0.5")
        await rows.first.get_by_label("Duration, minutes").fill("40")
        await rows.first.get_by_role("button", name="Record as given").click()
        await expect(page.locator(".slots.past > li").first).to_contain_text("0.5 mg/kg, 40 min")
        for summary in ("Change substances", "Pause", "End the course", "Everything that was said, newest first"):
            await page.locator("summary").get_by_text(summary, exact=True).click()
        await page.locator(".slots summary").first.click()
        assert await page.locator("html").evaluate("page => page.scrollWidth") == 390
