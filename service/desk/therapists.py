"""Clients whose therapist does not work here any more: who they are, and how many each person would leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from service.database import Db


class _Left(msgspec.Struct, frozen=True):
    client_id: UUID


LEFT_ALONE = """
select m.client_id
from care_team_member m
join staff s
  on s.clinic_id = m.clinic_id
  and s.staff_id = m.staff_id
join client c
  on c.clinic_id = m.clinic_id
  and c.client_id = m.client_id
left join lateral (
  select co.started_on, co.phase
  from course co
  where co.clinic_id = $1
    and co.client_id = m.client_id
  order by co.started_on desc
  limit 1
) newest on true
where m.clinic_id = $1
  and m.client_id = any ($2::uuid[])
  and c.origin = 'live'
  and newest.phase is distinct from 'discharged'
  and m.role = 'therapist'
  and m.from_at <= $3
  and coalesce(m.until_at, 'infinity') > coalesce(newest.started_on, '-infinity')
group by m.client_id
having bool_or(coalesce(m.until_at, 'infinity') >= s.disabled_at)
  and not bool_or(s.disabled_at is null and (m.until_at is null or m.until_at > $3))
"""


async def left_alone(db: Db, client_ids: Sequence[UUID], *, now: datetime) -> set[UUID]:
    """Those of these clients in treatment who lost a therapist of this course by a disabling, whether still on the team
    or taken off it, and have none who works here. Who never had one is none of them: a care team may be without."""
    return {each.client_id for each in await db.rows(_Left, LEFT_ALONE, db.clinic_id, client_ids, now)}


class _Counted(msgspec.Struct, frozen=True):
    staff_id: UUID
    clients: int


ONLY_THEIRS = """
select m.staff_id, count(distinct m.client_id) as clients
from care_team_member m
join client c
  on c.clinic_id = m.clinic_id
  and c.client_id = m.client_id
where m.clinic_id = $1
  and m.role = 'therapist'
  and m.from_at <= $2
  and (m.until_at is null or m.until_at > $2)
  and c.origin = 'live'
  and not exists (
    select
    from care_team_member other
    join staff s
      on s.clinic_id = other.clinic_id
      and s.staff_id = other.staff_id
    where other.clinic_id = $1
      and other.client_id = m.client_id
      and other.staff_id <> m.staff_id
      and other.role = 'therapist'
      and other.from_at <= $2
      and (other.until_at is null or other.until_at > $2)
      and s.disabled_at is null
  )
  and (
    select co.phase
    from course co
    where co.clinic_id = $1
      and co.client_id = m.client_id
    order by co.started_on desc
    limit 1
  ) is distinct from 'discharged'
group by m.staff_id
"""


async def only_theirs(db: Db, *, now: datetime) -> dict[UUID, int]:
    """Of each therapist, how many clients in treatment have no other therapist who works here; nobody who has none."""
    return {each.staff_id: each.clients for each in await db.rows(_Counted, ONLY_THEIRS, db.clinic_id, now)}
