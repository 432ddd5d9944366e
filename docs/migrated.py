"""A migrated database of a moment's life, for what is written from the tables themselves."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncpg

from service import config
from service.database import Connection
from service.storage import preparing


def ask(write: Callable[[Connection], Awaitable[None]]) -> None:
    """Give `write` a connection of the owner to a database as the migrations make it."""
    with tempfile.TemporaryDirectory(prefix="neap-") as data_dir:
        Path(data_dir).chmod(0o711)  # PostgreSQL runs under an account of its own
        asyncio.run(_asked(data_dir, write))


async def _asked(data_dir: str, write: Callable[[Connection], Awaitable[None]]) -> None:
    settings = config.load({"NEAP_DATA_DIR": data_dir})
    async with preparing.at_hand(settings):
        connection = await asyncpg.connect(settings.database_url_of("owner"))
        try:
            await write(connection)
        finally:
            await connection.close()
