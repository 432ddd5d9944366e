"""Write one clinic's rows of every table into a folder, sealed as stored, signed; or check one."""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from tqdm import tqdm

from service import database
from service.audit_seals import Signer
from service.backup import clinic_archive
from service.backup.clinic_archive import Manifest
from service.config import Config
from service.database import Db
from service.errors import Invalid
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import audit, clinics
from service.storage import preparing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which clinic and where to, or what to check."""
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the archive: not there yet, unless it is checked")
    parser.add_argument("--clinic", metavar="SLUG", help="the clinic to write")
    parser.add_argument("--check", action="store_true", help="write nothing; say whether the archive is what it was")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Write or check, with the master key under which the deployment runs; the last line says how much it is."""
    if arguments.check == (arguments.clinic is not None):
        raise Invalid("Either --clinic SLUG, to write, or --check.")
    if arguments.check:
        root = root_key.opened(clinic_archive.root_key_in(arguments.folder), config.master_key())
        manifest = clinic_archive.check(arguments.folder, Signer(Sealer(root)).public)
    else:
        manifest = asyncio.run(_write(config, arguments.clinic, arguments.folder))
    rows = sum(each.rows for each in manifest.tables.values())
    print(f"{manifest.slug}: {rows} rows of {len(manifest.tables)} tables, as of {manifest.at:%Y-%m-%d %H:%M:%S} UTC")
    return 0


async def _write(config: Config, slug: str, folder: Path) -> Manifest:
    clinic_archive.must_be_new(folder)
    async with preparing.at_hand(config):
        master_key = config.master_key()
        connection = await asyncpg.connect(config.database_url_of("owner"))
        try:
            sealed = await root_key.stored(connection)
            signer = Signer(Sealer(root_key.opened(sealed, master_key)))
            [clinic] = await clinics.chosen(connection, slug)
            # Said first, and so in the archive too: what is about to leave has left, also if this ends on the way.
            async with connection.transaction():
                await connection.execute(database.naming(clinic.clinic_id))
                db = Db(connection, clinic.clinic_id)
                await audit.record(db, audit.COMMAND, "clinic.archive", object_id=db.clinic_id, now=datetime.now(UTC))
            async with connection.transaction(isolation="repeatable_read", readonly=True):
                await connection.execute(database.naming(clinic.clinic_id))
                with tqdm(desc=slug, unit=" tables", disable=None) as bar:
                    return await clinic_archive.write(
                        db, slug, folder, signer, tell=lambda _: bar.update(), root_key=sealed
                    )
        finally:
            await connection.close()
