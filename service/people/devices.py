"""Clients' phones: codes for them, replacement of a lost one, revocation."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from schemas.device import DeviceRow, IssuedCode
from service import errors, ids
from service.database import Db
from service.people import audit, clients, device_tokens, enrolment_codes

CODE_LIFE = timedelta(hours=72)

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
