"""Spending a one-time code for a device and its first tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schemas.device import EnrolForm, Enrolled
from service import database, errors, ids
from service.database import Db, Pool
from service.people import audit, device_tokens, enrolment_codes

TRIES = 5
NO_SUCH_CODE = "This code is not right. Please check it, or ask the clinic for a new one."
SPENT_CODE = "This code can no longer be used. Please ask the clinic for a new one."
# So long a phone that did not hear our answer may ask again.
ASKED_AGAIN_WITHIN = timedelta(minutes=15)

# A code is spent and its device enrolled at the same instant.
ENROLLED_LATELY = """
select d.device_id, d.client_id, c.enrolment_code_id, c.secret_hash
from enrolment_code c
join device d
  on d.clinic_id = $1
  and d.client_id = c.client_id
  and d.enrolled_at = c.used_at
  and d.public_key = $3
  and d.revoked_at is null
where c.clinic_id = $1
  and c.selector = $2
  and c.used_at > $5
  and c.used_at <= $4
"""


async def enrol(pool: Pool, clinic_id: UUID, form: EnrolForm, *, now: datetime) -> Enrolled:
    """Spend a code for a device and its first tokens; the same again, for a while, to the same key: the phone does not
    know that its code was spent where our answer was lost.

    Takes the pool, because a try is counted and committed before the secret is looked at: however many guesses
    arrive at once, five are looked at. Raises Invalid (key, code's shape), Unauthenticated (no such code), Gone.
    """
    public_key = device_tokens.public_key_of(form.public_key)
    code = enrolment_codes.read(form.code)
    not_before = now - ASKED_AGAIN_WITHIN
    async with database.transaction(pool, clinic_id) as db:
        lately = await db.find(_Lately, ENROLLED_LATELY, clinic_id, code.selector, public_key, now, not_before)
    if lately is not None:
        return await _again(pool, clinic_id, lately, code.secret, now)
    taken = await _take_a_try(pool, clinic_id, code.selector, now)
    hashed = await enrolment_codes.hash_of(code.secret, clinic_id=clinic_id, enrolment_code_id=taken.enrolment_code_id)
    if not enrolment_codes.equal(hashed, taken.secret_hash):
        await _note_wrong_secret(pool, clinic_id, taken, now)
        raise errors.Unauthenticated(NO_SUCH_CODE)
    async with database.transaction(pool, clinic_id) as db:
        return await _spend(db, taken, public_key, now)


class _Lately(msgspec.Struct, frozen=True):
    """A device that a code was spent for a moment ago."""

    device_id: UUID
    client_id: UUID
    enrolment_code_id: UUID
    secret_hash: bytes


async def _again(pool: Pool, clinic_id: UUID, lately: _Lately, secret: str, now: datetime) -> Enrolled:
    """Tokens once more. Whoever knows the key's public half made it, and nobody can guess it; the secret is asked for
    all the same."""
    hashed = await enrolment_codes.hash_of(secret, clinic_id=clinic_id, enrolment_code_id=lately.enrolment_code_id)
    if not enrolment_codes.equal(hashed, lately.secret_hash):
        raise errors.Unauthenticated(NO_SUCH_CODE)
    async with database.transaction(pool, clinic_id) as db:
        return await _enrolled(db, lately.device_id, lately.client_id, lately.enrolment_code_id, now)


class TakenTry(msgspec.Struct, frozen=True):
    """A live code, and which of its five tries this is."""

    enrolment_code_id: UUID
    client_id: UUID
    secret_hash: bytes
    wrong_count: int


TAKE_A_TRY = """
update enrolment_code
set wrong_count = wrong_count + 1
where clinic_id = $1
  and selector = $2
  and used_at is null
  and voided_at is null
  and wrong_count < 5
  and expires_at > $3
returning enrolment_code_id, client_id, secret_hash, wrong_count
"""
SELECTOR_WAS_ISSUED = """
select exists (
  select 1
  from enrolment_code
  where clinic_id = $1
    and selector = $2
)
"""


async def _take_a_try(pool: Pool, clinic_id: UUID, selector: str, now: datetime) -> TakenTry:
    """Raises Gone for a selector whose codes are all spent, Unauthenticated for one never issued."""
    async with database.committed_now(pool, clinic_id) as db:
        taken = await db.find(TakenTry, TAKE_A_TRY, clinic_id, selector, now)
        if taken is not None:
            return taken
        if await db.value(SELECTOR_WAS_ISSUED, clinic_id, selector):
            raise errors.Gone(SPENT_CODE)
    raise errors.Unauthenticated(NO_SUCH_CODE)


VOID_AFTER_LAST_TRY = """
update enrolment_code
set voided_at = $3
where clinic_id = $1
  and enrolment_code_id = $2
  and used_at is null
  and voided_at is null
"""


async def _note_wrong_secret(pool: Pool, clinic_id: UUID, taken: TakenTry, now: datetime) -> None:
    async with database.committed_now(pool, clinic_id) as db:
        if taken.wrong_count >= TRIES:
            await db.execute(VOID_AFTER_LAST_TRY, clinic_id, taken.enrolment_code_id, now)
        await audit.record(
            db,
            audit.ANONYMOUS,
            "device.enrol",
            now=now,
            client_id=taken.client_id,
            object_id=taken.enrolment_code_id,
            allowed=False,
            reason="wrong_secret",
        )


# The try that was taken for the right secret is given back.
SPEND_CODE = """
update enrolment_code
set used_at = $3,
    wrong_count = wrong_count - 1
where clinic_id = $1
  and enrolment_code_id = $2
  and used_at is null
  and voided_at is null
"""
INSERT_DEVICE = """
insert into device (clinic_id, device_id, client_id, public_key, enrolled_at, last_used_at)
values ($1, $2, $3, $4, $5, $5)
"""


async def _spend(db: Db, taken: TakenTry, public_key: bytes, now: datetime) -> Enrolled:
    """Raises Gone when somebody else spent or voided the code in between."""
    if await db.execute(SPEND_CODE, db.clinic_id, taken.enrolment_code_id, now) == 0:
        raise errors.Gone(SPENT_CODE)
    device_id, client_id = ids.new(), taken.client_id
    await db.execute(INSERT_DEVICE, db.clinic_id, device_id, client_id, public_key, now)
    return await _enrolled(db, device_id, client_id, taken.enrolment_code_id, now)


async def _enrolled(db: Db, device_id: UUID, client_id: UUID, enrolment_code_id: UUID, now: datetime) -> Enrolled:
    refresh_token = await device_tokens.issue_refresh(db, device_id, client_id, now=now)
    access = await device_tokens.issue_access(db, device_id, client_id, now=now)
    await audit.record(
        db,
        audit.Actor("device", device_id),
        "device.enrol",
        now=now,
        client_id=client_id,
        object_id=enrolment_code_id,
    )
    return Enrolled(
        device_id=device_id,
        refresh_token=refresh_token,
        access_token=access.access_token,
        expires_at=access.expires_at,
    )
