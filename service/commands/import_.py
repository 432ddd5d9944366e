"""Bring in daily histories, or treatments, from a CSV or TSV file; a second run changes nothing."""

from __future__ import annotations

import argparse
import asyncio
import shlex
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from schemas.clinic import Clinic
from schemas.course import Substance
from service import database, errors, import_history
from service.config import Config
from service.database import Pool
from service.errors import DomainError
from service.import_history import file, maps, records
from service.import_history.file import CLIENT_CHARACTERS, History
from service.import_history.history import Counts
from service.import_history.people import Importing
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import clinics
from service.storage import preparing

NOTHING_TAKEN_STATUS = 1
BAD_FILE_STATUS = 2
REFUSALS_SHOWN = 50
DEFAULT_CLINIC = "imported"
POOL_SIZE = 2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The file, the clinic it goes to, and how to read it."""
    what = "one row a client and day, columns as the map says; or, with a column record, one a record of treatment"
    parser.add_argument("file", metavar="FILE", type=Path, help=what)
    parser.add_argument("--clinic", metavar="SLUG", default=DEFAULT_CLINIC, help="made where it is missing (imported)")
    parser.add_argument("--map", metavar="NAME|FILE", help="how to read the columns; else told by the header")
    parser.add_argument("--source", metavar="NAME", help="where the clients come from; else the map's name")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Import; 0, 1 when every row was refused, 2 for an argument, file or map that cannot be read."""
    now = datetime.now(UTC)
    try:
        _check(arguments)
        if arguments.map is None and records.recognises(arguments.file):
            return asyncio.run(_bring_in_treatment(config, arguments, now=now))
        history = file.read(arguments.file, map_name=arguments.map, today=now.date())
    except DomainError as error:
        print(f"neap: {error}", file=sys.stderr)
        return BAD_FILE_STATUS
    source = arguments.source or history.map.name
    print(f"{history.path}: read with the map {history.map.name} ({history.map.title}) as source {source}")
    counts = Counts()
    if history.days or history.blank:
        counts = asyncio.run(_bring_in(config, history, slug=arguments.clinic, source=source, now=now))
    _report(history)
    if arguments.source is None and history.map.name == maps.PLAIN and counts.clients_before and counts.written:
        print(_added_to(source, counts), file=sys.stderr)
    print(summary(counts, history))
    return NOTHING_TAKEN_STATUS if history.refusals and not counts.days else 0


def _check(arguments: argparse.Namespace) -> None:
    """Raises Invalid for a clinic or source that no import could have."""
    slug, source = arguments.clinic, arguments.source
    if clinics.SLUG.fullmatch(slug) is None:
        raise errors.Invalid("--clinic: a slug has at most 63 of a-z, 0-9 and, inside, hyphens")
    if slug in clinics.RESERVED_SLUGS:
        raise errors.Invalid(f"--clinic: {slug} is an address of Neap itself")
    if source is not None and not (source.strip() and source.isprintable() and len(source) <= CLIENT_CHARACTERS):
        raise errors.Invalid(f"--source: a name of at most {CLIENT_CHARACTERS} printable characters")


async def _bring_in_treatment(config: Config, arguments: argparse.Namespace, *, now: datetime) -> int:
    """Import a treatment; 0. Raises BadFile where any of it cannot be taken: then none of it is."""
    source = arguments.source or maps.PLAIN
    async with _open(config) as (pool, master):
        zone = await import_history.zone_of(pool, arguments.clinic)
        treatment = records.read(arguments.file, zone=zone, now=now)
        print(f"{treatment.path}: read as a treatment of source {source}, times on the clock of {zone.key}")
        clinic = await _clinic_of(pool, arguments.clinic, now=now)
        importing = Importing(clinic_id=clinic.clinic_id, zone=zone, source=source, primary=Substance.OTHER, now=now)
        with tqdm(total=len(treatment.records), unit=" records", file=sys.stderr) as bar:
            counts = await import_history.bring_in_treatment(
                pool, clinic, master, treatment, importing=importing, done=bar.update
            )
        await _say_how_to_read(pool, clinic)
    if treatment.repeated:
        print(f"{treatment.repeated} rows say again what another row says")
    print(
        f"{counts.clients} clients, {counts.records} records: {counts.new} new, {counts.changed} changed, "
        f"{counts.unchanged} unchanged"
    )
    return 0


async def _bring_in(config: Config, history: History, *, slug: str, source: str, now: datetime) -> Counts:
    async with _open(config) as (pool, master):
        clinic = await _clinic_of(pool, slug, now=now)
        with tqdm(total=len(history.days) + len(history.blank), unit=" days", file=sys.stderr) as bar:
            counts = await import_history.bring_in(
                pool, clinic, master, history, source=source, now=now, done=bar.update
            )
        await _say_how_to_read(pool, clinic)
    return counts


@asynccontextmanager
async def _open(config: Config) -> AsyncIterator[tuple[Pool, Sealer]]:
    async with preparing.at_hand(config):
        url = config.database_url_of("owner")
        pool = await database.open_pool(url, size=POOL_SIZE, application_name="neap_import")
        async with pool:
            async with pool.acquire() as connection:
                master = await root_key.sealer(connection, config.master_key())
            yield pool, master


async def _clinic_of(pool: Pool, slug: str, *, now: datetime) -> Clinic:
    clinic, made = await import_history.find_or_make_clinic(pool, slug, now=now)
    if made:
        print(f"made the clinic {slug}, time zone {clinic.time_zone}")
    return clinic


HAS_STAFF = """
select exists (
  select
  from staff
  where clinic_id = $1
)
"""


async def _say_how_to_read(pool: Pool, clinic: Clinic) -> None:
    async with database.transaction(pool, clinic.clinic_id) as db:
        if not await db.value(HAS_STAFF, db.clinic_id):
            print(_how_to_read(clinic), file=sys.stderr)


def _how_to_read(clinic: Clinic) -> str:
    return (
        f"nobody works at {clinic.slug} yet, so nobody can read this; its first admin comes by\n"
        f"  python -m service create-clinic --slug {clinic.slug} --name {shlex.quote(clinic.name)} "
        f"--time-zone {clinic.time_zone} --admin-email YOU@YOUR.CLINIC --admin-name 'YOUR NAME'\n"
        "and adds a coordinator, who sees every imported client; others see those on whose care team they are"
    )


def _added_to(source: str, counts: Counts) -> str:
    return (
        f"added to the source {source}, in which an earlier import had made {counts.clients_before} clients; "
        "clients of the same name are one: other people need a --source of their own"
    )


def _report(history: History) -> None:
    """Every refused row by line, column and reason; many of them are counted by reason instead."""
    shown = history.refusals[:REFUSALS_SHOWN]
    for refusal in shown:
        print(f"refused: {history.path}: line {refusal.line}, column {refusal.column}: {refusal.why}")
    further = Counter((refusal.column, refusal.why) for refusal in history.refusals[REFUSALS_SHOWN:])
    for (column, why), count in further.most_common():
        print(f"refused: {count} more in column {column}: {why}")
    if history.repeated:
        print(f"{history.repeated} rows say again what another row says")
    if history.blank:
        print(f"{len(history.blank)} rows hold no answer")


def summary(counts: Counts, history: History) -> str:
    """The last line: every day that was taken, every row that was refused, and the alerts of these clients."""
    return (
        f"{counts.clients} clients, {counts.days} days: {counts.new} new, {counts.changed} changed, "
        f"{counts.unchanged} unchanged, {len(history.refusals)} refused; {counts.alerts} alerts in history"
    )
