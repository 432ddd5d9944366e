"""Recovery codes: ten single-use stand-ins for the second factor, shown once and stored as keyed hashes."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

from service.database import Db
from service.keys.sealing import Sealer

HOW_MANY = 10
# Crockford's base32: no I, L, O, U to misread. Ten characters carry 50 bits, guarded by the throttle and a keyed hash.
LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
HALF = 5

INSERT = """
insert into recovery_code (clinic_id, staff_id, code_hash, created_at)
values ($1, $2, $3, $4)
"""


async def renew(db: Db, master: Sealer, staff_id: UUID, *, now: datetime) -> list[str]:
    """Ten fresh codes, told once; the former ones are void."""
    codes = [_fresh() for _ in range(HOW_MANY)]
    await forget(db, staff_id)
    await db.execute_many(INSERT, [(db.clinic_id, staff_id, _hash(master, code), now) for code in codes])
    return codes


DELETE = """
delete from recovery_code
where clinic_id = $1
  and staff_id = $2
"""


async def forget(db: Db, staff_id: UUID) -> None:
    """Void every code of a person."""
    await db.execute(DELETE, db.clinic_id, staff_id)


SPEND = """
update recovery_code
set used_at = $4
where clinic_id = $1
  and staff_id = $2
  and code_hash = $3
  and used_at is null
"""


async def spend(db: Db, master: Sealer, staff_id: UUID, code: str, *, now: datetime) -> bool:
    """Whether the code was one of theirs, not yet used; it is used now."""
    return await db.execute(SPEND, db.clinic_id, staff_id, _hash(master, code), now) == 1


COUNT_LEFT = """
select count(*)
from recovery_code
where clinic_id = $1
  and staff_id = $2
  and used_at is null
"""


async def count_left(db: Db, staff_id: UUID) -> int:
    """How many unused codes the person still has."""
    left = await db.value(COUNT_LEFT, db.clinic_id, staff_id)
    return left if isinstance(left, int) else 0


def _fresh() -> str:
    letters = "".join(secrets.choice(LETTERS) for _ in range(2 * HALF))
    return f"{letters[:HALF]}-{letters[HALF:]}"


def _hash(master: Sealer, code: str) -> bytes:
    # As Crockford reads them: case and hyphens do not matter, O is zero, I and L are one.
    plain = "".join(code.split()).replace("-", "").upper().translate(str.maketrans("OIL", "011"))
    return master.keyed_hash(plain.encode(), purpose="recovery_code")
