"""Drop every trend and fold it again from the facts; what comes out is what stood there."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from tqdm import tqdm

from service import database, fold
from service.config import Config
from service.database import Pool
from service.people import clients, clinics
from service.storage import preparing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which clinic, and whether to change anything."""
    parser.add_argument("--clinic", metavar="SLUG", help="one clinic; all of them without")
    parser.add_argument("--check", action="store_true", help="change nothing; say which findings replay otherwise")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Rebuild, one client a transaction; may be stopped and started again. With --check 1 where a finding differs."""
    if arguments.check:
        return asyncio.run(_check(config, arguments.clinic))
    folded = asyncio.run(_rebuild(config, arguments.clinic))
    print(f"{folded.clients} clients, {folded.client_days} client days folded again")
    return 0


async def _rebuild(config: Config, slug: str | None) -> fold.Folded:
    counts = fold.Folded()
    async for pool, clinic_id, client_id in _every_client(config, slug):
        async with database.transaction(pool, clinic_id) as db:
            counts.add(await fold.rebuild(db, client_id, now=datetime.now(UTC)))
    return counts


async def _check(config: Config, slug: str | None) -> int:
    same, changed, other = 0, 0, 0
    async for pool, clinic_id, client_id in _every_client(config, slug):
        async with database.transaction(pool, clinic_id) as db:
            for stored, again in await fold.replay(db, client_id, now=datetime.now(UTC)):
                if again is None or _inputs(again.numbers) != _inputs(stored.numbers):
                    changed += 1
                elif _octets(again.numbers) == _octets(stored.numbers):
                    same += 1
                else:
                    other += 1
                    print(f"finding {stored.finding_id} of {stored.client_day} replays otherwise")
    print(f"{same} findings replay to the same bytes, {other} do not; of {changed} the facts changed since")
    return 1 if other else 0


def _inputs(numbers: dict[str, object]) -> object:
    return numbers.get("check_in_ids"), numbers.get("missing_days"), numbers.get("next_infusion_on")


def _octets(numbers: dict[str, object]) -> bytes:
    return msgspec.json.encode(numbers, order="sorted")


async def _every_client(config: Config, slug: str | None) -> AsyncIterator[tuple[Pool, UUID, UUID]]:
    async with preparing.at_hand(config):
        pool = await database.open_pool(config.database_url_of("jobs"), size=2, application_name="neap_rebuild")
        async with pool:
            async with database.across_clinics(pool) as connection:
                chosen = await clinics.chosen(connection, slug)
            for clinic in chosen:
                async with database.transaction(pool, clinic.clinic_id) as db:
                    client_ids = await clients.ids_of(db)
                for client_id in tqdm(client_ids, desc=clinic.slug, unit=" clients", disable=None):
                    yield pool, clinic.clinic_id, client_id
