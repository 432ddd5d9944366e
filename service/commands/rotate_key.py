"""Replace the master key: what it opened, the new one opens from now on; keep the old one for older backups.

Web and jobs go on as they are and need the new key at their next start.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path

from service import database, key_proof
from service.config import Config
from service.keys import root_key
from service.storage import preparing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the new key is."""
    parser.add_argument(
        "--to", type=Path, required=True, metavar="FILE", help="the new key, as NEAP_KEY_FILE would name it"
    )


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Rotate; NEAP_KEY is the one in use. Raises Invalid for a file that holds no key."""
    file: Path = arguments.to.expanduser().absolute()
    new_key = root_key.master_key_in(file)
    asyncio.run(_rotate(config, new_key))
    print(f"The master key is that of {file} now. Set NEAP_KEY_FILE to it before web or jobs start again.")
    print("Keep the old one for as long as you keep backups from before, and take a new backup.")
    return 0


async def _rotate(config: Config, new_key: bytes) -> None:
    async with preparing.at_hand(config):
        url = config.database_url_of("owner")
        pool = await database.open_pool(url, size=1, application_name="neap_rotate_key")
        async with pool:
            await key_proof.proved(pool, config.master_key())
            async with pool.acquire() as connection:
                await root_key.rotate(connection, config.master_key(), new_key, now=datetime.now(UTC))
