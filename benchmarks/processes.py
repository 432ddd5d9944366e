"""The benchmark's own processes: started, awaited, stopped."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
START_SECONDS = 60
STOP_SECONDS = 20
OUTPUT_TAIL_BYTES = 4_000


def free_port() -> int:
    """A port of the loopback address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@asynccontextmanager
async def running(
    *arguments: str, environ: Mapping[str, str], port: int | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m ARGUMENTS` for the length of the block, from the moment it listens on `port`; ended by SIGTERM.

    What it writes is shown only when the block fails.
    """
    with tempfile.TemporaryFile() as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *arguments),
            cwd=ROOT,
            env={**_plain_environ(), **environ},
            stdout=output,
            stderr=output,
        )
        try:
            if port is not None:
                await _listening(process, port)
            yield process
        except Exception:
            output.seek(max(0, os.fstat(output.fileno()).st_size - OUTPUT_TAIL_BYTES))
            sys.stderr.write(f"{' '.join(arguments)} wrote:\n{output.read().decode(errors='replace')}\n")
            raise
        finally:
            await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        await asyncio.wait_for(process.wait(), STOP_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()


def cpu_seconds(pid: int) -> float:
    """Processor time that a process and its living children have used, user and system."""
    root, seconds = psutil.Process(pid), 0.0
    for process in [root, *root.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            seconds += sum(process.cpu_times()[:4])  # also that of children it has collected
    return seconds


async def output_of(*command: str, environ: Mapping[str, str], given: bytes = b"") -> bytes:
    """What a command writes to stdout, given its stdin. Raises RuntimeError when it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env={**_plain_environ(), **environ},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate(given)
    if process.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} {' '.join(command[1:3])} ended with {process.returncode}")
    return output


def _plain_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("NEAP_")}


async def _listening(process: asyncio.subprocess.Process, port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.returncode is None:
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return
        await asyncio.sleep(0.05)
    raise RuntimeError("a process of the benchmark did not start listening")
