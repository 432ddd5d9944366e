"""What the database says of itself: version, durability, clock, schema, what is sealed, jobs, the archived log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from service import database, errors, key_proof, watch
from service.config import Config
from service.database import Pool
from service.doctor.doors import connected
from service.doctor.finding import Finding
from service.embedded import archiving
from service.storage import rights, schema

LEAST_VERSION, NEWEST_VERSION = 15, 18
MOST_SKEW = timedelta(seconds=2)
# The server's own promises, without which a stored answer may be lost with the machine.
DURABLE = ("fsync", "synchronous_commit", "full_page_writes")


async def itself(config: Config) -> list[Finding]:
    """Its version, its promises, its clock."""
    async with connected(config, "owner") as connection:
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


async def its_schema(config: Config) -> list[Finding]:
    """Whether it is this program's."""
    async with connected(config, "web") as connection:
        try:
            await schema.refuse_stale(connection)
        except schema.SchemaFault as fault:
            return [Finding("schema", str(fault), "run `python -m service migrate`, or the program that fits it")]
    return [Finding("schema", f"current ({schema.versions()[-1]})")]


async def each_right(config: Config) -> list[Finding]:
    """Whether every role holds what the migrations grant; of a schema that is another's nothing is said here."""
    async with connected(config, "owner") as connection:
        try:
            await schema.refuse_stale(connection)
        except schema.SchemaFault:
            return []
        lacking = await rights.lacking(connection)
    if not lacking:
        return [Finding("rights", "every role holds what the migrations grant it")]
    said = ", ".join(sorted({f"{right.role} on {right.table}" for right in lacking}))
    return [Finding("rights", f"{said}: not what the migrations grant", f"as neap_owner: {rights.sql_for(lacking)}")]


@asynccontextmanager
async def _pool(config: Config) -> AsyncIterator[Pool]:
    pool = await database.open_pool(config.database_url_of("web"), size=1, application_name="neap_doctor")
    async with pool:
        yield pool


async def sealed_data(config: Config) -> list[Finding]:
    """Whether the key opens what is stored: the wrong one is noticed here and not when a therapist reads a note."""
    async with _pool(config) as pool:
        try:
            found = await key_proof.proved(pool, config.master_key())
        except errors.NotReady:
            remedy = "set the NEAP_KEY under which this database was filled"
            return [Finding("sealed data", "the master key does not open it", remedy)]
    return [Finding("sealed data", "opens" if found else "nothing is stored yet that a key could open")]


async def promises(config: Config) -> list[Finding]:
    """Whether a jobs process keeps them."""
    async with _pool(config) as pool, database.across_clinics(pool) as connection:
        said = await watch.reports(connection, now=datetime.now(UTC))
    now = datetime.now(UTC)
    overdue = watch.overdue_in(said, now=now)
    if watch.is_starting(said, now=now) and not overdue:
        return [Finding("jobs", "it has just started; what is overdue is known in three minutes")]
    if not said:
        return [
            Finding("jobs", "no jobs process ever reported", "start `python -m jobs`: without it nobody is alerted")
        ]
    if overdue:
        remedy = "see whether `python -m jobs` runs, its log, and the page Operations"
        return [Finding("jobs", f"overdue: {', '.join(overdue)}", remedy)]
    return [Finding("jobs", "every promise is kept")]


# The jobs process writes every minute, so that a server that archives has always something to.
LONGEST_QUIET = timedelta(hours=1)
QUIET = "set archive_timeout = 60 and archive_command or archive_library: what came since is lost with the disk"
ARCHIVER = """
select current_setting('archive_mode') <> 'off' as archives, last_archived_time,
  coalesce(last_failed_time > last_archived_time, last_failed_time is not null) as fails,
  now() - greatest(last_archived_time, pg_postmaster_start_time()) as quiet_for
from pg_stat_archiver
"""


async def _archiver(config: Config) -> Finding:
    async with connected(config, "owner") as connection:
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
    seen = "nothing yet" if newest is None else f"last {newest:%Y-%m-%d %H:%M} UTC"
    return Finding("archived log", seen, QUIET if said["quiet_for"] > LONGEST_QUIET else "")


async def archived_log(config: Config) -> list[Finding]:
    """Whether what was written since the last backup would come back."""
    return [await _archiver(config)]
