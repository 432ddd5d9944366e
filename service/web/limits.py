"""How often is too often: fixed windows in the memory of one web process.

Our own: the `limits` library starts a thread every 10 ms of load, which walks over every key; that took 3 to 9 % of the
processor time of a check-in.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime, timedelta

import msgspec

from service import errors


class Window(msgspec.Struct):
    """The hits of one key since its first one."""

    ends_at: datetime
    hits: int = 0


class Limit:
    """At most `amount` per `per_seconds`, counted apart for every key (a credential's digest, an address)."""

    def __init__(self, amount: int, *, per_seconds: int, most_keys: int = 20_000) -> None:
        self._amount = amount
        self._length = timedelta(seconds=per_seconds)
        # Keys come from whoever asks: past so many the oldest are forgotten, rather than fill the memory.
        self._most_keys = most_keys
        # All windows have one length, so the order in which they began is the order in which they end.
        self._windows: OrderedDict[bytes | str, Window] = OrderedDict()

    def hit(self, key: bytes | str, *, now: datetime) -> None:
        """Count one. Raises TooMany, saying when the window ends."""
        window = self._windows.get(key)
        if window is None or window.ends_at <= now:
            self._forget_ended(now)
            window = self._windows[key] = Window(now + self._length)
            if len(self._windows) > self._most_keys:
                self._windows.popitem(last=False)
        window.hits += 1
        if window.hits > self._amount:
            raise errors.TooMany("Too many requests. Please wait a moment.", retry_at=window.ends_at)

    def _forget_ended(self, now: datetime) -> None:
        while self._windows and next(iter(self._windows.values())).ends_at <= now:
            self._windows.popitem(last=False)
