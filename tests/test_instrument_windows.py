"""When an instrument is due: windows over the days that count, against a recomputation day by day."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from schemas.client import Client, RecordOrigin
from schemas.course import (
    Course,
    CourseEvent,
    CourseEventKind,
    CourseSubstance,
    Pause,
    PauseReason,
    Phase,
    Substance,
)
from schemas.instrument_response import ChosenRhythm
from service import instrument_log
from service.instrument_log import Facts
from service.instruments import windows
from service.instruments.catalogue import Catalogue
from service.instruments.windows import Interval, Plan, Window

START = date(2026, 3, 2)
MOMENT = datetime(2026, 3, 2, tzinfo=UTC)
COURSE = UUID(int=7)
CLIENT = Client(
    client_id=UUID(int=8),
    given_name="Ines",
    family_name="Marlow",
    time_zone="UTC",
    enrolled_on=START,
    origin=RecordOrigin.LIVE,
)
DAY = timedelta(days=1)
LONG = 120


def on(number: int) -> date:
    """The day with that number, the first is 0."""
    return START + number * DAY


def intervals_of(days: Sequence[Plan | None]) -> list[Interval]:
    """A plan for each day, as stretches; the last one goes on for good."""
    firsts = [at for at in range(len(days)) if at == 0 or days[at] != days[at - 1]]
    lasts = [on(at - 1) for at in firsts[1:]]
    return [Interval(on(at), last, days[at]) for at, last in zip(firsts, [*lasts, None], strict=True)]


def naive(days: Sequence[Plan | None], until: int) -> list[Window]:
    """The same day by day: count the days that count, begin anew where the plan is another one."""
    long = [*days, *[days[-1]] * (2 * LONG)]
    found: list[tuple[int, int | None, int | None]] = []
    plan, counted, last_counted = None, 0, None
    for at, today in enumerate(long):
        if today is None:
            continue
        if today != plan:
            if found and found[-1][2] is None:
                first, closes, _ = found[-1]
                found[-1] = first, closes if closes is not None else last_counted, last_counted
            plan, counted = today, 0
        if counted % today.every_days == 0:
            if counted:
                found[-1] = found[-1][0], found[-1][1], at - 1
            found.append((at, None, None))
        if counted % today.every_days == today.open_days - 1:
            found[-1] = found[-1][0], at, found[-1][2]
        counted, last_counted = counted + 1, at
    if days[-1] is None and found and found[-1][2] is None:
        first, closes, _ = found[-1]
        found[-1] = first, closes if closes is not None else last_counted, last_counted
    return [
        Window(first=on(first), last_open=on(closes), last=None if last is None else on(last))
        for first, closes, last in found
        if first <= until and closes is not None
    ]


def a_plan(every: int, opened: int, belongs_to: object = "induction") -> Plan:
    return Plan(str(belongs_to), every, opened)


plans = st.one_of(
    st.none(),
    st.builds(
        lambda every, opened, phase: Plan(phase, every, min(every, opened)),
        st.integers(1, 9),
        st.integers(1, 9),
        st.sampled_from(["induction", "maintenance"]),
    ),
)
stretches = st.lists(st.tuples(plans, st.integers(1, 20)), min_size=1, max_size=8)


@given(stretches, st.integers(0, LONG))
def test_windows_are_those_that_counting_day_by_day_gives(chosen: list[tuple[Plan | None, int]], until: int) -> None:
    days = [plan for plan, length in chosen for _ in range(length)][:LONG]
    assert windows.windows_until(intervals_of(days), on(until)) == naive(days, until)


@given(stretches)
def test_windows_never_share_a_day_and_every_counted_day_lies_in_one(chosen: list[tuple[Plan | None, int]]) -> None:
    days = [plan for plan, length in chosen for _ in range(length)][:LONG]
    found = windows.windows_until(intervals_of(days), on(len(days) - 1))
    for at, plan in enumerate(days):
        holding = [each for each in found if each.holds(on(at))]
        assert len(holding) <= 1
        assert holding or plan is None
        assert windows.plan_on(intervals_of(days), on(at)) == plan


dates = st.integers(0, LONG).map(on)
periods = st.tuples(dates, st.one_of(st.none(), st.integers(0, 30)))


def a_pause(period: tuple[date, int | None]) -> Pause:
    first, days = period
    return Pause(
        pause_id=UUID(int=1),
        version=1,
        client_id=CLIENT.client_id,
        from_on=first,
        until_on=None if days is None else first + days * DAY,
        reason=PauseReason.TRAVEL,
        withdrawn=False,
        recorded_by=None,
        recorded_at=MOMENT,
    )


def an_event(said: tuple[date, Phase]) -> CourseEvent:
    return CourseEvent(
        course_event_id=UUID(int=1),
        course_id=COURSE,
        kind=CourseEventKind.PHASE_ENTERED,
        from_on=said[0],
        phase=said[1],
        substances=None,
        reason=None,
        recorded_by=None,
        recorded_at=MOMENT,
    )


def a_choice(chosen: tuple[date, Phase, int | None]) -> ChosenRhythm:
    first, phase, every = chosen
    return ChosenRhythm(code="pacs", phase=phase, every_days=every, open_days=every, from_on=first, recorded_at=MOMENT)


def a_substance(period: tuple[date, int | None]) -> CourseSubstance:
    first, days = period
    return CourseSubstance(
        course_id=COURSE,
        substance=Substance.ALCOHOL,
        is_primary=False,
        from_on=first,
        until_on=None if days is None else first + days * DAY,
    )


phases = st.sampled_from([Phase.INDUCTION, Phase.MAINTENANCE])
facts = st.builds(
    Facts,
    client=st.just(CLIENT),
    catalogue=st.just(Catalogue([])),
    choices=st.lists(
        st.builds(a_choice, st.tuples(dates, phases, st.one_of(st.none(), st.integers(1, 9)))), max_size=3
    ),
    courses=st.builds(
        lambda ended: [
            Course(
                course_id=COURSE, client_id=CLIENT.client_id, phase=Phase.INDUCTION, started_on=START, ended_on=ended
            )
        ],
        st.one_of(st.none(), dates),
    ),
    substances=st.lists(st.builds(a_substance, periods), max_size=2),
    events=st.lists(st.builds(an_event, st.tuples(dates, phases)), max_size=3),
    pauses=st.lists(st.builds(a_pause, periods), max_size=2),
    answered=st.just([]),
)


@given(facts)
def test_the_stretches_of_a_course_say_of_every_day_what_that_day_alone_would_say(told: Facts) -> None:
    told = msgspec.structs.replace(told, choices=sorted(told.choices, key=lambda each: each.from_on))
    intervals = instrument_log.intervals_of(told, "pacs")
    assert intervals[0].first == START
    assert [each.first for each in intervals[1:]] == [each.last + DAY for each in intervals[:-1] if each.last]
    for at in range(LONG + 40):
        assert windows.plan_on(intervals, on(at)) == instrument_log.plan_of(told, "pacs", on(at))


def test_a_week_is_due_for_seven_days_and_then_the_next_begins() -> None:
    found = windows.windows_until(intervals_of([a_plan(7, 7)] * 10), on(9))
    assert found == [
        Window(first=on(0), last_open=on(6), last=on(6)),
        Window(first=on(7), last_open=on(13), last=on(13)),
    ]


def test_a_pause_does_not_count_and_what_lies_open_waits() -> None:
    days = [*[a_plan(7, 3)] * 2, *[None] * 5, *[a_plan(7, 3)] * 10]
    first, second = windows.windows_until(intervals_of(days), on(len(days) - 1))
    assert first == Window(first=on(0), last_open=on(7), last=on(11))
    assert second.first == on(12)


def test_another_phase_or_rhythm_begins_anew() -> None:
    days = [*[a_plan(7, 7)] * 10, *[a_plan(28, 10, Phase.MAINTENANCE)] * 30]
    found = windows.windows_until(intervals_of(days), on(39))
    assert [(each.first, each.last_open) for each in found] == [
        (on(0), on(6)),
        (on(7), on(9)),
        (on(10), on(19)),
        (on(38), on(47)),
    ]


def test_after_the_last_day_nothing_is_due_any_more() -> None:
    days = [*[a_plan(7, 7)] * 3, None]
    (only,) = windows.windows_until(intervals_of(days), on(50))
    assert only == Window(first=on(0), last_open=on(2), last=on(2))
    assert windows.plan_on(intervals_of(days), on(3)) is None


def test_a_plan_at_the_end_of_the_calendar_ends_there() -> None:
    plan = Plan(UUID(int=0), 7, 7)
    found = windows.windows_until([Interval(date.max - 2 * DAY, None, plan)], date.max)
    assert [each.first for each in found] == [date.max - 2 * DAY]
