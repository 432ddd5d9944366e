"""Field encryption: AES-256-GCM, a data key per client, wrapped by the deployment's master key (envelope encryption).

A sealed field is `version byte ‖ 12-byte nonce ‖ ciphertext ‖ 16-byte tag`. The associated data names the row, so that
a sealed field copied into another row does not open. Source: NIST SP 800-38D (GCM), random 96-bit nonces.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service import errors

KEY_BYTES = 32
NONCE_BYTES = 12
VERSION = b"\x01"


class Sealer:
    """Seals and opens fields with one 32-byte key."""

    __slots__ = ("_cipher", "_key")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise errors.ConfigError("The master key must be 32 bytes.")
        self._key = key
        self._cipher = AESGCM(key)

    def seal(self, plain: bytes, *, bound_to: str) -> bytes:
        """Encrypt, bound to the row that `bound_to` names ("check_in:<clinic>:<id>:note")."""
        nonce = os.urandom(NONCE_BYTES)
        return VERSION + nonce + self._cipher.encrypt(nonce, plain, bound_to.encode())

    def open(self, sealed: bytes, *, bound_to: str) -> bytes:
        """Decrypt. Raises Invalid when the field was changed, belongs to another row, or another key sealed it."""
        if sealed[:1] != VERSION:
            raise errors.Invalid("A sealed field has an unknown version.")
        nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        try:
            return self._cipher.decrypt(nonce, ciphertext, bound_to.encode())
        except InvalidTag as error:
            raise errors.Invalid("A sealed field does not open with this key.") from error

    def fresh_client_key(self, clinic_id: UUID, client_id: UUID) -> bytes:
        """A new data key for one client, wrapped by this (master) key."""
        return self.seal(os.urandom(KEY_BYTES), bound_to=f"client_key:{clinic_id}:{client_id}")

    def client_sealer(self, wrapped_key: bytes, clinic_id: UUID, client_id: UUID) -> Sealer:
        """The sealer of one client's fields."""
        return Sealer(self.open(wrapped_key, bound_to=f"client_key:{clinic_id}:{client_id}"))

    def keyed_hash(self, content: bytes, *, purpose: str) -> bytes:
        """HMAC-SHA-256 (RFC 2104), 32 bytes: equal content compares equal and, without the key, tells nothing."""
        return hmac.digest(self.derived_key(purpose=purpose), content, hashlib.sha256)

    def derived_key(self, *, purpose: str) -> bytes:
        """A key (32 bytes) of its own for one purpose; no other purpose's key tells anything of it."""
        return hmac.digest(self._key, purpose.encode(), hashlib.sha256)
