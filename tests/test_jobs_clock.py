"""The clocks of a jobs process: when it was seen, and when each of its slots was claimed."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

from jobs import runner, timetable
from jobs.work import Result, Tools
from schemas.clinic import Clinic
from service import database, ids
from service.database import Pool
from tests.builders import NOW, a_clinic
from tests.daily_jobs import Ran, a_daily, clinic, tools

__all__ = ["clinic", "tools"]


async def test_each_slot_is_claimed_at_the_time_it_is_by_then(owner_pool: Pool, clinic: Clinic, tools: Tools) -> None:
    """A look over many clinics may last: a claim that began with it would seem abandoned when it is made."""
    other = await a_clinic(owner_pool, slug="cove")
    ticks = itertools.count()

    def clock() -> datetime:
        return NOW + next(ticks) * runner.CLAIM_LASTS

    await runner.run_due(tools, runner.Lookout([a_daily(Ran())]), "slow", now=NOW, clock=clock)
    claimed = []
    for each in (clinic, other):
        async with database.transaction(owner_pool, each.clinic_id) as db:
            [row] = await db.connection.fetch("select claimed_at, finished_at from job_run")
        assert row["finished_at"] == row["claimed_at"] + runner.CLAIM_LASTS
        claimed.append(row["claimed_at"])
    assert abs(claimed[1] - claimed[0]) == 2 * runner.CLAIM_LASTS


async def test_the_heartbeat_says_who_lives_and_what_was_done(owner_pool: Pool, tools: Tools) -> None:
    fold, deliver = (each for each in timetable.PERIODS if each.name in ("fold_check_ins", "deliver_email"))
    heart = runner.Heartbeat(tools, ids.new().hex, started_at=NOW)
    heart.count("fold_check_ins", Result({"clients": 2}), now=NOW)
    heart.count("fold_check_ins", Result({"clients": 3}, failed=1), now=NOW)
    await heart.beat([fold, deliver], now=NOW)
    await heart.beat([fold, deliver], now=NOW + timedelta(seconds=15))
    async with tools.pool.acquire() as connection:
        await connection.execute(runner.BEAT, fold.name, "dead for days", NOW, NOW - timedelta(days=3), NOW, {})
    await heart.beat([fold], now=NOW + timedelta(seconds=30))
    async with owner_pool.acquire() as connection:
        rows = await connection.fetch("select job, seen_at, counts from deployment_job_run order by job")
    assert [(row["job"], row["seen_at"] - NOW) for row in rows] == [
        ("deliver_email", timedelta(seconds=15)),
        ("fold_check_ins", timedelta(seconds=30)),
    ]
    assert rows[1]["counts"] == {"runs": 2, "failed": 1, "clients": 5}
