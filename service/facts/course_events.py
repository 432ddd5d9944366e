"""The log of a course: what was said of it, by whom, and from which client day on. Append-only."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from schemas.course import CourseEvent, CourseEventKind, DischargeReason, Phase, Substance
from service import ids
from service.database import Db

INSERT = """
insert into course_event (
  clinic_id, course_event_id, course_id, kind, from_on, phase, substances, reason, recorded_by, recorded_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def append(
    db: Db,
    course_id: UUID,
    kind: CourseEventKind,
    *,
    from_on: date,
    by: UUID | None,
    now: datetime,
    phase: Phase | None = None,
    substances: Sequence[Substance] | None = None,
    reason: DischargeReason | None = None,
) -> None:
    """Append one event; a change of substances has no phase, every other kind has."""
    treated = None if substances is None else list(substances)
    await db.execute(INSERT, db.clinic_id, ids.new(), course_id, kind, from_on, phase, treated, reason, by, now)


OF_CLIENT = """
select e.course_event_id, e.course_id, e.kind, e.from_on, e.phase, e.substances, e.reason, s.name as recorded_by,
  e.recorded_at
from course_event e
join course c
  on c.clinic_id = e.clinic_id
  and c.course_id = e.course_id
left join staff s
  on s.clinic_id = e.clinic_id
  and s.staff_id = e.recorded_by
where e.clinic_id = $1
  and c.client_id = $2
order by e.recorded_at, e.course_event_id
"""


async def of(db: Db, client_id: UUID) -> list[CourseEvent]:
    """Everything that was said of the client's courses, the oldest first."""
    return await db.rows(CourseEvent, OF_CLIENT, db.clinic_id, client_id)


# The latest day wins; of several words about one day the last.
TREATED_PHASE = """
select phase
from course_event
where clinic_id = $1
  and course_id = $2
  and kind in ('started', 'phase_entered')
order by from_on desc, recorded_at desc, course_event_id desc
limit 1
"""


async def treated_phase_of(db: Db, course_id: UUID) -> Phase:
    """The phase that a course is in while it runs; induction where nobody ever said."""
    phase = await db.value(TREATED_PHASE, db.clinic_id, course_id)
    return Phase(phase) if isinstance(phase, str) else Phase.INDUCTION


def phase_on(events: Sequence[CourseEvent], client_day: date) -> Phase | None:
    """The phase that a course's events give for a client day of it; None before the first."""
    said = [each for each in events if each.phase is not None and each.from_on <= client_day]
    running = [each for each in said if each.kind in (CourseEventKind.STARTED, CourseEventKind.PHASE_ENTERED)]
    return max(running, key=lambda each: (each.from_on, each.recorded_at)).phase if running else None
