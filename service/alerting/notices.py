"""Notices: that there is a brief to read before a session. Planned once, sent at least once, about no alert.

A notice waits, is tried again and ends as a message of an alert does, but nobody else is told instead: whoever it was
for reads the same on the caseload.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID

import msgspec

from service import database, ids
from service.database import Db, Pool
from service.notify import Dead, Disable, Message, Notifier, Result, Retry, Sent, Template

BEFORE_SESSION = timedelta(hours=24)
CLAIMED_AT_ONCE = 20
LEASE = timedelta(minutes=5)
NOT_NEEDED = "the session was moved, cancelled or given to somebody else, or the person is disabled"


class Sendings(msgspec.Struct, kw_only=True):
    """What became of the notices that were due."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    blocked: int = 0


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
    from notice n
    where n.clinic_id = $1
      and n.kind = 'brief'
      and n.staff_id = t.staff_id
      and n.subject_id = t.therapy_session_id
      and n.planned_at = t.planned_at
  )
order by t.planned_at, t.therapy_session_id
"""
INSERT = """
insert into notice
  (clinic_id, notice_id, kind, staff_id, subject_id, planned_at, channel, state, due_at, created_at)
values ($1, $2, 'brief', $3, $4, $6, 'email', 'queued', $5, $5)
on conflict do nothing
"""


async def plan_briefs(db: Db, *, now: datetime) -> int:
    """Queue a notice for the therapist of each session of the next 24 hours; how many are new."""
    planned = 0
    for coming in await db.rows(_Coming, COMING, db.clinic_id, now, now + BEFORE_SESSION):
        planned += await db.execute(
            INSERT, db.clinic_id, ids.new(), coming.staff_id, coming.therapy_session_id, now, coming.planned_at
        )
    return planned


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A notice under our lease; `email` and `client_id` are None where it is not needed any more."""

    notice_id: UUID
    attempts: int
    created_at: datetime
    email: str | None
    client_id: UUID | None


CLAIM = """
with due as (
  select notice_id
  from notice
  where clinic_id = $1
    and state in ('queued', 'failed')
    and due_at <= $2
    and (leased_until is null or leased_until <= $2)
  order by due_at, notice_id
  limit $4
  for update skip locked
), claimed as (
  update notice n
  set leased_until = $3,
      attempts = attempts + 1
  from due
  where n.clinic_id = $1
    and n.notice_id = due.notice_id
  returning n.notice_id, n.attempts, n.created_at, n.staff_id, n.subject_id, n.planned_at
)
select c.notice_id, c.attempts, c.created_at, s.email, t.client_id
from claimed c
left join therapy_session t
  on t.clinic_id = $1
  and t.therapy_session_id = c.subject_id
  and t.staff_id = c.staff_id
  and t.state = 'planned'
  and t.planned_at = c.planned_at
  and t.planned_at > $2
  and exists (
    select
    from course running
    where running.clinic_id = $1
      and running.client_id = t.client_id
      and running.ended_on is null
  )
left join staff s
  on s.clinic_id = $1
  and s.staff_id = c.staff_id
  and s.disabled_at is null
order by c.created_at, c.notice_id
"""


async def deliver(pool: Pool, clinic_id: UUID, notifier: Notifier, *, base_url: str, now: datetime) -> Sendings:
    """Send one clinic's due notices; what is not needed any more when it would be sent is blocked instead."""
    counts = Sendings()
    while True:
        async with database.transaction(pool, clinic_id) as db:
            claimed = await db.rows(Claimed, CLAIM, db.clinic_id, now, now + LEASE, CLAIMED_AT_ONCE)
        for notice in claimed:
            result = await _send(notice, notifier, base_url=base_url, now=now)
            async with database.transaction(pool, clinic_id) as db:
                await _settle(db, notice, notifier, result, counts, now=now)
        if len(claimed) < CLAIMED_AT_ONCE or counts.failed:
            return counts


async def _send(notice: Claimed, notifier: Notifier, *, base_url: str, now: datetime) -> Result | None:
    if notice.email is None or notice.client_id is None:
        return None
    message = Message(
        delivery_id=notice.notice_id,
        template=Template.BRIEF,
        to=notice.email,
        # Of the person nothing but the caseload: who it is about stands behind the sign-in.
        link=f"{base_url}/caseload",
        written_at=notice.created_at,
    )
    return await notifier.send(message, now=now)


SETTLE = """
update notice
set state = $3,
    due_at = $4,
    problem = $5,
    settled_at = $6,
    leased_until = null
where clinic_id = $1
  and notice_id = $2
  and state in ('queued', 'failed')
"""


async def _settle(
    db: Db, notice: Claimed, notifier: Notifier, result: Result | None, counts: Sendings, *, now: datetime
) -> None:
    due_at: datetime = now
    settled_at: datetime | None = now
    problem: str | None = None
    match result:
        case None:
            state, problem = "blocked", NOT_NEEDED
        case Sent():
            state = "sent"
        case Retry(problem=problem) if notice.attempts <= len(notifier.retry_after_seconds):
            wait = max(result.after_seconds or 0.0, notifier.retry_after_seconds[notice.attempts - 1])
            state, due_at, settled_at = "failed", now + timedelta(seconds=wait), None
        case Retry(problem=problem) | Dead(problem=problem) | Disable(problem=problem):
            state = "dead"
        case _:
            assert_never(result)
    await db.execute(SETTLE, db.clinic_id, notice.notice_id, state, due_at, problem, settled_at)
    setattr(counts, state, getattr(counts, state) + 1)
