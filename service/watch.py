"""Whether anything is overdue: what the reconciler saw last, whether jobs run at all, and figures for a monitor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from service.database import Connection, Pool

# The row of what was seen last goes by this in place of a process; the processes that look have rows of their own.
SEEN_LAST = "reconcile"
NO_JOBS_PROCESS, NOT_LOOKED = "no_jobs_process", "not_looked_for_a_while"
# A process reports four times a minute, and looks once a minute.
SILENT_AFTER = timedelta(minutes=2)
STALE_AFTER = timedelta(minutes=3)
A_DAY = timedelta(days=1)

KEEP = """
insert into deployment_job_run (job, process, started_at, seen_at, counts)
values ($1, $1, $2, $2, $3)
on conflict on constraint deployment_job_run_pkey do update
set seen_at = excluded.seen_at,
    counts = excluded.counts
where deployment_job_run.seen_at <= excluded.seen_at
"""


async def keep(pool: Pool, broken: Mapping[str, int], *, now: datetime) -> None:
    """Keep what was seen: how many clinics each broken invariant is broken for."""
    async with pool.acquire() as connection:
        await connection.execute(KEEP, SEEN_LAST, now, dict(broken))


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One row of what jobs processes said of themselves."""

    job: str
    process: str
    seen_at: datetime
    counts: dict[str, int]


REPORTS = """
select job, process, seen_at, counts
from deployment_job_run
where seen_at > $1
"""


async def reports(connection: Connection, *, now: datetime) -> list[Report]:
    """What the processes of the last day said of themselves, and what was seen last."""
    return [msgspec.convert(record, Report) for record in await connection.fetch(REPORTS, now - A_DAY)]


async def overdue(connection: Connection, *, now: datetime) -> list[str]:
    """Names of what is wrong now, none when all is well: it says nothing of clinics or people."""
    return overdue_in(await reports(connection, now=now), now=now)


def overdue_in(said: Sequence[Report], *, now: datetime) -> list[str]:
    """Names of what is wrong by what was reported."""
    beats = [each.seen_at for each in said if each.process != SEEN_LAST]
    found = [] if any(now - at <= SILENT_AFTER for at in beats) else [NO_JOBS_PROCESS]
    looked = next((each for each in said if each.process == SEEN_LAST), None)
    if looked is None or now - looked.seen_at > STALE_AFTER:
        return [*found, NOT_LOOKED]
    return found + sorted(name for name, clinics in looked.counts.items() if clinics)


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor draws, in seconds and counts; ages are 0 where nothing waits."""

    outbox_waiting: int
    outbox_age_seconds: float
    fold_waiting: int
    fold_age_seconds: float
    alerts_open: dict[str, int]
    acknowledge_median_seconds: dict[str, float]


class _Waiting(msgspec.Struct, frozen=True, kw_only=True):
    outbox_waiting: int
    outbox_age_seconds: float
    fold_waiting: int
    fold_age_seconds: float


WAITING = """
select
  (select count(*) from delivery where state in ('queued', 'failed') and due_at <= $1) as outbox_waiting,
  coalesce((
    select extract(epoch from $1 - min(due_at)) from delivery where state in ('queued', 'failed') and due_at <= $1
  ), 0)::float as outbox_age_seconds,
  (select count(*) from fold_due) as fold_waiting,
  greatest(0, coalesce((select extract(epoch from $1 - min(since)) from fold_due), 0))::float as fold_age_seconds
"""
BY_TIER = """
select
  tier::text as tier,
  count(*) filter (where state not in ('resolved', 'auto_resolved')) as open,
  percentile_cont(0.5) within group (order by extract(epoch from acknowledged_at - opened_at))
    filter (where acknowledged_at is not null and opened_at > $1::timestamptz - interval '7 days') as median_seconds
from alert
where origin = 'live'
group by tier
"""


async def figures(connection: Connection, *, now: datetime) -> Figures:
    """The figures of the whole deployment, in two statements whatever the number of clinics."""
    record = await connection.fetchrow(WAITING, now)
    assert record is not None
    waiting = msgspec.convert(record, _Waiting)
    tiers = await connection.fetch(BY_TIER, now)
    return Figures(
        **msgspec.structs.asdict(waiting),
        alerts_open={row["tier"]: row["open"] for row in tiers},
        acknowledge_median_seconds={
            row["tier"]: float(row["median_seconds"]) for row in tiers if row["median_seconds"] is not None
        },
    )
