"""The course of an imported client: from the first day of the history to the last, with the infusions it names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.course import InfusionState, Phase, Substance
from service import ids
from service.database import Db
from service.facts import infusions
from service.import_history import ledger
from service.import_history.file import HistoryDay

# Before the day's answer at noon; the effect counts from the day after in any case.
GIVEN = time(9)


class ImportedCourse(msgspec.Struct, frozen=True, kw_only=True):
    """The course as it stands, and its substances."""

    course_id: UUID
    started_on: date
    ended_on: date | None
    substances: list[Substance]


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The client days on which the course, and infusions, are now other than they were."""

    course_days: list[date]
    infusion_days: set[date]


async def keep(
    db: Db, client_id: UUID, days: Sequence[HistoryDay], *, primary: Substance, zone: ZoneInfo, now: datetime
) -> Kept:
    """Make the client's course and infusions agree with `days` (by day), blank ones among them.

    A course whose craving was never asked has no substance: its charts run on mood and anxiety.
    """
    asked = {substance for day in days for substance in day.craving}
    ordered = [substance for substance in (primary, *Substance) if substance in asked]
    told = [day.day for day in days if day.told]
    course, touched = await _reach(db, client_id, told, now=now)
    added = [substance for substance in dict.fromkeys(ordered) if substance not in course.substances]
    first_day = min([course.started_on, *told[:1]])
    for substance in added:
        is_primary = not course.substances and substance == added[0]
        await db.execute(INSERT_SUBSTANCE, db.clinic_id, course.course_id, substance, is_primary, first_day)
    if added and course.substances:
        touched.append(first_day)
    given = await _keep_infusions(db, client_id, course.course_id, days, zone=zone, now=now)
    return Kept(course_days=touched, infusion_days=given)


async def reach(db: Db, client_id: UUID, first: date, last: date, *, now: datetime) -> ImportedCourse:
    """Make the client's course reach over these days; the course."""
    course, _ = await _reach(db, client_id, [first, last], now=now)
    return course


async def _reach(db: Db, client_id: UUID, told: Sequence[date], *, now: datetime) -> tuple[ImportedCourse, list[date]]:
    """The course over the days that were told (by day), and the days on which it is now other than it was."""
    course = await _course_of(db, client_id)
    if course is None:
        return await _begin(db, client_id, told[0], told[-1], now=now), []
    return course, await _widen(db, course, told[0], told[-1]) if told else []


COURSE_OF = """
select
  c.course_id, c.started_on, c.ended_on,
  array(
    select s.substance
    from course_substance s
    where s.clinic_id = $1
      and s.course_id = c.course_id
  ) as substances
from course c
where c.clinic_id = $1
  and c.client_id = $2
order by c.started_on
limit 1
"""


async def _course_of(db: Db, client_id: UUID) -> ImportedCourse | None:
    return await db.find(ImportedCourse, COURSE_OF, db.clinic_id, client_id)


INSERT_COURSE = """
insert into course (clinic_id, course_id, client_id, phase, started_on, ended_on, created_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""
INSERT_SUBSTANCE = """
insert into course_substance (clinic_id, course_id, substance, is_primary, from_on)
values ($1, $2, $3, $4, $5)
"""


async def _begin(db: Db, client_id: UUID, first: date, last: date, *, now: datetime) -> ImportedCourse:
    course_id = ids.new()
    await db.execute(INSERT_COURSE, db.clinic_id, course_id, client_id, Phase.DISCHARGED, first, last, now)
    return ImportedCourse(course_id=course_id, started_on=first, ended_on=last, substances=[])


WIDEN_COURSE = """
update course
set started_on = $3,
    ended_on = $4
where clinic_id = $1
  and course_id = $2
"""
WIDEN_SUBSTANCES = """
update course_substance
set from_on = $3
where clinic_id = $1
  and course_id = $2
"""


async def _widen(db: Db, course: ImportedCourse, first: date, last: date) -> list[date]:
    """A longer history of the same client: the course reaches to both its ends."""
    started, ended = min(course.started_on, first), max(course.ended_on or last, last)
    if (started, ended) == (course.started_on, course.ended_on):
        return []
    await db.execute(WIDEN_COURSE, db.clinic_id, course.course_id, started, ended)
    await db.execute(WIDEN_SUBSTANCES, db.clinic_id, course.course_id, started)
    return [started if started < course.started_on else ended]


async def _keep_infusions(
    db: Db, client_id: UUID, course_id: UUID, days: Sequence[HistoryDay], *, zone: ZoneInfo, now: datetime
) -> set[date]:
    """Record the infusions that `days` name and cancel those they no longer name; the days that change.

    Of a day whose infusion a treatment's file told they know less than stands.
    """
    told_better = await ledger.infusion_days(db, client_id)
    given = {
        each.given_at.astimezone(zone).date(): each.infusion_id
        for each in await infusions.of(db, client_id)
        if each.given_at is not None
    }
    touched = set()
    for day in days:
        if day.day in told_better:
            continue
        if day.infusion and day.day not in given:
            at = datetime.combine(day.day, GIVEN, zone)
            infusion_id = await infusions.plan(db, client_id, course_id, planned_at=at, by=None, now=now)
            await infusions.give(db, infusion_id, given_at=at, by=None, now=now)
        elif not day.infusion and day.day in given:
            await infusions.record_state(db, given[day.day], InfusionState.CANCELLED, by=None, now=now)
        else:
            continue
        touched.add(day.day)
    return touched
