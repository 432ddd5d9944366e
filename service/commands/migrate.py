"""Make what is missing of roles and database, then bring the schema up to date."""

import argparse
import asyncio

from service import embedded
from service.config import Config
from service.storage import preparing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """It has none: everything comes from the settings."""
    parser.epilog = "NEAP_ADMIN_DATABASE_URL makes roles and database; without it only the schema is migrated."


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Migrate the database of the settings, or the embedded one."""
    del arguments
    prepared = asyncio.run(_prepare(config))
    for note in prepared.notes:
        print(note)
    for version in prepared.applied:
        print(f"applied {version}")
    print("the schema is current")
    return 0


async def _prepare(config: Config) -> preparing.Prepared:
    if not config.embedded:
        return await preparing.prepare(config, admin_url=config.admin_database_url)
    async with embedded.running(config) as cluster:
        return await preparing.prepare(config, admin_url=cluster.superuser_url)
