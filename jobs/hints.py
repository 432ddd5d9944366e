"""Listening for the hint that there is work, on a connection of its own that comes back when it is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

import asyncpg

from service import hint

log = logging.getLogger(__name__)


async def listen(url: str, heard: Callable[[], None]) -> None:
    """Call `heard` at every hint until cancelled; also after each (re)connection, for hints may have been lost."""
    while True:
        lost = asyncio.Event()
        try:
            connection = await asyncpg.connect(url, server_settings={"application_name": "neap_hints"})
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("hints_unreachable", extra={"error_type": type(error).__name__})
            await asyncio.sleep(hint.RECONNECT_SECONDS)
            continue
        connection.add_termination_listener(lambda _, lost=lost: lost.set())
        try:
            await connection.add_listener(hint.CHANNEL, lambda *_: heard())
            heard()
            await lost.wait()
            log.warning("hints_lost_connection")
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            log.warning("hints_lost_connection", extra={"error_type": type(error).__name__})
        finally:
            connection.terminate()
