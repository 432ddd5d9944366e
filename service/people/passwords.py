"""Passwords: argon2id, hashed off the event loop and never more than two at a time."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import TypeVar

import argon2

from service import errors

T = TypeVar("T")

# OWASP Password Storage Cheat Sheet, argon2id: 19 MiB, two passes, one lane. Two at a time stay under 40 MiB.
MEMORY_KIBIBYTES = 19_456
PASSES = 2
LANES = 1
AT_ONCE = 2
# NIST SP 800-63B: length is what counts, no rules of composition; an upper bound so that nobody hashes megabytes.
SHORTEST = 12
LONGEST = 256


def _hasher() -> argon2.PasswordHasher:
    return argon2.PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIBIBYTES, parallelism=LANES)


@functools.cache
def _nobodys() -> str:
    """What the password of an account that is not there is compared with."""
    return _hasher().hash("a password that opens nothing")


class Passwords:
    """Hashes and verifies; one per process, since it bounds how many run at once."""

    def __init__(self) -> None:
        self._hasher = _hasher()
        self._turn = asyncio.Semaphore(AT_ONCE)
        # Here, not at the first sign-in: that one would take twice as long, and tell of an account that is not there.
        self._nobodys = _nobodys()

    async def hash(self, password: str) -> str:
        """The encoded argon2id hash. Raises Invalid where the password is too short, or too long to be one."""
        if not SHORTEST <= len(password) <= LONGEST:
            fault = errors.FieldFault("password", f"{SHORTEST} to {LONGEST} characters")
            raise errors.Invalid(f"A password has at least {SHORTEST} characters.", fields=(fault,))
        return await self._off_the_loop(lambda: self._hasher.hash(password))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether the password is the one behind `stored`; takes as long where there is none (None) to compare with."""
        if len(password) > LONGEST:
            return False
        matches = await self._off_the_loop(lambda: self._matches(stored or self._nobodys, password))
        return matches and stored is not None

    def _matches(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except argon2.exceptions.VerifyMismatchError:
            return False

    async def _off_the_loop(self, work: Callable[[], T]) -> T:
        async with self._turn:
            return await asyncio.to_thread(work)
