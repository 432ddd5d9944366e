"""A jobs process by a clock that runs ahead of ours, so that a test sees a night in minutes.

`python -m tests.replica BEGINS STARTED SPEED`: at the Unix time STARTED its clock says BEGINS, and goes SPEED times as
fast as ours from then on.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

from jobs import process
from service import config, logs


def clock(begins: float, started: float, speed: float) -> Callable[[], datetime]:
    """Such a clock."""
    return lambda: datetime.fromtimestamp(begins + (time.time() - started) * speed, UTC)


async def run(now: Callable[[], datetime], speed: float) -> None:
    """What `python -m jobs` does; by its own clock it looks as often for what is due."""
    settings = config.load()
    logs.configure(settings.log_format)
    async with process.tools_of(settings) as tools:
        running = process.Process(
            tools,
            hint_url=settings.database_url_of("jobs"),
            clock=now,
            looks_every_seconds=process.TIMETABLE_SECONDS / speed,
        )
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.stop)
        await running.run()


if __name__ == "__main__":
    begins, started, speed = (float(each) for each in sys.argv[1:4])
    asyncio.run(run(clock(begins, started, speed), speed))
