"""Sealing the audit trail, block after block, and proving later that nobody edited, took out or put in a row.

Rows are not chained as they are written: that would make a clinic's transactions wait for one another. Every minute the
rows of all finished transactions since the last seal are closed together. The order is that of transaction ids: no
transaction below the oldest one still running can add a row any more, so a closed block never changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import zip_longest
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from schemas.audit import AuditFault, AuditFaultKind, AuditHead, AuditSeal, AuditVerdict
from service import errors
from service.database import Db
from service.sealing import Sealer

MOST_ROWS = 10_000
MARK_BYTES = 32
NOTHING_BEFORE = bytes(32)


class Signer:
    """The deployment's Ed25519 key (RFC 8032) for seals, derived from its master key."""

    def __init__(self, master: Sealer) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(master.derived_key(purpose="audit_seal.signature"))
        self.public = self._private.public_key()

    def sign(self, digest: bytes) -> bytes:
        """The signature (64 bytes) of a seal's hash."""
        return self._private.sign(digest)


class SealedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the trail, everything in it."""

    audit_event_id: UUID
    happened_at: datetime
    actor_kind: str
    actor_id: UUID | None
    action: str
    client_id: UUID | None
    object_id: UUID | None
    allowed: bool
    reason: str | None
    transaction_number: int


class _Position(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    hash: bytes | None
    from_transaction: int
    horizon: int


# The horizon is asked for before the rows are read: whatever lies below it is committed and seen by the next statement.
POSITION = """
select
  coalesce(last.number, 0) as number,
  last.hash,
  coalesce(last.until_transaction, '0')::text::bigint as from_transaction,
  pg_snapshot_xmin(pg_current_snapshot())::text::bigint as horizon
from (values (true)) as one (row)
left join lateral (
  select number, hash, until_transaction
  from audit_seal
  where clinic_id = $1
  order by number desc
  limit 1
) last on true
"""
# A block ends between transactions: a great backlog is cut where the row after the last one begins another.
BLOCK_END = """
select least($3::bigint, coalesce((
  select transaction_id::text::bigint
  from audit_event
  where clinic_id = $1
    and transaction_id >= $2::bigint::text::xid8
    and transaction_id < $3::bigint::text::xid8
  order by transaction_id
  offset $4
  limit 1
), $3::bigint))
"""


async def seal_next(db: Db, signer: Signer, *, now: datetime) -> int:
    """Close the rows of finished transactions since the last seal; how many, 0 where there are none.

    Of two processes that seal at once one is first, and the other's seal is not stored.
    """
    at = await db.get(_Position, POSITION, db.clinic_id)
    until = await db.value(BLOCK_END, db.clinic_id, at.from_transaction, at.horizon, MOST_ROWS)
    if not isinstance(until, int) or until <= at.from_transaction:
        until = at.horizon  # one transaction alone wrote more than a block's rows
    rows = await _rows_of(db, at.from_transaction, until)
    if not rows:
        return 0
    unsigned = AuditSeal(
        number=at.number + 1,
        from_transaction=at.from_transaction,
        until_transaction=until,
        row_count=len(rows),
        marks=b"".join(mark_of(db.clinic_id, row) for row in rows),
        previous_hash=at.hash or NOTHING_BEFORE,
        hash=b"",
        signature=b"",
        sealed_at=now,
    )
    digest = hash_of(db.clinic_id, unsigned)
    seal = msgspec.structs.replace(unsigned, hash=digest, signature=signer.sign(digest))
    return len(rows) if await _store(db, seal) else 0


ROWS = """
select audit_event_id, happened_at, actor_kind, actor_id, action, client_id, object_id, allowed, reason,
  transaction_id::text::bigint as transaction_number
from audit_event
where clinic_id = $1
  and transaction_id >= $2::bigint::text::xid8
  and transaction_id < $3::bigint::text::xid8
order by transaction_id, audit_event_id
"""


async def _rows_of(db: Db, from_transaction: int, until_transaction: int) -> list[SealedRow]:
    return await db.rows(SealedRow, ROWS, db.clinic_id, from_transaction, until_transaction)


INSERT = """
insert into audit_seal (
  clinic_id, number, from_transaction, until_transaction, row_count, marks, previous_hash, hash, signature, sealed_at
)
values ($1, $2, $3::bigint::text::xid8, $4::bigint::text::xid8, $5, $6, $7, $8, $9, $10)
on conflict do nothing
"""


async def _store(db: Db, seal: AuditSeal) -> bool:
    stored = await db.execute(
        INSERT,
        db.clinic_id,
        seal.number,
        seal.from_transaction,
        seal.until_transaction,
        seal.row_count,
        seal.marks,
        seal.previous_hash,
        seal.hash,
        seal.signature,
        seal.sealed_at,
    )
    return stored > 0


def mark_of(clinic_id: UUID, row: SealedRow) -> bytes:
    """What a seal keeps of a row: its id (16 bytes) and the first half of the SHA-256 of all its columns."""
    columns = [str(clinic_id), *(_as_text(value) for value in msgspec.structs.astuple(row))]
    return row.audit_event_id.bytes + hashlib.sha256(msgspec.json.encode(columns)).digest()[:16]


def _as_text(value: object) -> str | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    return None if value is None else str(value)


def hash_of(clinic_id: UUID, seal: AuditSeal) -> bytes:
    """SHA-256 over everything that a seal says but its own hash and signature."""
    said = [
        "neap-audit-seal-v1",
        str(clinic_id),
        str(seal.number),
        str(seal.from_transaction),
        str(seal.until_transaction),
        str(seal.row_count),
        hashlib.sha256(seal.marks).hexdigest(),
        seal.previous_hash.hex(),
        _as_text(seal.sealed_at),
    ]
    return hashlib.sha256(msgspec.json.encode(said)).digest()


SEALS = """
select number, from_transaction::text::bigint as from_transaction, until_transaction::text::bigint as until_transaction,
  row_count, marks, previous_hash, hash, signature, sealed_at
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
  and transaction_id >= $2::bigint::text::xid8
"""


async def verify(db: Db, public: Ed25519PublicKey, *, head: AuditHead | None = None) -> AuditVerdict:
    """Look at every seal and every sealed row, in order, until the first fault.

    Without the `head` of an earlier day nobody can tell whether the last blocks were cut off together with their seals.
    """
    seals, rows, until, previous = 0, 0, 0, NOTHING_BEFORE
    fault: AuditFault | None = None
    while fault is None and (some := await db.rows(AuditSeal, SEALS, db.clinic_id, seals)):
        for seal in some:
            fault = _fault_of_seal(db.clinic_id, seal, public, after=(seals, until, previous), head=head)
            fault = fault or await _fault_of_rows(db, seal)
            if fault is not None:
                break
            seals, rows, until, previous = seal.number, rows + seal.row_count, seal.until_transaction, seal.hash
    if fault is None and head is not None and head.number > seals:
        fault = AuditFault(kind=AuditFaultKind.CUT_OFF, seal=seals + 1, audit_event_id=head.last_event_id)
    unsealed = await db.value(UNSEALED, db.clinic_id, until) if fault is None else 0
    return AuditVerdict(seals=seals, rows=rows, unsealed=unsealed if isinstance(unsealed, int) else 0, fault=fault)


def _fault_of_seal(
    clinic_id: UUID, seal: AuditSeal, public: Ed25519PublicKey, *, after: tuple[int, int, bytes], head: AuditHead | None
) -> AuditFault | None:
    number, until, previous = after
    if seal.number != number + 1:
        return AuditFault(kind=AuditFaultKind.SEAL_MISSING, seal=number + 1)
    consistent = seal.hash == hash_of(clinic_id, seal) and seal.previous_hash == previous
    as_handed_out = head is None or head.number != seal.number or head.hash == seal.hash
    if not (consistent and as_handed_out and seal.from_transaction == until and _signed(public, seal)):
        return AuditFault(kind=AuditFaultKind.SEAL_EDITED, seal=seal.number)
    return None


def _signed(public: Ed25519PublicKey, seal: AuditSeal) -> bool:
    try:
        public.verify(seal.signature, seal.hash)
    except InvalidSignature:
        return False
    return True


async def _fault_of_rows(db: Db, seal: AuditSeal) -> AuditFault | None:
    rows = await _rows_of(db, seal.from_transaction, seal.until_transaction)
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


LAST_SEAL = """
select number, from_transaction::text::bigint as from_transaction, until_transaction::text::bigint as until_transaction,
  row_count, marks, previous_hash, hash, signature, sealed_at
from audit_seal
where clinic_id = $1
order by number desc
limit 1
"""


async def head_of(db: Db, signer: Signer) -> AuditHead | None:
    """The newest seal, to be handed out; None before the first."""
    seal = await db.find(AuditSeal, LAST_SEAL, db.clinic_id)
    if seal is None:
        return None
    return AuditHead(
        clinic_id=db.clinic_id,
        number=seal.number,
        hash=seal.hash,
        signature=seal.signature,
        public_key=signer.public.public_bytes_raw(),
        sealed_at=seal.sealed_at,
        last_event_id=UUID(bytes=seal.marks[-MARK_BYTES:][:16]),
    )


def refuse_forged(head: AuditHead, public: Ed25519PublicKey) -> None:
    """Raises Invalid where a handed-out head was not signed by this deployment."""
    try:
        public.verify(head.signature, head.hash)
    except InvalidSignature as error:
        fault = errors.FieldFault("head", "a head that this deployment signed")
        raise errors.Invalid("The head was changed, or another deployment signed it.", fields=(fault,)) from error
