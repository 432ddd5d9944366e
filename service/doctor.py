"""Whether a deployment is fit: each thing that must hold, looked at from outside, with what to do where it does not.

Nothing here changes anything, and no line holds a secret or a word about a person.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import aiosmtplib
import asyncpg
import msgspec

from service import database, errors, roles, schema, watch
from service.backup import base_backup
from service.config import ROLES, Config, ConfigError, Role
from service.database import Connection, Pool
from service.embedded import archiving
from service.people import clients, clinics
from service.sealing import Sealer

CONNECT_SECONDS = 10.0
LEAST_VERSION, NEWEST_VERSION = 15, 18
MOST_SKEW = timedelta(seconds=2)
LEAST_DISK_BYTES = 2 << 30
OLDEST_BACKUP = timedelta(days=2)
# The server's own promises, without which a stored answer may be lost with the machine.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")
LOCAL = ("127.0.0.1", "localhost", "::1")


class Finding(msgspec.Struct, frozen=True):
    """What was looked at and what was seen; `remedy` is empty where all is well."""

    name: str
    seen: str
    remedy: str = ""

    @property
    def is_problem(self) -> bool:
        """Whether somebody has to do something."""
        return bool(self.remedy)


Check = Callable[[Config], Awaitable[list[Finding]]]


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Every finding, in the order in which one would mend them; a check that breaks is a problem of its own."""
    for name, check in CHECKS.items():
        try:
            async with asyncio.timeout(CONNECT_SECONDS * 3):
                found = await check(config)
        except ConfigError as fault:
            found = [Finding(name, "not set", "; ".join(fault.faults))]
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            found = [Finding(name, f"no answer ({type(error).__name__})", "see whether the server runs and lets us in")]
        for each in found:
            yield each


async def _settings(config: Config) -> list[Finding]:
    place = "the embedded server" if config.embedded else "a server of its own"
    host = urlsplit(config.base_url)
    found = [Finding("settings", f"read; the database is {place}")]
    if host.scheme == "http" and host.hostname not in LOCAL:
        remedy = "put a proxy with TLS before it and set NEAP_BASE_URL to its https address: phones and sign-in need it"
        found.append(Finding("address", config.base_url, remedy))
    else:
        found.append(Finding("address", config.base_url))
    return found


async def _key(config: Config) -> list[Finding]:
    config.master_key()
    return [Finding("master key", "32 bytes")]


@asynccontextmanager
async def _connected(config: Config, role: Role) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(config.database_url_of(role), timeout=CONNECT_SECONDS)
    try:
        yield connection
    finally:
        await connection.close()


async def _roles(config: Config) -> list[Finding]:
    found = []
    for role in ROLES:
        name = f"role neap_{role}"
        try:
            async with _connected(config, role) as connection:
                if role != "owner":
                    await roles.refuse_unbounded(connection)
            found.append(
                Finding(name, "lets us in, and no further than it should" if role != "owner" else "lets us in")
            )
        except roles.RoleFault as fault:
            found.append(
                Finding(name, str(fault), "take the membership or the table away from it; see docs/security.md")
            )
        except asyncpg.InvalidAuthorizationSpecificationError:
            remedy = (
                f"set NEAP_{role.upper()}_PASSWORD, or run `python -m service migrate` with an administrator's address"
            )
            found.append(Finding(name, "is refused", remedy))
    return found


async def _server(config: Config) -> list[Finding]:
    async with _connected(config, "owner") as connection:
        version = connection.get_server_version().major
        off = [name for name in DURABLE if await connection.fetchval(f"show {name}") == "off"]
        ahead = await connection.fetchval("select clock_timestamp()") - datetime.now(UTC)
    found = [Finding("PostgreSQL", f"version {version}")]
    if not LEAST_VERSION <= version <= NEWEST_VERSION:
        found = [Finding("PostgreSQL", f"version {version}", f"use {LEAST_VERSION} to {NEWEST_VERSION}")]
    if off:
        remedy = "switch it on again: an answer that was acknowledged could be lost with the machine"
        found.append(Finding("durability", f"{', '.join(off)} off", remedy))
    else:
        found.append(Finding("durability", f"{', '.join(DURABLE)} on"))
    skew = f"{abs(ahead.total_seconds()):.1f} s apart"
    found.append(Finding("clocks", skew, "" if abs(ahead) <= MOST_SKEW else "run chrony or another NTP client on both"))
    return found


async def _schema(config: Config) -> list[Finding]:
    async with _connected(config, "web") as connection:
        try:
            await schema.refuse_stale(connection)
        except schema.SchemaFault as fault:
            return [Finding("schema", str(fault), "run `python -m service migrate`, or the program that fits it")]
    return [Finding("schema", f"current ({schema.versions()[-1]})")]


@asynccontextmanager
async def _pool(config: Config) -> AsyncIterator[Pool]:
    pool = await database.open_pool(config.database_url_of("web"), size=1, application_name="neap_doctor")
    async with pool:
        yield pool


async def _sealed(config: Config) -> list[Finding]:
    """Whether the key opens what is stored: the wrong one is noticed here and not when a therapist reads a note."""
    master = Sealer(config.master_key())
    async with _pool(config) as pool:
        async with database.across_clinics(pool) as connection:
            clinic_ids = [each.clinic_id for each in await clinics.all_clinics(connection)]
        try:
            opened = [await _opens_some(pool, clinic_id, master) for clinic_id in clinic_ids]
        except errors.DomainError:
            remedy = "set the NEAP_KEY under which this database was filled"
            return [Finding("sealed data", "the master key does not open it", remedy)]
    return [Finding("sealed data", f"opens ({sum(opened)} of {len(clinic_ids)} clinics hold any)")]


A_CLIENT = """
select client_id
from client
where clinic_id = $1
limit 1
"""


async def _opens_some(pool: Pool, clinic_id: UUID, master: Sealer) -> bool:
    """Whether somebody's key was there and opened. Raises a DomainError where it does not open."""
    async with database.transaction(pool, clinic_id) as db:
        client_id = await db.value(A_CLIENT, clinic_id)
        if not isinstance(client_id, UUID):
            return False
        await clients.sealer_of(db, master, client_id)
        return True


async def _mail(config: Config) -> list[Finding]:
    if config.smtp_host is None:
        return [Finding("mail", "no server is set", "set NEAP_SMTP_HOST and NEAP_MAIL_FROM: no e-mail is sent")]
    try:
        async with _mail_server(config):
            pass
    except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
        remedy = "look at NEAP_SMTP_HOST, _PORT, _SECURITY, _USER and _PASSWORD"
        return [Finding("mail", f"the server does not take us ({type(error).__name__})", remedy)]
    return [Finding("mail", f"{config.smtp_host}:{config.smtp_port} takes us")]


@asynccontextmanager
async def _mail_server(config: Config) -> AsyncIterator[aiosmtplib.SMTP]:
    server = aiosmtplib.SMTP(
        hostname=config.smtp_host,
        port=config.smtp_port,
        use_tls=config.smtp_security == "tls",
        start_tls=config.smtp_security == "starttls",
        username=config.smtp_user,
        password=config.smtp_password,
        timeout=CONNECT_SECONDS,
    )
    async with server:
        yield server


async def send_test(config: Config, to: str) -> Finding:
    """Send a message that says that messages arrive."""
    message = EmailMessage()
    message["From"], message["To"] = config.mail_from or "", to
    message["Subject"], message["Date"] = "Neap: a test", format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain="neap.invalid")
    message.set_content("This is a test. Messages of this Neap arrive here.\n")
    try:
        async with _mail_server(config) as server:
            await server.send_message(message)
    except (aiosmtplib.SMTPException, OSError, TimeoutError, ValueError) as error:
        return Finding("test message", f"refused ({type(error).__name__})", "see the lines about mail above")
    return Finding("test message", "taken by the mail server")


async def _jobs(config: Config) -> list[Finding]:
    async with _pool(config) as pool, database.across_clinics(pool) as connection:
        said = await watch.reports(connection, now=datetime.now(UTC))
    overdue = watch.overdue_in(said, now=datetime.now(UTC))
    if not said:
        return [
            Finding("jobs", "no jobs process ever reported", "start `python -m jobs`: without it nobody is alerted")
        ]
    if overdue:
        remedy = "see whether `python -m jobs` runs, its log, and the page Operations"
        return [Finding("jobs", f"overdue: {', '.join(overdue)}", remedy)]
    return [Finding("jobs", "every promise is kept")]


async def _disk(config: Config) -> list[Finding]:
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


async def _backup(config: Config) -> list[Finding]:
    """Whether a loss of the disk would lose little; of a server of your own that cannot be seen here."""
    return [_base_backups(config)] if config.embedded else []


def _base_backups(config: Config) -> Finding:
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


ARCHIVER = """
select current_setting('archive_mode') <> 'off' as archives, last_archived_time,
  coalesce(last_failed_time > last_archived_time, last_failed_time is not null) as fails
from pg_stat_archiver
"""


async def _archiver(config: Config) -> Finding:
    async with _connected(config, "owner") as connection:
        said = await connection.fetchrow(ARCHIVER)
    if said is None or not said["archives"]:
        remedy = (
            "switch on archiving, or the provider's point-in-time recovery: what came since the last backup is lost"
        )
        return Finding("archived log", "the server archives nothing", remedy)
    if said["fails"]:
        return Finding(
            "archived log", "archiving fails", "see PostgreSQL's log, the folder's owner and the space there"
        )
    if config.embedded and config.backup_dir is not None and not archiving.wal_dir(config.backup_dir).is_dir():
        where = archiving.wal_dir(config.backup_dir)
        return Finding("archived log", f"{where} is gone", "restart the server, and run `python -m service backup`")
    newest = said["last_archived_time"]
    return Finding("archived log", "nothing yet" if newest is None else f"last {newest:%Y-%m-%d %H:%M} UTC")


async def _archive(config: Config) -> list[Finding]:
    return [await _archiver(config)]


CHECKS: dict[str, Check] = {
    "settings": _settings,
    "master key": _key,
    "roles": _roles,
    "PostgreSQL": _server,
    "schema": _schema,
    "sealed data": _sealed,
    "mail": _mail,
    "jobs": _jobs,
    "disk": _disk,
    "backup": _backup,
    "archived log": _archive,
}


def problems(findings: Sequence[Finding]) -> int:
    """How many need somebody."""
    return sum(each.is_problem for each in findings)
