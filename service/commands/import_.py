"""Bring in daily histories from a CSV or TSV file; a second run changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from service import database, import_history, storage
from service.config import Config
from service.errors import DomainError
from service.import_history import file
from service.import_history.file import History
from service.import_history.history import Counts
from service.sealing import Sealer

BAD_FILE_STATUS = 2
REFUSALS_SHOWN = 50
DEFAULT_CLINIC = "imported"
POOL_SIZE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, the clinic it goes to, and how to read it."""
    parser.add_argument("file", metavar="FILE", type=Path, help="one row a client and day; columns as the map says")
    parser.add_argument("--clinic", metavar="SLUG", default=DEFAULT_CLINIC, help="made where it is missing (imported)")
    parser.add_argument("--map", metavar="NAME|FILE", help="how to read the columns; else told by the header")
    parser.add_argument("--source", metavar="NAME", help="where the clients come from; else the map's name")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Import; 0, or 2 for a file or map that cannot be read."""
    now = datetime.now(UTC)
    try:
        history = file.read(arguments.file, map_name=arguments.map, today=now.date())
    except DomainError as error:
        print(f"neap: {error}", file=sys.stderr)
        return BAD_FILE_STATUS
    source = arguments.source or history.map.name
    print(f"{history.path}: read with the map {history.map.name} ({history.map.title}) as source {source}")
    counts = asyncio.run(_bring_in(config, history, slug=arguments.clinic, source=source, now=now))
    _report(history)
    print(summary(counts, history))
    return 0


async def _bring_in(config: Config, history: History, *, slug: str, source: str, now: datetime) -> Counts:
    async with storage.at_hand(config):
        master = Sealer(config.master_key())
        url = config.database_url_of("owner")
        pool = await database.open_pool(url, size=POOL_SIZE, application_name="neap_import")
        async with pool:
            clinic, made = await import_history.find_or_make_clinic(pool, slug, now=now)
            if made:
                print(f"made the clinic {slug}")
            with tqdm(total=len(history.days) + len(history.blank), unit=" days", file=sys.stderr) as bar:
                return await import_history.bring_in(
                    pool, clinic, master, history, source=source, now=now, done=bar.update
                )


def _report(history: History) -> None:
    """Every refused row by line, column and reason; many of them are counted by reason instead."""
    shown = history.refusals[:REFUSALS_SHOWN]
    for refusal in shown:
        print(f"refused: {history.path}: line {refusal.line}, column {refusal.column}: {refusal.why}")
    further = Counter((refusal.column, refusal.why) for refusal in history.refusals[REFUSALS_SHOWN:])
    for (column, why), count in further.most_common():
        print(f"refused: {count} more in column {column}: {why}")
    if history.repeated:
        print(f"{history.repeated} rows say again what another row says")
    if history.blank:
        print(f"{len(history.blank)} rows hold no answer")


def summary(counts: Counts, history: History) -> str:
    """The last line: every day that was taken, every row that was refused, and the alerts of these clients."""
    return (
        f"{counts.clients} clients, {counts.days} days: {counts.new} new, {counts.changed} changed, "
        f"{counts.unchanged} unchanged, {len(history.refusals)} refused; {counts.alerts} alerts in history"
    )
