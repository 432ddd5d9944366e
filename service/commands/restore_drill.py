"""Restore the newest backup somewhere else, prove that everything came back, and say how much and how long it took.

The exit status is 1 where something did not come back.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from service.backup import contents, drill
from service.backup.base_backup import Backup
from service.backup.drill import Outcome
from service.commands.restore import chosen, of_settings
from service.config import Config, ConfigError, embedded_url
from service.embedded import EmbeddedError
from service.storage import preparing
from service.storage.schema import SchemaFault


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From which backup."""
    parser.add_argument("--from", dest="backup", type=Path, metavar="FOLDER", help="a base backup; the newest without")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Print what was proved, RPO and RTO; 1 where something is missing."""
    backup_dir = of_settings(config)
    outcome = asyncio.run(_drill(chosen(arguments.backup, backup_dir), config, backup_dir))
    for fault in outcome.faults:
        print(f"FAULT {fault}")
    print(
        f"backup of {outcome.taken_at:%Y-%m-%d %H:%M:%S} UTC: {outcome.rows} rows, {outcome.trend_days} days of trend"
    )
    print(
        f"RPO {_seconds(outcome.rpo)}, RTO {_seconds(outcome.rto)}, everything proved after {_seconds(outcome.proved)}"
    )
    return 1 if outcome.faults else 0


async def _drill(backup: Backup, config: Config, backup_dir: Path) -> Outcome:
    newest_at = await _newest_at(config)
    return await drill.run(backup, config, backup_dir, newest_at=newest_at, tell=print)


async def _newest_at(config: Config) -> datetime | None:
    """When the server in use wrote the newest row of its audit trail; None where it does not start any more."""
    if not config.embedded:
        return await contents.newest_at(config.admin_database_url) if config.admin_database_url else None
    try:
        async with preparing.at_hand(config):
            return await contents.newest_at(embedded_url(config.data_dir, "postgres"))
    except (OSError, asyncpg.PostgresError, ConfigError, EmbeddedError, SchemaFault):
        return None


def _seconds(span: timedelta | None) -> str:
    return "not known (no server runs to compare with)" if span is None else f"{span.total_seconds():.1f} s"
