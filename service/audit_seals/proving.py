"""Proving that nobody edited, took out or put in a row since it was sealed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.audit import AuditFault, AuditFaultKind, AuditHead, AuditSeal, AuditVerdict
from service.audit_seals.blocks import MARK_BYTES, MOST_MOVES, NOTHING_BEFORE, hash_of, mark_of, rows_of
from service.database import Db

NO_SEAL = AuditSeal(
    number=0,
    moved=MOST_MOVES,
    from_transaction=0,
    until_transaction=0,
    row_count=0,
    marks=b"",
    previous_hash=NOTHING_BEFORE,
    hash=NOTHING_BEFORE,
    signature=b"",
    sealed_at=datetime.min.replace(tzinfo=UTC),
)
SEALS = """
select number, from_transaction::text::bigint as from_transaction, until_transaction::text::bigint as until_transaction,
  row_count, marks, previous_hash, hash, signature, sealed_at, moved
from audit_seal
where clinic_id = $1
  and number > $2
order by number
limit 100
"""
UNSEALED = """
select count(*)
from audit_event
where clinic_id = $1
  and moved <= $2
  and (moved < $2 or transaction_id >= $3::bigint::text::xid8)
"""


async def verify(db: Db, public: Ed25519PublicKey, *, head: AuditHead | None = None) -> AuditVerdict:
    """Look at every seal and every sealed row, in order, until the first fault.

    Without the `head` of an earlier day nobody can tell whether the last blocks were cut off together with their seals.
    """
    last, rows = NO_SEAL, 0
    fault: AuditFault | None = None
    while fault is None and (some := await db.rows(AuditSeal, SEALS, db.clinic_id, last.number)):
        for seal in some:
            fault = _fault_of_seal(db.clinic_id, seal, public, after=last, head=head)
            fault = fault or await _fault_between(db, last, seal) or await _fault_of_rows(db, seal)
            if fault is not None:
                break
            last, rows = seal, rows + seal.row_count
    if fault is None and head is not None and head.number > last.number:
        fault = AuditFault(kind=AuditFaultKind.CUT_OFF, seal=last.number + 1, audit_event_id=head.last_event_id)
    at = (last.moved, last.until_transaction)
    unsealed = await db.value(UNSEALED, db.clinic_id, *at) if fault is None else 0
    return AuditVerdict(
        seals=last.number, rows=rows, unsealed=unsealed if isinstance(unsealed, int) else 0, fault=fault
    )


def _fault_of_seal(
    clinic_id: UUID, seal: AuditSeal, public: Ed25519PublicKey, *, after: AuditSeal, head: AuditHead | None
) -> AuditFault | None:
    if seal.number != after.number + 1:
        return AuditFault(kind=AuditFaultKind.SEAL_MISSING, seal=after.number + 1)
    consistent = seal.hash == hash_of(clinic_id, seal) and seal.previous_hash == after.hash
    as_handed_out = head is None or head.number != seal.number or head.hash == seal.hash
    goes_on = seal.from_transaction == (after.until_transaction if seal.moved == after.moved else 0)
    in_order = goes_on and seal.moved <= after.moved
    if not (consistent and as_handed_out and in_order and _signed(public, seal)):
        return AuditFault(kind=AuditFaultKind.SEAL_EDITED, seal=seal.number)
    return None


LEFT_BETWEEN = """
select audit_event_id
from audit_event
where clinic_id = $1
  and moved > $2
  and moved <= $3
  and (moved < $3 or transaction_id >= $4::bigint::text::xid8)
order by moved desc, transaction_id, audit_event_id
limit 1
"""


async def _fault_between(db: Db, last: AuditSeal, seal: AuditSeal) -> AuditFault | None:
    """Where the trail moved on, everything from before is sealed."""
    if seal.moved == last.moved:
        return None
    left = await db.value(LEFT_BETWEEN, db.clinic_id, seal.moved, last.moved, last.until_transaction)
    if not isinstance(left, UUID):
        return None
    return AuditFault(kind=AuditFaultKind.ADDED, seal=seal.number, audit_event_id=left)


def _signed(public: Ed25519PublicKey, seal: AuditSeal) -> bool:
    try:
        public.verify(seal.signature, seal.hash)
    except InvalidSignature:
        return False
    return True


async def _fault_of_rows(db: Db, seal: AuditSeal) -> AuditFault | None:
    rows = await rows_of(db, seal.moved, seal.from_transaction, seal.until_transaction)
    found = [mark_of(db.clinic_id, row) for row in rows]
    sealed = [seal.marks[at : at + MARK_BYTES] for at in range(0, len(seal.marks), MARK_BYTES)]
    if found == sealed:
        return None
    kind, event_id = _first_difference(sealed, found)
    return AuditFault(kind=kind, seal=seal.number, audit_event_id=event_id)


def _first_difference(sealed: Sequence[bytes], found: Sequence[bytes]) -> tuple[AuditFaultKind, UUID]:
    """The first row, in the order of the block, at which the trail is not what was sealed."""
    known, there = {mark[:16] for mark in sealed}, {mark[:16] for mark in found}
    for was, now in zip_longest(sealed, found):
        if was == now:
            continue
        if was is not None and was[:16] not in there:
            return AuditFaultKind.MISSING, UUID(bytes=was[:16])
        if now is not None and now[:16] not in known:
            return AuditFaultKind.ADDED, UUID(bytes=now[:16])
        # The row is there and was there: its columns changed, its place in the order maybe with them.
        return AuditFaultKind.EDITED, UUID(bytes=(was or now or b"")[:16])
    raise AssertionError("the blocks are equal")
