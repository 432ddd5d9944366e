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


class _Coming(msgspec.Struct, frozen=True):
    subject_id: UUID
    staff_id: UUID
    planned_at: datetime


# Whoever reads it before: the session's therapist, the team's therapists where it has none yet, and the team's nurses
# before an infusion; each on the client's team, who may read what the notice leads to, while the course runs.
COMING = """
select distinct coming.subject_id, m.staff_id, coming.planned_at
from (
  select therapy_session_id as subject_id, client_id, planned_at, staff_id, 'therapist' as role
  from therapy_session
  where clinic_id = $1
    and state = 'planned'
    and planned_at > $2
    and planned_at <= $3
  union all
  select infusion_id, client_id, planned_at, null, 'nurse'
  from infusion
  where clinic_id = $1
    and state in ('planned', 'held')
    and planned_at > $2
    and planned_at <= $3
) coming
join care_team_member m
  on m.clinic_id = $1
  and m.client_id = coming.client_id
  and (m.staff_id = coming.staff_id or (coming.staff_id is null and m.role = coming.role))
  and m.from_at <= $2
  and (m.until_at is null or m.until_at > $2)
join staff s
  on s.clinic_id = $1
  and s.staff_id = m.staff_id
  and s.disabled_at is null
where exists (
    select
    from course c
    where c.clinic_id = $1
      and c.client_id = coming.client_id
      and c.ended_on is null
  )
  and not exists (
    select
    from delivery n
    where n.clinic_id = $1
      and n.alert_id is null
      and n.kind = 'brief'
      and n.staff_id = m.staff_id
      and n.subject_id = coming.subject_id
      and n.planned_at = coming.planned_at
  )
order by coming.planned_at, coming.subject_id, m.staff_id
"""


async def plan_briefs(db: Db, *, now: datetime) -> int:
    """Queue a notice for whoever reads before each session and infusion of the next 24 hours; how many are new."""
    planned = 0
    all_coming = await db.rows(_Coming, COMING, db.clinic_id, now, now + BEFORE_APPOINTMENT)
    own = await channels.of_each(db, DeliveryKind.BRIEF, [coming.staff_id for coming in all_coming])
    for coming in all_coming:
        told = Told.notice(
            DeliveryKind.BRIEF,
            coming.staff_id,
            own[coming.staff_id][0],
            subject_id=coming.subject_id,
            planned_at=coming.planned_at,
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


STILL_DUE = """
select true
from (
  select client_id, staff_id
  from therapy_session
  where clinic_id = $1
    and therapy_session_id = $3
    and state = 'planned'
    and planned_at = $4
  union all
  select client_id, null
  from infusion
  where clinic_id = $1
    and infusion_id = $3
    and state in ('planned', 'held')
    and planned_at = $4
) coming
join staff s
  on s.clinic_id = $1
  and s.staff_id = $2
  and s.disabled_at is null
where $4 > $5
  and (coming.staff_id is null or coming.staff_id = $2)
  and exists (
    select
    from course running
    where running.clinic_id = $1
      and running.client_id = coming.client_id
      and running.ended_on is null
  )
"""


async def brief_is_due(
    db: Db, staff_id: UUID | None, subject_id: UUID | None, planned_at: datetime | None, *, now: datetime
) -> bool:
    """Whether the person still has the session in this slot, or the infusion still is in it, and should read before."""
    return await db.value(STILL_DUE, db.clinic_id, staff_id, subject_id, planned_at, now) is True


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
