"""Running what is due: clinics' daily jobs by claims, recorded run by run; and the heartbeat of a jobs process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from jobs import slots
from jobs.work import Daily, Result, Tools
from schemas.clinic import Clinic
from service import database
from service.people import clinics

log = logging.getLogger(__name__)

# A claim older than this was left by a process that died; a failed run is tried again after a while.
CLAIM_LASTS = timedelta(minutes=10)
FAILED_RESTS = timedelta(minutes=2)


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one clinic's daily job."""

    clinic_id: UUID
    job: str
    local_date: date
    local_time: time


class _Ran(msgspec.Struct, frozen=True, kw_only=True):
    clinic_id: UUID
    job: str
    local_date: date
    local_time: time | None


LATEST_RUNS = """
select
  clinic_id, job, local_date,
  max(local_time) filter (
    where state = 'done'
      or (state = 'running' and claimed_at > $3)
      or (state = 'failed' and claimed_at > $4)
  ) as local_time
from job_run
where job = any ($1::text[])
  and local_date >= $2
group by clinic_id, job, local_date
"""


async def due_slots(sweep: database.Pool, dailies: Sequence[Daily], *, now: datetime) -> list[tuple[Slot, Daily]]:
    """What is due in every clinic, in two queries whatever their number."""
    horizon = (now - timedelta(days=slots.CATCH_UP_DAYS + 2)).date()
    async with database.across_clinics(sweep) as connection:
        all_clinics = await clinics.all_clinics(connection)
        names = [daily.name for daily in dailies]
        found = await connection.fetch(LATEST_RUNS, names, horizon, now - CLAIM_LASTS, now - FAILED_RESTS)
    ran: dict[tuple[UUID, str], dict[date, time | None]] = {}
    for row in (msgspec.convert(record, _Ran) for record in found):
        ran.setdefault((row.clinic_id, row.job), {})[row.local_date] = row.local_time
    return [
        (Slot(clinic_id=clinic.clinic_id, job=daily.name, local_date=day, local_time=at), daily)
        for clinic in all_clinics
        for daily in dailies
        for day, at in _due_of(clinic, daily, ran.get((clinic.clinic_id, daily.name), {}), now)
    ]


def _due_of(clinic: Clinic, daily: Daily, known: dict[date, time | None], now: datetime) -> list[tuple[date, time]]:
    ran = {day: at for day, at in known.items() if at is not None}
    return list(slots.due(daily.at, ZoneInfo(clinic.time_zone), now=now, ran=ran, since=min(known, default=None)))


async def run_due(tools: Tools, dailies: Sequence[Daily], process: str, *, now: datetime) -> int:
    """Claim and run what is due; how many runs were ours. A run that fails is logged and tried again later."""
    ours = 0
    for slot, daily in await due_slots(tools.sweep, dailies, now=now):
        try:
            ours += await run_slot(tools, slot, daily, process, now=now) is not None
        except Exception:
            log.exception("job_not_recorded", extra={"clinic_id": slot.clinic_id, "job": slot.job})
    return ours


CLAIM = """
insert into job_run (clinic_id, job, local_date, local_time, claimed_by, claimed_at, state)
values ($1, $2, $3, $4, $5, $6, 'running')
on conflict on constraint job_run_pkey do update
set claimed_by = excluded.claimed_by,
    claimed_at = excluded.claimed_at,
    finished_at = null,
    state = 'running'
where (job_run.state = 'running' and job_run.claimed_at <= $7)
  or (job_run.state = 'failed' and job_run.claimed_at <= $8)
  or $9
"""
FINISH = """
update job_run
set state = $6,
    finished_at = $7,
    counts = $8
where clinic_id = $1
  and job = $2
  and local_date = $3
  and local_time = $4
  and claimed_by = $5
  and state = 'running'
"""


async def run_slot(
    tools: Tools,
    slot: Slot,
    daily: Daily,
    process: str,
    *,
    now: datetime,
    at: datetime | None = None,
    by_hand: bool = False,
) -> Result | None:
    """Claim one slot and run it, as of `at` where that is given; None where it is another's, or done.

    `by_hand` runs it whatever its state.
    """
    key = (slot.clinic_id, slot.job, slot.local_date, slot.local_time)
    async with database.transaction(tools.pool, slot.clinic_id) as db:
        claimed = await db.execute(CLAIM, *key, process, now, now - CLAIM_LASTS, now - FAILED_RESTS, by_hand)
    if not claimed:
        return None
    about = {"clinic_id": slot.clinic_id, "job": slot.job, "local_date": slot.local_date}
    try:
        result = await daily.run_once(tools, slot.clinic_id, now=at or now)
    except Exception:
        log.exception("job_failed", extra=about)
        result = Result({}, failed=1)
    state = "failed" if result.failed else "done"
    async with database.transaction(tools.pool, slot.clinic_id) as db:
        await db.execute(FINISH, *key, process, state, now, dict(result.counts))
    log.info("job_ran", extra=about | {"state": state} | dict(result.counts))
    return result


BEAT = """
insert into deployment_job_run (job, process, started_at, seen_at, counts)
values ($1, $2, $3, $4, $5)
on conflict on constraint deployment_job_run_pkey do update
set seen_at = excluded.seen_at,
    counts = excluded.counts
"""
FORGET_THE_DEAD = """
delete from deployment_job_run
where seen_at < $1
"""
# A process that has not been seen for so long does not come back under its name.
DEAD_AFTER = timedelta(days=2)


class Heartbeat:
    """Says that this process lives, and what it has done since it began."""

    def __init__(self, tools: Tools, process: str, *, started_at: datetime) -> None:
        self._tools = tools
        self._process = process
        self._started_at = started_at
        self._totals: dict[str, dict[str, int]] = {}

    def count(self, job: str, result: Result) -> None:
        """Add a run's counts to the totals of its job."""
        totals = self._totals.setdefault(job, {"runs": 0, "failed": 0})
        totals["runs"] += 1
        totals["failed"] += result.failed
        for name, number in result.counts.items():
            totals[name] = totals.get(name, 0) + number

    async def beat(self, jobs: Sequence[str], *, now: datetime) -> None:
        """Write a row for each periodic job."""
        async with self._tools.pool.acquire() as connection:
            for job in jobs:
                counts = self._totals.get(job, {})
                await connection.execute(BEAT, job, self._process, self._started_at, now, counts)
            await connection.execute(FORGET_THE_DEAD, now - DEAD_AFTER)
