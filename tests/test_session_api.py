"""Therapy sessions over HTTP: booked, moved, attended, missed, cancelled, and nothing of it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.course import SessionState
from schemas.staff import Role
from service import database, errors, ids
from service.config import Config
from service.database import Pool
from service.facts import sessions
from service.people import clients
from tests.appointments import a_given_infusion, a_session_of
from tests.builders import a_client, a_clinic
from tests.desk import SignedInAs, a_person, a_session
from tests.web import serving


class Practice(NamedTuple):
    """A client and their therapist, over HTTP."""

    http: httpx.AsyncClient
    owner: Pool
    clinic_id: UUID
    client_id: UUID
    therapist: SignedInAs

    async def book(self, *, hours_ahead: float = 24, **more: object) -> dict[str, Any]:
        body = {"planned_at": at(hours_ahead), "staff_id": str(self.therapist.staff_id), **more}
        reply = await self.put(ids.new(), body)
        assert reply.status_code == 201, reply.text
        booked: dict[str, Any] = reply.json()
        return booked

    async def put(self, session_id: object, body: object) -> httpx.Response:
        address = f"/v1/clients/{self.client_id}/sessions/{session_id}"
        return await self.http.put(address, json=body, headers=self.therapist.bearer)

    async def change(self, session_id: object, **what: object) -> httpx.Response:
        return await self.http.patch(f"/v1/sessions/{session_id}", json=what, headers=self.therapist.bearer)


def at(hours_ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours_ahead)).isoformat()


@pytest.fixture
async def practice(settings: Config, owner_pool: Pool) -> AsyncIterator[Practice]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id, person = await a_client(db), await a_person(db)
        await clients.assign(db, client_id, person, Role.THERAPIST, from_at=datetime.now(UTC) - timedelta(days=9))
        therapist = await a_session(db, person)
    async with serving(settings) as http:
        yield Practice(http, owner_pool, clinic.clinic_id, client_id, therapist)


async def test_a_session_is_booked_moved_and_handed_over_and_its_history_keeps_every_step(practice: Practice) -> None:
    booked = await practice.book(modality="integration", minutes=80)
    session = booked["session"]
    assert (session["state"], session["modality"], session["minutes"]) == ("planned", "integration", 80)
    async with database.transaction(practice.owner, practice.clinic_id) as db:
        colleague = await a_person(db, email="colleague@clinic.example")
    stranger = await practice.change(session["therapy_session_id"], staff_id=str(colleague))
    assert (stranger.status_code, stranger.json()["errors"][0]["field"]) == (400, "staff_id")
    async with database.transaction(practice.owner, practice.clinic_id) as db:
        await clients.assign(db, practice.client_id, colleague, Role.THERAPIST, from_at=datetime.now(UTC))
    later = at(30)
    moved = await practice.change(session["therapy_session_id"], planned_at=later)
    assert moved.status_code == 200
    handed = await practice.change(session["therapy_session_id"], staff_id=str(colleague), modality="group")
    history = handed.json()["history"]
    assert [each["planned_at"] for each in history] == [session["planned_at"], *[_utc(later)] * 2]
    assert [each["staff_id"] for each in history] == [*[str(practice.therapist.staff_id)] * 2, str(colleague)]
    assert [each["modality"] for each in history] == ["integration", "integration", "group"]
    assert {each["recorded_by"] for each in history} == {str(practice.therapist.staff_id)}


def _utc(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).isoformat().replace("+00:00", "Z")


async def test_what_changes_nothing_leaves_no_trace(practice: Practice) -> None:
    session = (await practice.book())["session"]
    same = await practice.change(session["therapy_session_id"], state="planned", planned_at=session["planned_at"])
    assert len(same.json()["history"]) == 1


async def test_the_same_booking_again_is_the_same_session_even_after_it_was_moved(practice: Practice) -> None:
    session_id, body = ids.new(), {"planned_at": at(24), "staff_id": str(practice.therapist.staff_id), "minutes": 80}
    first, again = await asyncio.gather(practice.put(session_id, body), practice.put(session_id, body))
    assert {first.status_code, again.status_code} == {200, 201}
    await practice.change(session_id, planned_at=at(30))
    late = await practice.put(session_id, body)
    assert (late.status_code, len(late.json()["history"])) == (200, 2)
    assert (await practice.put(session_id, {**body, "minutes": 50})).status_code == 409
    async with database.transaction(practice.owner, practice.clinic_id) as db:
        assert len(await sessions.of(db, practice.client_id)) == 1


async def test_who_looked_at_another_version_changes_nothing(practice: Practice) -> None:
    session = (await practice.book())["session"]
    session_id = session["therapy_session_id"]
    moved = await practice.change(session_id, planned_at=at(30), version=session["version"])
    assert moved.json()["session"]["version"] == 2
    late = await practice.change(session_id, state="cancelled", version=session["version"])
    assert (late.status_code, late.headers["content-type"]) == (409, "application/problem+json")
    assert (await practice.change(session_id, state="cancelled", version=2)).json()["session"]["version"] == 3


async def test_a_session_is_attended_or_missed_only_once_it_has_begun(practice: Practice) -> None:
    coming = (await practice.book(hours_ahead=2))["session"]["therapy_session_id"]
    refused = await practice.change(coming, state="attended")
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "state"
    assert (await practice.change(coming, state="cancelled")).json()["session"]["state"] == "cancelled"
    begun = (await practice.book(hours_ahead=-2))["session"]["therapy_session_id"]
    assert (await practice.change(begun, state="missed")).status_code == 200
    corrected = await practice.change(begun, state="attended")
    assert [each["state"] for each in corrected.json()["history"]] == ["planned", "missed", "attended"]
    assert (await practice.change(begun, state="cancelled")).status_code == 409


async def test_a_cancelled_session_is_not_moved_but_may_be_taken_up_again(practice: Practice) -> None:
    session_id = (await practice.book())["session"]["therapy_session_id"]
    await practice.change(session_id, state="cancelled")
    assert (await practice.change(session_id, planned_at=at(50))).status_code == 409
    taken_up = await practice.change(session_id, state="planned", planned_at=at(50))
    assert taken_up.json()["session"]["state"] == "planned"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"planned_at": "soon"}, "planned_at"),
        ({}, "planned_at"),
        ({"planned_at": "2026-12-01T10:00:00"}, "planned_at"),
        ({"planned_at": "9999-12-31T23:59:00Z"}, "planned_at"),
        ({"planned_at": at(3), "modality": "shouting"}, "modality"),
        ({"planned_at": at(3), "minutes": 0}, "minutes"),
        ({"planned_at": at(3), "staff_id": str(ids.new())}, "staff_id"),
        ({"planned_at": at(3), "title": "x"}, "title"),
    ],
)
async def test_what_cannot_be_booked_is_refused_by_the_name_of_its_field(
    practice: Practice, body: dict[str, Any], field: str
) -> None:
    reply = await practice.put(ids.new(), body)
    assert reply.status_code == 400
    assert [each["field"] for each in reply.json()["errors"]] == [field]


async def test_only_clinical_staff_who_work_here_hold_sessions(practice: Practice) -> None:
    session_id = (await practice.book())["session"]["therapy_session_id"]
    async with database.transaction(practice.owner, practice.clinic_id) as db:
        admin = await a_person(db, Role.ADMIN)
        left = await a_person(db, email="left@clinic.example")
        await db.execute("update staff set disabled_at = now() where staff_id = $1", left)
    for person in (admin, left):
        assert (await practice.change(session_id, staff_id=str(person))).status_code == 400


async def test_coverage_names_the_window_and_counts_what_is_over(practice: Practice) -> None:
    async with database.transaction(practice.owner, practice.clinic_id) as db:
        await a_given_infusion(db, practice.client_id, hours_ago=200)
        await a_given_infusion(db, practice.client_id, hours_ago=100)
        await a_session_of(db, practice.client_id, hours_ahead=-60, state=SessionState.ATTENDED)
        await a_given_infusion(db, practice.client_id, hours_ago=10)
    address = f"/v1/clients/{practice.client_id}/coverage"
    reply = (await practice.http.get(address, headers=practice.therapist.bearer)).json()
    assert [each["state"] for each in reply["items"]] == ["open", "covered", "uncovered"]
    assert (reply["window_hours"], reply["covered"], reply["closed"]) == (72, 1, 2)


async def test_whose_client_it_is_not_finds_no_session(practice: Practice) -> None:
    session_id = (await practice.book())["session"]["therapy_session_id"]
    async with database.transaction(practice.owner, practice.clinic_id) as db:
        stranger = await a_session(db, await a_person(db, email="other@clinic.example"))
    for method, address in (
        ("GET", f"/v1/sessions/{session_id}"),
        ("PATCH", f"/v1/sessions/{session_id}"),
        ("GET", f"/v1/clients/{practice.client_id}/sessions"),
        ("GET", f"/v1/clients/{practice.client_id}/coverage"),
    ):
        reply = await practice.http.request(method, address, json={}, headers=stranger.bearer)
        assert reply.status_code == 404, address


async def test_sessions_leave_their_audit_rows(practice: Practice) -> None:
    session_id = (await practice.book())["session"]["therapy_session_id"]
    await practice.change(session_id, minutes=30)
    async with database.transaction(practice.owner, practice.clinic_id) as db:
        rows = await db.connection.fetch(
            "select action, client_id from audit_event where action like 'session.%' order by audit_event_id"
        )
    assert [tuple(row) for row in rows] == [
        ("session.book", practice.client_id),
        ("session.change", practice.client_id),
    ]


STEPS = st.lists(st.sampled_from([*SessionState, "move", "longer"]), max_size=8)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_whatever_is_done_to_a_session_its_events_tell_it_whole(owner_pool: Pool, steps: list[str]) -> None:
    clinic, now = await a_clinic(owner_pool, slug=f"clinic-{ids.new()}"), datetime.now(UTC)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        session_id = await a_session_of(db, await a_client(db), hours_ahead=-9, now=now)
        expected = [await sessions.get(db, session_id)]
        for number, step in enumerate(steps, start=1):
            later = now + timedelta(seconds=number)
            what: dict[str, Any] = (
                {"planned_at": now - timedelta(hours=9, minutes=number)}
                if step == "move"
                else {"minutes": 50 + number}
                if step == "longer"
                else {"state": SessionState(step)}
            )
            try:
                after = await sessions.change(db, session_id, **what, by=None, now=later)
            except errors.Conflict:
                continue
            if after != expected[-1]:
                expected.append(after)
        told = await sessions.events_of(db, [session_id])
        assert [(each.state, each.planned_at, each.minutes) for each in told] == [
            (each.state, each.planned_at, each.minutes) for each in expected
        ]
        assert await sessions.get(db, session_id) == expected[-1]
