"""Base backups of the embedded server: taken by pg_basebackup, checked by pg_verifybackup, a few of them kept."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

import asyncpg
import msgspec
import psutil

from service import embedded
from service.backup import contents
from service.backup.contents import Contents
from service.config import embedded_url
from service.embedded import Cluster, archiving
from service.embedded.lock import held
from service.embedded.server import ENVIRON, POLL_SECONDS
from service.errors import Conflict, DomainError, Invalid
from service.keys.sealing import Sealer

NAME = re.compile(r"[0-9]{8}T[0-9]{6}Z")
STAMP = "%Y%m%dT%H%M%SZ"
START_FILE = re.compile(r"^START WAL LOCATION: \S+ \(file ([0-9A-F]{24})\)$", re.MULTILINE)


class BackupFault(DomainError):
    """A backup could not be taken, or is not what it was."""

    kind = "backup"


class Backup(NamedTuple):
    """One base backup: its folder, PostgreSQL's data folder within it, when it was taken, what it must hold."""

    folder: Path
    data: Path
    taken_at: datetime
    contents: Contents


def folder_of(backup_dir: Path) -> Path:
    """Where the base backups are."""
    return backup_dir / "base"


@contextmanager
def alone(backup_dir: Path) -> Iterator[None]:
    """Let nobody else take or remove backups meanwhile. Raises Conflict where somebody does."""
    backup_dir.mkdir(parents=True, exist_ok=True)
    with held(backup_dir / "backup.lock", Conflict(f"Another backup into {backup_dir} is being taken.")):
        yield


async def take(cluster: Cluster, backup_dir: Path, master: Sealer, *, quiet: bool) -> Backup:
    """Take a base backup, check it, and give it its name last: what has a name is whole. The caller is `alone`.

    Raises Conflict where the running server keeps no archive, BackupFault where PostgreSQL's tools refuse.
    """
    superuser = embedded_url(cluster.data_dir, "postgres")
    await _refuse_without_archive(superuser, backup_dir)
    there = msgspec.structs.replace(await contents.read(superuser), key_check=_key_check(master))
    bases = folder_of(backup_dir)
    bases.mkdir(mode=0o700, parents=True, exist_ok=True)
    for left in bases.glob(".unfinished-*"):
        _end_writers(left)
        shutil.rmtree(left)
    # Each is named by the second in which it began.
    while (named := bases / datetime.now(UTC).strftime(STAMP)).exists():  # noqa: ASYNC110 - time is what it waits for
        await asyncio.sleep(POLL_SECONDS)
    unfinished = bases / f".unfinished-{os.getpid()}"
    unfinished.mkdir(mode=0o700)
    data = unfinished / "data"
    await _run(cluster, "pg_basebackup", *_arguments(cluster, data, quiet=quiet), password=True)
    await verify(cluster.data_dir, data)
    (unfinished / "contents.json").write_bytes(msgspec.json.format(msgspec.json.encode(there), indent=1))
    _sync(unfinished / "contents.json", unfinished)
    unfinished.rename(named)
    _sync(bases)
    return opened(named)


def _end_writers(folder: Path) -> None:
    """End what a killed backup left writing there."""
    wanted = f"--pgdata={folder}"
    for process in psutil.process_iter(["cmdline"]):
        if any(argument.startswith(wanted) for argument in process.info["cmdline"] or ()):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(10)


def _key_check(master: Sealer) -> str:
    """What tells one master key from another, and nothing of it."""
    return master.derived_key(purpose="backup key check").hex()[:16]


def refuse_other_key(backup: Backup, master: Sealer) -> None:
    """Raises Invalid where the master key is not that under which the backup's data were sealed."""
    if backup.contents.key_check not in (None, _key_check(master)):
        raise Invalid("NEAP_KEY is another master key than that of this backup: it opens nothing of it")


def _arguments(cluster: Cluster, data: Path, *, quiet: bool) -> list[str]:
    return [
        f"--pgdata={data}",
        f"--host={cluster.host}",
        f"--port={cluster.port}",
        "--username=postgres",
        "--no-password",
        "--checkpoint=fast",
        "--wal-method=stream",
        "--manifest-checksums=SHA256",
        *([] if quiet else ["--progress"]),
    ]


async def _refuse_without_archive(superuser_url: str, backup_dir: Path) -> None:
    connection = await asyncpg.connect(superuser_url)
    try:
        into = await connection.fetchval("select current_setting('basic_archive.archive_directory', true)")
    finally:
        await connection.close()
    if into != str(archiving.wal_dir(backup_dir)):
        raise Conflict(
            f"The server that runs does not archive into {archiving.wal_dir(backup_dir)}: "
            "start it with NEAP_BACKUP_DIR set, and take the backup then."
        )


async def verify(data_dir: Path, data: Path) -> None:
    """Have pg_verifybackup look at every file of a base backup. Raises BackupFault."""
    _, files = embedded.place_of(data_dir)
    command = [str(files.binaries / "pg_verifybackup"), "--quiet", "--exit-on-error", str(data)]
    done = await asyncio.to_thread(subprocess.run, command, env=ENVIRON, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackupFault(f"{data.parent.name} is not whole: {_last_line(done.stderr)}")


async def _run(cluster: Cluster, program: str, *arguments: str, password: bool = False) -> None:
    _, files = embedded.place_of(cluster.data_dir)
    environ = dict(ENVIRON)
    if password:
        environ["PGPASSWORD"] = unquote(urlsplit(cluster.superuser_url).password or "")
    process = await asyncio.create_subprocess_exec(
        files.binaries / program, *arguments, env=environ, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        status = await process.wait()
    except BaseException:
        process.terminate()
        await process.wait()
        raise
    if status != 0:
        raise BackupFault(f"{program} ended with status {status}")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason was given"])[-1]


def kept(backup_dir: Path) -> list[Backup]:
    """Every whole base backup, the oldest first. Raises BackupFault for one that says nothing of what it holds."""
    return [opened(each) for each in sorted(folder_of(backup_dir).glob("*")) if NAME.fullmatch(each.name)]


def opened(folder: Path) -> Backup:
    """The base backup of a folder. Raises BackupFault."""
    try:
        taken_at = datetime.strptime(folder.name, STAMP).replace(tzinfo=UTC)
        said = msgspec.json.decode((folder / "contents.json").read_bytes(), type=Contents)
    except (OSError, ValueError, msgspec.DecodeError) as error:
        raise BackupFault(f"{folder} is no base backup of Neap's") from error
    return Backup(folder, folder / "data", taken_at, said)


async def prune(cluster: Cluster, backup_dir: Path, *, keep: int) -> list[Path]:
    """Remove all but the newest `keep` base backups, and what of the log only those needed; the folders removed."""
    every = kept(backup_dir)
    old, rest = every[:-keep], every[-keep:]
    for each in old:
        leaving = each.folder.with_name(f".unfinished-{each.folder.name}")
        each.folder.rename(leaving)
        shutil.rmtree(leaving)
    if old and rest:
        label = (rest[0].data / "backup_label").read_text()
        if (found := START_FILE.search(label)) is not None:
            log = str(archiving.wal_dir(backup_dir))
            await _run(cluster, "pg_archivecleanup", "--clean-backup-history", log, found[1])
    return [each.folder for each in old]


def _sync(*paths: Path) -> None:
    for path in paths:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
