"""The server's log, kept short: it is written at its end only, so that the file may be cut while the server runs.

(PostgreSQL's own logging collector writes as the server's account, which need not reach the data folder.)
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

# The file itself, and as much again of what came before.
MOST_BYTES = 8 << 20
LOOK_SECONDS = 60.0


def former(log: Path) -> Path:
    """What came before the file was cut last."""
    return log.with_name(f"{log.name}.1")


def cut(log: Path) -> None:
    """Move what is too long aside. What is written in that very moment is lost."""
    if not log.is_file() or log.stat().st_size <= MOST_BYTES:
        return
    unfinished = log.with_name(f"{log.name}.unfinished")
    unfinished.touch(mode=0o600)
    shutil.copyfile(log, unfinished)
    unfinished.rename(former(log))
    os.truncate(log, 0)


@asynccontextmanager
async def kept_short(log: Path) -> AsyncIterator[None]:
    """Cut it now and whenever it has grown too long, for as long as the block runs."""
    cut(log)
    looking = asyncio.create_task(_look(log))
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking


async def _look(log: Path) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        # A full disk is told by whoever needs it; the log grows on meanwhile.
        with suppress(OSError):
            await asyncio.to_thread(cut, log)
