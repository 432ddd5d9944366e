"""Write one client, or a whole clinic, as CSV tables or FHIR R4 bundles into a ZIP file."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO
from uuid import UUID

from tqdm import tqdm

from schemas.export import DisclosureBasis, ExportFormat
from service import database, errors
from service.config import Config
from service.database import Db
from service.export import gathered
from service.export.package import Package
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import audit, clients, clinics
from service.storage import preparing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What, how, on what ground, and where to."""
    parser.add_argument("file", metavar="FILE", type=Path, help="the ZIP file to write; never over another one")
    parser.add_argument("--clinic", metavar="SLUG", required=True)
    parser.add_argument("--client", metavar="ID", type=UUID, help="one client; all of the clinic without")
    parser.add_argument("--format", choices=list(ExportFormat), default=ExportFormat.CSV)
    parser.add_argument("--basis", choices=list(DisclosureBasis), required=True, help="stands in the audit trail")
    parser.add_argument("--notes", action="store_true", help="with the clients' own words, which are encrypted at rest")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Export; 0. One client a transaction, each audited. Raises Conflict where the file is there."""
    if arguments.file.exists():
        raise errors.Conflict(f"{arguments.file} is there already")
    count = asyncio.run(_export(config, arguments))
    print(f"{count} clients written to {arguments.file}")
    return 0


async def _export(config: Config, arguments: argparse.Namespace) -> int:
    async with preparing.at_hand(config):
        url = config.database_url_of("owner")
        pool = await database.open_pool(url, size=2, application_name="neap_export")
        async with pool:
            async with database.across_clinics(pool) as connection:
                (clinic,) = await clinics.chosen(connection, arguments.clinic)
                master = await root_key.sealer(connection, config.master_key())
            async with database.transaction(pool, clinic.clinic_id) as db:
                chosen = [arguments.client] if arguments.client else await clients.ids_of(db)
            with _whole(arguments.file) as file:
                package = Package(file, ExportFormat(arguments.format))
                for client_id in tqdm(chosen, unit=" clients", disable=None):
                    async with database.transaction(pool, clinic.clinic_id) as db:
                        await _add(db, package, client_id, master, arguments)
                package.close()
            return len(chosen)


async def _add(db: Db, package: Package, client_id: UUID, master: Sealer, arguments: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    sealer = await clients.sealer_of(db, master, client_id) if arguments.notes else None
    found = await gathered.of(db, client_id, sealer=sealer, now=now)
    package.add(found)
    basis = DisclosureBasis(arguments.basis)
    await audit.record(db, audit.COMMAND, "client.export", client_id=client_id, reason=basis, now=now)


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """The file to write, readable by its owner only, and gone again where not all of it could be written."""
    path.touch(mode=0o600, exist_ok=False)
    try:
        with path.open("wb") as file:
            yield file
    except BaseException:
        path.unlink()
        raise
