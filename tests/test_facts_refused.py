"""What the facts refuse by themselves, whichever edge, job or import asks; and odd clocks, zones and hours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.course import InfusionState, Pause, PauseReason, Phase, Substance
from service import database, errors, ids
from service.database import Db, Pool
from service.facts import client_day, clinic_hours, courses, gate_checks, infusions, pauses, placing, sessions
from tests.builders import NOW, a_client, a_clinic, a_form

STARTED = date(2026, 5, 6)
BEFORE = STARTED - timedelta(days=1)
CHICAGO = ZoneInfo("America/Chicago")


@pytest.fixture
async def db(owner_pool: Pool) -> AsyncIterator[Db]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        yield db


@pytest.fixture
async def client_id(db: Db) -> UUID:
    return await a_client(db, started_on=STARTED)


@pytest.fixture
async def course_id(db: Db, client_id: UUID) -> UUID:
    return (await courses.of(db, client_id))[0].course_id


def fields_of(refused: pytest.ExceptionInfo[errors.Invalid]) -> list[str]:
    return [fault.field for fault in refused.value.fields]


async def test_nothing_of_a_course_is_from_before_it_began(db: Db, course_id: UUID) -> None:
    with pytest.raises(errors.Invalid) as refused:
        await courses.end(db, course_id, ended_on=BEFORE, now=NOW)
    assert fields_of(refused) == ["last_day"]
    with pytest.raises(errors.Invalid) as refused:
        await courses.change_substances(db, course_id, [Substance.OPIOID], from_on=BEFORE, by=None, now=NOW)
    assert fields_of(refused) == ["from_on"]
    with pytest.raises(errors.Invalid) as refused:
        await courses.enter_phase(db, course_id, Phase.MAINTENANCE, from_on=BEFORE, by=None, now=NOW)
    assert fields_of(refused) == ["from_on"]


@pytest.mark.parametrize("substances", [[], [Substance.OPIOID, Substance.OPIOID]])
async def test_a_course_treats_something_and_nothing_twice(
    db: Db, course_id: UUID, substances: list[Substance]
) -> None:
    with pytest.raises(errors.Invalid) as refused:
        await courses.change_substances(db, course_id, substances, from_on=STARTED, by=None, now=NOW)
    assert fields_of(refused) == ["substances"]


async def test_a_pause_ends_on_its_first_day_or_later_and_is_one_that_is_there(db: Db, client_id: UUID) -> None:
    first = date(2026, 11, 1)
    begun = await pauses.begin(db, client_id, from_on=first, until_on=None, reason=PauseReason.TRAVEL, by=None, now=NOW)
    too_early = first - timedelta(days=1)
    with pytest.raises(errors.Invalid) as refused:
        await pauses.end(db, begun.pause_id, until_on=too_early, by=None, now=NOW)
    assert fields_of(refused) == ["until_on"]
    with pytest.raises(errors.Invalid):
        await pauses.restate(db, begun.pause_id, until_on=too_early, reason=PauseReason.OTHER, now=NOW)
    with pytest.raises(errors.NotFound):
        await pauses.end(db, ids.new(), until_on=None, by=None, now=NOW)
    with pytest.raises(errors.NotFound):
        await pauses.restate(db, ids.new(), until_on=None, reason=PauseReason.OTHER, now=NOW)
    assert await pauses.of(db, client_id) == [begun]


async def test_a_pause_does_not_grow_into_another(db: Db, client_id: UUID) -> None:
    first = date(2026, 11, 1)
    early, late = [
        await pauses.begin(
            db, client_id, from_on=day, until_on=day, reason=PauseReason.TRAVEL, by=None, now=NOW, pause_id=ids.new()
        )
        for day in (first, first + timedelta(days=7))
    ]
    with pytest.raises(errors.Conflict, match="paused already"):
        await pauses.end(db, early.pause_id, until_on=late.from_on, by=None, now=NOW)
    with pytest.raises(errors.Conflict, match="paused already"):
        await pauses.restate(db, early.pause_id, until_on=late.from_on, reason=PauseReason.OTHER, now=NOW)


def test_the_days_that_no_pause_covers_are_told_in_stretches() -> None:
    def a_pause(first: int, last: int) -> Pause:
        return Pause(
            pause_id=ids.new(),
            version=1,
            client_id=ids.new(),
            from_on=date(2026, 11, first),
            until_on=date(2026, 11, last),
            reason=PauseReason.TRAVEL,
            withdrawn=False,
            recorded_by=None,
            recorded_at=NOW,
        )

    found = pauses.uncovered([a_pause(3, 4), a_pause(8, 8)], date(2026, 11, 1), date(2026, 11, 9))
    assert [(first.day, last.day) for first, last in found] == [(1, 2), (5, 7), (9, 9)]
    assert pauses.uncovered([a_pause(1, 9)], date(2026, 11, 1), date(2026, 11, 9)) == []


@pytest.mark.parametrize("state", [InfusionState.GIVEN, InfusionState.CANCELLED])
async def test_only_a_given_infusion_has_a_time_and_it_needs_one(
    db: Db, client_id: UUID, course_id: UUID, state: InfusionState
) -> None:
    infusion_id = await infusions.plan(db, client_id, course_id, planned_at=NOW, by=None, now=NOW)
    given_at = None if state is InfusionState.GIVEN else NOW
    with pytest.raises(errors.Invalid) as refused:
        await infusions.record_state(db, infusion_id, state, given_at=given_at, by=None, now=NOW)
    assert fields_of(refused) == ["given_at"]


@pytest.mark.parametrize("away", [-1, 1])
async def test_a_session_lies_within_years_not_decades(db: Db, client_id: UUID, away: int) -> None:
    edge = NOW + away * sessions.FURTHEST
    await sessions.plan(db, client_id, staff_id=None, planned_at=edge, by=None, now=NOW)
    further = edge + away * timedelta(seconds=1)
    with pytest.raises(errors.Invalid) as refused:
        await sessions.plan(db, client_id, staff_id=None, planned_at=further, by=None, now=NOW)
    assert fields_of(refused) == ["planned_at"]


async def test_what_is_not_there_is_not_found(db: Db, client_id: UUID) -> None:
    with pytest.raises(errors.NotFound):
        await sessions.get(db, ids.new())
    with pytest.raises(errors.NotFound):
        await gate_checks.slot_of(db, client_id, ids.new())


def test_a_clinic_without_hours_counts_eight_of_every_day() -> None:
    four = clinic_hours.after_open({}, CHICAGO, begin=NOW, open_for=timedelta(hours=4))
    assert four == NOW + timedelta(hours=12)
    assert clinic_hours.after_open({}, CHICAGO, begin=NOW, open_for=timedelta(hours=20)) == NOW + timedelta(hours=60)


@pytest.mark.parametrize(
    ("name", "hours"),
    [("-05:00", -5), ("+14:00", 14), ("GMT+3", 3), ("UTC-0300", -3), ("+0", 0), ("+05:30", 5.5), ("-0930", -9.5)],
)
def test_a_phone_that_tells_an_offset_is_taken_at_its_word(name: str, hours: float) -> None:
    zone = client_day.zone_or_none(name)
    assert zone is not None
    assert zone.utcoffset(NOW) == timedelta(hours=hours)


@pytest.mark.parametrize(
    "name", ["Mars/Olympus", "../../etc/passwd", "America", "", "\0", "+05:31", "+15:00", "-5:00\n"]
)
def test_a_zone_that_this_server_does_not_know_is_none(name: str) -> None:
    assert client_day.zone_or_none(name) is None
    assert client_day.zone_or_none("Europe/Berlin") == ZoneInfo("Europe/Berlin")


def test_a_clock_outside_the_calendar_is_drawn_into_it() -> None:
    east, west = timezone(timedelta(hours=14)), timezone(-timedelta(hours=12))
    assert placing.in_calendar(datetime.min.replace(tzinfo=east)) == placing.EARLIEST
    assert placing.in_calendar(datetime.max.replace(tzinfo=west)) == placing.LATEST
    assert placing.in_calendar(datetime(1969, 12, 31, tzinfo=UTC)) == placing.EARLIEST
    assert placing.in_calendar(NOW) == NOW


class Sent:
    """As a phone sends it, with a clock that is right about now and wrong about then."""

    def __init__(self, answered_at: datetime) -> None:
        self.answered_at = answered_at
        self.sent_at = NOW
        self.time_zone = str(a_form()["time_zone"])


@pytest.mark.parametrize(("days", "counts_on_arrival"), [(400, False), (401, True)])
def test_an_answer_older_than_any_queue_counts_when_it_arrived(days: int, counts_on_arrival: bool) -> None:
    answered_at = NOW - timedelta(days=days)
    placed = placing.place(Sent(answered_at), received_at=NOW, clinic_zone=CHICAGO)
    assert placed.counted_at == (NOW if counts_on_arrival else answered_at)
    assert placed.client_day == client_day.of(placed.counted_at, CHICAGO)
