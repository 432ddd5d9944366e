"""Whether anything is overdue: what the reconciler saw last, whether jobs run at all, and figures for a monitor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from service.database import Connection, Pool

# The row of what was seen last goes by this in place of a process; the processes that look have rows of their own.
SEEN_LAST = "reconcile"
NO_JOBS_PROCESS, NOT_LOOKED = "no_jobs_process", "not_looked_for_a_while"
CLOCKS_APART, STUCK = "clocks_apart", "_stuck"
DATABASE_SILENT = "database_silent"
# A process reports four times a minute, and looks once a minute.
SILENT_AFTER = timedelta(minutes=2)
STALE_AFTER = timedelta(minutes=3)
# By clocks that differ by more, nobody can tell what is overdue.
AHEAD = timedelta(minutes=2)
A_DAY = timedelta(days=1)

KEEP = """
insert into deployment_job_run (job, process, started_at, seen_at, counts)
values ($1, $1, $2, $2, $3)
on conflict on constraint deployment_job_run_pkey do update
set seen_at = excluded.seen_at,
    counts = excluded.counts
where deployment_job_run.seen_at <= excluded.seen_at
  or deployment_job_run.seen_at > excluded.seen_at + $4::interval
"""


async def keep(pool: Pool, broken: Mapping[str, int], *, now: datetime) -> None:
    """Keep what was seen: how many clinics each broken invariant is broken for.

    An older look does not take the place of a newer one, unless that was by a clock which ran days ahead.
    """
    async with pool.acquire() as connection:
        await connection.execute(KEEP, SEEN_LAST, now, dict(broken), A_DAY)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One row of what jobs processes said of themselves; `started_at`: when the process began, `due_at`: by when a run
    of the job is to have ended."""

    job: str
    process: str
    started_at: datetime
    seen_at: datetime
    due_at: datetime | None
    counts: dict[str, int]


REPORTS = """
select job, process, started_at, seen_at, due_at, counts
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
    alive = [each for each in said if each.process != SEEN_LAST and abs(now - each.seen_at) <= SILENT_AFTER]
    found = [] if alive else [NO_JOBS_PROCESS]
    if any(each.seen_at - now > AHEAD for each in said):
        found.append(CLOCKS_APART)
    found += (job + STUCK for job in _stuck(alive, now=now))
    looked = _looked(said)
    if is_starting(said, now=now):
        return found
    if looked is None or abs(now - looked.seen_at) > STALE_AFTER:
        return [*found, NOT_LOOKED]
    return found + sorted(name for name, clinics in looked.counts.items() if clinics)


def is_starting(said: Sequence[Report], *, now: datetime) -> bool:
    """Whether nobody has looked yet because the first jobs process has only just begun; one that begins again and again
    and never looks is not starting."""
    return bool(said) and _looked(said) is None and all(abs(now - each.started_at) <= STALE_AFTER for each in said)


def _looked(said: Sequence[Report]) -> Report | None:
    return next((each for each in said if each.process == SEEN_LAST), None)


def _stuck(alive: Sequence[Report], *, now: datetime) -> list[str]:
    """The jobs of which no process that lives has ended a run in its time."""
    due: dict[str, datetime] = {}
    for each in alive:
        if each.due_at is not None:
            due[each.job] = max(each.due_at, due.get(each.job, each.due_at))
    return sorted(job for job, at in due.items() if at < now)


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
  (
    select count(*) from delivery where state in ('queued', 'failed') and (due_at <= $1 or failing_since is not null)
  ) as outbox_waiting,
  coalesce((
    select extract(epoch from $1 - min(coalesce(failing_since, due_at)))
    from delivery
    where state in ('queued', 'failed')
      and (due_at <= $1 or failing_since is not null)
  ), 0)::float as outbox_age_seconds,
  (select count(*) from fold_due) as fold_waiting,
  greatest(0, coalesce((select extract(epoch from $1 - min(since)) from fold_due), 0))::float as fold_age_seconds
"""
# By whoever took it on first: a lapse, an undo or the next round makes nobody slower or quicker. Whoever gave it back
# at once had not taken it on.
BY_TIER = """
select
  a.tier::text as tier,
  count(*) filter (where a.state not in ('resolved', 'auto_resolved')) as open,
  percentile_cont(0.5) within group (order by extract(epoch from taken.first_at - a.opened_at))
    filter (where a.opened_at > $1::timestamptz - interval '7 days') as median_seconds
from alert a
left join (
  select e.clinic_id, e.alert_id, min(e.happened_at) as first_at
  from alert_event e
  where e.kind = 'acknowledged'
    and e.happened_at > $1::timestamptz - interval '7 days'
    and not exists (
      select
      from alert_event back
      where back.clinic_id = e.clinic_id
        and back.alert_id = e.alert_id
        and back.kind = 'given_back'
        and back.happened_at between e.happened_at and e.happened_at + interval '1 minute'
    )
  group by e.clinic_id, e.alert_id
) taken
  on taken.clinic_id = a.clinic_id
  and taken.alert_id = a.alert_id
where a.origin = 'live'
group by a.tier
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
