"""A backup gives everything back, also what was archived since; what is not whole is refused at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import pytest

from service import doctor, embedded
from service.backup import base_backup, contents, restore
from service.backup.base_backup import BackupFault
from service.config import Config, embedded_url
from service.embedded import EmbeddedError, archiving
from service.errors import Conflict
from tests.backups import archived, drilled, furnished, house, in_use, somebody_answers, taken

__all__ = ["furnished", "house"]


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
