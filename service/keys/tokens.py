"""Bearer secrets: `neap_<kind>_<clinic id, 32 hex digits>_<43 characters base64url>`; the database holds only a digest.

The clinic stands in the clear beside the secret, so that even the look-up of a credential runs inside one clinic.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import Literal
from uuid import UUID

import msgspec

from service import base64url, errors

Kind = Literal["access", "refresh", "nonce", "session", "link", "calendar", "service", "stop"]

SECRET_BYTES = 32
TOKEN = re.compile(
    r"neap_(access|refresh|nonce|session|link|calendar|service|stop)_([0-9a-f]{32})_([A-Za-z0-9_-]{43})", re.ASCII
)


class Token(msgspec.Struct, frozen=True):
    """A token taken apart: its clinic, and the digest under which it is stored."""

    kind: str
    clinic_id: UUID
    digest: bytes


def issue(kind: Kind, clinic_id: UUID) -> tuple[str, bytes]:
    """A fresh token's text, to be told once, and the digest to store."""
    text = text_of(kind, clinic_id, secrets.token_bytes(SECRET_BYTES))
    return text, digest_of(text)


def text_of(kind: Kind, clinic_id: UUID, secret: bytes) -> str:
    """A token's text with this secret (32 bytes): fresh, or one that only we can make again."""
    return f"neap_{kind}_{clinic_id.hex}_{base64url.encode(secret)}"


def parse(text: str, kind: Kind) -> Token:
    """Take a token apart. Raises Unauthenticated when it is none, or of another kind."""
    match = TOKEN.fullmatch(text)
    if match is None or match[1] != kind:
        raise errors.Unauthenticated("This credential is not valid.")
    return Token(kind=match[1], clinic_id=UUID(hex=match[2]), digest=digest_of(text))


def digest_of(text: str) -> bytes:
    """SHA-256, 32 bytes: the secret has 256 random bits, so a slow or salted hash would add nothing."""
    return hashlib.sha256(text.encode()).digest()


def same(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(), expected.encode())
