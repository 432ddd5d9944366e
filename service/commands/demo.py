"""Run the whole product on this machine with a fictional clinic, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable
from datetime import UTC, datetime

from tqdm import tqdm

from service import embedded
from service.config import Config
from service.demo import house as demo_house
from service.demo.process import ChildFailed
from service.embedded.errors import EmbeddedError
from service.embedded.lock import FileLock

FAILED_STATUS = 1
REFUSED_STATUS = 2
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Start over, or run."""
    parser.add_argument("--reset", action="store_true", help="forget the data folder's data, and do not start")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Run or reset; 1 when it cannot, with the reason."""
    _refuse_external_database(config)
    if arguments.reset:
        return _reset(config)
    config.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    # What libraries say, of a database that went away say, is for whoever looks into it; the terminal gets one line.
    logging.basicConfig(filename=config.data_dir / "demo.log", level=logging.WARNING)
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


def _reset(config: Config) -> int:
    try:
        embedded.remove(config)
    except EmbeddedError as refusal:
        print(f"neap: {refusal}", file=sys.stderr)
        return REFUSED_STATUS
    print(f"The demonstration in {config.data_dir} is forgotten; the next start begins anew.")
    return 0


async def _until_stopped(config: Config) -> None:
    stop = asyncio.Event()
    _on_first_signal(stop.set)
    house = asyncio.create_task(demo_house.run(config, say=_say, clock=_now, day_played=_day_bar))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({house, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if not house.done():
        _say("Stopping …")
        house.cancel()
    stopping.cancel()
    await asyncio.wait({house, stopping})
    if not house.cancelled():
        house.result()


def _on_first_signal(stop: Callable[[], None]) -> None:
    """Stop in order at the first signal; the next one ends us at once, and the keeper ends what we started."""
    loop = asyncio.get_running_loop()

    def first() -> None:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        stop()

    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, first)


def _refuse_external_database(config: Config) -> None:
    """The demonstration sends every clinic's alerts to its own mail catcher: it is never let near real ones."""
    embedded.refuse_another(config, "the demonstration runs with its own database only")


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
