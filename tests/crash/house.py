"""Three processes that somebody keeps killing, each started again at once as a service manager does."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
import psutil

from benchmarks.processes import free_port
from service import config as settings
from service import embedded
from service.config import Config

ROOT = Path(__file__).parent.parent.parent
LOOK_SECONDS = 0.05
PATIENCE_SECONDS = 60


@dataclass
class Kept:
    """A process that runs again soon after it ended; `pid` is None meanwhile."""

    name: str
    pid: int | None = None
    starts: int = 0
    stopping: bool = False

    def kill(self, with_signal: signal.Signals, *, whole: bool = False) -> bool:
        """Kill it, `whole` with its children; False where it does not run just now."""
        if self.pid is None:
            return False
        with suppress(ProcessLookupError, psutil.NoSuchProcess):
            children = psutil.Process(self.pid).children(recursive=True) if whole else []
            os.kill(self.pid, with_signal)
            for child in children:
                with suppress(psutil.NoSuchProcess):
                    child.send_signal(with_signal)
            return True
        return False


@dataclass
class Program(Kept):
    """`python -m MODULE`."""

    module: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    log: Path = Path(os.devnull)

    async def keep(self) -> None:
        """Run it until `stopping` is set and it has ended."""
        while not self.stopping:
            with self.log.open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", *self.module), cwd=ROOT, env=self.environ, stdout=output, stderr=output
                )
            self.pid, self.starts = process.pid, self.starts + 1
            try:
                await process.wait()
            except asyncio.CancelledError:
                process.kill()
                await process.wait()
                raise
            finally:
                self.pid = None


@dataclass
class Database(Kept):
    """The embedded PostgreSQL."""

    config: Config = field(default_factory=Config)
    overrides: Mapping[str, str] = field(default_factory=dict)
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    async def keep(self) -> None:
        """Run it until `stopping` is set; each start recovers from the end before."""
        while not self.stopping:
            async with embedded.running(self.config, overrides=self.overrides) as cluster:
                self.pid, self.starts = cluster.pid, self.starts + 1
                try:
                    await _end_of(cluster.pid)
                finally:
                    self.pid = None


async def _end_of(pid: int) -> None:
    """Return once the process has ended, whoever collects it."""
    ended, loop = asyncio.Event(), asyncio.get_running_loop()
    descriptor = os.pidfd_open(pid)
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


@dataclass
class House:
    """A deployment: settings, its address, and the three processes."""

    config: Config
    base_url: str
    metrics_port: int
    database: Database
    web: Program
    jobs: Program

    @property
    def every(self) -> list[Kept]:
        """The processes."""
        return [self.database, self.web, self.jobs]

    async def all_up(self) -> None:
        """Wait until check-ins are stored and the jobs process runs. Raises TimeoutError."""
        async with asyncio.timeout(PATIENCE_SECONDS), httpx.AsyncClient(base_url=self.base_url, timeout=5) as http:
            while not await self._is_up(http):
                await asyncio.sleep(LOOK_SECONDS)

    async def _is_up(self, http: httpx.AsyncClient) -> bool:
        try:
            ready = (await http.get("/health/ready")).status_code == 200
            _, writer = await asyncio.open_connection("127.0.0.1", self.metrics_port)
            writer.close()
            connection = await asyncpg.connect(self.config.database_url_of("owner"), timeout=5)
            await connection.close()
        except (OSError, httpx.HTTPError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return ready

    async def stop(self) -> None:
        """End the three in order: the database last, so that the others can finish."""
        for each, with_signal in (
            (self.jobs, signal.SIGTERM),
            (self.web, signal.SIGTERM),
            (self.database, signal.SIGINT),
        ):
            each.stopping = True
            while each.pid is not None:
                each.kill(with_signal)
                await asyncio.sleep(LOOK_SECONDS)


def a_house(folder: Path, more: Mapping[str, str], overrides: Mapping[str, str]) -> House:
    """A deployment in a folder, none of whose processes runs yet: each is started by its `keep`."""
    port, metrics_port = free_port(), free_port()
    told = {
        "NEAP_DATA_DIR": str(folder / "data"),
        "NEAP_PORT": str(port),
        "NEAP_METRICS_PORT": str(metrics_port),
        **more,
    }
    config = settings.load(told)
    environ = {name: text for name, text in os.environ.items() if not name.startswith("NEAP_")} | told
    return House(
        config=config,
        base_url=f"http://127.0.0.1:{port}",
        metrics_port=metrics_port,
        database=Database("PostgreSQL", config=config, overrides=overrides),
        web=Program("web", module=("service", "web"), environ=environ, log=folder / "web.log"),
        jobs=Program("jobs", module=("jobs",), environ=environ, log=folder / "jobs.log"),
    )
