"""The page of a client's sessions: what was pressed by mistake is put right by its own buttons, without a script."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest

from schemas.course import SessionState
from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Pool
from service.facts import courses, sessions
from service.people import clients
from tests.desk_visit import Desk, a_desk, a_followed_client

TAKE_BACK = {
    SessionState.ATTENDED: "Take it back",
    SessionState.MISSED: "Take it back",
    SessionState.CANCELLED: "Take the cancellation back",
}


@pytest.mark.parametrize("pressed", TAKE_BACK)
async def test_what_was_said_of_a_past_session_by_mistake_can_be_taken_back(
    settings: Config, owner_pool: Pool, tmp_path: Path, pressed: SessionState
) -> None:
    now = datetime.now(UTC)
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            session_id = await sessions.plan(
                db, client_id, staff_id=None, planned_at=now - timedelta(days=1), by=None, now=now - timedelta(days=2)
            )
        page = f"/clients/{client_id}/sessions"
        for state, button in ((pressed, pressed.capitalize()), (SessionState.PLANNED, TAKE_BACK[pressed])):
            form = rf"{session_id}/state" + "".join(
                rf'.*?name="{name}" value="(\w+)">' for name in ("state", "version")
            )
            form += r".*?>([^<]+)</button>"
            forms = re.findall(form, (await desk.get(page)).text)
            versions = {label: version for value, version, label in forms if value == state}
            assert button in versions
            reply = await desk.post(f"/sessions/{session_id}/state", state=str(state), version=versions[button])
            assert reply.status_code == 303, reply.text
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            assert (await sessions.get(db, session_id)).state is SessionState.PLANNED


async def test_a_session_that_somebody_has_no_time_for_is_asked_about_before_it_is_booked(
    settings: Config, owner_pool: Pool, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id, other_id = await a_followed_client(db), await a_followed_client(db, given_name="Ole")
            for each in (client_id, other_id):
                await clients.assign(db, each, desk.person.staff_id, Role.THERAPIST, from_at=now)
        at = now.astimezone(desk_zone(desk)) + timedelta(days=4)
        slot, later, much_later = (f"{at + timedelta(minutes=each):%Y-%m-%dT%H:%M}" for each in (0, 30, 90))
        person = str(desk.person.staff_id)

        async def book(client: UUID, when: str, **more: str) -> httpx.Response:
            page = f"/clients/{client}/sessions"
            form = {"at": when, "staff_id": person, "modality": "integration", "minutes": "50"}
            return await desk.post(page, form_page=page, **form, **more)

        assert (await book(client_id, slot)).status_code == 303
        for client, who in ((client_id, "Ines Marlow and Maren Holt have"), (other_id, "Maren Holt has")):
            asked = await book(client, later)
            assert asked.status_code == 400
            assert f"{who} a session then already" in asked.text
            assert re.search(r'name="meant"[^>]*aria-invalid="true"', asked.text)
        assert (await book(other_id, much_later)).status_code == 303
        assert (await book(other_id, later, meant="yes")).status_code == 303
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            assert len(await sessions.of(db, client_id)) == 1
            [_, last] = await sessions.of(db, other_id)
        page = f"/clients/{other_id}/sessions"
        change = {"at": later, "staff_id": person, "modality": "integration", "minutes": "50"}
        moved = await desk.post(f"/sessions/{last.therapy_session_id}/change", form_page=page, version="1", **change)
        assert "Ole Marlow and Maren Holt have a session then already" in moved.text
        kept = change | {"at": much_later, "modality": "family"}
        assert (await desk.post(f"/sessions/{last.therapy_session_id}/change", **kept)).status_code == 303


async def test_a_time_in_the_past_is_asked_about_and_one_before_the_course_refused_at_its_field(
    settings: Config, owner_pool: Pool, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            [course] = await courses.of(db, client_id)
        local = now.astimezone(desk_zone(desk))
        page = f"/clients/{client_id}/sessions"

        async def book(days: int, **more: str) -> str:
            when = f"{local + timedelta(days=days):%Y-%m-%dT%H:%M}"
            form = {"at": when, "staff_id": "", "modality": "integration", "minutes": "50"}
            reply = await desk.post(page, form_page=page, **form, **more)
            return "booked" if reply.status_code == 303 else reply.text

        before = (course.started_on - local.date()).days - 1
        for days, said in ((before, "when the course began"), (-1200, "when the course began"), (1200, "within 800")):
            refused = await book(days, meant="yes")
            assert re.search(
                rf'name="at"[^>]*aria-invalid="true"[^>]*>(</label>)?<p class="refused"[^>]*>[^<]*{said}', refused
            ), said
            assert "planned_at:" not in refused
        assert "3 days ago" in await book(-3)
        assert await book(-3, meant="yes") == "booked"
        assert await book(0) == "booked"


async def test_as_it_is_stands_only_where_something_is(settings: Config, owner_pool: Pool, tmp_path: Path) -> None:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
        assert "as it is" not in (await desk.get(f"/clients/{client_id}/sessions")).text


def desk_zone(desk: Desk) -> ZoneInfo:
    return ZoneInfo(desk.clinic.time_zone)
