"""NOTIFY as a hint that there is work: it may be lost, and it is never sent inside a check-in's transaction.

PostgreSQL serialises the commits of transactions that notify, so the web process sends hints on a connection of its
own, at most one every 20 ms. Whoever listens has a tick of its own as well.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

log = logging.getLogger(__name__)

CHANNEL = "neap_work"
PAUSE_SECONDS = 0.02
RECONNECT_SECONDS = 1.0
NOTIFY = f"notify {CHANNEL}"
# A hint may be lost, so it need not reach the disk: 50 fewer syncs a second took a tenth off check-ins' latency.
HINT_SETTINGS = {"application_name": "neap_hint", "synchronous_commit": "off"}


class Hinter:
    """Sends hints from a task of its own; `hint()` only sets a flag, so it costs a request nothing and never fails."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._wanted = asyncio.Event()

    def hint(self) -> None:
        """Say that there is work."""
        self._wanted.set()

    async def run(self) -> None:
        """Send hints until cancelled, reconnecting as often as it takes."""
        while True:
            await self._wanted.wait()
            try:
                connection = await asyncpg.connect(self._url, server_settings=HINT_SETTINGS)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("hint_unreachable", extra={"error_type": type(error).__name__})
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            try:
                await self._send_over(connection)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("hint_lost_connection", extra={"error_type": type(error).__name__})
            finally:
                connection.terminate()

    async def _send_over(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await connection.execute(NOTIFY)
            await asyncio.sleep(PAUSE_SECONDS)


@asynccontextmanager
async def hinting(url: str) -> AsyncIterator[Hinter]:
    """A hinter that runs for the length of the block."""
    hinter = Hinter(url)
    task = asyncio.create_task(hinter.run(), name="hinter")
    try:
        yield hinter
    finally:
        task.cancel()
        # Not `await task` with its cancellation suppressed: that would swallow our caller's, too.
        await asyncio.wait({task})
