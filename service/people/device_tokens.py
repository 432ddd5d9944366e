"""What a phone holds: a long-lived refresh token, useless without the key that proves it, and short access tokens."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from schemas.device import Access, Nonce, NonceForm, TokenForm
from service import base64url, database, errors
from service.database import Db, Pool
from service.keys import tokens
from service.people import audit

ACCESS_LIFE = timedelta(minutes=15)
NONCE_LIFE = timedelta(minutes=2)
# A device whose refresh token was not used for so long is done for; each refresh starts the time anew.
UNUSED_LIFE = timedelta(days=90)

POINT_BYTES = 65
HALF_SIGNATURE_BYTES = 32
REFUSED = "This device is not enrolled, or no longer."


def public_key_of(text: str) -> bytes:
    """The 65-byte uncompressed P-256 point of a form. Raises Invalid unless it is one, on the curve."""
    point = _decoded(text)
    try:
        if len(point) != POINT_BYTES:
            raise ValueError("length")  # noqa: TRY301 - one refusal for every fault of the point
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    except ValueError as error:
        raise errors.Invalid(
            "The key cannot be used.",
            fields=(errors.FieldFault("public_key", "base64url of an uncompressed P-256 point, 65 bytes"),),
        ) from error
    return point


def _decoded(text: str) -> bytes:
    """Base64url, padded or not; empty bytes for anything else."""
    try:
        return base64url.decode(text)
    except ValueError:
        return b""


def signed_text(device_id: UUID, nonce: str) -> bytes:
    """What the key signs to prove a refresh."""
    return f"neap-token-v1\n{device_id}\n{nonce}".encode()


def proves(public_key: bytes, signature: str, *, device_id: UUID, nonce: str) -> bool:
    """Whether the signature (r‖s, base64url; IEEE P1363) is this key's over this nonce."""
    raw = _decoded(signature)
    if len(raw) != 2 * HALF_SIGNATURE_BYTES:
        return False
    der = encode_dss_signature(int.from_bytes(raw[:HALF_SIGNATURE_BYTES]), int.from_bytes(raw[HALF_SIGNATURE_BYTES:]))
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public_key)
    try:
        key.verify(der, signed_text(device_id, nonce), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


async def issue_refresh(db: Db, device_id: UUID, client_id: UUID, *, now: datetime) -> str:
    """A device's one refresh token, told once."""
    return await _issue(db, "refresh", device_id, client_id, now=now, expires_at=now + UNUSED_LIFE)


# What the phone asked with a moment ago is still under way; a token more than that would only lift its rate limit.
FORGET_OLDER_ACCESS = """
delete from device_token
where clinic_id = $1
  and device_id = $2
  and kind = 'access'
  and (
    expires_at <= $3
    or token_hash <> (
      select newest.token_hash
      from device_token newest
      where newest.clinic_id = $1
        and newest.device_id = $2
        and newest.kind = 'access'
      order by newest.created_at desc, newest.token_hash
      limit 1
    )
  )
"""


async def issue_access(db: Db, device_id: UUID, client_id: UUID, *, now: datetime) -> Access:
    """A fresh access token; of the device's earlier ones the newest stays good for its time."""
    await db.execute(FORGET_OLDER_ACCESS, db.clinic_id, device_id, now)
    expires_at = now + ACCESS_LIFE
    text = await _issue(db, "access", device_id, client_id, now=now, expires_at=expires_at)
    return Access(access_token=text, expires_at=expires_at)


INSERT_BEARER = """
insert into device_token (clinic_id, token_hash, kind, device_id, client_id, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""


async def _issue(
    db: Db,
    kind: Literal["access", "refresh"],
    device_id: UUID,
    client_id: UUID,
    *,
    now: datetime,
    expires_at: datetime,
) -> str:
    text, digest = tokens.issue(kind, db.clinic_id)
    await db.execute(INSERT_BEARER, db.clinic_id, digest, kind, device_id, client_id, now, expires_at)
    return text


class Holder(msgspec.Struct, frozen=True):
    """The device that holds a live refresh token."""

    device_id: UUID
    client_id: UUID
    public_key: bytes


# The lock makes a revocation wait for a running refresh, and then take its new token away too.
LOCK_HOLDER = """
select device.device_id, device.client_id, device.public_key
from device_token
join device
  on device.clinic_id = device_token.clinic_id
  and device.device_id = device_token.device_id
where device_token.clinic_id = $1
  and device_token.token_hash = $2
  and device_token.kind = 'refresh'
  and device_token.expires_at > $3
  and device.revoked_at is null
for no key update of device
"""


async def _lock_holder(db: Db, digest: bytes, now: datetime) -> Holder:
    """Raises Unauthenticated unless the refresh token is live."""
    holder = await db.find(Holder, LOCK_HOLDER, db.clinic_id, digest, now)
    if holder is None:
        raise errors.Unauthenticated(REFUSED)
    return holder


FORGET_OLD_NONCES = """
delete from device_nonce
where clinic_id = $1
  and device_id = $2
  and expires_at <= $3
"""
INSERT_NONCE = """
insert into device_nonce (clinic_id, nonce_hash, device_id, created_at, expires_at)
values ($1, $2, $3, $4, $5)
"""


async def issue_nonce(pool: Pool, form: NonceForm, *, now: datetime) -> Nonce:
    """What the key is to sign next: good once, for two minutes. Raises Unauthenticated."""
    refresh = tokens.parse(form.refresh_token, "refresh")
    async with database.transaction(pool, refresh.clinic_id) as db:
        holder = await _lock_holder(db, refresh.digest, now)
        await db.execute(FORGET_OLD_NONCES, db.clinic_id, holder.device_id, now)
        text, digest = tokens.issue("nonce", db.clinic_id)
        expires_at = now + NONCE_LIFE
        await db.execute(INSERT_NONCE, db.clinic_id, digest, holder.device_id, now, expires_at)
    return Nonce(nonce=text, expires_at=expires_at)


async def refresh_access(pool: Pool, form: TokenForm, *, now: datetime) -> Access:
    """A new access token against refresh token, nonce and signature. Raises Unauthenticated.

    The nonce is spent whatever comes of it, and a refused proof is audited: so this commits before it refuses.
    """
    refresh = tokens.parse(form.refresh_token, "refresh")
    async with database.committed_now(pool, refresh.clinic_id) as db:
        holder = await _lock_holder(db, refresh.digest, now)
        fault = await _fault_of_proof(db, holder, form, now)
        if fault is None:
            await _keep_alive(db, holder, refresh.digest, now)
            return await issue_access(db, holder.device_id, holder.client_id, now=now)
        await audit.record(
            db,
            audit.Actor("device", holder.device_id),
            "device.refresh",
            now=now,
            client_id=holder.client_id,
            object_id=holder.device_id,
            allowed=False,
            reason=fault,
        )
    raise errors.Unauthenticated("The proof was not accepted.")


class SpentNonce(msgspec.Struct, frozen=True):
    device_id: UUID
    expires_at: datetime


SPEND_NONCE = """
delete from device_nonce
where clinic_id = $1
  and nonce_hash = $2
returning device_id, expires_at
"""


async def _fault_of_proof(db: Db, holder: Holder, form: TokenForm, now: datetime) -> str | None:
    """Spend the nonce and say what is wrong with the proof, None when nothing is."""
    try:
        nonce = tokens.parse(form.nonce, "nonce")
    except errors.Unauthenticated:
        return "nonce_unknown"
    spent = await db.find(SpentNonce, SPEND_NONCE, db.clinic_id, nonce.digest)
    if spent is None or nonce.clinic_id != db.clinic_id:
        return "nonce_unknown"
    if spent.device_id != holder.device_id:
        return "nonce_of_another_device"
    if spent.expires_at <= now:
        return "nonce_expired"
    if not proves(holder.public_key, form.signature, device_id=holder.device_id, nonce=form.nonce):
        return "wrong_signature"
    return None


TOUCH_DEVICE = """
update device
set last_used_at = $3
where clinic_id = $1
  and device_id = $2
"""
EXTEND_REFRESH = """
update device_token
set expires_at = $3
where clinic_id = $1
  and token_hash = $2
"""


async def _keep_alive(db: Db, holder: Holder, refresh_digest: bytes, now: datetime) -> None:
    await db.execute(TOUCH_DEVICE, db.clinic_id, holder.device_id, now)
    await db.execute(EXTEND_REFRESH, db.clinic_id, refresh_digest, now + UNUSED_LIFE)
