"""The embedded PostgreSQL server: found running or started under a lock file, stopped by its starter only.

Its superuser `postgres` makes the roles and the database and does nothing else.
"""

import asyncio
import base64
import hashlib
import os
import secrets
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from service.config import KEY_BYTES, ROLES, Config, ConfigError, EmbeddedServer, embedded_url
from service.embedded import archiving, contents, log, server
from service.embedded.account import Account, account_for, reachable_folder
from service.embedded.binaries import folder_of_binaries
from service.embedded.errors import EmbeddedError
from service.embedded.lock import FileLock, held

__all__ = [
    "Cluster",
    "EmbeddedError",
    "cluster_of",
    "ended",
    "is_made",
    "keep_key",
    "make_passwords",
    "place_of",
    "record_place",
    "refuse_another",
    "remove",
    "running",
    "stop_left",
]

WATCH_SECONDS = 1.0
LOG = "postgres.log"
NO_OVERRIDES: Mapping[str, str] = MappingProxyType({})


class Cluster(NamedTuple):
    """A server that takes connections."""

    host: str
    port: int
    pid: int
    started_by_us: bool
    superuser_url: str
    data_dir: Path


@asynccontextmanager
async def running(config: Config, *, overrides: Mapping[str, str] = NO_OVERRIDES) -> AsyncIterator[Cluster]:
    """Have the server of the data folder run for as long as the block does.

    `overrides` are PostgreSQL settings that go before ours, used only by whoever starts it. EmbeddedError says why it
    cannot be started.
    """
    data_dir = config.data_dir
    data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    lock = FileLock(data_dir / "embedded.lock")
    while not lock.try_acquire():
        if (found := await _running_elsewhere(data_dir)) is not None:
            yield _cluster(data_dir, found, started_by_us=False)
            return
        await asyncio.sleep(server.POLL_SECONDS)
    try:
        found = await _adopted_or_started(data_dir, overrides, config.backup_dir)
        try:
            async with log.kept_short(data_dir / LOG):
                yield _cluster(data_dir, found, started_by_us=True)
        finally:
            server.stop(found.process)
    finally:
        lock.release()


def is_made(config: Config) -> bool:
    """Whether the data folder holds a server's data already."""
    return (cluster_of(config.data_dir) / "PG_VERSION").exists()


async def ended(pid: int) -> None:
    """Wait until a server is gone, however it ended."""
    while server.lives(pid):  # noqa: ASYNC110 - another process's end is no event of ours
        await asyncio.sleep(WATCH_SECONDS)


def refuse_another(config: Config, why: str) -> None:
    """Raise ConfigError, with the reason, where the settings name another server than the embedded one."""
    if config.embedded:
        return
    names = [each.name for each in msgspec.structs.fields(config) if each.name.endswith("database_url")]
    given = [f"NEAP_{name.upper()}" for name in names if getattr(config, name) is not None]
    raise ConfigError(f"{why}; unset {', '.join(given)} (or its _FILE)")


def remove(config: Config) -> None:
    """Delete what Neap made in the data folder, and the folder once it is empty; whatever else lies there stays.

    EmbeddedError while its server or its demonstration runs, and for a folder that is not Neap's.
    """
    data_dir = config.data_dir.resolve()
    if not data_dir.exists():
        return
    contents.refuse_foreign(data_dir)
    with _held(data_dir / "embedded.lock", "the server"), _held(data_dir / "demo.lock", "the demonstration"):
        cluster_dir = cluster_of(data_dir)
        if (found := server.found(cluster_dir)) is not None:
            server.stop(found.process)
        if (cluster_dir / "PG_VERSION").exists():
            shutil.rmtree(cluster_dir)
        contents.remove(data_dir)
    # A link to the folder stays good: the next start could not make a folder where a broken link lies.
    if not config.data_dir.is_symlink() and not any(data_dir.iterdir()):
        data_dir.rmdir()


def _held(file: Path, what: str) -> AbstractContextManager[None]:
    return held(file, EmbeddedError(f"{what} of {file.parent} is running; stop it first"))


async def _running_elsewhere(data_dir: Path) -> server.Found | None:
    """The server somebody else started, once it takes connections; None while it starts or stops."""
    found = server.found(cluster_of(data_dir))
    record = _record(data_dir)
    if found is None or record is None or record.port != found.port:
        return None
    return found if await server.answers(found.port, _superuser_password(data_dir)) else None


async def _adopted_or_started(data_dir: Path, overrides: Mapping[str, str], backup_dir: Path | None) -> server.Found:
    """Start the server, or take over one whose starter was killed."""
    cluster_dir = cluster_of(data_dir)
    while (found := server.found(cluster_dir)) is not None:
        if await server.answers(found.port, _superuser_password(data_dir)):
            _write_record(data_dir, found.port, cluster_dir)
            return found
        await asyncio.sleep(server.POLL_SECONDS)
    return await _started(data_dir, overrides, backup_dir)


def place_of(data_dir: Path) -> tuple[Account, server.Files]:
    """Who runs the server of a data folder, and where its files are or will be. Raises EmbeddedError."""
    cluster_dir = cluster_of(data_dir)
    account = account_for(cluster_dir)
    files = server.Files(folder_of_binaries(account), _home_for(cluster_dir, account), data_dir / LOG)
    files.log.touch(mode=0o600)
    return account, files


async def _started(data_dir: Path, overrides: Mapping[str, str], backup_dir: Path | None) -> server.Found:
    account, files = place_of(data_dir)
    cluster_dir = files.cluster_dir
    if backup_dir is not None:
        archiving.prepare(backup_dir, account)
        overrides = {**archiving.settings(backup_dir), **overrides}
    if cluster_dir.parent != data_dir and not (data_dir / "secrets").exists():
        _put_aside(cluster_dir)  # left behind by a data folder that was deleted, or moved, its passwords with it
    if not (cluster_dir / "PG_VERSION").exists():
        make_passwords(data_dir)
        keep_key(data_dir, secrets.token_bytes(KEY_BYTES))
        synced = overrides.get("fsync") != "off"
        await asyncio.to_thread(server.initialise, files, account, _superuser_password(data_dir), synced=synced)
    if backup_dir is not None:
        archiving.take_over(backup_dir, cluster_dir, account)
    record = _record(data_dir)
    found = await server.start(
        files,
        account,
        port=record.port if record else 0,
        superuser_password=_superuser_password(data_dir),
        overrides=overrides,
    )
    _write_record(data_dir, found.port, cluster_dir)
    return found


def _cluster(data_dir: Path, found: server.Found, *, started_by_us: bool) -> Cluster:
    superuser_url = embedded_url(data_dir, "postgres", "postgres")
    return Cluster(server.HOST, found.port, found.process.pid, started_by_us, superuser_url, data_dir)


def cluster_of(data_dir: Path) -> Path:
    """Where the cluster of a data folder is, or would be.

    The record counts only while nothing lies in the data folder itself.
    """
    inside = data_dir / "postgres"
    record = _record(data_dir)
    if record is None or (inside / "PG_VERSION").exists():
        return inside
    return Path(record.cluster_dir)


def _home_for(cluster_dir: Path, account: Account) -> Path:
    """The cluster's folder, moved to where the account can reach it if it cannot reach the data folder."""
    if not account.switch or account.can_enter(cluster_dir.parent):
        return cluster_dir
    digest = hashlib.sha256(os.fsencode(cluster_dir)).hexdigest()[:16]
    return reachable_folder(account) / f"cluster-{digest}"


def stop_left(data_dir: Path) -> None:
    """Stop the server of a data folder that its starter left running."""
    if (found := server.found(cluster_of(data_dir))) is not None:
        server.stop(found.process)


def _put_aside(cluster_dir: Path) -> None:
    """Whoever moved the data folder away may want back what lies here: it is not ours to delete."""
    if (found := server.found(cluster_dir)) is not None:
        server.stop(found.process)
    if cluster_dir.exists():
        cluster_dir.rename(cluster_dir.with_name(f"{cluster_dir.name}.left-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"))


def _record(data_dir: Path) -> EmbeddedServer | None:
    try:
        return msgspec.json.decode((data_dir / "embedded.json").read_bytes(), type=EmbeddedServer)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def record_place(data_dir: Path, cluster_dir: Path) -> None:
    """Note where the cluster of a data folder lies; the port is chosen when it is started."""
    _write_record(data_dir, 0, cluster_dir)


def _write_record(data_dir: Path, port: int, cluster_dir: Path) -> None:
    record = EmbeddedServer(host=server.HOST, port=port, cluster_dir=str(cluster_dir))
    unfinished = data_dir / "embedded.json.unfinished"
    unfinished.write_bytes(msgspec.json.encode(record))
    unfinished.rename(data_dir / "embedded.json")


def _superuser_password(data_dir: Path) -> str:
    try:
        return (data_dir / "secrets" / "postgres_password").read_text()
    except FileNotFoundError:
        raise EmbeddedError(f"{data_dir / 'secrets'} lacks the password of the server that lies beside it") from None


def make_passwords(data_dir: Path) -> str:
    """Make a password for each role, keeping those that are there. Returns the superuser's."""
    folder = data_dir / "secrets"
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in ("postgres", *ROLES):
        _write_once(folder / f"{name}_password", secrets.token_urlsafe(32))
    return _superuser_password(data_dir)


def keep_key(data_dir: Path, key: bytes) -> None:
    """Write the master key down beside the passwords, unless one is there."""
    _write_once(data_dir / "secrets" / "key", base64.urlsafe_b64encode(key).decode())


def _write_once(file: Path, text: str) -> None:
    if file.exists():
        return
    unfinished = file.with_suffix(".unfinished")
    unfinished.touch(mode=0o600)
    unfinished.write_text(text)
    unfinished.rename(file)
