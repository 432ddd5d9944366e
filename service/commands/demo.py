"""Run the whole product on this machine with a fictional clinic, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from tqdm import tqdm

from service import embedded
from service.config import Config
from service.demo import house as demo_house
from service.demo.process import ChildFailed
from service.embedded.lock import FileLock

FAILED_STATUS = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Start over, or run."""
    parser.add_argument("--reset", action="store_true", help="forget the data folder's data, and do not start")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Run or reset; 1 when it cannot, with the reason."""
    if arguments.reset:
        embedded.remove(config)
        print(f"{config.data_dir} is empty; the next start begins anew.")
        return 0
    config.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    lock = FileLock(config.data_dir / "demo.lock")
    if not lock.try_acquire():
        print(
            f"neap: a demonstration runs with {config.data_dir} already; stop it first, "
            "or set NEAP_DATA_DIR to another folder for a second one.",
            file=sys.stderr,
        )
        return FAILED_STATUS
    status = 0
    try:
        asyncio.run(_until_stopped(config))
    except* (ChildFailed, OSError) as failures:
        print(*(f"neap: {failure}" for failure in failures.exceptions), sep="\n", file=sys.stderr)
        status = FAILED_STATUS
    finally:
        lock.release()
    return status


async def _until_stopped(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    house = asyncio.create_task(demo_house.run(config, say=_say, clock=_now, day_played=_day_bar))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({house, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not house.done():
        _say("Stopping …")
        house.cancel()
    stopping.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await house


def _now() -> datetime:
    return datetime.now(UTC)


def _say(line: str) -> None:
    print(line, flush=True)


def _day_bar(days: int) -> Callable[[object], object]:
    bar = tqdm(total=days, unit=" days", file=sys.stderr, leave=False, mininterval=0.5)

    def played(_: object) -> None:
        bar.update()
        if bar.n >= days:
            bar.close()

    return played
