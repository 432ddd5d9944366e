"""Whatever staff do to a course, in any order: no word is lost, days are right, the trend is a rebuild's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.alert import Rule
from schemas.clinic import Clinic
from schemas.course import (
    ChangeReason,
    CourseSubstance,
    DischargeReason,
    Infusion,
    InfusionState,
    PauseReason,
    Phase,
    Substance,
    Template,
)
from schemas.treatment import (
    Boosters,
    CourseForm,
    DischargeForm,
    EndPauseForm,
    InfusionDay,
    MoveForm,
    PauseForm,
    PhaseForm,
    ReopenForm,
    ScheduleForm,
    StateForm,
    SubstancesForm,
)
from schemas.trend import Trend
from service import database as databases
from service import day_close, errors, fold, ids, treatment
from service.database import Db, Pool
from service.desk import treatment_page
from service.facts import client_day, course_events, courses, infusion_events, infusions, pauses
from service.people.audit import COMMAND
from tests.builders import NOW, a_client, a_clinic, an_answer
from tests.folding import findings_of, folded, trend_of

ZONE = ZoneInfo("America/Chicago")
TODAY = client_day.of(NOW, ZONE)
STARTED = TODAY - timedelta(days=45)
Draw = Callable[[st.SearchStrategy[Any]], Any]

DAYS = st.integers(0, 45).map(lambda ago: TODAY - timedelta(days=ago))
TIMES = st.sampled_from([time(4, 0), time(9, 30), time(13, 0), time(23, 45)])
REASONS = st.sampled_from([ChangeReason.ILLNESS, ChangeReason.CLIENT_WISH, ChangeReason.ENTERED_IN_ERROR])


async def plan(db: Db, client_id: UUID, draw: Draw) -> None:
    template, starts_on = draw(st.sampled_from(list(Template))), draw(DAYS)
    boosters = Boosters(every_weeks=draw(st.integers(1, 3)), count=draw(st.integers(1, 3)))
    form = ScheduleForm(
        template=template,
        starts_on=starts_on,
        at=f"{draw(TIMES):%H:%M}",
        weeks=None if template is Template.BOOSTERS else draw(st.integers(1, 3)),
        boosters=boosters if template is Template.BOOSTERS or draw(st.booleans()) else None,
        replace_rest=draw(st.booleans()),
    )
    await treatment.make_schedule(db, client_id, ids.new(), form, by=COMMAND, now=NOW)


async def one_of(db: Db, client_id: UUID, draw: Draw) -> Infusion:
    booked = await infusions.of(db, client_id)
    if not booked:
        raise errors.NotFound("Nothing is planned yet.")
    return booked[draw(st.integers(0, len(booked) - 1))]


async def move(db: Db, client_id: UUID, draw: Draw) -> None:
    infusion = await one_of(db, client_id, draw)
    form = MoveForm(planned_at=datetime.combine(draw(DAYS), draw(TIMES), ZONE), reason=draw(REASONS))
    await treatment.move_infusion(db, client_id, infusion.infusion_id, form, by=COMMAND, now=NOW)


async def record(db: Db, client_id: UUID, draw: Draw) -> None:
    infusion = await one_of(db, client_id, draw)
    # Mostly given: an infusion's number and clock hang on those.
    state = draw(st.sampled_from([InfusionState.GIVEN, InfusionState.GIVEN, *InfusionState]))
    form = StateForm(state=state, reason=draw(REASONS))
    if state is InfusionState.GIVEN:
        at = datetime.combine(draw(DAYS), draw(TIMES), ZONE)
        form = StateForm(state=state, given_at=at, dose_mg_per_kg=draw(st.sampled_from([None, 0.5, 0.8])))
    await treatment.record_infusion(db, client_id, infusion.infusion_id, form, by=COMMAND, now=NOW)


async def begin_pause(db: Db, client_id: UUID, draw: Draw) -> None:
    first = draw(DAYS)
    until_on = first + timedelta(days=draw(st.integers(0, 12))) if draw(st.booleans()) else None
    form = PauseForm(from_on=first, until_on=until_on, reason=PauseReason.TRAVEL)
    await treatment.pause(db, client_id, ids.new(), form, by=COMMAND, now=NOW)


async def end_pause(db: Db, client_id: UUID, draw: Draw) -> None:
    standing = await pauses.of(db, client_id)
    if standing:
        pause = standing[draw(st.integers(0, len(standing) - 1))]
        form = EndPauseForm(until_on=draw(st.none() | DAYS))
        await treatment.end_pause(db, client_id, pause.pause_id, form, by=COMMAND, now=NOW)


async def discharge(db: Db, client_id: UUID, draw: Draw) -> None:
    form = DischargeForm(last_day=draw(DAYS), reason=DischargeReason.COMPLETED)
    await treatment.discharge(db, client_id, form, by=COMMAND, now=NOW)


async def reopen(db: Db, client_id: UUID, draw: Draw) -> None:
    await treatment.reopen(db, client_id, ReopenForm(from_on=draw(st.none() | DAYS)), by=COMMAND, now=NOW)


async def change_substances(db: Db, client_id: UUID, draw: Draw) -> None:
    wanted = draw(st.lists(st.sampled_from(list(Substance)[:3]), min_size=1, unique=True))
    from_on = draw(DAYS)
    before = await courses.substances_of(db, client_id)
    await treatment.change_substances(
        db, client_id, SubstancesForm(substances=wanted, from_on=from_on), by=COMMAND, now=NOW
    )
    after = await courses.substances_of(db, client_id)
    for ahead in range((TODAY - STARTED).days + 1):
        day = STARTED + timedelta(days=ahead)
        if day < from_on:
            assert treated_on(after, day) == treated_on(before, day)
        else:
            assert treated_on(after, day) == {(each, each == wanted[0]) for each in wanted}


def treated_on(periods: list[CourseSubstance], day: date) -> set[tuple[Substance, bool]]:
    within = [each for each in periods if each.from_on <= day and (each.until_on is None or day <= each.until_on)]
    assert len(within) == len({each.substance for each in within})
    return {(each.substance, each.is_primary) for each in within}


async def enter_phase(db: Db, client_id: UUID, draw: Draw) -> None:
    form = PhaseForm(phase=draw(st.sampled_from([Phase.INDUCTION, Phase.MAINTENANCE])), from_on=draw(DAYS))
    await treatment.enter_phase(db, client_id, form, by=COMMAND, now=NOW)


async def start_course(db: Db, client_id: UUID, draw: Draw) -> None:
    form = CourseForm(substances=[draw(st.sampled_from(list(Substance)[:3]))], started_on=draw(DAYS))
    await treatment.start_course(db, client_id, ids.new(), form, by=COMMAND, now=NOW)


EDITS = [
    plan,
    plan,
    move,
    record,
    record,
    record,
    begin_pause,
    end_pause,
    discharge,
    reopen,
    change_substances,
    enter_phase,
    start_course,
]


async def said_so_far(db: Db, client_id: UUID) -> list[object]:
    """Every event, in the order of its own log."""
    of_infusions = await infusion_events.of(db, client_id)
    of_course, of_pauses = await course_events.of(db, client_id), await pauses.history_of(db, client_id)
    return [*of_course, *of_pauses, *(event for events in of_infusions.values() for event in events)]


class Slot(msgspec.Struct, frozen=True):
    """An infusion as the last word about it says."""

    state: InfusionState
    planned_at: datetime
    given_at: datetime | None


async def check_days(db: Db, client_id: UUID) -> None:
    """The infusion days that are shown are those that the log gives, computed the plain way."""
    last_words = [events[-1] for events in (await infusion_events.of(db, client_id)).values()]
    slots = [Slot(each.state, each.planned_at, each.given_at) for each in last_words]
    shown = await treatment_page.infusion_days_of(db, client_id, limit=200)
    assert shown
    for each in shown:
        assert each.infusion_day == naive_day(slots, each.counted_at, each.client_day)
    view = treatment_page.course_of(await treatment_page.read(db, client_id, now=NOW))
    numbers = [*view.infusions, *(line for course in view.earlier for line in course.infusions)]
    given = sorted((line for line in numbers if line.number is not None), key=lambda line: line.number or 0)
    assert [line.number for line in given] == list(range(1, len(given) + 1))
    times = [line.infusion.given_at for line in given if line.infusion.given_at is not None]
    assert times == sorted(slot.given_at for slot in slots if slot.given_at is not None)


def naive_day(slots: list[Slot], counted_at: datetime, day: date) -> InfusionDay:
    number, last, upcoming = 0, None, None
    for slot in slots:
        at = slot.given_at or (slot.planned_at if slot.state is InfusionState.PLANNED else None)
        if slot.given_at is not None and slot.given_at <= counted_at:
            number += 1
            last = slot.given_at if last is None or slot.given_at > last else last
        elif at is not None and at > counted_at:
            upcoming = at if upcoming is None or at < upcoming else upcoming
    return InfusionDay(
        number=number or None,
        hours_since=None if last is None else round((counted_at - last) / timedelta(hours=1), 1),
        days_since=None if last is None else max(0, (day - client_day.of(last, ZONE)).days),
        next_at=upcoming,
        days_to_next=None if upcoming is None else max(0, (client_day.of(upcoming, ZONE) - day).days),
    )


ANSWERS = st.dictionaries(st.integers(0, 45), st.integers(0, 10), min_size=20)


async def check_edits(owner: Pool, jobs: Pool, data: st.DataObject) -> None:
    clinic = await a_clinic(owner, slug=f"clinic-{ids.new().hex[-12:]}")
    async with databases.transaction(owner, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=STARTED)
        for ago, craving in data.draw(ANSWERS).items():
            at = data.draw(TIMES)
            await an_answer(db, client_id, TODAY - timedelta(days=ago), craving=craving, at=at)
    said: list[object] = []
    for _ in range(data.draw(st.integers(1, 14))):
        edit = data.draw(st.sampled_from(EDITS))
        try:
            async with databases.transaction(owner, clinic.clinic_id) as db:
                await edit(db, client_id, data.draw)
        except errors.DomainError:
            continue  # refused: then it has changed nothing
        async with databases.transaction(owner, clinic.clinic_id) as db:
            after = await said_so_far(db, client_id)
            assert [each for each in said if each not in after] == []
            assert len(after) >= len(said)
            said = after
            await check_days(db, client_id)
        if data.draw(st.booleans()):
            await folded(jobs, clinic, client_id)
    async with databases.transaction(owner, clinic.clinic_id) as db:
        await day_close.mark_due(db, now=NOW)
    await folded(jobs, clinic, client_id)
    went_on = await outcome_of(owner, clinic, client_id)
    async with databases.transaction(jobs, clinic.clinic_id) as db:
        await fold.rebuild(db, client_id, now=NOW)
    assert await outcome_of(owner, clinic, client_id) == went_on


async def outcome_of(owner: Pool, clinic: Clinic, client_id: UUID) -> tuple[list[Trend], list[tuple[Rule, date]]]:
    found = [(each.rule, each.client_day) for each in await findings_of(owner, clinic)]
    return await trend_of(owner, clinic, client_id), found


@given(data=st.data())
@settings(max_examples=8, suppress_health_check=list(HealthCheck))
async def test_no_edit_loses_a_word_or_leaves_a_wrong_day_or_another_trend_than_a_rebuild(
    owner_pool: Pool, jobs_pool: Pool, data: st.DataObject
) -> None:
    await check_edits(owner_pool, jobs_pool, data)


@pytest.mark.slow
@given(data=st.data())
@settings(max_examples=150, suppress_health_check=list(HealthCheck))
async def test_many_edits(owner_pool: Pool, jobs_pool: Pool, data: st.DataObject) -> None:
    await check_edits(owner_pool, jobs_pool, data)
