"""A name as long as is taken, and without a space, in a real Chromium: it breaks, and takes no page with it."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from schemas.staff import Role
from service import database
from service.people import clients
from tests.appointments import a_planned_infusion, a_session_of
from tests.browser import watched_context
from tests.desk import an_alert
from tests.desk_browser import Desk
from tests.desk_visit import a_followed_client

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("width", [1440, 390, 320])
async def test_a_long_name_makes_no_page_wider_than_its_screen(desk: Desk, width: int) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        long = await a_followed_client(db, given_name="W" * 200)
        await clients.change(db, long, given_name="W" * 200, family_name="Ü" * 200, time_zone="America/Chicago")
        me = await db.value("select staff_id from staff where clinic_id = $1 limit 1", db.clinic_id)
        assert isinstance(me, UUID)
        await clients.assign(db, long, me, Role.NURSE, from_at=datetime.now(UTC))
        alert_id = await an_alert(db, long)
        infusion_id = await a_planned_infusion(db, long, hours_ahead=5)
        await a_session_of(db, long, hours_ahead=9)
    client = f"/clients/{long}"
    own = [client, *(f"{client}/{each}" for each in ("manage", "treatment", "sessions"))]
    wider = {}
    async with watched_context(desk.started, desk.address, width=width) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for address in ("/caseload", "/inbox", "/gates", f"/alerts/{alert_id}", f"/infusions/{infusion_id}/gate", *own):
            await page.goto(address)
            assert "WWWWWWWW" in await page.locator("main").inner_text(), address
            found = await page.evaluate("document.documentElement.scrollWidth")
            if found > width:
                wider[address.replace(str(long), "…")] = found
    assert not wider
