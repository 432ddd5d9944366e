"""One clinic's rows of every table as they are stored, what is sealed still sealed, with counts, hashes, a signature.

For a clinic that moves to another deployment, and for whoever must show later what was there. The master key is needed
to read what is sealed, and lies elsewhere; the key that signs is derived from it, as for the seals of the audit trail.
"""

from __future__ import annotations

import csv
import hashlib
import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from service.audit_seals import Signer
from service.backup import clinic_tables
from service.backup.clinic_tables import Kept
from service.database import Db
from service.errors import Invalid
from service.storage import schema

MANIFEST = "manifest.json"
PURPOSE = b"neap-clinic-archive-v1\n"
Tell = Callable[[str], object]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds: `tables` by name, each in the file NAME.csv; the signature is over all else. `root_key` is
    that under which the rows are sealed, itself sealed under the master key; None where that is the same.
    """

    clinic_id: UUID
    slug: str
    at: datetime
    migrations: list[str]
    tables: dict[str, Kept]
    public_key: bytes
    root_key: bytes | None = None
    signature: bytes = b""


async def write(
    db: Db, slug: str, folder: Path, signer: Signer, *, tell: Tell, root_key: bytes | None = None
) -> Manifest:
    """Write every row of the clinic's into a new folder; all or nothing. Raises Invalid where the folder is there.

    The transaction must be one snapshot ("repeatable read"), or tables may disagree.
    """
    unfinished = _beside(folder)
    try:
        kept = {}
        await clinic_tables.same_formats(db.connection)
        for table in await clinic_tables.every(db.connection):
            with _new(unfinished / f"{table.name}.csv") as out:
                kept[table.name] = await clinic_tables.copy_out(db, table, out.write)
            tell(table.name)
        unsigned = Manifest(
            clinic_id=db.clinic_id,
            slug=slug,
            at=datetime.now(UTC),
            migrations=schema.versions(),
            tables=kept,
            public_key=signer.public.public_bytes_raw(),
            root_key=root_key,
        )
        manifest = msgspec.structs.replace(unsigned, signature=signer.sign(_digest_of(unsigned)))
        with _new(unfinished / MANIFEST) as out:
            out.write(_as_written(manifest))
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return manifest


def must_be_new(folder: Path) -> None:
    """Raises Invalid where something is there already: an archive is not written over."""
    if folder.exists():
        raise Invalid(f"{folder} is there already.")


def _beside(folder: Path) -> Path:
    must_be_new(folder)
    unfinished = folder.with_name(f".{folder.name}.{os.getpid()}")
    unfinished.mkdir(mode=0o700, parents=True)
    return unfinished


def _new(file: Path) -> BinaryIO:
    """A new file that its owner alone reads, whatever folder it is moved to later."""
    return os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def _as_written(manifest: Manifest) -> bytes:
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def _digest_of(manifest: Manifest) -> bytes:
    """What is signed: SHA-256 over all that the manifest says but the signature, and for what it is signed."""
    said = msgspec.json.encode(msgspec.structs.replace(manifest, signature=b""))
    return hashlib.sha256(PURPOSE + said).digest()


def check(folder: Path, public: Ed25519PublicKey) -> Manifest:
    """The manifest of an archive that is what it was when it was written. Raises Invalid, naming what is not."""
    manifest = _signed_manifest(folder, public)
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


def root_key_in(folder: Path) -> bytes | None:
    """The sealed root key of an archive, of which nothing is proved yet. Raises Invalid for no archive."""
    return _manifest_in(folder)[1].root_key


def _manifest_in(folder: Path) -> tuple[bytes, Manifest]:
    try:
        octets = (folder / MANIFEST).read_bytes()
        return octets, msgspec.json.decode(octets, type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise Invalid(f"{folder} is no archive of a clinic.") from error


def _signed_manifest(folder: Path, public: Ed25519PublicKey) -> Manifest:
    file = folder / MANIFEST
    octets, manifest = _manifest_in(folder)
    if manifest.public_key != public.public_bytes_raw():
        raise Invalid(f"{file} was changed, or signed under another master key than the one that is set.")
    try:
        public.verify(manifest.signature, _digest_of(manifest))
    except InvalidSignature as error:
        raise Invalid(f"{file} was changed since it was signed.") from error
    if octets != _as_written(manifest):  # a name that stands there twice, or one that is none of ours
        raise Invalid(f"{file} was changed since it was signed.")
    return manifest


def _digest(file: Path) -> str:
    with file.open("rb") as octets:
        return hashlib.file_digest(octets, "sha256").hexdigest()


def _rows(file: Path) -> int:
    csv.field_size_limit(1 << 30)
    with file.open(encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.reader(lines)) - 1
