"""Courses of treatment and the substances they treat."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from schemas.course import Course, CourseSubstance, Phase, Substance
from service import errors, ids
from service.database import Db
from service.facts import fold_queue

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
) -> UUID:
    """Start a course; the first of `substances` is the primary one. The client's trend is due from its first day.

    Raises Invalid where no substance or one twice is given.
    """
    if not substances or len(set(substances)) != len(substances):
        raise errors.Invalid(
            "A course needs each of its substances once.",
            fields=(errors.FieldFault("substances", "at least one, none twice"),),
        )
    course_id = ids.new()
    await db.execute(INSERT_COURSE, db.clinic_id, course_id, client_id, phase, started_on, now)
    for position, substance in enumerate(substances):
        await db.execute(INSERT_SUBSTANCE, db.clinic_id, course_id, substance, position == 0, started_on)
    await fold_queue.mark_due(db, client_id, from_day=started_on, now=now)
    return course_id


END = """
update course
set phase = 'discharged',
    ended_on = $3
where clinic_id = $1
  and course_id = $2
returning client_id
"""


async def end(db: Db, course_id: UUID, *, ended_on: date, now: datetime) -> None:
    """Discharge; `ended_on` is the last client day of the course, and the trend is due from the day after.

    Raises NotFound.
    """
    client_id = await db.value(END, db.clinic_id, course_id, ended_on)
    if not isinstance(client_id, UUID):
        raise errors.NotFound("Not found.")
    await fold_queue.mark_due(db, client_id, from_day=ended_on + timedelta(days=1), now=now)


ENTER_PHASE = """
update course
set phase = $3
where clinic_id = $1
  and course_id = $2
  and phase <> 'discharged'
"""


async def enter_phase(db: Db, course_id: UUID, phase: Phase) -> None:
    """Move a running course to another phase. Raises NotFound where it is none, or has ended."""
    if await db.execute(ENTER_PHASE, db.clinic_id, course_id, phase) == 0:
        raise errors.NotFound("Not found.")


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


def active_on(substances: Sequence[CourseSubstance], client_day: date) -> list[Substance]:
    """Which of them a daily check-in of that client day must answer, in their order and each once."""
    active = [
        each.substance
        for each in substances
        if each.from_on <= client_day and (each.until_on is None or client_day <= each.until_on)
    ]
    return list(dict.fromkeys(active))
