"""The page of a client's treatment in a real Chromium, on a narrow screen and without script."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import expect

from schemas.staff import Role
from service import database as databases
from service.config import DatabaseUrls
from service.database import Pool
from service.people import clients
from service.web.desk_session import COOKIE
from tests.browser import browser, environment, free_port, watched_context, web_process
from tests.builders import a_client, a_clinic
from tests.conftest import A_MASTER_KEY
from tests.desk import a_person, a_session

pytestmark = pytest.mark.browser


async def test_a_course_is_planned_and_recorded_on_a_narrow_screen_without_script(
    database: DatabaseUrls, owner_pool: Pool, tmp_path: Path
) -> None:
    clinic, now = await a_clinic(owner_pool), datetime.now(UTC)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=now.date() - timedelta(days=9), now=now)
        nurse = await a_person(db, Role.NURSE, name="Tomas Reyes")
        await clients.assign(db, client_id, nurse, Role.NURSE, from_at=now)
        session = await a_session(db, nurse)
    env = environment(database, tmp_path / "data", A_MASTER_KEY, free_port())
    async with (
        web_process(env) as address,
        browser() as started,
        watched_context(started, address, script=False) as context,
    ):
        await context.add_cookies(
            [{"name": COOKIE, "value": session.token, "domain": "127.0.0.1", "path": "/", "secure": True}]
        )
        page = await context.new_page()
        await page.goto(f"/clients/{client_id}")
        await page.get_by_role("link", name="Treatment", exact=True).click()
        await page.get_by_text("Plan from a template").click()
        await page.get_by_label("From", exact=True).fill((now.date() - timedelta(days=7)).isoformat())
        await page.get_by_label("Weeks", exact=True).fill("2")
        await page.get_by_role("button", name="Plan", exact=True).first.click()
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
