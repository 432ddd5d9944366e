"""The page of a client's sessions: what was pressed by mistake is put right by its own buttons, without a script."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest

from schemas.course import ChangeReason, SessionState
from schemas.rota import CoverForm
from schemas.staff import Role
from service import database, ids
from service.config import Config
from service.database import Pool
from service.facts import courses, infusions, sessions
from service.people import clients, covers
from tests.desk import a_person
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
        at = now.astimezone(desk_zone(desk)).replace(hour=12) + timedelta(days=4)
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
        said = asked_about(asked.text)
        for other_time in (slot, f"{at + timedelta(minutes=-30):%Y-%m-%dT%H:%M}"):
            assert (await book(client_id, other_time, meant=said)).status_code == 400, "ticked for another time"
        assert (await book(other_id, later, meant=said)).status_code == 303
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
        local = now.astimezone(desk_zone(desk)).replace(hour=12)
        page = f"/clients/{client_id}/sessions"

        async def book(days: int, **more: str) -> str:
            when = f"{local + timedelta(days=days):%Y-%m-%dT%H:%M}"
            form = {"at": when, "staff_id": "", "modality": "integration", "minutes": "50"}
            reply = await desk.post(page, form_page=page, **form, **more)
            return "booked" if reply.status_code == 303 else reply.text

        before = (course.started_on - local.date()).days - 1
        for days, said in ((before, "when the course began"), (-1200, "when the course began"), (1200, "within 800")):
            refused = await book(days)
            assert re.search(
                rf'name="at"[^>]*aria-invalid="true"[^>]*>(</label>)?<p class="refused"[^>]*>[^<]*{said}', refused
            ), said
            assert "planned_at:" not in refused
        asked = await book(-3)
        assert "3 days ago" in asked
        assert await book(-3, meant=asked_about(asked)) == "booked"
        assert await book(0) == "booked"


async def test_a_session_at_night_or_during_an_infusion_is_asked_about_also_when_it_is_planned_again(
    settings: Config, owner_pool: Pool, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        day = now.astimezone(desk_zone(desk)) + timedelta(days=4)
        infused = day.replace(hour=9, minute=30)
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=now)
            [course] = await courses.of(db, client_id)
            infusion_id = await infusions.plan(db, client_id, course.course_id, planned_at=infused, by=None, now=now)
        page = f"/clients/{client_id}/sessions"

        async def book(hour: int, minute: int = 0) -> str:
            when = f"{day.replace(hour=hour, minute=minute):%Y-%m-%dT%H:%M}"
            form = {"at": when, "staff_id": "", "modality": "integration", "minutes": "50"}
            reply = await desk.post(page, form_page=page, **form)
            return "booked" if reply.status_code == 303 else reply.text

        for hour in (3, 5, 22):
            assert f"{hour:02}:00 is at night." in await book(hour)
        for hour, minute in ((8, 50), (9, 0), (12, 0)):
            assert "Ines Marlow has an infusion then: " in await book(hour, minute), (hour, minute)
        assert await book(8, 30) == "booked"
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            [session] = await sessions.of(db, client_id)
            await sessions.record_state(db, session.therapy_session_id, SessionState.CANCELLED, by=None, now=now)
            await infusions.move(
                db, infusion_id, planned_at=infused.replace(hour=8), reason=ChangeReason.TRAVEL, by=None, now=now
            )
        again = f"/sessions/{session.therapy_session_id}/state"
        asked = await desk.post(again, form_page=page, state="planned", version="2")
        assert asked.status_code == 400
        assert "Ines Marlow has an infusion then: " in asked.text
        said = asked_about(asked.text)
        assert (await desk.post(again, form_page=page, state="planned", version="2", meant=said)).status_code == 303
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            assert (await sessions.get(db, session.therapy_session_id)).state is SessionState.PLANNED


async def test_whoever_is_away_then_is_asked_about(settings: Config, owner_pool: Pool, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        noon = now.astimezone(desk_zone(desk)).replace(hour=12, minute=0) + timedelta(days=4)
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            other = await a_person(db, email="tom@clinic.example", name="Tom Okafor")
            for each in (desk.person.staff_id, other):
                await clients.assign(db, client_id, each, Role.THERAPIST, from_at=now)
            away = CoverForm(
                staff_id=other,
                covered_by=desk.person.staff_id,
                from_at=noon - timedelta(hours=1),
                until_at=noon + timedelta(days=2),
            )
            await covers.arrange(db, ids.new(), away, by=other, now=now)
        page = f"/clients/{client_id}/sessions"
        for who, hours, said in ((other, 0, True), (desk.person.staff_id, 0, False), (other, -3, False)):
            at = f"{noon + timedelta(hours=hours):%Y-%m-%dT%H:%M}"
            form = {"at": at, "staff_id": str(who), "modality": "group", "minutes": "50"}
            reply = await desk.post(page, form_page=page, **form)
            assert ("Tom Okafor is away then: " in reply.text, reply.status_code) == (said, 400 if said else 303)


async def test_as_it_is_stands_only_where_something_is(settings: Config, owner_pool: Pool, tmp_path: Path) -> None:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
        assert "as it is" not in (await desk.get(f"/clients/{client_id}/sessions")).text


def desk_zone(desk: Desk) -> ZoneInfo:
    return ZoneInfo(desk.clinic.time_zone)


def asked_about(page: str) -> str:
    """What the box says, ticked, of the form that came back."""
    boxes = [box for box in re.findall(r'<input [^>]*name="meant"[^>]*>', page) if 'aria-invalid="true"' in box]
    [said] = [html.unescape(said) for box in boxes for said in re.findall(r'value="([^"]*)"', box)]
    assert "checked" not in boxes[0]
    return said
