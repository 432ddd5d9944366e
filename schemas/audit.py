"""The seals of the audit trail: what closes a block, what is handed out, and what a verification says."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class AuditSeal(msgspec.Struct, frozen=True, kw_only=True):
    """One closed block of a clinic's trail: the rows of transactions from `from_transaction` up to, and without,
    `until_transaction`.

    `marks`: 32 bytes a row in the order of (transaction, id), its id and the first half of its SHA-256. `hash`: SHA-256
    over the block and `previous_hash`. `signature`: Ed25519 over `hash`. `moved`: how many times the block has moved to
    another server since, where transactions are counted anew.
    """

    number: int
    from_transaction: int
    until_transaction: int
    row_count: int
    marks: bytes
    previous_hash: bytes
    hash: bytes
    signature: bytes
    sealed_at: datetime
    moved: int = 0


class AuditHead(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest seal as it is handed out: whoever keeps it can tell later whether the trail was cut off."""

    clinic_id: UUID
    number: int
    hash: bytes
    signature: bytes
    public_key: bytes
    sealed_at: datetime
    last_event_id: UUID


class AuditFaultKind(StrEnum):
    """What is wrong with a trail, in the order in which it is looked for."""

    SEAL_MISSING = "seal_missing"
    SEAL_EDITED = "seal_edited"
    EDITED = "edited"
    MISSING = "missing"
    ADDED = "added"
    CUT_OFF = "cut_off"


class AuditFault(msgspec.Struct, frozen=True, kw_only=True):
    """The first fault: in which seal's block, and of which row where one can be named."""

    kind: AuditFaultKind
    seal: int
    audit_event_id: UUID | None = None


class AuditVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification saw: sealed blocks and rows, rows that no seal covers yet, the first fault."""

    seals: int
    rows: int
    unsealed: int
    fault: AuditFault | None
