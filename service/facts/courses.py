"""Courses of treatment and the substances they treat; what was said of them stays in `course_event`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from schemas.course import Course, CourseEventKind, CourseSubstance, DischargeReason, Phase, Substance
from service import errors, ids
from service.database import Db
from service.facts import course_events, fold_queue

INSERT_COURSE = """
insert into course (clinic_id, course_id, client_id, phase, started_on, created_at)
values ($1, $2, $3, $4, $5, $6)
"""
INSERT_SUBSTANCE = """
insert into course_substance (clinic_id, course_id, substance, is_primary, from_on)
values ($1, $2, $3, $4, $5)
"""


async def start(
    db: Db,
    client_id: UUID,
    substances: Sequence[Substance],
    *,
    started_on: date,
    now: datetime,
    phase: Phase = Phase.INDUCTION,
    by: UUID | None = None,
    course_id: UUID | None = None,
) -> UUID:
    """Start a course; the first of `substances` is the primary one. The client's trend is due from its first day.

    Raises Invalid where no substance or one twice is given.
    """
    _refuse_odd(substances)
    course_id = course_id or ids.new()
    await db.execute(INSERT_COURSE, db.clinic_id, course_id, client_id, phase, started_on, now)
    for position, substance in enumerate(substances):
        await db.execute(INSERT_SUBSTANCE, db.clinic_id, course_id, substance, position == 0, started_on)
    await course_events.append(
        db,
        course_id,
        CourseEventKind.STARTED,
        from_on=started_on,
        phase=phase,
        substances=substances,
        by=by,
        now=now,
    )
    await fold_queue.mark_due(db, client_id, from_day=started_on, now=now)
    return course_id


def _refuse_odd(substances: Sequence[Substance]) -> None:
    if not substances or len(set(substances)) != len(substances):
        raise errors.Invalid(
            "A course needs each of its substances once.",
            fields=(errors.FieldFault("substances", "at least one, none twice"),),
        )


HOLD = """
select course_id, client_id, phase, started_on, ended_on
from course
where clinic_id = $1
  and course_id = $2
for no key update
"""


async def hold_row(db: Db, course_id: UUID) -> Course:
    """The course, locked until the transaction ends. Raises NotFound."""
    return await db.get(Course, HOLD, db.clinic_id, course_id)


def refuse_ended(course: Course) -> None:
    """Raises Conflict where the course is over."""
    if course.phase is Phase.DISCHARGED:
        raise errors.Conflict("The client is discharged. Reopen the course first.")


END = """
update course
set phase = 'discharged',
    ended_on = $3
where clinic_id = $1
  and course_id = $2
"""


async def end(
    db: Db,
    course_id: UUID,
    *,
    ended_on: date,
    now: datetime,
    reason: DischargeReason | None = None,
    by: UUID | None = None,
) -> None:
    """Discharge; `ended_on` is the last client day of the course, and the trend is due from the day after.

    Raises NotFound, Conflict for a course that is over, Invalid for a day before it began.
    """
    course = await hold_row(db, course_id)
    refuse_ended(course)
    if ended_on < course.started_on:
        raise errors.Invalid(
            "A course ends on its first day or later.",
            fields=(errors.FieldFault("last_day", "not before the course began"),),
        )
    await db.execute(END, db.clinic_id, course_id, ended_on)
    await course_events.append(
        db,
        course_id,
        CourseEventKind.DISCHARGED,
        from_on=ended_on,
        phase=Phase.DISCHARGED,
        reason=reason,
        by=by,
        now=now,
    )
    await fold_queue.mark_due(db, course.client_id, from_day=ended_on + timedelta(days=1), now=now)


REOPEN = """
update course
set phase = $3,
    ended_on = null
where clinic_id = $1
  and course_id = $2
"""


async def reopen(db: Db, course_id: UUID, *, from_on: date | None, by: UUID | None, now: datetime) -> tuple[date, date]:
    """Let an ended course go on in the phase it was in, from a client day (None: from where it ended).

    Gives the first day after its end and the day it goes on. Raises NotFound, Conflict for a course that runs, Invalid
    for a day on which it ran anyway.
    """
    course = await hold_row(db, course_id)
    if course.phase is not Phase.DISCHARGED or course.ended_on is None:
        raise errors.Conflict("This course is not over.")
    after = course.ended_on + timedelta(days=1)
    if from_on is not None and from_on < after:
        raise errors.Invalid(
            "The course ran on that day anyway.",
            fields=(errors.FieldFault("from_on", "after the last day of the course"),),
        )
    phase = await course_events.treated_phase_of(db, course_id)
    await db.execute(REOPEN, db.clinic_id, course_id, phase)
    goes_on = from_on or after
    await course_events.append(db, course_id, CourseEventKind.REOPENED, from_on=goes_on, phase=phase, by=by, now=now)
    await fold_queue.mark_due(db, course.client_id, from_day=after, now=now)
    return after, goes_on


SET_PHASE = """
update course
set phase = $3
where clinic_id = $1
  and course_id = $2
"""


async def enter_phase(db: Db, course_id: UUID, phase: Phase, *, from_on: date, by: UUID | None, now: datetime) -> Phase:
    """Say in which phase a running course is from a client day on; the phase it is in now.

    Raises NotFound, Conflict where it is over, Invalid for a discharge or a day before it began.
    """
    course = await hold_row(db, course_id)
    refuse_ended(course)
    if phase is Phase.DISCHARGED:
        raise errors.Invalid("A discharge is a call of its own.", fields=(errors.FieldFault("phase", "a running one"),))
    _refuse_before(course, from_on)
    await course_events.append(
        db, course_id, CourseEventKind.PHASE_ENTERED, from_on=from_on, phase=phase, by=by, now=now
    )
    newest = await course_events.treated_phase_of(db, course_id)
    await db.execute(SET_PHASE, db.clinic_id, course_id, newest)
    return newest


def _refuse_before(course: Course, from_on: date) -> None:
    if from_on < course.started_on:
        raise errors.Invalid(
            "That is before the course began.", fields=(errors.FieldFault("from_on", "not before the course began"),)
        )


COURSES_OF = """
select course_id, client_id, phase, started_on, ended_on
from course
where clinic_id = $1
  and client_id = $2
order by started_on
"""


async def of(db: Db, client_id: UUID) -> list[Course]:
    """The client's courses, the oldest first."""
    return await db.rows(Course, COURSES_OF, db.clinic_id, client_id)


SUBSTANCES_OF = """
select cs.course_id, cs.substance, cs.is_primary, cs.from_on, least(cs.until_on, c.ended_on) as until_on
from course_substance cs
join course c
  on c.clinic_id = cs.clinic_id
  and c.course_id = cs.course_id
where cs.clinic_id = $1
  and c.client_id = $2
order by cs.is_primary desc, cs.substance
"""


async def substances_of(db: Db, client_id: UUID) -> list[CourseSubstance]:
    """Every substance of every course with its client days, primary ones first."""
    return await db.rows(CourseSubstance, SUBSTANCES_OF, db.clinic_id, client_id)


async def treated_on(db: Db, course: Course, client_day: date) -> list[Substance]:
    """What one course treats on a client day, the primary one first."""
    every = await substances_of(db, course.client_id)
    return active_on([each for each in every if each.course_id == course.course_id], client_day)


def active_on(substances: Sequence[CourseSubstance], client_day: date) -> list[Substance]:
    """Which of them a daily check-in of that client day must answer, in their order and each once."""
    active = [
        each.substance
        for each in substances
        if each.from_on <= client_day and (each.until_on is None or client_day <= each.until_on)
    ]
    return list(dict.fromkeys(active))


FORGET_FROM = """
delete from course_substance
where clinic_id = $1
  and course_id = $2
  and from_on >= $3
"""
CLOSE = """
update course_substance
set until_on = $3
where clinic_id = $1
  and course_id = $2
  and from_on <= $3
  and (until_on is null or until_on > $3)
  and (substance, is_primary) not in (select * from unnest($4::text[], $5::boolean[]))
"""
LET_GO_ON = """
update course_substance
set until_on = null
where clinic_id = $1
  and course_id = $2
  and from_on < $3
  and until_on >= $3::date - 1
  and (substance, is_primary) in (select * from unnest($4::text[], $5::boolean[]))
"""
INSERT_MISSING = """
insert into course_substance (clinic_id, course_id, substance, is_primary, from_on)
select $1, $2, wanted.substance, wanted.is_primary, $3
from unnest($4::text[], $5::boolean[]) as wanted (substance, is_primary)
where not exists (
  select
  from course_substance
  where clinic_id = $1
    and course_id = $2
    and course_substance.substance = wanted.substance
    and until_on is null
)
"""


async def change_substances(
    db: Db, course_id: UUID, substances: Sequence[Substance], *, from_on: date, by: UUID | None, now: datetime
) -> None:
    """Treat these from a client day on, the primary one first; the days before it keep what they had.

    What was to hold from that day on gives way; the log keeps it. The trend is due from that day. Raises NotFound,
    Conflict where the course is over, Invalid for none, one twice, or a day before it began.
    """
    _refuse_odd(substances)
    course = await hold_row(db, course_id)
    refuse_ended(course)
    _refuse_before(course, from_on)
    names, primary = list(substances), [each == substances[0] for each in substances]
    await db.execute(FORGET_FROM, db.clinic_id, course_id, from_on)
    await db.execute(CLOSE, db.clinic_id, course_id, from_on - timedelta(days=1), names, primary)
    await db.execute(LET_GO_ON, db.clinic_id, course_id, from_on, names, primary)
    await db.execute(INSERT_MISSING, db.clinic_id, course_id, from_on, names, primary)
    await course_events.append(
        db, course_id, CourseEventKind.SUBSTANCES_CHANGED, from_on=from_on, substances=names, by=by, now=now
    )
    await fold_queue.mark_due(db, course.client_id, from_day=from_on, now=now)
