"""A deployment that is backed up and restored."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest

from service import config, database, embedded, fold, ids
from service.backup import base_backup, drill
from service.backup.base_backup import Backup
from service.backup.drill import Outcome
from service.config import Config
from service.embedded import Cluster
from service.keys.sealing import Sealer
from service.people import audit
from service.storage import preparing
from tests import folders
from tests.builders import a_client, a_clinic, days_of
from tests.conftest import A_MASTER_KEY
from tests.folders import QUICK

MASTER_OF_HOUSE = Sealer(config.load({"NEAP_KEY": A_MASTER_KEY}).master_key())


QUICKER = {**QUICK, "max_wal_senders": "3"}


def a_folder() -> Path:
    """A folder that an unprivileged account can enter, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="neap-backup-", dir=folders.in_memory()))
    folder.chmod(0o711)
    return folder


def settings_in(folder: Path) -> Config:
    return config.load(
        {
            "NEAP_DATA_DIR": str(folder / "data"),
            "NEAP_BACKUP_DIR": str(folder / "backup"),
            "NEAP_KEY": A_MASTER_KEY,
        }
    )


@pytest.fixture(scope="module")
def furnished() -> Iterator[Path]:
    """A data folder whose database is migrated: made once, copied for each test."""
    folder = a_folder()

    async def furnish() -> None:
        async with in_use(msgspec.structs.replace(settings_in(folder), backup_dir=None)):
            pass

    asyncio.run(furnish())
    (folder / "data" / "embedded.json").unlink()
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def house(furnished: Path) -> Iterator[Config]:
    """Settings of a deployment with a data folder and a folder of backups."""
    folder = a_folder()
    subprocess.run(["cp", "-a", str(furnished), str(folder / "data")], check=True)
    yield settings_in(folder)
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def in_use(house: Config) -> AsyncIterator[Cluster]:
    async with embedded.running(house, overrides=QUICKER) as cluster:
        await preparing.prepare(house, admin_url=cluster.superuser_url)
        yield cluster


async def somebody_answers(house: Config, slug: str) -> None:
    """A clinic with somebody who answered for thirty days, folded."""
    pool = await database.open_pool(house.database_url_of("owner"), size=2, application_name="neap_tests")
    async with pool:
        clinic = await a_clinic(pool, slug=slug)
        now = datetime.now(UTC)
        async with database.transaction(pool, clinic.clinic_id) as db:
            client_id = await a_client(db, started_on=datetime.now(UTC).date() - timedelta(days=40), now=now)
            await days_of(db, client_id, until=datetime.now(UTC).date() - timedelta(days=1), craving=[4, 5, None] * 10)
            await audit.record(db, audit.COMMAND, "test.answered", object_id=ids.new(), now=now)
        await fold.fold_many(pool, clinic.clinic_id, [client_id], now=now)


async def archived(cluster: Cluster) -> None:
    """Wait until what was written so far is in the archive."""
    connection = await asyncpg.connect(cluster.superuser_url)
    try:
        segment = await connection.fetchval("select pg_walfile_name(pg_switch_wal())")
        while (await connection.fetchval("select last_archived_wal from pg_stat_archiver") or "") < segment:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def drilled(backup: Backup, house: Config, **more: datetime | None) -> Outcome:
    assert house.backup_dir is not None
    said: list[str] = []
    return await drill.run(backup, house, house.backup_dir, newest_at=more.get("newest_at"), tell=said.append)


async def taken(house: Config, cluster: Cluster) -> Backup:
    assert house.backup_dir is not None
    return await base_backup.take(cluster, house.backup_dir, MASTER_OF_HOUSE, quiet=True)
