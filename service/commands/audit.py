"""Prove that nobody changed the audit trail since it was sealed, or hand out its newest seal.

`rebase` lets a trail go on after a logical dump and restore (pg_dump): the other server counts transactions anew.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from tqdm import tqdm

from schemas.audit import AuditFault, AuditFaultKind, AuditHead, AuditVerdict
from schemas.clinic import Clinic
from service import audit_seals, database, errors
from service.audit_seals import Signer
from service.config import Config
from service.database import Pool
from service.keys import root_key
from service.people import clinics
from service.storage import preparing

WORDS = {
    AuditFaultKind.SEAL_MISSING: "the seal is missing",
    AuditFaultKind.SEAL_EDITED: "the seal was changed",
    AuditFaultKind.EDITED: "a row was edited",
    AuditFaultKind.MISSING: "a row is missing",
    AuditFaultKind.ADDED: "a row was added",
    AuditFaultKind.CUT_OFF: "the trail was cut off before",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`verify`, `head` or `rebase`, and of which clinic."""
    parser.add_argument("action", choices=("verify", "head", "rebase"))
    parser.add_argument("--clinic", metavar="SLUG", help="one clinic; all of them without")
    parser.add_argument("--head", metavar="FILE", type=Path, help="verify: a head handed out earlier")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Print a line a clinic; 1 where a trail is not what was sealed."""
    if arguments.head is not None and arguments.action != "verify":
        raise errors.Invalid("--head goes with verify.")
    heads = _heads_in(arguments.head) if arguments.head is not None else {}
    if arguments.action == "rebase":
        return asyncio.run(_rebase(arguments.clinic, config))
    return asyncio.run(_run(arguments.action, arguments.clinic, heads, config))


def _heads_in(file: Path) -> dict[object, AuditHead]:
    """Heads, one JSON object a line, by clinic. Raises Invalid."""
    try:
        lines = [line for line in file.read_bytes().splitlines() if line.strip()]
        heads = [msgspec.json.decode(line, type=AuditHead) for line in lines]
    except (OSError, msgspec.DecodeError) as error:
        raise errors.Invalid(f"{file}: not a file of heads, as `audit head` prints them") from error
    return {head.clinic_id: head for head in heads}


async def _run(action: str, slug: str | None, heads: dict[object, AuditHead], config: Config) -> int:
    async with preparing.at_hand(config):
        pool = await database.open_pool(config.database_url_of("jobs"), size=1, application_name="neap_audit")
        async with pool:
            async with database.across_clinics(pool) as connection:
                signer = Signer(await root_key.sealer(connection, config.master_key()))
                for head in heads.values():
                    audit_seals.refuse_forged(head, signer.public)
                chosen = await clinics.chosen(connection, slug)
            unknown = set(heads) - {clinic.clinic_id for clinic in chosen}
            if unknown:
                raise errors.Invalid("A head is of none of these clinics.")
            if action == "head":
                return await _print_heads(pool, chosen, signer)
            faults = 0
            for clinic in tqdm(chosen, desc="audit", unit=" clinics", disable=None):
                async with database.transaction(pool, clinic.clinic_id) as db:
                    verdict = await audit_seals.verify(db, signer.public, head=heads.get(clinic.clinic_id))
                faults += verdict.fault is not None
                print(f"{clinic.slug}: {_told(verdict)}")
            return 1 if faults else 0


async def _rebase(slug: str | None, config: Config) -> int:
    async with preparing.at_hand(config):
        pool = await database.open_pool(config.database_url_of("owner"), size=1, application_name="neap_audit")
        async with pool:
            async with database.across_clinics(pool) as connection:
                signer = Signer(await root_key.sealer(connection, config.master_key()))
                chosen = await clinics.chosen(connection, slug)
            for clinic in chosen:
                async with database.transaction(pool, clinic.clinic_id) as db:
                    await audit_seals.rebase(db, signer, now=datetime.now(UTC))
                print(f"{clinic.slug}: goes on behind what was written before")
    return 0


async def _print_heads(pool: Pool, chosen: list[Clinic], signer: Signer) -> int:
    for clinic in chosen:
        async with database.transaction(pool, clinic.clinic_id) as db:
            head = await audit_seals.head_of(db, signer)
        if head is None:
            print(f"{clinic.slug}: nothing is sealed yet", file=sys.stderr)
        else:
            print(msgspec.json.encode(head).decode())
    return 0


def _told(verdict: AuditVerdict) -> str:
    if verdict.fault is not None:
        return f"NOT what was sealed: {_told_fault(verdict.fault)}"
    return f"as sealed: {verdict.seals} seals, {verdict.rows} rows; {verdict.unsealed} rows not sealed yet"


def _told_fault(fault: AuditFault) -> str:
    row = f", row {fault.audit_event_id}" if fault.audit_event_id else ""
    return f"{WORDS[fault.kind]} (seal {fault.seal}{row})"
