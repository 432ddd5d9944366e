"""Schedules: a plan of infusions made from a template in one call. The infusions go their own way afterwards."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.course import ChangeReason, Infusion, InfusionState, Template
from schemas.treatment import ScheduleForm
from service import errors, ids
from service.database import Db
from service.errors import FieldFault
from service.facts import infusions

# Which ISO weekdays a template means where nobody chose others, and how many it takes.
USUAL_WEEKDAYS = {Template.TWICE_A_WEEK: [1, 4], Template.THREE_TIMES_A_WEEK: [1, 3, 5]}
A_WEEK = timedelta(days=7)
# Infusions are given in monitored sessions of hours: nobody has two on one day.
DAY_TAKEN_BY = frozenset({InfusionState.PLANNED, InfusionState.HELD, InfusionState.GIVEN})


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it was asked for; `planned` infusions came of it."""

    schedule_id: UUID
    client_id: UUID
    course_id: UUID
    template: Template
    starts_on: date
    local_time: time
    time_zone: str
    weekdays: list[int]
    weeks: int
    booster_every_weeks: int | None
    booster_count: int
    replaces_rest: bool
    planned: int
    recorded_at: datetime


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What making a plan did; `first_time` False: the same plan was made before, and nothing was done now."""

    first_time: bool
    planned: list[Infusion]
    kept_on: list[date]
    cancelled: int


def days_of(form: ScheduleForm) -> list[date]:
    """The days that a plan asks for, in order, on the clinic's calendar.

    Raises Invalid naming the fields that do not go together, or a plan of no day at all.
    """
    _refuse_contradictions(form)
    days: list[date] = []
    if form.template is not Template.BOOSTERS:
        weekdays = set(form.weekdays or USUAL_WEEKDAYS[form.template])
        span = range((form.weeks or 0) * A_WEEK.days)
        days = [day for ahead in span if (day := form.starts_on + timedelta(days=ahead)).isoweekday() in weekdays]
    if form.boosters is not None:
        gap = A_WEEK * form.boosters.every_weeks
        first = days[-1] + gap if days else form.starts_on
        days += [first + gap * number for number in range(form.boosters.count)]
    return days


def _refuse_contradictions(form: ScheduleForm) -> None:
    faults = []
    if form.template is Template.BOOSTERS:
        faults += [FieldFault("boosters", "needed by this template")] if form.boosters is None else []
        faults += [FieldFault("weeks", "not taken by this template")] if form.weeks is not None else []
        faults += [FieldFault("weekdays", "not taken by this template")] if form.weekdays is not None else []
    else:
        faults += [FieldFault("weeks", "needed by this template")] if form.weeks is None else []
        wanted = len(USUAL_WEEKDAYS[form.template])
        if form.weekdays is not None and (len(form.weekdays) != wanted or len(set(form.weekdays)) != wanted):
            faults.append(FieldFault("weekdays", f"{wanted} different ones for this template"))
    if faults:
        raise errors.Invalid("The plan was refused.", fields=faults)


def instant_of(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The instant (UTC) of a time on the clinic's clock, whatever the clocks did before.

    An hour that the clocks skip that day is later by as much as they skip; one that comes twice means the first.
    """
    return datetime.combine(day, at, zone).astimezone(UTC)


async def make(
    db: Db,
    client_id: UUID,
    course_id: UUID,
    schedule_id: UUID,
    form: ScheduleForm,
    *,
    zone: ZoneInfo,
    by: UUID | None,
    now: datetime,
) -> Made:
    """Plan infusions from a template, once: the same id with the same plan again changes nothing.

    A day that has an infusion already, planned, held or given, stays as it is. With `replace_rest` whatever is planned
    or held from the first day on is cancelled before. Raises Conflict for an id used before for another plan, Invalid
    for fields that do not go together.
    """
    before = await find(db, schedule_id)
    if before is not None:
        _refuse_other(before, client_id, form)
        planned = [each for each in await infusions.of(db, client_id) if each.schedule_id == schedule_id]
        return Made(first_time=False, planned=planned, kept_on=[], cancelled=0)
    days, at, cancelled = days_of(form), time.fromisoformat(form.at), 0
    if form.replace_rest:
        since = instant_of(form.starts_on, time(0), zone)
        cancelled = await infusions.cancel_from(
            db, course_id, since=since, reason=ChangeReason.PLAN_CHANGED, by=by, now=now
        )
    taken = {
        (each.given_at or each.planned_at).astimezone(zone).date()
        for each in await infusions.of(db, client_id)
        if each.state in DAY_TAKEN_BY
    }
    fresh = {ids.new(): instant_of(day, at, zone) for day in days if day not in taken}
    await _record(db, client_id, course_id, schedule_id, form, zone=zone, planned=len(fresh), by=by, now=now)
    await infusions.plan_many(db, client_id, course_id, fresh, by=by, now=now, schedule_id=schedule_id)
    planned = [each for each in await infusions.of(db, client_id) if each.schedule_id == schedule_id]
    return Made(first_time=True, planned=planned, kept_on=[day for day in days if day in taken], cancelled=cancelled)


def _refuse_other(before: Schedule, client_id: UUID, form: ScheduleForm) -> None:
    """Raises Conflict unless the stored plan is the one that is asked for again."""
    stored = (
        before.client_id,
        before.template,
        before.starts_on,
        f"{before.local_time:%H:%M}",
        before.weekdays,
        before.weeks,
        before.booster_every_weeks,
        before.booster_count,
        before.replaces_rest,
    )
    if stored != (client_id, form.template, form.starts_on, form.at, *_rhythm_of(form), form.replace_rest):
        raise errors.Conflict("This id is already in use for another plan.")


def _rhythm_of(form: ScheduleForm) -> tuple[list[int], int, int | None, int]:
    boosters = form.boosters
    weekdays = form.weekdays or USUAL_WEEKDAYS.get(form.template, [])
    every_weeks, count = (None, 0) if boosters is None else (boosters.every_weeks, boosters.count)
    return sorted(weekdays), form.weeks or 0, every_weeks, count


INSERT = """
insert into schedule (
  clinic_id, schedule_id, client_id, course_id, template, starts_on, local_time, time_zone, weekdays, weeks,
  booster_every_weeks, booster_count, replaces_rest, planned, recorded_by, recorded_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
"""


async def _record(
    db: Db,
    client_id: UUID,
    course_id: UUID,
    schedule_id: UUID,
    form: ScheduleForm,
    *,
    zone: ZoneInfo,
    planned: int,
    by: UUID | None,
    now: datetime,
) -> None:
    at = time.fromisoformat(form.at)
    asked = (form.template, form.starts_on, at, zone.key, *_rhythm_of(form), form.replace_rest, planned)
    await db.execute(INSERT, db.clinic_id, schedule_id, client_id, course_id, *asked, by, now)


FIND = """
select schedule_id, client_id, course_id, template, starts_on, local_time, time_zone, weekdays, weeks,
  booster_every_weeks, booster_count, replaces_rest, planned, recorded_at
from schedule
where clinic_id = $1
  and schedule_id = $2
"""


async def find(db: Db, schedule_id: UUID) -> Schedule | None:
    """A plan as it was asked for, None where that id made none."""
    return await db.find(Schedule, FIND, db.clinic_id, schedule_id)
