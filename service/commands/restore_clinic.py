"""Read a clinic's archive, as `archive-clinic` wrote it, into this deployment; all of it or nothing.

The exit status is 1 where it came back as archived and that is not whole.
"""

from __future__ import annotations

import argparse
import asyncio
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
from tqdm import tqdm

from schemas.clinic import Clinic
from service import database
from service.audit_seals import Signer
from service.backup import clinic_archive, clinic_restore, proof
from service.backup.clinic_archive import Manifest
from service.backup.clinic_restore import Laid
from service.config import Config
from service.database import Db
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import clinics
from service.storage import preparing


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which archive, and the key that it was written under where that is another one."""
    parser.add_argument("folder", type=Path, metavar="ARCHIVE", help="the folder that archive-clinic wrote")
    parser.add_argument(
        "--key", type=Path, metavar="FILE", help="the master key the archive was written under; NEAP_KEY without"
    )


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Check it, store it, prove it."""
    key = config.master_key() if arguments.key is None else root_key.master_key_in(arguments.key)
    folder: Path = arguments.folder
    root = root_key.opened(clinic_archive.root_key_in(folder), key)
    manifest = clinic_archive.check(folder, Signer(Sealer(root)).public)
    clinic_restore.refuse_other_schema(manifest)
    return asyncio.run(_restore(config, folder, manifest, root))


async def _restore(config: Config, folder: Path, manifest: Manifest, root: bytes) -> int:
    async with preparing.at_hand(config):
        laid, clinic = await _load(config, folder, manifest, root)
        rows = sum(each.rows for each in manifest.tables.values())
        print(f"{clinic.slug}: {rows} rows of {len(manifest.tables)} tables, as of {manifest.at:%Y-%m-%d %H:%M:%S} UTC")
        print(f"{laid.messages} messages that waited then are not sent; everybody signs in anew")
        if laid.open_alerts:
            print(f"{laid.open_alerts} alerts are open: while jobs runs, people are told of them")
        async with proof.a_pool(config) as pool:
            faults, days = await proof.of_clinic(pool, clinic, Sealer(root), at=manifest.at)
    for fault in faults:
        print(f"FAULT {fault}")
    print(f"audit trail, sealed data and {days} days of trend looked at: {len(faults) or 'no'} faults")
    return 1 if faults else 0


async def _load(config: Config, folder: Path, manifest: Manifest, root: bytes) -> tuple[Laid, Clinic]:
    """The one transaction in which the clinic arrives."""
    now = datetime.now(UTC)
    connection = await asyncpg.connect(config.database_url_of("owner"))
    try:
        async with connection.transaction():
            await clinic_restore.refuse_what_is_here(connection, manifest)
            await clinic_restore.take_root_key(connection, root, config.master_key(), now=now)
            await connection.execute(database.naming(manifest.clinic_id))
            db = Db(connection, manifest.clinic_id)
            with tqdm(desc=manifest.slug, total=len(manifest.tables), unit=" tables", disable=None) as bar:
                laid = await clinic_restore.load(
                    db, folder, manifest, Sealer(root), now=now, tell=lambda _: bar.update()
                )
            return laid, await clinics.get(db)
    finally:
        await connection.close()
