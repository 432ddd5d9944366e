"""The calendar at a secret address: neutral, correct in time, stable through changes, and gone when it is revoked."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import icalendar
import pytest

from schemas.course import SessionState
from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Pool
from service.facts import sessions
from service.logs import ConsoleLines, JsonLines
from service.people import calendar_feeds, clients
from tests.appointments import a_given_infusion, a_planned_infusion, a_session_of, move_infusion
from tests.builders import a_client, a_clinic
from tests.desk import SignedInAs, a_person, a_session
from tests.web import serving


class Diary(NamedTuple):
    """A therapist and a client of theirs, over HTTP."""

    http: httpx.AsyncClient
    owner: Pool
    clinic_id: UUID
    client_id: UUID
    therapist: SignedInAs

    async def address(self, of: str = "/v1/calendar") -> str:
        reply = await self.http.post(of, headers=self.therapist.bearer)
        assert reply.status_code == 201, reply.text
        url: str = reply.json()["url"]
        return urlsplit(url).path

    async def read(self, path: str) -> dict[str, icalendar.Event]:
        reply = await self.http.get(path)
        assert reply.status_code == 200, reply.text
        assert reply.headers["content-type"] == "text/calendar; charset=utf-8"
        events = icalendar.Calendar.from_ical(reply.content).walk("VEVENT")
        return {str(event["UID"]): event for event in events if isinstance(event, icalendar.Event)}


@pytest.fixture
async def diary(settings: Config, owner_pool: Pool) -> AsyncIterator[Diary]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id, person = await a_client(db), await a_person(db)
        await clients.assign(db, client_id, person, Role.THERAPIST, from_at=datetime.now(UTC) - timedelta(days=9))
        therapist = await a_session(db, person)
    async with serving(settings) as http:
        yield Diary(http, owner_pool, clinic.clinic_id, client_id, therapist)


async def test_a_therapist_s_calendar_holds_their_sessions_and_a_client_s_holds_infusions_too(diary: Diary) -> None:
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        own = await a_session_of(db, diary.client_id, staff_id=diary.therapist.staff_id)
        other = await a_session_of(db, diary.client_id, staff_id=await a_person(db, email="o@clinic.example"))
        infusion = await a_planned_infusion(db, diary.client_id)
        given = await a_given_infusion(db, diary.client_id)
        await a_session_of(db, await a_client(db, given_name="Somebody"))
    assert set(await diary.read(await diary.address())) == {f"{own}@neap"}
    of_client = await diary.read(await diary.address(f"/v1/clients/{diary.client_id}/calendar"))
    assert set(of_client) == {f"{each}@neap" for each in (own, other, infusion, given)}


async def test_a_calendar_says_when_and_nothing_else(diary: Diary) -> None:
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        session_id = await a_session_of(db, diary.client_id, staff_id=diary.therapist.staff_id)
        await a_planned_infusion(db, diary.client_id)
    path = await diary.address(f"/v1/clients/{diary.client_id}/calendar")
    reply = await diary.http.get(path)
    for word in ("Ines", "Marlow", "Maren", "Holt", "Harbour", "nfusion", "herap", "ession", "etamine", "linic"):
        assert word not in reply.text, word
    events = (await diary.read(path)).values()
    assert {str(event["SUMMARY"]) for event in events} == {"Appointment"}
    assert all("URL" not in event for event in events)
    own = (await diary.read(await diary.address()))[f"{session_id}@neap"]
    assert str(own["URL"]).endswith(f"/sessions/{session_id}")


@pytest.mark.parametrize(
    "begins_at",
    [
        datetime(2027, 3, 14, 7, 30, tzinfo=UTC),  # half an hour before the clocks go forward in Chicago
        datetime(2027, 3, 14, 8, 30, tzinfo=UTC),  # half an hour after
        datetime(2027, 6, 1, 15, 0, tzinfo=UTC),
    ],
)
async def test_times_are_instants_whatever_clock_shows_them(diary: Diary, begins_at: datetime) -> None:
    now = datetime(2027, 3, 1, 12, tzinfo=UTC)
    ahead = (begins_at - now).total_seconds() / 3600
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        session_id = await a_session_of(
            db, diary.client_id, hours_ahead=ahead, staff_id=diary.therapist.staff_id, now=now
        )
    path = await diary.address()
    event = (await diary.read(path))[f"{session_id}@neap"]
    assert (event.start, event.end) == (begins_at, begins_at + timedelta(minutes=50))
    assert f"DTSTART:{begins_at:%Y%m%dT%H%M%SZ}" in (await diary.http.get(path)).text


async def test_every_change_raises_the_sequence_and_keeps_the_id(diary: Diary) -> None:
    now = datetime.now(UTC)
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        session_id = await a_session_of(db, diary.client_id, staff_id=diary.therapist.staff_id)
        infusion_id = await a_planned_infusion(db, diary.client_id, hours_ahead=50)
    path = await diary.address(f"/v1/clients/{diary.client_id}/calendar")
    uids = [f"{session_id}@neap", f"{infusion_id}@neap"]
    before = await diary.read(path)
    assert [before[uid].sequence for uid in uids] == [0, 0]
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        await sessions.change(db, session_id, planned_at=now + timedelta(hours=70), by=None, now=now)
        await move_infusion(db, infusion_id, now + timedelta(hours=60))
    moved = await diary.read(path)
    assert [moved[uid].sequence for uid in uids] == [1, 1]
    assert moved[uids[0]].start > before[uids[0]].start
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        await sessions.record_state(db, session_id, SessionState.CANCELLED, by=None, now=now)
    cancelled = (await diary.read(path))[uids[0]]
    assert (cancelled.sequence, str(cancelled["STATUS"])) == (2, "CANCELLED")


async def test_a_session_that_went_to_a_colleague_is_cancelled_in_the_former_calendar(diary: Diary) -> None:
    now = datetime.now(UTC)
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        session_id = await a_session_of(db, diary.client_id, staff_id=diary.therapist.staff_id)
        colleague = await a_person(db, email="colleague@clinic.example")
        await sessions.change(db, session_id, staff_id=colleague, by=None, now=now)
        path = await calendar_feeds.issue(db, staff_id=colleague, by=colleague, now=now)
    former = (await diary.read(await diary.address()))[f"{session_id}@neap"]
    current = (await diary.read(path))[f"{session_id}@neap"]
    assert (str(former["STATUS"]), str(current["STATUS"])) == ("CANCELLED", "CONFIRMED")
    assert former.sequence == current.sequence


async def test_an_unchanged_calendar_reads_the_same_every_time(diary: Diary) -> None:
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        await a_session_of(db, diary.client_id, staff_id=diary.therapist.staff_id)
    path = await diary.address()
    assert (await diary.http.get(path)).content == (await diary.http.get(path + ".ics")).content


async def test_a_new_address_ends_the_old_one_and_a_revoked_one_reads_nothing(diary: Diary) -> None:
    first = await diary.address()
    second = await diary.address()
    assert (await diary.http.get(first)).status_code == 404
    assert (await diary.http.get(second)).status_code == 200
    revoked = await diary.http.delete("/v1/calendar", headers=diary.therapist.bearer)
    assert revoked.status_code == 204
    assert (await diary.http.get(second)).status_code == 404


async def test_addresses_that_are_made_at_once_are_one_and_conflicts(diary: Diary) -> None:
    made = await asyncio.gather(*(diary.http.post("/v1/calendar", headers=diary.therapist.bearer) for _ in range(5)))
    assert {each.status_code for each in made} <= {201, 409}
    paths = [urlsplit(each.json()["url"]).path for each in made if each.status_code == 201]
    assert [(await diary.http.get(each)).status_code for each in paths].count(200) == 1


async def test_a_client_s_address_is_revoked_by_staff(diary: Diary) -> None:
    of = f"/v1/clients/{diary.client_id}/calendar"
    path = await diary.address(of)
    assert (await diary.http.delete(of, headers=diary.therapist.bearer)).status_code == 204
    assert (await diary.http.get(path)).status_code == 404


async def test_whoever_left_has_no_calendar_any_more(diary: Diary) -> None:
    path = await diary.address()
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        await db.execute("update staff set disabled_at = now() where staff_id = $1", diary.therapist.staff_id)
    assert (await diary.http.get(path)).status_code == 404


@pytest.mark.parametrize("change", ["other clinic", "other secret", "other kind", "cut"])
async def test_an_address_that_is_not_quite_right_is_not_found(diary: Diary, change: str) -> None:
    path = await diary.address()
    wrong = {
        "other clinic": path.replace(diary.clinic_id.hex, "0193a0000000700080000000000000aa"),
        "other secret": path[:-4] + "AAAA",
        "other kind": path.replace("neap_calendar_", "neap_link_"),
        "cut": path[:-5],
    }[change]
    assert (await diary.http.get(wrong)).status_code == 404


async def test_nothing_of_a_calendar_is_kept_on_the_way_and_a_reader_is_written_down(diary: Diary) -> None:
    path = await diary.address(f"/v1/clients/{diary.client_id}/calendar")
    reply = await diary.http.get(path)
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "no-referrer"
    assert reply.headers["x-robots-tag"] == "noindex"
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        rows = await db.connection.fetch("select actor_kind, client_id from audit_event where action = 'calendar.read'")
    assert [tuple(row) for row in rows] == [("anonymous", diary.client_id)]


async def test_the_database_holds_no_address(diary: Diary) -> None:
    path = await diary.address()
    async with database.transaction(diary.owner, diary.clinic_id) as db:
        row = await db.connection.fetchrow("select t::text as text from calendar_feed t")
    assert row is not None
    assert path[-20:] not in row["text"]


@pytest.mark.parametrize("formatter", [JsonLines(), ConsoleLines()])
async def test_a_secret_address_is_masked_in_every_log(diary: Diary, formatter: logging.Formatter) -> None:
    path = await diary.address()
    record = logging.LogRecord("uvicorn.error", logging.WARNING, __file__, 1, "refused %s", (path,), None)
    vars(record)["path"] = path
    line = formatter.format(record)
    assert path.split("_", 3)[3] not in line
    assert line.count(f"neap_calendar_{diary.clinic_id.hex}_***") == 2
