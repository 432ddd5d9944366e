"""What every channel takes and gives back. A problem's text is ours: it quotes nothing that a server answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from schemas.alert import Channel


class Template(StrEnum):
    """What a message says: a fixed text, whatever it is about."""

    ALERT = "alert"
    BRIEF = "brief"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, neutral by construction: it has no field for a name, a score or anything a client said.

    `delivery_id` is stable over every attempt, so that a receiver can drop a second copy. `to`: an e-mail address or
    a URL; `secret` signs what goes to a URL. `alert_id`: None for what is about no alert.
    """

    delivery_id: UUID
    alert_id: UUID | None = None
    template: Template = Template.ALERT
    to: str
    link: str
    written_at: datetime
    secret: bytes = b""


class Sent(msgspec.Struct, frozen=True, tag=True):
    """The other side took it."""


class Retry(msgspec.Struct, frozen=True, tag=True):
    """Not now; again after so many seconds, where the other side said so, else as the channel's table says."""

    problem: str
    after_seconds: float | None = None


class Dead(msgspec.Struct, frozen=True, tag=True):
    """Never: this recipient cannot be reached like this."""

    problem: str


class Disable(msgspec.Struct, frozen=True, tag=True):
    """Never, and nothing else to that endpoint either: it said that it is gone."""

    problem: str


Result = Sent | Retry | Dead | Disable


class Notifier(Protocol):
    """A channel. `retry_after_seconds`: the wait after the first failed attempt, the second, …; then it is dead."""

    @property
    def channel(self) -> Channel:
        """The name in the table of deliveries."""
        ...

    @property
    def at_once(self) -> int:
        """How many of one clinic's messages go out at the same time."""
        ...

    @property
    def retry_after_seconds(self) -> Sequence[float]:
        """The channel's table of waits."""
        ...

    async def send(self, message: Message, *, now: datetime) -> Result:
        """One attempt; never raises for what the other side does."""
        ...
