"""Pages with a form in each row, by ear: every button, link and fold says which row it is about."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page

from schemas.course import SessionState
from service import database
from tests.appointments import a_complete_gate, a_given_infusion, a_planned_infusion, a_reading, a_session_of
from tests.axe import faults
from tests.browser import watched_context
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def said_twice(page: Page) -> list[str]:
    """The names that several buttons, links or folds of the page share, with all of it open."""
    await page.evaluate("document.querySelectorAll('main details').forEach((fold) => { fold.open = true; })")
    main = page.get_by_role("main")
    named = re.findall(r'\b(?:button|link) "(.*?)"', await main.aria_snapshot())
    folds = await main.locator("summary").evaluate_all(
        "folds => folds.map((fold) => fold.getAttribute('aria-label') ?? fold.textContent.trim())"
    )
    return [name for name, count in (*Counter(named).items(), *Counter(folds).items()) if count > 1]


async def test_each_button_of_a_row_says_which_row_it_is_of(desk: Desk) -> None:
    now = datetime.now(UTC)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        for hours in (30, 60, -30, -60, -90, -120):
            state = SessionState.ATTENDED if hours < -60 else SessionState.PLANNED
            await a_session_of(db, desk.client_id, hours_ahead=hours, state=state)
        for hours in (20, 70):
            await a_planned_infusion(db, desk.client_id, hours_ahead=hours)
            await a_given_infusion(db, desk.client_id, hours_ago=hours)
        infusion_id = await a_planned_infusion(db, desk.client_id, hours_ahead=3)
        await a_complete_gate(db, desk.client_id, infusion_id, by=desk.person.staff_id)
        earlier = now - timedelta(minutes=7)
        await a_reading(db, desk.client_id, infusion_id, by=desk.person.staff_id, now=earlier)
    async with watched_context(desk.started, desk.address, width=390) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        client = f"/clients/{desk.client_id}"
        for path in (f"{client}/sessions", f"{client}/treatment", f"/infusions/{infusion_id}/gate", client):
            await page.goto(path)
            assert await said_twice(page) == [], path
            assert not await faults(page), path
