"""Running what is due: clinics' daily jobs by claims, recorded run by run; and the heartbeat of a jobs process."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from jobs import slots
from jobs.work import Clock, Daily, Period, Result, Tools
from service import database

log = logging.getLogger(__name__)

# A claim older than this was left by a process that died; a failed run is tried again after a while.
CLAIM_LASTS = timedelta(minutes=10)
FAILED_RESTS = timedelta(minutes=2)
# No zone is further behind UTC, by more than an hour.
BEHIND_UTC = timedelta(hours=13)


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """One run of one clinic's daily job."""

    clinic_id: UUID
    job: str
    local_date: date
    local_time: time


class _Open(msgspec.Struct, frozen=True, kw_only=True):
    clinic_id: UUID
    place: int
    local_date: date
    local_time: time
    taken: bool


WHOLE_LOOK_EVERY = timedelta(minutes=10)

ZONES = """
select distinct time_zone
from clinic
"""
# What has come in each zone and is not done in some clinic of it. A clinic in which a job never ran begins with today.
OPEN_SLOTS = """
with expected as (
  select *
  from unnest($1::text[], $2::integer[], $3::text[], $4::date[], $5::time[], $6::boolean[])
    as slot (time_zone, place, job, local_date, local_time, is_today)
)
select
  c.clinic_id, e.place, e.local_date, e.local_time,
  exists (
    select
    from job_run r
    where r.clinic_id = c.clinic_id
      and r.job = e.job
      and r.local_date = e.local_date
      and r.local_time >= e.local_time
      and ((r.state = 'running' and r.claimed_at > $7) or (r.state = 'failed' and r.claimed_at > $8))
  ) as taken
from expected e
join clinic c
  on c.time_zone = e.time_zone
where not exists (
    select
    from job_run r
    where r.clinic_id = c.clinic_id
      and r.job = e.job
      and r.local_date = e.local_date
      and r.local_time >= e.local_time
      and r.local_date >= $9
      and r.state = 'done'
  )
  and (e.is_today or exists (
    select
    from job_run r
    where r.clinic_id = c.clinic_id
      and r.job = e.job
      and r.local_date <= e.local_date
  ))
order by c.slug, e.place, e.local_date
"""


class Lookout:
    """Looks again and again for what is due in every clinic: two statements whatever their number.

    A day that was done everywhere at the last look is not looked at again for a while: the first look goes back a
    month, and one each `whole_look_every`, for a run by hand may have opened days before.
    """

    def __init__(self, dailies: Sequence[Daily], *, whole_look_every: timedelta = WHOLE_LOOK_EVERY) -> None:
        self._dailies = dailies
        self._first = date.min
        self._whole_look_every = whole_look_every
        self._whole_look_at: datetime | None = None

    async def due(self, sweep: database.Pool, *, now: datetime) -> list[tuple[Slot, Daily]]:
        """The slots to run now, clinic by clinic, the oldest first."""
        last = self._whole_look_at
        if last is None or not last <= now < last + self._whole_look_every:
            self._first, self._whole_look_at = date.min, now
        async with database.across_clinics(sweep) as connection:
            zones = [record["time_zone"] for record in await connection.fetch(ZONES)]
            columns = self._come(zones, now=now)
            days = [date.max, *columns[3]]
            args = (now - CLAIM_LASTS, now - FAILED_RESTS, min(days))
            found = await connection.fetch(OPEN_SLOTS, *columns, *args)
        opened = [msgspec.convert(record, _Open) for record in found]
        # A day that is today somewhere may still be opened by a slot that comes.
        self._first = min([each.local_date for each in opened] + [(now - BEHIND_UTC).date()])
        return [(self._slot(each), self._dailies[each.place]) for each in opened if not each.taken]

    def _come(self, zones: Sequence[str], *, now: datetime) -> tuple[list[Any], ...]:
        rows = [
            (name, place, daily.name, day, at, day == now.astimezone(ZoneInfo(name)).date())
            for name in zones
            for place, daily in enumerate(self._dailies)
            for day, at in slots.come(daily.at, ZoneInfo(name), now=now, first=self._first)
        ]
        return tuple([row[column] for row in rows] for column in range(6))

    def _slot(self, found: _Open) -> Slot:
        job = self._dailies[found.place].name
        return Slot(clinic_id=found.clinic_id, job=job, local_date=found.local_date, local_time=found.local_time)


async def run_due(tools: Tools, lookout: Lookout, process: str, *, now: datetime, clock: Clock | None = None) -> int:
    """Claim and run what is due; how many runs were ours. A run that fails is logged and tried again later.

    Each is claimed, run and finished at the time it is by then (`clock`; without one `now` all along).
    """
    ours = 0
    for slot, daily in await lookout.due(tools.sweep, now=now):
        try:
            ours += await run_slot(tools, slot, daily, process, now=clock() if clock else now, clock=clock) is not None
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
    clock: Clock | None = None,
) -> Result | None:
    """Claim one slot and run it, as of `at` where that is given; None where it is another's, or done.

    `clock` says when it has ended; without one that is `now`.
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
        await db.execute(FINISH, *key, process, state, clock() if clock else now, dict(result.counts))
    log.info("job_ran", extra=about | {"state": state} | dict(result.counts))
    return result


BEAT = """
insert into deployment_job_run (job, process, started_at, seen_at, due_at, counts)
values ($1, $2, $3, $4, $5, $6)
on conflict on constraint deployment_job_run_pkey do update
set seen_at = excluded.seen_at,
    due_at = excluded.due_at,
    counts = excluded.counts
"""
# What a clock that ran far ahead has written would say for ever that clocks differ; one that lags forgets nobody.
FORGET_THE_DEAD = """
delete from deployment_job_run
where seen_at < $1
  or seen_at > $2
"""
# A process that has not been seen for so long does not come back under its name.
DEAD_AFTER = timedelta(days=2)
# Longer than any run that goes on, however much there is to do; a job that comes seldom may take as long as it rests.
STUCK_AFTER = timedelta(minutes=10)
MISSED_TURNS = 3


class Heartbeat:
    """Says that this process lives, what it has done since it began, and by when each job is to have ended a run."""

    def __init__(self, tools: Tools, process: str, *, started_at: datetime) -> None:
        self._tools = tools
        self._process = process
        self._started_at = started_at
        self._ended_at: dict[str, datetime] = {}
        self._totals: dict[str, dict[str, int]] = {}

    def count(self, job: str, result: Result, *, now: datetime) -> None:
        """Add the counts of a run that ended now to the totals of its job."""
        self._ended_at[job] = now
        totals = self._totals.setdefault(job, {"runs": 0, "failed": 0})
        totals["runs"] += 1
        totals["failed"] += result.failed
        for name, number in result.counts.items():
            totals[name] = totals.get(name, 0) + number

    async def beat(self, periods: Sequence[Period], *, now: datetime) -> None:
        """Write a row for each periodic job."""
        async with self._tools.pool.acquire() as connection:
            for period in periods:
                ended_at = self._ended_at.get(period.name, self._started_at)
                due_at = ended_at + max(STUCK_AFTER, timedelta(seconds=MISSED_TURNS * period.seconds))
                counts = self._totals.get(period.name, {})
                await connection.execute(BEAT, period.name, self._process, self._started_at, now, due_at, counts)
            await connection.execute(FORGET_THE_DEAD, now - DEAD_AFTER, now + DEAD_AFTER)
