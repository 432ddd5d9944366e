"""One clinic's rows of every table as they are stored, what is sealed still sealed, with counts and hashes.

For a clinic that moves to another deployment, and for whoever must show later what was there. The master key is needed
to read what is sealed, and lies elsewhere.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec

from service import schema
from service.database import Db
from service.errors import Invalid

MANIFEST = "manifest.json"
Tell = Callable[[str], object]


class Kept(msgspec.Struct, frozen=True):
    """A table's file: how many rows, and its SHA-256 in hexadecimal digits."""

    rows: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds: `tables` by name, each in the file NAME.csv."""

    clinic_id: UUID
    slug: str
    at: datetime
    migrations: list[str]
    tables: dict[str, Kept]


TABLES = """
select c.relname as name, quote_ident(c.relname) as quoted
from pg_class c
join pg_attribute a
  on a.attrelid = c.oid
  and a.attname = 'clinic_id'
  and not a.attisdropped
where c.relnamespace = 'public'::regnamespace
  and c.relkind = 'r'
order by c.relname
"""


async def write(db: Db, slug: str, folder: Path, *, tell: Tell) -> Manifest:
    """Write every row of the clinic's into a new folder; all or nothing. Raises Invalid where the folder is there.

    The transaction must be one snapshot ("repeatable read"), or tables may disagree.
    """
    unfinished = _beside(folder)
    try:
        kept = {}
        for record in await db.connection.fetch(TABLES):
            kept[record["name"]] = await _copy(db, record["quoted"], unfinished / f"{record['name']}.csv")
            tell(record["name"])
        manifest = Manifest(
            clinic_id=db.clinic_id, slug=slug, at=datetime.now(UTC), migrations=schema.versions(), tables=kept
        )
        (unfinished / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return manifest


def _beside(folder: Path) -> Path:
    if folder.exists():
        raise Invalid(f"{folder} is there already.")
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    unfinished.mkdir(mode=0o700, parents=True)
    return unfinished


async def _copy(db: Db, quoted: str, file: Path) -> Kept:
    # A table's name from the catalogue, quoted by the server: no name can be a parameter. Row-level security holds the
    # owner, too; the condition says so once more.
    query = f"select * from public.{quoted} where clinic_id = $1"  # noqa: S608
    digest = hashlib.sha256()
    with file.open("wb") as out:

        async def put(octets: bytes) -> None:
            digest.update(octets)
            out.write(octets)

        status = await db.connection.copy_from_query(query, db.clinic_id, output=put, format="csv", header=True)
    return Kept(int(status.rpartition(" ")[2]), digest.hexdigest())


def check(folder: Path) -> Manifest:
    """The manifest of an archive that is what it was when it was written. Raises Invalid, naming what is not."""
    try:
        manifest = msgspec.json.decode((folder / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise Invalid(f"{folder} is no archive of a clinic.") from error
    there = {each.name for each in folder.iterdir()} - {MANIFEST}
    if stray := there - {f"{name}.csv" for name in manifest.tables}:
        raise Invalid(f"{folder / min(stray)} is not of this archive.")
    for name, kept in manifest.tables.items():
        file = folder / f"{name}.csv"
        if not file.is_file():
            raise Invalid(f"{file} is missing.")
        if _digest(file) != kept.sha256:
            raise Invalid(f"{file} was changed since it was written.")
        if _rows(file) != kept.rows:
            raise Invalid(f"{file} does not hold {kept.rows} rows.")
    return manifest


def _digest(file: Path) -> str:
    with file.open("rb") as octets:
        return hashlib.file_digest(octets, "sha256").hexdigest()


def _rows(file: Path) -> int:
    csv.field_size_limit(1 << 30)
    with file.open(encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.reader(lines)) - 1
