"""A client's phone: enrolment by one-time code, then tokens that its key proves."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

Slug = Annotated[str, Meta(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]


class MonitoringForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`monitored`: false to leave monitoring, true to come back."""

    monitored: bool


class Monitoring(msgspec.Struct, frozen=True, kw_only=True):
    """Whether answers are watched today; `left_on`: the client day since which the client has left, null otherwise.

    A client who has not left can still be paused by the clinic.
    """

    monitored: bool
    left_on: date | None


class EnrolForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A one-time code against a device key.

    `code`: ten Crockford base32 characters, hyphens and case ignored. `public_key`: base64url of
    the 65-byte uncompressed P-256 point.
    """

    clinic: Slug
    code: Annotated[str, Meta(min_length=10, max_length=20)]
    public_key: Annotated[str, Meta(min_length=87, max_length=88)]


class Enrolled(msgspec.Struct, frozen=True, kw_only=True):
    device_id: UUID
    refresh_token: str
    access_token: str
    expires_at: datetime


class NonceForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    refresh_token: Annotated[str, Meta(max_length=200)]


class Nonce(msgspec.Struct, frozen=True, kw_only=True):
    nonce: str
    expires_at: datetime


class TokenForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`signature`: ECDSA P-256/SHA-256 over "neap-token-v1\\n{device_id}\\n{nonce}", r‖s (IEEE P1363), base64url."""

    refresh_token: Annotated[str, Meta(max_length=200)]
    nonce: Annotated[str, Meta(max_length=200)]
    signature: Annotated[str, Meta(min_length=86, max_length=88)]


class Access(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_at: datetime


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """A device as staff see it; the key stays in the table."""

    device_id: UUID
    client_id: UUID
    enrolled_at: datetime
    last_used_at: datetime
    revoked_at: datetime | None
    revoked_why: str | None


class IssuedCode(msgspec.Struct, frozen=True, kw_only=True):
    """A one-time enrolment code, told once."""

    clinic: str
    code: str
    expires_at: datetime
