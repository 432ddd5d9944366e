"""What lies on this machine: the key, the address, space, base backups."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from service.backup import base_backup
from service.config import Config
from service.doctor.finding import Finding

LEAST_DISK_BYTES = 2 << 30
ANSWER_SECONDS = 5.0
OLDEST_BACKUP = timedelta(days=2)
LOCAL = ("127.0.0.1", "localhost", "::1")


async def settings(config: Config) -> list[Finding]:
    """That they were read, and whether the address will do."""
    place = "the embedded server" if config.embedded else "a server of its own"
    host = urlsplit(config.base_url)
    found = [Finding("settings", f"read; the database is {place}")]
    if host.scheme == "http" and host.hostname not in LOCAL:
        remedy = "put a proxy with TLS before it and set NEAP_BASE_URL to its https address: phones and sign-in need it"
        found.append(Finding("address", config.base_url, remedy))
    elif host.scheme == "https" and not config.forwarded_allow_ips:
        remedy = "set NEAP_FORWARDED_ALLOW_IPS to the proxy's address: else all who sign in share one network's tries"
        found.append(Finding("address", f"{config.base_url}, and no proxy is believed", remedy))
    else:
        found.append(Finding("address", config.base_url))
    return found


async def key(config: Config) -> list[Finding]:
    """Whether there is one."""
    config.master_key()
    return [Finding("master key", "32 bytes")]


async def web(config: Config) -> list[Finding]:
    """Whether phones and staff reach a web process that takes check-ins, by the address that they are given."""
    address = f"{config.base_url}/health/ready"
    try:
        async with httpx.AsyncClient(timeout=ANSWER_SECONDS) as http:
            status = (await http.get(address)).status_code
    except httpx.HTTPError as error:
        remedy = "start `python -m service web`, and see that the proxy and its certificate stand before it"
        return [Finding("web", f"{config.base_url} does not answer ({type(error).__name__})", remedy)]
    if status != HTTPStatus.OK:
        return [Finding("web", f"not ready ({status})", "see the log of `python -m service web`")]
    return [Finding("web", f"takes check-ins at {config.base_url}")]


def backup_and_disk(config: Config) -> list[Finding]:
    """What a process of this machine sees of both, for a page. Reads folders, which may hang on a disk of a network.

    Raises OSError where the process may not look.
    """
    if (
        config.embedded
        and config.backup_dir is not None
        and (folder := base_backup.folder_of(config.backup_dir)).exists()
    ):
        # A pattern finds nothing where one may not look, and that is no "none was taken".
        next(folder.iterdir(), None)
    return [_backup(config), *(_disk(config) if config.embedded else ())]


async def disk(config: Config) -> list[Finding]:
    """Room beside the data and the backups."""
    return _disk(config)


def _disk(config: Config) -> list[Finding]:
    if not config.data_dir.is_dir():
        return [Finding("disk", f"{config.data_dir} is not there; only the embedded server needs it")]
    found = [_space(config.data_dir, "beside the data folder", "a full disk stops check-ins")]
    if config.backup_dir is not None and config.backup_dir.is_dir():
        found.append(_space(config.backup_dir, "beside the backups", "a full one stops the archive, then the server"))
    return found


def _space(folder: Path, where: str, why: str) -> Finding:
    free = shutil.disk_usage(folder).free
    remedy = "" if free >= LEAST_DISK_BYTES else f"keep {LEAST_DISK_BYTES >> 30} GiB free: {why}"
    return Finding("disk", f"{free / (1 << 30):.1f} GiB free {where}", remedy)


async def backup(config: Config) -> list[Finding]:
    """Whether a loss of the disk would lose little; of a server of your own that cannot be seen here, and is said."""
    return [_backup(config)]


def _backup(config: Config) -> Finding:
    if not config.embedded:
        return Finding("backup", "cannot be seen of a server of its own: docs/operations.md says what to look at")
    if config.backup_dir is None:
        remedy = "set NEAP_BACKUP_DIR, best on another disk, and let `python -m service backup` run daily"
        return Finding("backup", "none is kept", remedy)
    try:
        every = base_backup.kept(config.backup_dir)
    except base_backup.BackupFault as fault:
        return Finding("backup", str(fault), "look at it, or remove it")
    if not every:
        return Finding("backup", "none was taken yet", "run `python -m service backup`, daily")
    if not (every[-1].data / "PG_VERSION").is_file():
        return Finding("backup", f"{every[-1].folder} has lost its data", "run `python -m service backup`")
    age = datetime.now(UTC) - every[-1].taken_at
    seen = f"{len(every)} kept, the newest {age.total_seconds() / 3600:.0f} hours old"
    return Finding("backup", seen, "" if age <= OLDEST_BACKUP else "let `python -m service backup` run daily")
