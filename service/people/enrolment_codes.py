"""One-time enrolment codes: ten Crockford base32 characters, of which four find the code and six prove it.

Source of the alphabet: https://www.crockford.com/base32.html (no I, L, O, U; read as 1, 1, 0 and refused).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from uuid import UUID

import msgspec

from service import errors

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
SELECTOR_CHARACTERS = 4
SECRET_CHARACTERS = 6
CODE_CHARACTERS = SELECTOR_CHARACTERS + SECRET_CHARACTERS

# 16 MiB and some 40 ms a try: whoever copies the table needs over a processor-year for the 2^30 secrets of one code,
# which lives 72 hours. The limit on guesses through the front door is the five tries.
SCRYPT_COST = 2**14
SCRYPT_BLOCK_SIZE = 8

READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})


class Code(msgspec.Struct, frozen=True):
    """A code taken apart: the selector stands in the table in clear, the secret only as a hash."""

    selector: str
    secret: str

    def __str__(self) -> str:
        """Give the code as it is told to a client."""
        return self.selector + self.secret


def fresh() -> Code:
    """A random code."""
    drawn = "".join(secrets.choice(ALPHABET) for _ in range(CODE_CHARACTERS))
    return Code(drawn[:SELECTOR_CHARACTERS], drawn[SELECTOR_CHARACTERS:])


def read(text: str) -> Code:
    """A code as people type it: any case, hyphens and spaces anywhere, O for 0, I and L for 1. Raises Invalid."""
    plain = text.upper().translate(READ_AS)
    if len(plain) != CODE_CHARACTERS or not set(plain) <= set(ALPHABET):
        raise errors.Invalid(
            "This is not a code of ours.",
            fields=(errors.FieldFault("code", "ten letters and digits, as the clinic gave them"),),
        )
    return Code(plain[:SELECTOR_CHARACTERS], plain[SELECTOR_CHARACTERS:])


async def hash_of(secret: str, *, clinic_id: UUID, enrolment_code_id: UUID) -> bytes:
    """Scrypt (RFC 7914) of the secret, 32 bytes, salted with clinic and code; computed off the event loop."""
    return await asyncio.to_thread(
        hashlib.scrypt,
        secret.encode(),
        salt=clinic_id.bytes + enrolment_code_id.bytes,
        n=SCRYPT_COST,
        r=SCRYPT_BLOCK_SIZE,
        p=1,
        dklen=32,
    )


def equal(one: bytes, other: bytes) -> bool:
    """Whether two hashes are the same, in a time that does not tell where they differ."""
    return hmac.compare_digest(one, other)
