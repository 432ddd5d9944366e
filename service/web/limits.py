"""How often is too often: fixed windows in the memory of one web process, by the `limits` library."""

from __future__ import annotations

from datetime import UTC, datetime

from limits import RateLimitItemPerSecond
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from service import errors


class Limit:
    """At most `amount` per `per_seconds`, counted apart for every key (a credential's digest, an address)."""

    def __init__(self, name: str, amount: int, *, per_seconds: int) -> None:
        self._item = RateLimitItemPerSecond(amount, per_seconds)
        self._name = name
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def hit(self, key: bytes | str, *, now: datetime) -> None:
        """Count one. Raises TooMany, saying when the window ends."""
        identifier = key if isinstance(key, str) else key.hex()
        if self._limiter.hit(self._item, self._name, identifier):
            return
        window = self._limiter.get_window_stats(self._item, self._name, identifier)
        retry_at = max(now, datetime.fromtimestamp(window.reset_time, UTC))
        raise errors.TooMany("Too many requests. Please wait a moment.", retry_at=retry_at)
