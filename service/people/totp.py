"""The second factor: time-based one-time codes (RFC 6238: SHA-1, six digits, 30 s), each accepted once."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec
import pyotp

from service import errors
from service.database import Db
from service.keys.sealing import Sealer

STEP_SECONDS = 30
# RFC 6238 §5.2: one step either way for clocks that differ and codes typed slowly.
STEPS_EITHER_WAY = 1
ISSUER = "Neap"


class Enrolment(msgspec.Struct, frozen=True):
    """What an authenticator app needs, shown until the first code proves that it has it."""

    secret: str
    uri: str


REPLACE = """
update staff
set totp_secret_sealed = $3,
    totp_confirmed_at = null,
    totp_last_step = null
where clinic_id = $1
  and staff_id = $2
"""


async def renew(db: Db, master: Sealer, staff_id: UUID) -> None:
    """Give the person a fresh, unconfirmed secret; codes of the former one no longer count."""
    secret = pyotp.random_base32().encode()
    await db.execute(REPLACE, db.clinic_id, staff_id, master.seal(secret, bound_to=_binding(db, staff_id)))


class Stored(msgspec.Struct, frozen=True):
    """The second factor as its row holds it."""

    totp_secret_sealed: bytes | None
    totp_confirmed_at: datetime | None
    email: str


FIND = """
select totp_secret_sealed, totp_confirmed_at, email
from staff
where clinic_id = $1
  and staff_id = $2
"""


async def _stored(db: Db, staff_id: UUID) -> Stored:
    return await db.get(Stored, FIND, db.clinic_id, staff_id)


async def is_confirmed(db: Db, staff_id: UUID) -> bool:
    """Whether the person has an authenticator that has proved itself."""
    return (await _stored(db, staff_id)).totp_confirmed_at is not None


async def enrolment_of(db: Db, master: Sealer, staff_id: UUID) -> Enrolment:
    """The secret still to be confirmed. Raises NotFound where it is confirmed already or there is none."""
    stored = await _stored(db, staff_id)
    if stored.totp_secret_sealed is None or stored.totp_confirmed_at is not None:
        raise errors.NotFound("Not found.")
    secret = master.open(stored.totp_secret_sealed, bound_to=_binding(db, staff_id)).decode()
    return Enrolment(secret, pyotp.TOTP(secret).provisioning_uri(name=stored.email, issuer_name=ISSUER))


OLDEST_SEALED = """
select staff_id, totp_secret_sealed
from staff
where clinic_id = $1
  and totp_secret_sealed is not null
order by staff_id
limit 1
"""


async def oldest_opens(db: Db, master: Sealer) -> bool:
    """Whether there is somebody whose secret opens (ids are in the order of time). Raises Invalid where it does not."""
    found = await db.connection.fetchrow(OLDEST_SEALED, db.clinic_id)
    if found is None:
        return False
    master.open(found["totp_secret_sealed"], bound_to=_binding(db, found["staff_id"]))
    return True


SPEND_STEP = """
update staff
set totp_last_step = $3,
    totp_confirmed_at = coalesce(totp_confirmed_at, $4)
where clinic_id = $1
  and staff_id = $2
  and (totp_last_step is null or totp_last_step < $3)
"""


async def accept(db: Db, master: Sealer, staff_id: UUID, code: str, *, now: datetime) -> bool:
    """Whether the code is right and new: a step once accepted, and every one before it, is refused from then on."""
    stored = await _stored(db, staff_id)
    if stored.totp_secret_sealed is None:
        return False
    secret = master.open(stored.totp_secret_sealed, bound_to=_binding(db, staff_id)).decode()
    step = _step_of(secret, code, now)
    return step is not None and await db.execute(SPEND_STEP, db.clinic_id, staff_id, step, now) == 1


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    digits = "".join(code.split())
    present = int(now.timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(secret)
    for step in range(present - STEPS_EITHER_WAY, present + STEPS_EITHER_WAY + 1):
        if pyotp.utils.strings_equal(digits, totp.at(step * STEP_SECONDS)):
            return step
    return None


def _binding(db: Db, staff_id: UUID) -> str:
    return f"staff:{db.clinic_id}:{staff_id}:totp"
