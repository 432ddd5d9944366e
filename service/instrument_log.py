"""When a client was asked which instrument, and what came of it: derived from the course, never stored."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import msgspec

from schemas.client import Client, RecordOrigin
from schemas.course import Course, CourseEvent, CourseSubstance, Pause, Phase
from schemas.instrument import Instrument
from schemas.instrument_response import ChosenRhythm, DueInstrument, WindowLine, WindowState
from service.database import Db
from service.facts import course_events, courses, instruments, pauses
from service.facts.instruments import Answered
from service.instruments import windows
from service.instruments.catalogue import Catalogue
from service.instruments.windows import Interval, Plan
from service.people import clients

DAY = timedelta(days=1)


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the log of a client's instruments follows from."""

    client: Client
    catalogue: Catalogue
    choices: list[ChosenRhythm]
    courses: list[Course]
    substances: list[CourseSubstance]
    events: list[CourseEvent]
    pauses: list[Pause]
    answered: list[Answered]

    @property
    def asked(self) -> bool:
        """Whether the client is asked at all: whoever was imported never was."""
        return self.client.origin is RecordOrigin.LIVE


async def read(db: Db, client_id: UUID) -> Facts:
    """Read them. Raises NotFound."""
    return Facts(
        client=await clients.get(db, client_id),
        catalogue=await instruments.catalogue_of(db),
        choices=await instruments.choices_of(db),
        courses=await courses.of(db, client_id),
        substances=await courses.substances_of(db, client_id),
        events=await course_events.of(db, client_id),
        pauses=await pauses.of(db, client_id),
        answered=await instruments.answered_of(db, client_id),
    )


def due_of(facts: Facts, today: date) -> list[DueInstrument]:
    """What is due on the client day that it is, what waits longest first."""
    due = []
    for code in facts.catalogue.codes if facts.asked else ():
        intervals = intervals_of(facts, code)
        instrument = facts.catalogue.on(code, today)
        if instrument is None or windows.plan_on(intervals, today) is None:
            continue
        line = next(reversed(_lines(facts, code, intervals, today)), None)
        if line is not None and line.state is WindowState.DUE:
            due.append(_due(instrument, line))
    return sorted(due, key=lambda each: (each.since, each.code))


def _due(instrument: Instrument, line: WindowLine) -> DueInstrument:
    return DueInstrument(
        code=instrument.code,
        version=instrument.version,
        title=instrument.title,
        asks=instrument.asks,
        items=len(instrument.items),
        since=line.since,
        until=line.until,
    )


def log_of(facts: Facts, code: str, today: date) -> list[WindowLine]:
    """Every time an instrument was asked until today, and what came of it, the oldest first."""
    return _lines(facts, code, intervals_of(facts, code), today) if facts.asked else []


def _lines(facts: Facts, code: str, intervals: Sequence[Interval], today: date) -> list[WindowLine]:
    answers = [each for each in facts.answered if each.code == code]
    lines = []
    for window in windows.windows_until(intervals, today):
        answer = next((each for each in answers if window.holds(each.client_day)), None)
        open_still = today <= window.last_open
        otherwise = WindowState.DUE if open_still else WindowState.MISSED
        lines.append(
            WindowLine(
                since=window.first,
                until=window.last_open,
                state=WindowState.ANSWERED if answer else otherwise,
                response_id=answer.instrument_response_id if answer else None,
                answered_on=answer.client_day if answer else None,
            )
        )
    return lines


def intervals_of(facts: Facts, code: str) -> list[Interval]:
    """The client's days as far as an instrument goes, from the first course on: stretches that have the same plan."""
    firsts = _boundaries(facts, code)
    lasts: list[date | None] = [each - DAY for each in firsts[1:]]
    return [
        Interval(first, last, plan_of(facts, code, first)) for first, last in zip(firsts, [*lasts, None], strict=True)
    ]


def _boundaries(facts: Facts, code: str) -> list[date]:
    """The days on which a plan may change, from the first day of the first course on."""
    if not facts.courses:
        return [date.max]
    days = [each.started_on for each in facts.courses]
    days += [each.from_on for each in facts.events]
    days += [each.from_on for each in facts.substances] + [each.from_on for each in facts.pauses]
    days += [each.from_on for each in facts.choices if each.code == code]
    days += facts.catalogue.changes_on(code)
    ends = [each.ended_on for each in facts.courses] + [each.until_on for each in facts.substances]
    ends += [each.until_on for each in facts.pauses]
    days += [each + DAY for each in ends if each is not None]
    return sorted({each for each in days if each >= facts.courses[0].started_on})


def plan_of(facts: Facts, code: str, day: date) -> Plan | None:
    """The plan of a day; None where it is not asked: no course, a pause, another substance, never in this phase."""
    course = next((each for each in reversed(facts.courses) if each.started_on <= day), None)
    if course is None or (course.ended_on is not None and day > course.ended_on):
        return None
    instrument = facts.catalogue.on(code, day)
    if instrument is None or pauses.covering(facts.pauses, day) is not None:
        return None
    treated = courses.active_on(facts.substances, day)
    if instrument.substances is not None and not set(instrument.substances) & set(treated):
        return None
    said = [each for each in facts.events if each.course_id == course.course_id]
    phase = course_events.phase_on(said, day) or Phase.INDUCTION
    rhythm = instruments.rhythm_on(instrument, facts.choices, phase, day)
    return None if rhythm is None else Plan((course.course_id, phase), rhythm.every_days, rhythm.open_days)
