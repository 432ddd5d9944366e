"""An audit trail, sealed, and tampered with."""

from __future__ import annotations

from datetime import timedelta
from typing import NoReturn

import pytest

from schemas.audit import AuditHead, AuditVerdict
from schemas.clinic import Clinic
from service import audit_seals, ids
from service import database as databases
from service.audit_seals import Signer
from service.database import Pool
from service.people import audit
from tests.audit_trails import all_finished
from tests.builders import MASTER, NOW, a_clinic

SIGNER = Signer(MASTER)


BLOCKS, ROWS = 4, 6


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


async def written(pool: Pool, clinic: Clinic, count: int = 1) -> None:
    """Rows of the trail, a transaction each."""
    for number in range(count):
        async with databases.transaction(pool, clinic.clinic_id) as db:
            at = NOW + timedelta(seconds=number)
            await audit.record(db, audit.Actor("staff", ids.new()), "client.read", now=at, client_id=ids.new())


async def sealed(pool: Pool, clinic: Clinic, *, wait: bool = True) -> int:
    if wait:
        await all_finished(pool, clinic)
    async with databases.transaction(pool, clinic.clinic_id) as db:
        return await audit_seals.seal_next(db, SIGNER, now=NOW)


async def verdict(pool: Pool, clinic: Clinic, head: AuditHead | None = None) -> AuditVerdict:
    async with databases.transaction(pool, clinic.clinic_id) as db:
        return await audit_seals.verify(db, SIGNER.public, head=head)


async def head_of(pool: Pool, clinic: Clinic) -> AuditHead:
    async with databases.transaction(pool, clinic.clinic_id) as db:
        head = await audit_seals.head_of(db, SIGNER)
    assert head is not None
    return head


async def a_sealed_trail(pool: Pool, clinic: Clinic, *, blocks: int = BLOCKS, rows: int = ROWS) -> None:
    await sealed(pool, clinic)
    for _ in range(blocks):
        await written(pool, clinic, rows)
        assert await sealed(pool, clinic) == rows


class Undo(Exception):
    """Ends a transaction whose changes were only for a look."""


def undo() -> NoReturn:
    """End the transaction without its changes."""
    raise Undo
