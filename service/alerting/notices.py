"""Notices: that there is a brief to read before a session, that a client pauses or was discharged.

Each is planned once and sent by the outbox, about no alert. Nobody else is told instead: whoever it was for reads the
same on the desk.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schemas.alert import DeliveryKind
from service.alerting import channels
from service.alerting.channels import Told
from service.database import Db
from service.people import clients

BEFORE_SESSION = timedelta(hours=24)


class _Coming(msgspec.Struct, frozen=True):
    therapy_session_id: UUID
    staff_id: UUID
    planned_at: datetime


# Whoever may read what the notice leads to: on the client's team, while the course runs.
COMING = """
select t.therapy_session_id, t.staff_id, t.planned_at
from therapy_session t
join staff s
  on s.clinic_id = t.clinic_id
  and s.staff_id = t.staff_id
  and s.disabled_at is null
where t.clinic_id = $1
  and t.state = 'planned'
  and t.planned_at > $2
  and t.planned_at <= $3
  and exists (
    select
    from care_team_member m
    where m.clinic_id = $1
      and m.client_id = t.client_id
      and m.staff_id = t.staff_id
      and m.from_at <= $2
      and (m.until_at is null or m.until_at > $2)
  )
  and exists (
    select
    from course c
    where c.clinic_id = $1
      and c.client_id = t.client_id
      and c.ended_on is null
  )
  and not exists (
    select
    from delivery n
    where n.clinic_id = $1
      and n.alert_id is null
      and n.kind = 'brief'
      and n.staff_id = t.staff_id
      and n.subject_id = t.therapy_session_id
      and n.planned_at = t.planned_at
  )
order by t.planned_at, t.therapy_session_id
"""


async def plan_briefs(db: Db, *, now: datetime) -> int:
    """Queue a notice for the therapist of each session of the next 24 hours; how many are new."""
    planned = 0
    all_coming = await db.rows(_Coming, COMING, db.clinic_id, now, now + BEFORE_SESSION)
    own = await channels.of_each(db, DeliveryKind.BRIEF, [coming.staff_id for coming in all_coming])
    for coming in all_coming:
        told = Told.notice(
            DeliveryKind.BRIEF,
            coming.staff_id,
            own[coming.staff_id][0],
            subject_id=coming.therapy_session_id,
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
from therapy_session t
join staff s
  on s.clinic_id = t.clinic_id
  and s.staff_id = t.staff_id
  and s.disabled_at is null
where t.clinic_id = $1
  and t.therapy_session_id = $3
  and t.staff_id = $2
  and t.state = 'planned'
  and t.planned_at = $4
  and t.planned_at > $5
  and exists (
    select
    from course running
    where running.clinic_id = $1
      and running.client_id = t.client_id
      and running.ended_on is null
  )
"""


async def brief_is_due(
    db: Db, staff_id: UUID | None, therapy_session_id: UUID | None, planned_at: datetime | None, *, now: datetime
) -> bool:
    """Whether the person still has this session in this slot, and should read before it."""
    return await db.value(STILL_DUE, db.clinic_id, staff_id, therapy_session_id, planned_at, now) is True
