"""How things run in one clinic: what waits, what is late, what reached nobody. No health data."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec

from schemas.alert import Channel, DeliveryKind
from service.database import Db
from service.people import webhook_endpoints
from service.people.webhook_endpoints import Endpoint

DEAD_SHOWN_FOR = timedelta(days=7)
MOST_DEAD = 50


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """One channel's messages: all that wait, those of them that are due, and since when the oldest is."""

    channel: Channel
    waiting: int
    due: int
    oldest_due_at: datetime | None


class Dead(msgspec.Struct, frozen=True, kw_only=True):
    """A message that reached nobody, on the person's other channels neither; `name`: None for an endpoint."""

    delivery_id: UUID
    kind: DeliveryKind
    channel: Channel
    name: str | None
    attempts: int
    problem: str | None
    settled_at: datetime


class DailyRun(msgspec.Struct, frozen=True, kw_only=True):
    """The newest run of one of the clinic's daily jobs."""

    job: str
    local_date: date
    local_time: time
    state: str
    claimed_at: datetime
    finished_at: datetime | None


class Seal(msgspec.Struct, frozen=True, kw_only=True):
    """The newest seal of the audit trail."""

    number: int
    row_count: int
    sealed_at: datetime


class _Folding(msgspec.Struct, frozen=True, kw_only=True):
    waiting: int
    since: datetime | None


class Operations(NamedTuple):
    """Everything the page shows of the clinic."""

    outbox: list[Waiting]
    dead: list[Dead]
    runs: list[DailyRun]
    seal: Seal | None
    fold_waiting: int
    fold_since: datetime | None
    digest_at: datetime | None
    disabled_endpoints: list[Endpoint]


FOLDING = """
select count(*) as waiting, min(since) as since
from fold_due
where clinic_id = $1
"""
LAST_DIGEST = """
select max(settled_at)
from delivery
where clinic_id = $1
  and alert_id is null
  and kind = 'digest'
  and state in ('sent', 'delivered', 'opened')
"""


async def read(db: Db, *, now: datetime) -> Operations:
    """The clinic as it is now."""
    folding = await db.get(_Folding, FOLDING, db.clinic_id)
    digest_at = await db.value(LAST_DIGEST, db.clinic_id)
    return Operations(
        outbox=await _outbox(db, now=now),
        dead=await _dead(db, now=now),
        runs=await _runs(db),
        seal=await _seal(db),
        fold_waiting=folding.waiting,
        fold_since=folding.since,
        digest_at=digest_at if isinstance(digest_at, datetime) else None,
        disabled_endpoints=[each for each in await webhook_endpoints.of(db) if each.disabled_at is not None],
    )


OUTBOX = """
select
  channel,
  count(*) as waiting,
  count(*) filter (where due_at <= $2 and (leased_until is null or leased_until <= $2)) as due,
  min(due_at) filter (where due_at <= $2 and (leased_until is null or leased_until <= $2)) as oldest_due_at
from delivery
where clinic_id = $1
  and state in ('queued', 'failed')
group by channel
order by channel
"""


async def _outbox(db: Db, *, now: datetime) -> list[Waiting]:
    return await db.rows(Waiting, OUTBOX, db.clinic_id, now)


DEAD = """
select d.delivery_id, d.kind, d.channel, s.name, d.attempts, d.problem, d.settled_at
from delivery d
left join staff s
  on s.clinic_id = $1
  and s.staff_id = d.staff_id
where d.clinic_id = $1
  and d.state = 'dead'
  and d.settled_at > $2
  and not exists (
    select
    from delivery other
    where other.clinic_id = $1
      and other.kind = d.kind
      and other.alert_id is not distinct from d.alert_id
      and other.subject_id is not distinct from d.subject_id
      and other.planned_at is not distinct from d.planned_at
      and other.staff_id = d.staff_id
      and other.round = d.round
      and other.state in ('sent', 'delivered', 'opened')
  )
order by d.settled_at desc, d.delivery_id
limit $3
"""


async def _dead(db: Db, *, now: datetime) -> list[Dead]:
    return await db.rows(Dead, DEAD, db.clinic_id, now - DEAD_SHOWN_FOR, MOST_DEAD)


RUNS = """
select distinct on (job) job, local_date, local_time, state, claimed_at, finished_at
from job_run
where clinic_id = $1
order by job, local_date desc, local_time desc
"""


async def _runs(db: Db) -> list[DailyRun]:
    return await db.rows(DailyRun, RUNS, db.clinic_id)


SEAL = """
select number, row_count, sealed_at
from audit_seal
where clinic_id = $1
order by number desc
limit 1
"""


async def _seal(db: Db) -> Seal | None:
    return await db.find(Seal, SEAL, db.clinic_id)
