"""A trail that moved to another server goes on behind its last seal there, and whatever is done to it is found."""

from __future__ import annotations

from contextlib import suppress

import pytest

from schemas.audit import AuditFaultKind
from schemas.clinic import Clinic
from service import audit_seals
from service import database as databases
from service.config import DatabaseUrls
from service.database import Pool
from tests.builders import NOW
from tests.command_line import run_command
from tests.sealed_trails import SIGNER, Undo, a_sealed_trail, clinic, head_of, sealed, undo, verdict, written

__all__ = ["clinic"]


@pytest.fixture
async def moved(owner_pool: Pool, jobs_pool: Pool, clinic: Clinic) -> Clinic:
    """Three seals before, the last of them of what was not sealed there, and one since."""
    await a_sealed_trail(jobs_pool, clinic, blocks=1, rows=3)
    await written(jobs_pool, clinic, 2)
    head = await head_of(jobs_pool, clinic)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await audit_seals.rebase(db, SIGNER, now=NOW)
    seen = await verdict(jobs_pool, clinic, head)
    assert (seen.fault, seen.unsealed, seen.seals) == (None, 0, head.number + 1)
    await written(jobs_pool, clinic, 3)
    assert (await verdict(jobs_pool, clinic, head)).unsealed == 3
    assert await sealed(jobs_pool, clinic) == 3
    assert await sealed(jobs_pool, clinic) == 0
    return clinic


FIRST_OF_NOW = "select min(audit_event_id::text)::uuid from audit_event where clinic_id = $1 and moved = 0"
LAST_OF_THEN = "select max(audit_event_id::text)::uuid from audit_event where clinic_id = $1 and moved = 1"


@pytest.mark.parametrize(
    ("tampering", "kind"),
    [
        (f"update audit_event set reason = 'x' where audit_event_id = ({LAST_OF_THEN})", AuditFaultKind.EDITED),
        (f"delete from audit_event where audit_event_id = ({LAST_OF_THEN})", AuditFaultKind.MISSING),
        (f"delete from audit_event where audit_event_id = ({FIRST_OF_NOW})", AuditFaultKind.MISSING),
        (f"update audit_event set moved = 0 where audit_event_id = ({LAST_OF_THEN})", AuditFaultKind.MISSING),
        (f"update audit_event set moved = 2 where audit_event_id = ({FIRST_OF_NOW})", AuditFaultKind.ADDED),
        (f"update audit_event set moved = 1 where audit_event_id = ({FIRST_OF_NOW})", AuditFaultKind.ADDED),
        ("update audit_seal set moved = 2 where number = 2", AuditFaultKind.SEAL_EDITED),
        ("update audit_seal set moved = 1 where number = 3", AuditFaultKind.SEAL_EDITED),
    ],
)
async def test_every_tampering_is_found(owner_pool: Pool, moved: Clinic, tampering: str, kind: AuditFaultKind) -> None:
    assert (await verdict(owner_pool, moved)).fault is None
    with suppress(Undo):
        async with databases.transaction(owner_pool, moved.clinic_id) as db:
            here = f"{tampering} and clinic_id = $1"
            assert await db.execute(here, db.clinic_id) == 1
            fault = (await audit_seals.verify(db, SIGNER.public)).fault
            undo()
    assert fault is not None
    assert fault.kind == kind


async def test_a_trail_without_a_seal_is_sealed_when_it_moves(
    owner_pool: Pool, jobs_pool: Pool, clinic: Clinic
) -> None:
    await written(jobs_pool, clinic, 2)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await audit_seals.rebase(db, SIGNER, now=NOW)
    seen = await verdict(jobs_pool, clinic)
    assert (seen.fault, seen.seals, seen.unsealed) == (None, 1, 0)


async def test_the_command_rebases_every_trail(
    owner_pool: Pool, jobs_pool: Pool, clinic: Clinic, database: DatabaseUrls
) -> None:
    await a_sealed_trail(jobs_pool, clinic, blocks=1, rows=2)
    done = await run_command(database, "audit", "rebase")
    assert done.returncode == 0, done.stderr
    verified = await run_command(database, "audit", "verify")
    assert verified.stdout.startswith("harbour: as sealed"), verified.stdout
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        assert await db.value("select count(*) from audit_event where clinic_id = $1 and moved = 0", db.clinic_id) == 0
