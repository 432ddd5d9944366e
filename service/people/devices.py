"""Clients' phones: enrolment by one-time code, replacement of a lost one, revocation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from schemas.device import DeviceRow, EnrolForm, Enrolled, IssuedCode
from service import database, errors, ids
from service.database import Db, Pool
from service.people import audit, clients, device_tokens, enrolment_codes

CODE_LIFE = timedelta(hours=72)
TRIES = 5
NO_SUCH_CODE = "This code is not right. Please check it, or ask the clinic for a new one."
SPENT_CODE = "This code can no longer be used. Please ask the clinic for a new one."

RevokedWhy = Literal["by_clinic", "by_client", "unused", "replaced"]


class DeviceClient(msgspec.Struct, frozen=True):
    """Who speaks: a device, and the client whose it is."""

    device_id: UUID
    client_id: UUID


LOCK_CLIENT = """
select clinic.slug
from client
join clinic
  on clinic.clinic_id = client.clinic_id
where client.clinic_id = $1
  and client.client_id = $2
for no key update of client
"""
VOID_OLDER_CODES = """
update enrolment_code
set voided_at = $3
where clinic_id = $1
  and client_id = $2
  and used_at is null
  and voided_at is null
"""
# A live code of another client may hold the selector; then another one is drawn.
INSERT_CODE = """
insert into enrolment_code
  (clinic_id, enrolment_code_id, client_id, selector, secret_hash, issued_by, issued_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (clinic_id, selector) where used_at is null and voided_at is null do nothing
"""


async def issue_code(db: Db, client_id: UUID, *, by: UUID | None, now: datetime) -> IssuedCode:
    """A one-time code for 72 hours, told once; the client's older codes are void from now on.

    Raises NotFound, Conflict for somebody who came with an import.

    `by`: the member of staff, None when a command issues it.
    """
    slug = await db.value(LOCK_CLIENT, db.clinic_id, client_id)
    if not isinstance(slug, str):
        raise errors.NotFound("Not found.")
    clients.refuse_imported(await clients.get(db, client_id))
    await db.execute(VOID_OLDER_CODES, db.clinic_id, client_id, now)
    code_id, expires_at, inserted = ids.new(), now + CODE_LIFE, 0
    while inserted == 0:
        code = enrolment_codes.fresh()
        hashed = await enrolment_codes.hash_of(code.secret, clinic_id=db.clinic_id, enrolment_code_id=code_id)
        inserted = await db.execute(
            INSERT_CODE, db.clinic_id, code_id, client_id, code.selector, hashed, by, now, expires_at
        )
    await audit.record(
        db, _staff_or_command(by), "enrolment_code.issue", now=now, client_id=client_id, object_id=code_id
    )
    return IssuedCode(clinic=slug, code=str(code), expires_at=expires_at)


def _staff_or_command(by: UUID | None) -> audit.Actor:
    return audit.COMMAND if by is None else audit.Actor("staff", by)


async def enrol(pool: Pool, clinic_id: UUID, form: EnrolForm, *, now: datetime) -> Enrolled:
    """Spend a code for a device and its first tokens.

    Takes the pool, because a try is counted and committed before the secret is looked at: however many guesses
    arrive at once, five are looked at. Raises Invalid (key, code's shape), Unauthenticated (no such code), Gone.
    """
    public_key = device_tokens.public_key_of(form.public_key)
    code = enrolment_codes.read(form.code)
    taken = await _take_a_try(pool, clinic_id, code.selector, now)
    hashed = await enrolment_codes.hash_of(code.secret, clinic_id=clinic_id, enrolment_code_id=taken.enrolment_code_id)
    if not enrolment_codes.equal(hashed, taken.secret_hash):
        await _note_wrong_secret(pool, clinic_id, taken, now)
        raise errors.Unauthenticated(NO_SUCH_CODE)
    async with database.transaction(pool, clinic_id) as db:
        return await _spend(db, taken, public_key, now)


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
    refresh_token = await device_tokens.issue_refresh(db, device_id, client_id, now=now)
    access = await device_tokens.issue_access(db, device_id, client_id, now=now)
    await audit.record(
        db,
        audit.Actor("device", device_id),
        "device.enrol",
        now=now,
        client_id=client_id,
        object_id=taken.enrolment_code_id,
    )
    return Enrolled(
        device_id=device_id,
        refresh_token=refresh_token,
        access_token=access.access_token,
        expires_at=access.expires_at,
    )


AUTHENTICATE = """
select device_id, client_id
from device_token
where clinic_id = $1
  and token_hash = $2
  and kind = 'access'
  and expires_at > $3
"""


async def authenticate(db: Db, digest: bytes, *, now: datetime) -> DeviceClient:
    """Who holds this access token. Raises Unauthenticated; a revoked device has no tokens left to find."""
    found = await db.find(DeviceClient, AUTHENTICATE, db.clinic_id, digest, now)
    if found is None:
        raise errors.Unauthenticated("This device is not signed in, or no longer.")
    return found


DEVICES_OF = """
select device_id, client_id, enrolled_at, last_used_at, revoked_at, revoked_why
from device
where clinic_id = $1
  and client_id = $2
order by enrolled_at desc, device_id
"""


async def devices_of(db: Db, client_id: UUID) -> list[DeviceRow]:
    """A client's devices, newest first, revoked ones included."""
    return await db.rows(DeviceRow, DEVICES_OF, db.clinic_id, client_id)


class _Revoked(msgspec.Struct, frozen=True):
    device_id: UUID
    client_id: UUID


REVOKE = """
update device
set revoked_at = $3,
    revoked_why = $4
where clinic_id = $1
  and device_id = $2
  and revoked_at is null
returning device_id, client_id
"""


async def revoke(db: Db, device_id: UUID, *, by: audit.Actor, why: RevokedWhy, now: datetime) -> None:
    """End a device at once: its tokens are deleted. Raises NotFound where there is none that lives."""
    revoked = await db.get(_Revoked, REVOKE, db.clinic_id, device_id, now, why)
    await _end(db, revoked, by, why, now)


REVOKE_OF_CLIENT = """
update device
set revoked_at = $3,
    revoked_why = $4
where clinic_id = $1
  and client_id = $2
  and revoked_at is null
returning device_id, client_id
"""


async def replace_lost(db: Db, client_id: UUID, *, by: UUID, now: datetime) -> IssuedCode:
    """For a lost phone: end every device of the client and issue a code for the next one. Raises NotFound."""
    # The code first: it locks the client and waits for an enrolment under way, whose device is then ended too.
    code = await issue_code(db, client_id, by=by, now=now)
    for revoked in await db.rows(_Revoked, REVOKE_OF_CLIENT, db.clinic_id, client_id, now, "replaced"):
        await _end(db, revoked, audit.Actor("staff", by), "replaced", now)
    return code


REVOKE_UNUSED = """
update device
set revoked_at = $2,
    revoked_why = 'unused'
where clinic_id = $1
  and last_used_at <= $3
  and revoked_at is null
returning device_id, client_id
"""


async def revoke_unused(db: Db, *, now: datetime) -> int:
    """End the clinic's devices that no refresh used for 90 days; how many."""
    ended = await db.rows(_Revoked, REVOKE_UNUSED, db.clinic_id, now, now - device_tokens.UNUSED_LIFE)
    for revoked in ended:
        await _end(db, revoked, audit.JOB, "unused", now)
    return len(ended)


DELETE_TOKENS = """
delete from device_token
where clinic_id = $1
  and device_id = $2
"""
DELETE_NONCES = """
delete from device_nonce
where clinic_id = $1
  and device_id = $2
"""


async def _end(db: Db, revoked: _Revoked, by: audit.Actor, why: RevokedWhy, now: datetime) -> None:
    await db.execute(DELETE_TOKENS, db.clinic_id, revoked.device_id)
    await db.execute(DELETE_NONCES, db.clinic_id, revoked.device_id)
    await audit.record(
        db, by, "device.revoke", now=now, client_id=revoked.client_id, object_id=revoked.device_id, reason=why
    )
