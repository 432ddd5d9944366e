"""A backup gives everything back, also what was archived since; what is not whole is refused at once."""

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

from service import config, database, doctor, embedded, fold, ids
from service.backup import base_backup, contents, drill, restore
from service.backup.base_backup import Backup, BackupFault
from service.backup.drill import Outcome
from service.config import Config, embedded_url
from service.embedded import Cluster, EmbeddedError, archiving
from service.errors import Conflict
from service.keys.sealing import Sealer
from service.people import audit
from service.storage import preparing
from tests import folders
from tests.builders import a_client, a_clinic, days_of
from tests.conftest import A_MASTER_KEY
from tests.test_embedded import QUICK

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


async def test_a_drill_gives_back_what_came_after_the_backup_and_proves_it(house: Config) -> None:
    assert house.backup_dir is not None
    async with in_use(house) as cluster:
        await somebody_answers(house, "before")
        backup = await taken(house, cluster)
        await somebody_answers(house, "after")
        now_there = await contents.read(embedded_url(house.data_dir, "postgres"))
        await archived(cluster)
        outcome = await drilled(backup, house, newest_at=now_there.newest_at)
        assert outcome.faults == []
        assert outcome.rpo == timedelta(0)
        assert outcome.rows == sum(table.rows for table in now_there.tables.values())
        assert outcome.trend_days > 60
        assert outcome.last_commit_at is not None
    assert not (house.backup_dir / "drill").exists()
    assert base_backup.kept(house.backup_dir) == [backup]


async def test_what_did_not_come_back_is_named(house: Config) -> None:
    async with in_use(house) as cluster:
        await somebody_answers(house, "here")
        backup = await taken(house, cluster)
        connection = await asyncpg.connect(embedded_url(house.data_dir, "postgres"))
        await connection.execute("update trend set statistic = statistic + 1 where client_day = current_date - 2")
        await connection.close()
        await archived(cluster)
        more = msgspec.structs.replace(backup.contents.tables["check_in"], rows=10_000)
        claimed = msgspec.structs.replace(backup.contents, tables={**backup.contents.tables, "check_in": more})
        outcome = await drilled(backup._replace(contents=claimed), house)
    assert [each.partition(": ")[0] for each in outcome.faults][1:] == ["here"]
    assert outcome.faults[0].startswith("table check_in holds")
    assert outcome.faults[1].endswith("1 days of trend are not what the facts give")


async def test_a_backup_that_was_changed_is_refused_and_leaves_nothing(house: Config) -> None:
    assert house.backup_dir is not None
    async with in_use(house) as cluster:
        backup = await taken(house, cluster)
    file = next((backup.data / "base").rglob("*_fsm"))
    file.write_bytes(b"\0" + file.read_bytes()[1:-1] + b"\1")
    to = house.data_dir.with_name("restored")
    with pytest.raises(BackupFault, match="is not whole"):
        await restore.into(backup, house.backup_dir, to)
    assert not any(to.iterdir())


async def test_a_backup_killed_in_the_middle_has_no_name_and_the_next_clears_it_away(
    house: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert house.backup_dir is not None

    async def killed(data_dir: Path, data: Path) -> None:
        raise KeyboardInterrupt

    async with in_use(house) as cluster:
        with monkeypatch.context() as patched:
            patched.setattr(base_backup, "verify", killed)
            with pytest.raises(KeyboardInterrupt):
                await taken(house, cluster)
        assert base_backup.kept(house.backup_dir) == []
        backup = await taken(house, cluster)
    assert [each.name for each in base_backup.folder_of(house.backup_dir).iterdir()] == [backup.folder.name]


async def test_a_restored_folder_is_a_deployment_with_passwords_of_its_own(house: Config) -> None:
    assert house.backup_dir is not None
    async with in_use(house) as cluster:
        await somebody_answers(house, "here")
        backup = await taken(house, cluster)
    to = house.data_dir.with_name("restored")
    await restore.into(backup, house.backup_dir, to)
    assert not (to / "secrets" / "key").exists(), "it is not in the backup"
    embedded.keep_key(to, house.master_key())
    there = msgspec.structs.replace(house, data_dir=to, backup_dir=None, key=None)
    assert there.master_key() == house.master_key()
    async with in_use(there):
        connection = await asyncpg.connect(there.database_url_of("owner"))
        assert await connection.fetchval("select slug from clinic") == "here"
        await connection.close()
    assert (to / "secrets" / "owner_password").read_text() != (house.secrets_dir / "owner_password").read_text()
    with pytest.raises(EmbeddedError, match="not empty"):
        await restore.into(backup, house.backup_dir, to)
    assert (to / "secrets" / "key").is_file()


async def test_only_the_newest_are_kept_with_the_log_they_need(house: Config) -> None:
    assert house.backup_dir is not None
    async with in_use(house) as cluster:
        first = await taken(house, cluster)
        await somebody_answers(house, "here")
        await archived(cluster)
        second = (await taken(house, cluster)).folder
        while second == first.folder:
            second = (await taken(house, cluster)).folder
        segments = set(archiving.wal_dir(house.backup_dir).iterdir())
        assert await base_backup.prune(cluster, house.backup_dir, keep=1) == [first.folder]
        assert [each.folder for each in base_backup.kept(house.backup_dir)] == [second]
        assert set(archiving.wal_dir(house.backup_dir).iterdir()) < segments
        assert len(list(archiving.wal_dir(house.backup_dir).glob("*.backup"))) == 1
        assert (await drilled(base_backup.kept(house.backup_dir)[0], house)).faults == []


async def test_a_server_that_archives_nothing_is_not_backed_up(house: Config) -> None:
    assert house.backup_dir is not None
    without = msgspec.structs.replace(house, backup_dir=None)
    async with in_use(without) as cluster:
        with pytest.raises(Conflict, match="start it with NEAP_BACKUP_DIR"):
            await taken(house, cluster)
        said = {each.name: each async for each in doctor.examine(without)}
    assert said["backup"].is_problem
    assert said["archived log"].is_problem


async def test_the_doctor_sees_a_stale_backup(house: Config) -> None:
    async with in_use(house) as cluster:
        backup = await taken(house, cluster)
        said = {each.name: each async for each in doctor.examine(house)}
        assert not said["backup"].is_problem
        assert not said["archived log"].is_problem
        old = backup.taken_at - timedelta(days=3)
        backup.folder.rename(backup.folder.with_name(old.strftime(base_backup.STAMP)))
        said = {each.name: each async for each in doctor.examine(house)}
    assert "72 hours old" in said["backup"].seen
    assert said["backup"].is_problem
