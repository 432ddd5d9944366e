"""What the demonstration takes of the machine's memory, PostgreSQL included, after some minutes' worth of work."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import msgspec
import psutil

from benchmarks import ground, processes
from benchmarks.figures import Figure, say, show, watching_others

MEGABYTE = 1024 * 1024
READY_SECONDS = 120
# The simulated phone has answered and the alert of the fresh client has gone out by then.
SETTLE_SECONDS = 20


class Pids(msgspec.Struct, frozen=True):
    """The processes that demo.json names."""

    postgres: int
    web: int
    jobs: int


class Running(msgspec.Struct, frozen=True):
    """What is read of demo.json."""

    pids: Pids


async def measure() -> None:
    """Show the megabytes of web and jobs (unique set size) and of the whole demonstration (proportional set size).

    The proportional size counts memory that processes share, as PostgreSQL's buffers, once.
    """
    with ground.folder() as folder, watching_others() as others:
        environ = {"NEAP_DATA_DIR": f"{folder}/data", "NEAP_PORT": str(processes.free_port())}
        say("starting the demonstration")
        async with processes.running("service", "demo", environ=environ) as demo:
            pids = await _ready(folder / "data" / "demo.json")
            await asyncio.sleep(SETTLE_SECONDS)
            whole = _family(demo.pid)
            sizes = {
                "memory_of_web": (_unique(pids.web), {}),
                "memory_of_jobs": (_unique(pids.jobs), {}),
                "memory_of_whole_demo": (sum(map(_proportional, whole)), _by_name(whole)),
            }
    for figure, (octets, notes) in sizes.items():
        show(
            Figure(figure=figure, value=octets / MEGABYTE, unit="MB", foreign_cpus=others.cpus, notes=dict(notes)),
        )


async def _ready(file: Path) -> Pids:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        if (pids := _told(file)) is not None:
            return pids
        await asyncio.sleep(0.2)
    raise RuntimeError("the demonstration did not become ready")


def _told(file: Path) -> Pids | None:
    return msgspec.json.decode(file.read_bytes(), type=Running).pids if file.exists() else None


def _family(pid: int) -> list[psutil.Process]:
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _unique(pid: int) -> int:
    return int(psutil.Process(pid).memory_full_info().uss)


def _proportional(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


def _by_name(processes_: list[psutil.Process]) -> dict[str, float | str]:
    """Megabytes of PostgreSQL and of everything else."""
    of_postgres = sum(_proportional(each) for each in processes_ if each.name() == "postgres")
    others = sum(_proportional(each) for each in processes_ if each.name() != "postgres")
    return {"postgres_mb": round(of_postgres / MEGABYTE, 1), "others_mb": round(others / MEGABYTE, 1)}
