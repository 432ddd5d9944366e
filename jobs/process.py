"""The jobs process: a ticker that only wakes, a loop a job that does the work, a clean stop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from jobs import hints, metrics, runner
from jobs.timetable import DAILIES, PERIODS
from jobs.work import Clock, Daily, Period, Tools
from service import database, key_proof, notify
from service.alerting.writing import Sending
from service.config import Config, Role
from service.database import Pool
from service.storage import roles, schema

log = logging.getLogger(__name__)

TIMETABLE_SECONDS = 20
HEARTBEAT_SECONDS = 15
# A run in progress may finish; longer than this is cut off, which every job survives.
STOP_SECONDS = 10
SWEEP_CONNECTIONS = 2


def utc_now() -> datetime:
    """The clock of a process that is not told another."""
    return datetime.now(UTC)


@asynccontextmanager
async def tools_of(config: Config) -> AsyncIterator[Tools]:
    """Connections and channels. Raises SchemaFault on a schema not current, RoleFault on a role that is not its own."""
    jobs_url, sweep_url = config.database_url_of("jobs"), config.database_url_of("sweep")
    async with (
        await database.open_pool(jobs_url, size=config.jobs_pool_size, application_name="neap_jobs") as pool,
        await database.open_pool(sweep_url, size=SWEEP_CONNECTIONS, application_name="neap_sweep") as sweep,
    ):
        doors: tuple[tuple[Role, Pool], ...] = (("jobs", pool), ("sweep", sweep))
        for role, each in doors:
            async with each.acquire() as connection:
                await schema.refuse_stale(connection)
                await roles.refuse_unbounded(connection)
                await roles.refuse_other(connection, role)
        master = await key_proof.kept(pool, config.master_key(), now=utc_now())
        sending = Sending(
            notify.notifiers(config, notify.VapidKey(master.derived_key(purpose=notify.VAPID))), master, config.base_url
        )
        yield Tools(pool, sweep, sending)


@dataclass
class Loop:
    """One piece of work, repeated whenever it is woken; a wake-up during a run asks for one more."""

    name: str
    seconds: float
    work: Callable[[], Awaitable[None]]
    at_once: bool = True
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        """Ask for a run."""
        self.woken.set()

    async def run(self, stopping: asyncio.Event) -> None:
        """Work whenever woken, until stopping. What goes wrong is logged, and the next tick tries again."""
        while not stopping.is_set():
            await self.woken.wait()
            self.woken.clear()
            if stopping.is_set():
                return
            try:
                await self.work()
            except Exception:
                log.exception("loop_failed", extra={"job": self.name})


class Process:
    """What runs between start and stop."""

    def __init__(
        self,
        tools: Tools,
        *,
        hint_url: str | None,
        clock: Clock = utc_now,
        periods: Sequence[Period] = PERIODS,
        dailies: Sequence[Daily] = DAILIES,
        looks_every_seconds: float = TIMETABLE_SECONDS,
    ) -> None:
        self.name = uuid4().hex
        self._tools = tools
        self._hint_url = hint_url
        self._clock = clock
        self._periods = periods
        self._lookout = runner.Lookout(dailies)
        self._stopping = asyncio.Event()
        self._heart = runner.Heartbeat(tools, self.name, started_at=clock())
        self._loops = [Loop(each.name, each.seconds, self._periodic(each), at_once=each.at_once) for each in periods]
        self._loops.append(Loop("timetable", looks_every_seconds, self._run_dailies))
        self._loops.append(Loop("heartbeat", HEARTBEAT_SECONDS, self._beat))

    def stop(self) -> None:
        """Begin no further run."""
        self._stopping.set()
        for loop in self._loops:
            loop.wake()

    async def run(self) -> None:
        """Work until `stop`; runs in progress may finish, for a while."""
        scheduler = AsyncIOScheduler(timezone=UTC)
        for loop in self._loops:
            scheduler.add_job(
                loop.wake, "interval", seconds=loop.seconds, coalesce=True, max_instances=1, misfire_grace_time=None
            )
            if loop.at_once:
                loop.wake()
        scheduler.start()
        listening = asyncio.create_task(self._listen(), name="hints")
        loops = [asyncio.create_task(loop.run(self._stopping), name=loop.name) for loop in self._loops]
        log.info("jobs_started", extra={"jobs_process": self.name})
        try:
            await self._stopping.wait()
            await asyncio.wait(loops, timeout=STOP_SECONDS)
        finally:
            scheduler.shutdown(wait=False)
            for task in (listening, *loops):
                task.cancel()
            await asyncio.gather(listening, *loops, return_exceptions=True)
            log.info("jobs_stopped", extra={"jobs_process": self.name})

    def _wake_hinted(self, *, but: str | None = None) -> None:
        for period, loop in zip(self._periods, self._loops, strict=False):
            if period.hinted and period.name != but:
                loop.wake()

    async def _listen(self) -> None:
        if self._hint_url is not None:
            await hints.listen(self._hint_url, self._wake_hinted)

    def _periodic(self, period: Period) -> Callable[[], Awaitable[None]]:
        async def work() -> None:
            result = await period.run_once(self._tools, now=self._clock())
            self._heart.count(period.name, result, now=self._clock())
            metrics.ended(period.name, result.counts, now=self._clock())
            # What one job does is often another's work: a fold that opened an alert leaves messages to send.
            if any(result.counts.values()):
                self._wake_hinted(but=period.name)

        return work

    async def _run_dailies(self) -> None:
        await runner.run_due(self._tools, self._lookout, self.name, now=self._clock(), clock=self._clock)

    async def _beat(self) -> None:
        await self._heart.beat(self._periods, now=self._clock())
