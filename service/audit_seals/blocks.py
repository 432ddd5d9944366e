"""A block of the audit trail: its rows in order, what a seal keeps of each, what is hashed and signed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from uuid import UUID

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from schemas.audit import AuditSeal
from service.database import Db
from service.keys.sealing import Sealer

MARK_BYTES = 32
NOTHING_BEFORE = bytes(32)
# A row that moved more often is none of ours.
MOST_MOVES = 2**15 - 1


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


ROWS = """
select audit_event_id, happened_at, actor_kind, actor_id, action, client_id, object_id, allowed, reason,
  transaction_id::text::bigint as transaction_number
from audit_event
where clinic_id = $1
  and moved = $4
  and transaction_id >= $2::bigint::text::xid8
  and transaction_id < $3::bigint::text::xid8
order by transaction_id, audit_event_id
"""


async def rows_of(db: Db, moved: int, from_transaction: int, until_transaction: int) -> list[SealedRow]:
    """The rows of these transactions that have moved so often, in the order of the trail."""
    return await db.rows(SealedRow, ROWS, db.clinic_id, from_transaction, until_transaction, moved)


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
    ]  # how often it has moved since is no part of it
    return hashlib.sha256(msgspec.json.encode(said)).digest()
