"""What goes wrong around a restore is said, and nothing is lost by it that was not lost before."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import sys
from datetime import timedelta
from pathlib import Path

import asyncpg
import msgspec
import psutil
import pytest

from service import embedded
from service.backup import base_backup, drill, restore
from service.backup.base_backup import Backup
from service.commands import restore as command
from service.config import Config, embedded_url
from service.embedded import EmbeddedError, archiving
from service.errors import Conflict, Invalid
from service.keys.sealing import Sealer
from tests.backups import archived, drilled, furnished, house, in_use, somebody_answers, taken

__all__ = ["furnished", "house"]


async def three_segments(house: Config) -> Backup:
    """A backup, and three times something that was written and archived after it."""
    async with in_use(house) as cluster:
        backup = await taken(house, cluster)
        for slug in ("one", "two", "three"):
            await somebody_answers(house, slug)
            await archived(cluster)
    return backup


def segments_of(house: Config) -> list[Path]:
    assert house.backup_dir is not None
    folder = archiving.wal_dir(house.backup_dir)
    return sorted(each for each in folder.iterdir() if archiving.SEGMENT.fullmatch(each.name))


def lose(house: Config) -> None:
    segments_of(house)[-2].unlink()


def damage(house: Config) -> None:
    file = segments_of(house)[-2]
    file.write_bytes(bytes(file.stat().st_size))


def swap(house: Config) -> None:
    one, other = segments_of(house)[-3:-1]
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def empty(house: Config) -> None:
    for each in segments_of(house):
        each.unlink()


@pytest.mark.parametrize(
    "broken", [lose, *(pytest.param(each, marks=pytest.mark.slow) for each in (damage, swap, empty))]
)
async def test_a_log_with_a_hole_is_no_whole_restore(house: Config, broken: object) -> None:
    assert house.backup_dir is not None
    backup = await three_segments(house)
    assert callable(broken)
    broken(house)
    restored = await restore.into(backup, house.backup_dir, house.data_dir.with_name("restored"))
    assert restored.fault is not None
    assert "\n" not in restored.fault
    assert restored.fault in (await drilled(backup, house)).faults


@pytest.mark.slow
async def test_a_restore_that_refuses_leaves_a_cluster_that_was_there(
    house: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The data folder was moved away, its cluster lies elsewhere: the only copy of what was not archived yet."""
    assert house.backup_dir is not None
    async with in_use(house) as cluster:
        backup = await taken(house, cluster)
    to, elsewhere = house.data_dir.with_name("restored"), house.data_dir.with_name("elsewhere")
    shutil.copytree(house.data_dir / "postgres", elsewhere)
    account, files = embedded.place_of(house.data_dir)
    monkeypatch.setattr(embedded, "place_of", lambda _: (account, files._replace(cluster_dir=elsewhere)))
    with pytest.raises(EmbeddedError, match="move it away first"):
        await restore.into(backup, house.backup_dir, to)
    assert (elsewhere / "PG_VERSION").is_file()
    assert not any(to.iterdir())


async def test_what_was_written_after_a_first_restore_comes_back_by_a_second(house: Config) -> None:
    """Without a backup in between: the log of the restored server is another timeline of the same archive."""
    assert house.backup_dir is not None
    async with in_use(house) as cluster:
        backup = await taken(house, cluster)
        await somebody_answers(house, "first")
        await archived(cluster)
    second, third = house.data_dir.with_name("second"), house.data_dir.with_name("third")
    assert (await restore.into(backup, house.backup_dir, second)).fault is None
    async with in_use(msgspec.structs.replace(house, data_dir=second)) as cluster:
        await somebody_answers(msgspec.structs.replace(house, data_dir=second), "second")
        await archived(cluster)
    assert (await restore.into(backup, house.backup_dir, third)).fault is None
    async with in_use(msgspec.structs.replace(house, data_dir=third)) as cluster:
        connection = await asyncpg.connect(embedded_url(third, "postgres"))
        slugs = await connection.fetchval("select array_agg(slug order by created_at) from clinic")
        await connection.close()
        await archived(cluster)
    assert slugs == ["first", "second"]


@pytest.mark.slow
async def test_a_restore_to_look_at_changes_nothing_for_the_next(house: Config) -> None:
    assert house.backup_dir is not None
    async with in_use(house) as cluster:
        backup = await taken(house, cluster)
        await somebody_answers(house, "first")
        await archived(cluster)
        before = segments_of(house)
        await restore.into(backup, house.backup_dir, house.data_dir.with_name("looked-at"))
        assert segments_of(house)[: len(before)] == before
        await somebody_answers(house, "second")
        await archived(cluster)
        assert (await drilled(backup, house)).faults == []


@pytest.mark.slow
async def test_the_archive_of_another_cluster_is_refused(house: Config) -> None:
    async with in_use(house):
        pass
    shutil.rmtree(house.data_dir)
    with pytest.raises(EmbeddedError, match="archive of another cluster"):
        async with in_use(house):
            pass


@pytest.mark.slow
async def test_another_master_key_is_refused_before_anything_is_done(house: Config) -> None:
    async with in_use(house) as cluster:
        backup = await taken(house, cluster)
    base_backup.refuse_other_key(backup, Sealer(house.master_key()))
    with pytest.raises(Invalid, match="another master key"):
        base_backup.refuse_other_key(backup, Sealer(bytes(32)))


@pytest.mark.slow
async def test_one_backup_at_a_time_and_what_a_killed_one_left_writing_is_ended(house: Config) -> None:
    assert house.backup_dir is not None
    with (
        base_backup.alone(house.backup_dir),
        pytest.raises(Conflict, match="Another backup"),
        base_backup.alone(house.backup_dir),
    ):
        pass
    left = base_backup.folder_of(house.backup_dir) / ".unfinished-1"
    left.mkdir(parents=True)
    starter = await asyncio.create_subprocess_exec(
        *("sh", "-c", '"$0" -c "import signal; signal.pause()" "$1" > /dev/null & echo $!'),
        *(sys.executable, f"--pgdata={left / 'data'}"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await starter.communicate()
    writer = psutil.Process(int(said))
    async with in_use(house) as cluster:
        await taken(house, cluster)
    assert not writer.is_running() or writer.status() == psutil.STATUS_ZOMBIE
    assert not left.exists()


STARTS_AND_IS_KILLED = """
import asyncio, os, signal, sys
from service import config, embedded

async def start():
    async with embedded.running(config.load({"NEAP_DATA_DIR": sys.argv[1]})) as cluster:
        print(cluster.pid, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(start())
"""


@pytest.mark.slow
async def test_a_drill_keeps_no_key_ends_what_a_killed_one_left_and_spares_what_is_not_its_own(house: Config) -> None:
    assert house.backup_dir is not None
    place = house.backup_dir / "drill"
    async with in_use(house) as cluster:
        backup = await taken(house, cluster)
    await restore.into(backup, house.backup_dir, place)
    killed = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTS_AND_IS_KILLED, str(place)), stdout=asyncio.subprocess.PIPE
    )
    said, _ = await killed.communicate()
    left = psutil.Process(int(said))
    seen: list[bool] = []

    def look(said: str) -> None:
        seen.append((place / "secrets" / "key").exists())

    outcome = await drill.run(backup, house, house.backup_dir, newest_at=None, tell=look)
    assert outcome.faults == []
    assert seen
    assert not any(seen)
    assert not left.is_running() or left.status() == psutil.STATUS_ZOMBIE
    place.mkdir()
    (place / "precious").touch()
    with pytest.raises(EmbeddedError, match="nothing was deleted"):
        await drilled(backup, house)
    assert (place / "precious").exists()


@pytest.mark.slow
async def test_days_of_trend_that_are_gone_are_missed(house: Config) -> None:
    async with in_use(house) as cluster:
        await somebody_answers(house, "here")
        backup = await taken(house, cluster)
        connection = await asyncpg.connect(embedded_url(house.data_dir, "postgres"))
        await connection.execute("delete from trend")
        await connection.close()
        await archived(cluster)
        outcome = await drilled(backup, house)
    [fault] = outcome.faults
    assert "days of trend are not what the facts give" in fault


@pytest.mark.slow
async def test_the_command_says_where_the_log_broke_and_that_it_is_not_all(
    house: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    await three_segments(house)
    lose(house)
    to = house.data_dir.with_name("restored")
    arguments = argparse.Namespace(to=to, backup=None, until=None)
    assert await asyncio.to_thread(command.run, arguments, house) == 1
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith(f"{to}: restored up to 20")
    assert said[1].startswith("FAULT the log goes on")
    assert (to / "secrets" / "key").is_file()


@pytest.mark.slow
async def test_what_was_done_by_mistake_does_not_come_back_from_before_it(house: Config) -> None:
    assert house.backup_dir is not None
    async with in_use(house) as cluster:
        await taken(house, cluster)
        await somebody_answers(house, "before")
        connection = await asyncpg.connect(embedded_url(house.data_dir, "postgres"))
        moment = await connection.fetchval("select clock_timestamp()")
        await connection.execute("truncate check_in cascade")
        await connection.close()
        await archived(cluster)
    to = house.data_dir.with_name("restored")
    assert await asyncio.to_thread(command.run, argparse.Namespace(to=to, backup=None, until=moment), house) == 0
    async with in_use(msgspec.structs.replace(house, data_dir=to, backup_dir=None)):
        connection = await asyncpg.connect(embedded_url(to, "postgres"))
        assert await connection.fetchval("select count(*) from check_in") == 20
        await connection.close()
    with pytest.raises(Invalid, match=r"no base backup in .* is older"):
        command.chosen(None, house.backup_dir, before=moment - timedelta(days=1))
