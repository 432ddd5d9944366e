"""Closing blocks: what finished since the last seal, and a trail that came from another server; what is handed out."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from schemas.audit import AuditHead, AuditSeal
from service import errors
from service.audit_seals.blocks import MARK_BYTES, MOST_MOVES, NOTHING_BEFORE, Signer, hash_of, mark_of, rows_of
from service.database import Db

MOST_ROWS = 10_000
END_OF_TRANSACTIONS = 2**63 - 1


class _Position(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    hash: bytes | None
    moved: int
    from_transaction: int
    horizon: int


# The horizon is asked for before the rows are read: whatever lies below it is committed and seen by the next statement.
# Of rows that have moved here every transaction has ended; those that no seal covers come before what was written here.
POSITION = """
select
  coalesce(last.number, 0) as number,
  last.hash,
  coalesce(earlier.moved, 0) as moved,
  case
    when last.moved = coalesce(earlier.moved, 0) then last.until_transaction::text::bigint
    else 0
  end as from_transaction,
  case when earlier.moved is null then pg_snapshot_xmin(pg_current_snapshot())::text::bigint else $2 end as horizon
from (values (true)) as one (row)
left join lateral (
  select number, hash, moved, until_transaction
  from audit_seal
  where clinic_id = $1
  order by number desc
  limit 1
) last on true
left join lateral (
  select e.moved
  from audit_event e
  where e.clinic_id = $1
    and e.moved > 0
    and e.moved <= coalesce(last.moved, $3)
    and (last.moved is null or e.moved < last.moved or e.transaction_id >= last.until_transaction)
  order by e.moved desc
  limit 1
) earlier on true
"""
# A block ends between transactions: a great backlog is cut where the row after the last one begins another.
BLOCK_END = """
select least($3::bigint, coalesce((
  select transaction_id::text::bigint
  from audit_event
  where clinic_id = $1
    and moved = $5
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
    at = await db.get(_Position, POSITION, db.clinic_id, END_OF_TRANSACTIONS, MOST_MOVES)
    until = await db.value(BLOCK_END, db.clinic_id, at.from_transaction, at.horizon, MOST_ROWS, at.moved)
    if not isinstance(until, int) or until <= at.from_transaction:
        until = at.horizon  # one transaction alone wrote more than a block's rows
    rows = await rows_of(db, at.moved, at.from_transaction, until)
    if not rows:
        return 0
    unsigned = AuditSeal(
        number=at.number + 1,
        moved=at.moved,
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


INSERT = """
insert into audit_seal (
  clinic_id, number, from_transaction, until_transaction, row_count, marks, previous_hash, hash, signature, sealed_at,
  moved
)
values ($1, $2, $3::bigint::text::xid8, $4::bigint::text::xid8, $5, $6, $7, $8, $9, $10, $11)
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
        seal.moved,
    )
    return stored > 0


MOVE_ROWS = """
update audit_event
set moved = moved + 1
where clinic_id = $1
"""
MOVE_SEALS = """
update audit_seal
set moved = moved + 1
where clinic_id = $1
"""


async def rebase(db: Db, signer: Signer, *, now: datetime) -> None:
    """Let a trail that was written in another server go on in this one, as its owner.

    What no seal covered there is sealed here, behind the last seal of there; what is written from now on comes after.
    """
    await db.execute(MOVE_ROWS, db.clinic_id)
    await db.execute(MOVE_SEALS, db.clinic_id)
    while await seal_next(db, signer, now=now):
        pass


LAST_SEAL = """
select number, from_transaction::text::bigint as from_transaction, until_transaction::text::bigint as until_transaction,
  row_count, marks, previous_hash, hash, signature, sealed_at, moved
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
