"""Take a base backup of the embedded server, check it, and keep the newest few beside the archived log."""

from __future__ import annotations

import argparse
import asyncio
import sys

from service import embedded
from service.backup import base_backup
from service.config import Config, ConfigError
from service.errors import Invalid
from service.keys.sealing import Sealer

KEEP = 7


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How many to keep."""
    parser.add_argument("--keep", type=int, default=KEEP, metavar="N", help=f"base backups to keep ({KEEP})")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Take one and remove the oldest; the last line names it."""
    if arguments.keep < 1:
        raise Invalid("--keep is 1 or more.")
    return asyncio.run(_take(config, arguments.keep))


async def _take(config: Config, keep: int) -> int:
    if not config.embedded or config.backup_dir is None:
        raise ConfigError(
            "NEAP_BACKUP_DIR must be set, and no database: another server is backed up by its own means "
            "(docs/operations.md)"
        )
    async with embedded.running(config) as cluster:
        with base_backup.alone(config.backup_dir):
            master, quiet = Sealer(config.master_key()), not sys.stderr.isatty()
            taken = await base_backup.take(cluster, config.backup_dir, master, quiet=quiet)
            for removed in await base_backup.prune(cluster, config.backup_dir, keep=keep):
                print(f"removed {removed}")
    rows = sum(table.rows for table in taken.contents.tables.values())
    print(f"{taken.folder}: {rows} rows in {len(taken.contents.tables)} tables")
    return 0
