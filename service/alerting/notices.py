"""Notices: that there is a brief to read before a session or an infusion, that a client pauses or was discharged.

Each is planned once and sent by the outbox, about no alert. Nobody else is told instead: whoever it was for reads the
same on the desk.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schemas.alert import DeliveryKind
from schemas.brief import BriefFor
from service.alerting import channels
from service.alerting.channels import Told
from service.database import Db
from service.people import clients

BEFORE_APPOINTMENT = timedelta(hours=24)
NOT_NEEDED = "the appointment was moved, cancelled or given to somebody else, or the person is disabled"


class _Reader(msgspec.Struct, frozen=True):
    subject_id: UUID
    staff_id: UUID
    planned_at: datetime


# Whoever reads it before: the session's therapist, or whoever covers for them; the team's therapists where it has none,
# or one who is not on the team any more; before an infusion the team's nurses, or its prescribers where there is none.
# Each may read what the notice leads to, and the course runs.
READERS = """
with coming as (
  select therapy_session_id as subject_id, client_id, planned_at, staff_id, 'therapist' as role
  from therapy_session
  where clinic_id = $1
    and state = 'planned'
    and planned_at > $2
    and planned_at <= $3
    and therapy_session_id = coalesce($4, therapy_session_id)
  union all
  select infusion_id, client_id, planned_at, null, 'nurse'
  from infusion
  where clinic_id = $1
    and state in ('planned', 'held')
    and planned_at > $2
    and planned_at <= $3
    and infusion_id = coalesce($4, infusion_id)
), away as (
  select staff_id
  from cover_in_force
  where clinic_id = $1
    and from_at <= $2
    and until_at > $2
), team as (
  select distinct m.client_id, m.staff_id, m.role, coalesce(m.covers, m.staff_id) as place_of
  from care_team_reach m
  join staff s
    on s.clinic_id = $1
    and s.staff_id = m.staff_id
    and s.disabled_at is null
  where m.clinic_id = $1
    and m.client_id in (select client_id from coming)
    and m.from_at <= $2
    and (m.until_at is null or m.until_at > $2)
    and m.staff_id not in (select staff_id from away)
)
select distinct coming.subject_id, team.staff_id, coming.planned_at
from coming
join course
  on course.clinic_id = $1
  and course.client_id = coming.client_id
  and course.ended_on is null
join team on team.client_id = coming.client_id
where case
    when coming.staff_id in (select place_of from team held where held.client_id = coming.client_id)
      then team.place_of = coming.staff_id
    when coming.role in (select role from team held where held.client_id = coming.client_id)
      then team.role = coming.role
    else coming.role = 'nurse' and team.role = 'prescriber'
  end
order by coming.planned_at, coming.subject_id, team.staff_id
"""


async def _readers(db: Db, *, now: datetime, until: datetime, subject_id: UUID | None = None) -> list[_Reader]:
    """Who reads before the appointments after now and up to `until`, or before one of them."""
    return await db.rows(_Reader, READERS, db.clinic_id, now, until, subject_id)


class _Planned(msgspec.Struct, frozen=True):
    subject_id: UUID
    staff_id: UUID
    planned_at: datetime
    rounds: int
    told: bool


PLANNED = """
select subject_id, staff_id, planned_at, count(*) as rounds,
  bool_or((state, problem) is distinct from ('blocked', $4)) as told
from delivery
where clinic_id = $1
  and alert_id is null
  and kind = 'brief'
  and subject_id = any ($2::uuid[])
  and planned_at > $3
group by subject_id, staff_id, planned_at
"""


async def _planned(db: Db, subject_ids: list[UUID], *, now: datetime) -> dict[tuple[UUID, UUID, datetime], _Planned]:
    rows = await db.rows(_Planned, PLANNED, db.clinic_id, subject_ids, now, NOT_NEEDED)
    return {(each.subject_id, each.staff_id, each.planned_at): each for each in rows}


async def plan_briefs(db: Db, *, now: datetime) -> int:
    """Queue a notice for whoever reads before each session and infusion of the next 24 hours; how many are new.

    One that was not needed when it would have been sent, as of a session that moved, is queued again once it is.
    """
    planned = 0
    readers = await _readers(db, now=now, until=now + BEFORE_APPOINTMENT)
    before = await _planned(db, [each.subject_id for each in readers], now=now)
    own = await channels.of_each(db, DeliveryKind.BRIEF, [each.staff_id for each in readers])
    for each in readers:
        known = before.get((each.subject_id, each.staff_id, each.planned_at))
        if known is not None and known.told:
            continue
        told = Told.notice(
            DeliveryKind.BRIEF,
            each.staff_id,
            own[each.staff_id][0],
            subject_id=each.subject_id,
            planned_at=each.planned_at,
            round=0 if known is None else known.rounds,
        )
        planned += await channels.plan(db, told, now=now)
    return planned


async def tell_team(db: Db, client_id: UUID, *, but: UUID | None, now: datetime) -> int:
    """Queue, for everybody on the client's care team but whoever did it, that something of the course changed."""
    team = {each.staff_id for each in await clients.care_team_of(db, client_id, now=now)} - {but}
    own = await channels.of_each(db, DeliveryKind.COURSE, sorted(team))
    planned = 0
    for staff_id in sorted(team):
        channel = own[staff_id][0]
        told = Told.notice(DeliveryKind.COURSE, staff_id, channel, subject_id=client_id, planned_at=now)
        planned += await channels.plan(db, told, now=now)
    return planned


async def brief_is_due(
    db: Db, staff_id: UUID | None, subject_id: UUID | None, planned_at: datetime | None, *, now: datetime
) -> bool:
    """Whether the session or infusion still is in this slot, to come, and the person still reads before it."""
    if subject_id is None or planned_at is None:
        return False
    readers = await _readers(db, now=now, until=planned_at, subject_id=subject_id)
    return any(each.staff_id == staff_id and each.planned_at == planned_at for each in readers)


class BriefOf(msgspec.Struct, frozen=True):
    """Whose brief a notice is about, and before what."""

    client_id: UUID
    brief_for: BriefFor


BRIEF_OF = """
select client_id, 'therapy' as brief_for
from therapy_session
where clinic_id = $1
  and therapy_session_id = $2
union all
select client_id, 'infusion'
from infusion
where clinic_id = $1
  and infusion_id = $2
"""


async def brief_of(db: Db, subject_id: UUID) -> BriefOf:
    """The brief that a notice leads to. Raises NotFound."""
    return await db.get(BriefOf, BRIEF_OF, db.clinic_id, subject_id)
