"""Pages that people rest on say of what time they are, and that something changed since; nothing moves by itself."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from playwright.async_api import expect

from schemas.alert import EventKind, Rule, Tier
from schemas.gate import Decision
from schemas.staff import Role
from service import database
from service.alerting import alert_states
from service.database import Db
from service.people import clients
from tests.appointments import a_complete_gate, a_decision, a_planned_infusion
from tests.axe import faults
from tests.browser import watched_context
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# How long something may take on a machine with other work.
PATIENCE = 40_000
ASKS_EVERY = 20_000


@pytest.mark.parametrize("width", [1440, 390, 320])
@pytest.mark.parametrize("place", ["caseload", "client"])
async def test_a_page_says_that_something_changed_since_and_shows_it_when_asked(
    desk: Desk, place: str, width: int
) -> None:
    async with watched_context(desk.started, desk.address, width=width, height=900) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto("/caseload" if place == "caseload" else f"/clients/{desk.client_id}")
        await expect(page.locator("p.as-of")).to_have_text(re.compile(r"As of \d+ \w+ \d\d:\d\d\."))
        async with page.expect_response("**/changed?seen=*") as asked:
            await page.clock.fast_forward(ASKS_EVERY)
        assert (await asked.value).status == 204
        show = page.get_by_role("status").get_by_role("link", name="1 new urgent alert: show it")
        await expect(show).to_have_count(0)
        below = page.get_by_text("The band is what is usual" if place == "caseload" else "Care team").last
        stood = await below.bounding_box()

        await desk.alert()
        await page.clock.fast_forward(ASKS_EVERY)
        quiet = page.get_by_role("status").get_by_role("link", name="Something changed: show it")
        await expect(quiet).to_be_visible(timeout=PATIENCE)
        await quiet.focus()
        async with page.expect_response("**/changed?seen=*&told=*") as asked:
            await page.clock.fast_forward(ASKS_EVERY)
        assert (await asked.value).status == 204

        await desk.alert(Rule.SAFETY, Tier.URGENT)
        await page.clock.fast_forward(ASKS_EVERY)
        await expect(show).to_be_visible(timeout=PATIENCE)
        await expect(show).to_be_focused()
        assert await below.bounding_box() == stood, "nothing moved"
        await page.mouse.wheel(0, 4_000)
        await expect(show).to_be_in_viewport()
        await expect(page).to_have_title("1 new urgent alert · Neap")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        await expect(page.get_by_role("main").get_by_text("Safety question")).to_have_count(0)
        assert not await faults(page)
        await show.click()
        await expect(page.get_by_role("main").get_by_text("Safety question").first).to_be_visible()
        await expect(show).to_have_count(0)


async def test_what_was_searched_for_is_shown_again(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto("/caseload?status=not_on_track")
        await desk.alert(Rule.SAFETY, Tier.URGENT)
        await page.clock.fast_forward(ASKS_EVERY)
        await page.get_by_role("link", name="1 new urgent alert: show it").click(timeout=PATIENCE)
        await expect(page.get_by_label("Status")).to_have_value("not_on_track")
        assert page.url == f"{desk.address}/caseload?status=not_on_track"


async def test_what_is_not_urgent_is_said_beside_the_time_alone(desk: Desk) -> None:
    await desk.alert(Rule.SAFETY, Tier.URGENT)
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto("/caseload")
        await desk.alert()
        await page.clock.fast_forward(ASKS_EVERY)
        await expect(page.get_by_role("link", name="Something changed: show it")).to_be_visible(timeout=PATIENCE)
        await expect(page).to_have_title("Caseload · Neap")


async def test_what_is_not_ones_own_any_more_is_said_to_be_so_and_what_was_typed_stays(desk: Desk) -> None:
    alert_id = await desk.alert()
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto(f"/alerts/{alert_id}")
        await page.get_by_label("Write down something").fill("She rang back.")
        async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await alert_states.record(db, alert_id, EventKind.RECALCULATED, now=datetime.now(UTC))
        await page.clock.fast_forward(ASKS_EVERY)
        show = page.get_by_role("link", name="Show it")
        await expect(show).to_be_visible(timeout=PATIENCE)
        await page.route(f"**/alerts/{alert_id}", lambda route: route.fulfill(status=404, body="not found"))
        await show.click()
        told = page.get_by_role("alert").filter(has_text="This is not there any more, or not yours to see any more.")
        await expect(told).to_be_visible()
        await expect(page.get_by_label("Write down something")).to_have_value("She rang back.")


async def with_infusion(desk: Desk, do: Callable[[Db], Awaitable[UUID]]) -> UUID:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        return await do(db)


@pytest.mark.parametrize("width", [1280, 390, 320])
async def test_a_gate_that_says_go_ahead_says_in_sight_that_it_may_not_any_more(desk: Desk, width: int) -> None:
    by, now = desk.person.staff_id, datetime.now(UTC)

    async def cleared(db: Db) -> UUID:
        await clients.assign(db, desk.client_id, by, Role.NURSE, from_at=now - timedelta(minutes=1))
        infusion_id = await a_planned_infusion(db, desk.client_id)
        await a_complete_gate(db, desk.client_id, infusion_id, by=by)
        await a_decision(db, desk.client_id, infusion_id, by=by)
        return infusion_id

    infusion_id = await with_infusion(desk, cleared)
    async with watched_context(desk.started, desk.address, width=width, height=900) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto(f"/infusions/{infusion_id}/gate")
        reading = page.locator("details:has(#systolic)")
        await reading.locator("summary").click()
        await page.get_by_label("Systolic, mmHg").fill("121")
        await with_infusion(
            desk, lambda db: a_decision(db, desk.client_id, infusion_id, Decision.HOLD, reason="Unwell.", by=by)
        )
        await page.clock.fast_forward(ASKS_EVERY)
        show = page.get_by_role("link", name="An infusion may not go ahead any more: show it")
        await expect(show).to_be_in_viewport(timeout=PATIENCE)
        await expect(page).to_have_title("An infusion may not go ahead any more · Neap")
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert not await faults(page)
        await show.click()
        await expect(page.get_by_text("Not now: somebody put it on hold.")).to_be_visible()
        await expect(page.get_by_label("Systolic, mmHg")).to_have_value("121")
        await expect(show).to_have_count(0)
