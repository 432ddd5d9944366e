"""One look at the clock over many clinics in which nothing is to be done: milliseconds, and how many statements."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from datetime import UTC, datetime

import asyncpg
import msgspec
from asyncpg.connection import LoggedQuery

from benchmarks import ground
from benchmarks.figures import Figure, say, show, watching_others
from benchmarks.ground import Ground
from jobs import runner
from jobs.timetable import DAILIES, PERIODS
from jobs.work import Tools
from service import database
from service.alerting.writing import Sending
from service.database import Pool
from tests import builders

FULL_CLINICS = 1_000
QUICK_CLINICS = 100
FEW_CLINICS = 10
ROUNDS = 5
POOL_SIZE = 2
# What is looked for more often than once in some minutes is part of every tick.
OFTEN_SECONDS = 120


A_MONTH_OF_RUNS = """
insert into job_run (clinic_id, job, local_date, local_time, claimed_by, claimed_at, finished_at, state)
select clinic_id, job, local_date - ago, '23:59', claimed_by, claimed_at, finished_at, state
from job_run
cross join generate_series(1, 30) as ago
on conflict do nothing
"""


class Tick(msgspec.Struct, frozen=True):
    """What one look took: milliseconds of the daily slots and of all periodic jobs, and statements."""

    slots_ms: float
    jobs_ms: float
    statements: int


async def measure(*, quick: bool) -> None:
    """Show the median tick over many clinics, and how many statements it takes beside few clinics."""
    clinics = QUICK_CLINICS if quick else FULL_CLINICS
    async with ground.served() as here:
        few = await _ticks(here, 0, FEW_CLINICS)
        with watching_others() as others:
            many = await _ticks(here, FEW_CLINICS, clinics)
    show(
        Figure(
            figure=f"tick_over_{clinics}_clinics_without_work",
            value=statistics.median(each.slots_ms + each.jobs_ms for each in many),
            unit="ms",
            foreign_cpus=others.cpus,
            notes={
                "slots_ms": round(statistics.median(each.slots_ms for each in many), 1),
                "jobs_ms": round(statistics.median(each.jobs_ms for each in many), 1),
                "statements": many[-1].statements,
                f"statements over {FEW_CLINICS} clinics": few[-1].statements,
                f"ms over {FEW_CLINICS} clinics": round(few[-1].slots_ms + few[-1].jobs_ms, 1),
            },
        )
    )


async def _ticks(here: Ground, first: int, until: int) -> list[Tick]:
    say(f"making clinics up to {until}")
    now = datetime.now(UTC)
    async with await database.open_pool(
        here.config.database_url_of("owner"), size=1, application_name="bench"
    ) as owner:
        for number in range(first, until):
            await builders.a_clinic(owner, slug=f"tick-{number}", now=now)
    jobs_url, sweep_url = here.config.database_url_of("jobs"), here.config.database_url_of("sweep")
    async with (
        await database.open_pool(jobs_url, size=POOL_SIZE, application_name="bench") as pool,
        await database.open_pool(sweep_url, size=POOL_SIZE, application_name="bench") as sweep,
    ):
        tools = Tools(pool, sweep, Sending({}, builders.MASTER, "https://neap.example"))
        while await runner.run_due(tools, runner.Lookout(DAILIES), "bench", now=now):
            say("what was due has run")
        await _settle(here, tools, now)
        statements: Counter[str] = Counter()
        await _count_in(pool, POOL_SIZE, statements)
        await _count_in(sweep, POOL_SIZE, statements)
        lookout = runner.Lookout(DAILIES)
        await lookout.due(sweep, now=now)  # the first look goes a month back, once in a process's life
        return [await _tick(tools, lookout, statements, now) for _ in range(ROUNDS)]


async def _settle(here: Ground, tools: Tools, now: datetime) -> None:
    """Whatever a new clinic leaves behind is sealed and folded, and a month of runs lies behind each."""
    for _ in range(3):
        for period in PERIODS:
            if period.seconds <= OFTEN_SECONDS:
                await period.run_once(tools, now=now)
    connection = await asyncpg.connect(here.superuser_url)
    try:
        await connection.execute(A_MONTH_OF_RUNS)
        await connection.execute("analyze")
    finally:
        await connection.close()


async def _tick(tools: Tools, lookout: runner.Lookout, statements: Counter[str], now: datetime) -> Tick:
    statements.clear()
    began = time.perf_counter()
    due = await lookout.due(tools.sweep, now=now)
    slots_done = time.perf_counter()
    if due:
        raise RuntimeError("a tick without work was to be measured")
    for period in PERIODS:
        if period.seconds <= OFTEN_SECONDS:
            await period.run_once(tools, now=now)
    ended = time.perf_counter()
    return Tick((slots_done - began) * 1000, (ended - slots_done) * 1000, statements.total())


async def _count_in(pool: Pool, size: int, statements: Counter[str]) -> None:
    """Count every statement on every connection of a pool from now on."""

    def count(record: LoggedQuery) -> None:
        statements[record.query] += 1

    held = [await pool.acquire() for _ in range(size)]
    for connection in held:
        connection.add_query_logger(count)
    for connection in held:
        await pool.release(connection)
