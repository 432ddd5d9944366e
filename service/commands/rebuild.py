"""Drop every trend and fold it again from the facts; what comes out is what stood there."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from uuid import UUID

from tqdm import tqdm

from service import database, fold, storage
from service.config import Config
from service.database import Pool
from service.people import clients, clinics


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which clinic."""
    parser.add_argument("--clinic", metavar="SLUG", help="one clinic; all of them without")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Rebuild, one client a transaction; may be stopped and started again."""
    folded = asyncio.run(_rebuild(config, arguments.clinic))
    print(f"{folded.clients} clients, {folded.client_days} client days folded again")
    return 0


async def _rebuild(config: Config, slug: str | None) -> fold.Folded:
    counts = fold.Folded()
    async with storage.at_hand(config):
        pool = await database.open_pool(config.database_url_of("jobs"), size=2, application_name="neap_rebuild")
        async with pool:
            async with database.across_clinics(pool) as connection:
                chosen = await clinics.chosen(connection, slug)
            for clinic in chosen:
                await _rebuild_clinic(pool, clinic.clinic_id, clinic.slug, counts)
    return counts


async def _rebuild_clinic(pool: Pool, clinic_id: UUID, slug: str, counts: fold.Folded) -> None:
    async with database.transaction(pool, clinic_id) as db:
        client_ids = await clients.ids_of(db)
    for client_id in tqdm(client_ids, desc=slug, unit=" clients", disable=None):
        async with database.transaction(pool, clinic_id) as db:
            counts.add(await fold.rebuild(db, client_id, now=datetime.now(UTC)))
