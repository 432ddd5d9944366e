"""Base64url without padding (RFC 4648, section 5), as addresses, headers and tokens want it."""

from __future__ import annotations

import base64


def encode(raw: bytes) -> str:
    """The bytes as letters, digits, minus and underscore."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """The bytes of a text, padded or not. Raises ValueError for what is no base64url."""
    bare = text.rstrip("=")
    return base64.b64decode(bare + "=" * (-len(bare) % 4), altchars=b"-_", validate=True)
