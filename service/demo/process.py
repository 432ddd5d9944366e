"""The processes of the demonstration: started, watched, started again when they die, and never left behind.

Each runs in a session of its own, so that Ctrl-C reaches the demonstration alone, which then stops them in order. A
keeper, a tiny shell that reads a pipe from us, ends them when we are killed and cannot.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 20
RESTARTS = 5
RESTART_PAUSE_SECONDS = 1.0
PORTS_TRIED = 100
LOG_TAIL_BYTES = 4_000

# Reads lines "<pid of the database or -> <other pids>"; when the pipe ends, the last line says whom to end: the others
# by SIGTERM, the database by SIGINT, its fast shutdown. An empty last line: nobody.
KEEPER = """
trap '' INT TERM HUP
while read -r database others; do last_database=$database; last_others=$others; done
[ -n "$last_database" ] && rm -f "$1"
[ -n "$last_others" ] && kill -TERM $last_others
[ -n "$last_database" ] && [ "$last_database" != - ] && kill -INT "$last_database"
exit 0
"""


class ChildFailed(Exception):
    """A process of the demonstration does not come up, or dies again and again; the message ends with its log."""


class Child:
    """One process: its name, its command and where its output goes."""

    def __init__(self, name: str, command: Sequence[str], *, environ: Mapping[str, str], log_file: Path) -> None:
        self.name = name
        self._command = command
        self._environ = environ
        self._log_file = log_file
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    async def start(self) -> None:
        """Start it and have it begin; its output is appended to its log."""
        await self.load()
        await self.begin()

    async def load(self) -> None:
        """Start it; one that waits for a line (`loaded`) only loads its code."""
        with self._log_file.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=dict(self._environ),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=output,
                stderr=asyncio.subprocess.STDOUT,
                start_new_session=True,
            )

    async def begin(self) -> None:
        """Tell it to begin; one that died meanwhile is seen by whoever waits for it."""
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(b"begin\n")
            await self._process.stdin.drain()
        self._process.stdin.close()

    async def ended(self) -> int:
        """Wait until it ends; its exit status."""
        assert self._process is not None
        return await self._process.wait()

    async def stop(self) -> None:
        """Ask it to end, and make it."""
        if self._process is None:
            return
        for request in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(request)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await self._process.wait()
                    return

    def log_tail(self) -> str:
        """The end of its log."""
        with self._log_file.open("rb") as lines:
            lines.seek(max(0, self._log_file.stat().st_size - LOG_TAIL_BYTES))
            return lines.read().decode(errors="replace")


class Keeper:
    """Ends whoever it was told of when we are gone, and removes the record that says that we run."""

    def __init__(self, database_pid: int | None, record: Path) -> None:
        self._database_pid = database_pid
        self._record = record
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it, watching the database only."""
        self._process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", KEEPER, "keeper", self._record),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        await self.watch([])

    async def watch(self, pids: Sequence[int]) -> None:
        """Watch these and the database."""
        await self._tell(f"{self._database_pid or '-'} {' '.join(map(str, pids))}\n")

    async def stop(self) -> None:
        """Let it go; it ends nobody."""
        if self._process is not None:
            await self._tell("\n")
            await self.lose()

    async def lose(self) -> None:
        """Close the pipe, as our death would: it ends whom it watches, and then itself."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()

    async def _tell(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode())
        await self._process.stdin.drain()


async def kept_running(child: Child, *, say: Callable[[str], None], restarted: Callable[[], Awaitable[None]]) -> None:
    """Start it again whenever it dies, until cancelled. Raises ChildFailed when that happens too often."""
    for _ in range(RESTARTS):
        status = await child.ended()
        say(f"The {child.name} process ended (status {status}); starting it again.")
        await asyncio.sleep(RESTART_PAUSE_SECONDS)
        await child.start()
        await restarted()
    status = await child.ended()
    raise ChildFailed(f"The {child.name} process died again and again (status {status}):\n{child.log_tail()}")


async def until(child: Child, came: Coroutine[object, object, None], *, seconds: float) -> None:
    """Wait for `came`. Raises ChildFailed when the child dies first, or takes too long."""
    ended = asyncio.create_task(child.ended())
    coming = asyncio.create_task(came)
    try:
        done, _ = await asyncio.wait({ended, coming}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if coming not in done:
            why = "ended" if ended in done else f"did not come up within {seconds:.0f} s"
            raise ChildFailed(f"The {child.name} process {why}:\n{child.log_tail()}")
        coming.result()
    finally:
        ended.cancel()
        coming.cancel()
        # Not `await task` with its cancellation suppressed: that would swallow our caller's, too.
        await asyncio.wait({ended, coming})


def python_command(*module_and_arguments: str, code: str) -> list[str]:
    """This Python running a module of ours when told to begin; it loads `code`, and what that imports, before."""
    return [sys.executable, "-m", "service.demo.loaded", code, *module_and_arguments]


def free_port(host: str, wanted: int) -> int:
    """The wanted port, or the next one that is free. Raises OSError when a hundred of them are taken."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65_536)) if wanted else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            found: int = probe.getsockname()[1]
            return found
    raise OSError(f"no free port from {wanted} on")


def environ_for(settings: Mapping[str, str]) -> dict[str, str]:
    """Our environment with other settings."""
    return {**os.environ, **settings}
