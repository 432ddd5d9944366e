"""The demonstration clinic's diary: what is planned for every fictional client, and what becomes of it; pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import msgspec

from schemas.course import ChangeReason, InfusionState, SessionState, Template
from schemas.treatment import Boosters, ScheduleForm
from service.demo.people import PEOPLE, Line, Person, drawn
from service.facts import schedules

# The clinic's clock: infusions are given there, wherever the client lives.
CLINIC_ZONE = ZoneInfo("America/Chicago")
FIRST_INFUSION = timedelta(days=2)
INDUCTION_WEEKS = 4
BOOSTERS_AT_ONCE = 6
# What becomes of an infusion that is not given: up to which draw, which state, why.
FATES = (
    (0.03, InfusionState.MISSED, ChangeReason.NO_SHOW),
    (0.04, InfusionState.MISSED, ChangeReason.TRAVEL),
    (0.06, InfusionState.CANCELLED, ChangeReason.ILLNESS),
    (0.07, InfusionState.HELD, ChangeReason.BLOOD_PRESSURE),
    (0.08, InfusionState.HELD, ChangeReason.DRUG_SCREEN),
)
# The first hour of sessions, and that of a Monday's: within three days of an infusion on Friday at nine or later.
AFTERNOON, AFTER_A_WEEKEND = 13, 8
MISSED_SESSIONS = 0.06


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """An infusion or a therapy session, and what became of it."""

    planned_at: datetime
    infusion: InfusionState | None = None
    reason: ChangeReason | None = None
    dose_mg_per_kg: float | None = None
    duration_minutes: int | None = None
    session: SessionState | None = None


def joined_on(person: Person, first_day: date) -> date:
    """The client day on which the person's course starts."""
    return first_day + timedelta(days=person.joins)


def is_away(person: Person, first_day: date, day: date) -> bool:
    """Whether the person pauses on that day, or has left."""
    at = (day - first_day).days
    return _pauses(person, at) or (person.leaves is not None and at > person.leaves)


def plan_on(person: Person, first_day: date, day: date) -> ScheduleForm | None:
    """The plan that is made on that day: at first the induction with some boosters, later further boosters."""
    weeks = _booster_weeks(person)
    boosters = Boosters(every_weeks=weeks, count=BOOSTERS_AT_ONCE)
    if day == joined_on(person, first_day):
        return msgspec.structs.replace(_induction(person, first_day), boosters=boosters)
    if person.leaves is not None and (day - first_day).days > person.leaves:
        return None
    number, rest = divmod((day - _induction_days(person, first_day)[-1]).days, 7 * weeks)
    if rest or number <= 0 or number % BOOSTERS_AT_ONCE:
        return None
    starts_on = day + timedelta(weeks=weeks)
    return ScheduleForm(template=Template.BOOSTERS, starts_on=starts_on, at=_clock(person), boosters=boosters)


def _induction(person: Person, first_day: date) -> ScheduleForm:
    return ScheduleForm(
        template=Template.TWICE_A_WEEK,
        starts_on=joined_on(person, first_day) + FIRST_INFUSION,
        at=_clock(person),
        weeks=INDUCTION_WEEKS,
        weekdays=_weekdays(person),
    )


def infusions_until(person: Person, first_day: date, until: date) -> list[Slot]:
    """Every infusion planned up to that day, and what becomes of it: a few are missed, held or cancelled."""
    clock = time.fromisoformat(_clock(person))
    days = infusion_days(person, first_day, (until - first_day).days)
    moments = ((at, datetime.combine(first_day + timedelta(days=at), clock, CLINIC_ZONE)) for at in days)
    return [_slot(person, at, planned_at) for at, planned_at in moments]


def _slot(person: Person, at: int, planned_at: datetime) -> Slot:
    if _pauses(person, at) and person.away is not None:
        away = ChangeReason(person.away.reason.value)
        return Slot(planned_at=planned_at, infusion=InfusionState.CANCELLED, reason=away)
    fate = drawn(person, at, "infusion").random()
    for below, state, reason in FATES:
        if fate < below:
            return Slot(planned_at=planned_at, infusion=state, reason=reason)
    return Slot(
        planned_at=planned_at,
        infusion=InfusionState.GIVEN,
        dose_mg_per_kg=drawn(person, 0, "dose").choice((0.5, 0.5, 0.6, 0.8)),
        duration_minutes=40 + 5 * drawn(person, at, "duration").randrange(4),
    )


def sessions_until(person: Person, first_day: date, until: date) -> list[Slot]:
    """Every therapy session up to that day, the day after an infusion; a few are missed.

    One a week, on the weekday after that of the second infusion and of the boosters; in the induction one after each.
    """
    place = _place(person)
    first, second = (_session_on(weekday, place) for weekday in _weekdays(person))
    inducted = (_induction_days(person, first_day)[-1] - first_day).days
    slots = []
    for at in range(person.joins + 1, (until - first_day).days + 1):
        day = first_day + timedelta(days=at)
        clock = dict([second, first] if at <= inducted else [second]).get(day.isoweekday())
        if clock is not None and not is_away(person, first_day, day):
            missed = drawn(person, at, "session").random() < MISSED_SESSIONS
            slots.append(
                Slot(
                    planned_at=datetime.combine(day, clock, CLINIC_ZONE),
                    session=SessionState.MISSED if missed else SessionState.ATTENDED,
                )
            )
    return slots


def _session_on(weekday: int, place: int) -> tuple[int, time]:
    """Weekday and hour of the session after an infusion of that weekday: after a Friday's, early on Monday."""
    return (1, time(AFTER_A_WEEKEND + place)) if weekday == 5 else (weekday + 1, time(AFTERNOON + place))


@cache
def _place(person: Person) -> int:
    """How many of the therapist's clients with the same weekdays come before: who had the infusion earlier does.

    Whoever joins at a start of the demonstration has the hour before everybody's: -1.
    """
    together = [each for each in PEOPLE if each.therapist == person.therapist and _weekdays(each) == _weekdays(person)]
    keys = [each.key for each in sorted(together, key=lambda each: (_clock(each), each.key))]
    return keys.index(person.key) if person.key in keys else -1


@cache
def _induction_days(person: Person, first_day: date) -> tuple[date, ...]:
    return tuple(schedules.days_of(_induction(person, first_day)))


def infusion_days(person: Person, first_day: date, until: int) -> Iterator[int]:
    """The days, after the clinic's first, up to `until` on which the person has an infusion."""
    days = _induction_days(person, first_day)
    last = until if person.leaves is None else min(until, person.leaves)
    yield from (at for at in ((day - first_day).days for day in days) if at <= last)
    gap = 7 * _booster_weeks(person)
    yield from range((days[-1] - first_day).days + gap, last + 1, gap)


def is_given(person: Person, at: int) -> bool:
    """Whether the infusion of that day is given."""
    return not _pauses(person, at) and drawn(person, at, "infusion").random() >= FATES[-1][0]


def _pauses(person: Person, at: int) -> bool:
    return person.away is not None and person.away.first <= at <= person.away.last


def _weekdays(person: Person) -> list[int]:
    return drawn(person, 0, "weekdays").choice(([1, 4], [2, 5]))


def _clock(person: Person) -> str:
    return f"{9 + drawn(person, 0, 'hour').randrange(5):02}:30"


def _booster_weeks(person: Person) -> int:
    return 6 if person.line is Line.WANES else 4 + drawn(person, 0, "booster").randrange(2)
