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
    """What a message says to a person: a fixed text, whatever it is about."""

    ALERT = "alert"
    ALERT_AGAIN = "alert_again"
    ALERTS = "alerts"
    BRIEF = "brief"
    COURSE = "course"
    ENDPOINT = "endpoint"
    DIGEST = "digest"
    ALL_QUIET = "all_quiet"
    AUDIT_HEAD = "audit_head"
    REMINDER = "reminder"


class Event(StrEnum):
    """What a message says to a machine: what began the round of the alert that it tells of."""

    OPENED = "alert.opened"
    RAISED = "alert.raised"
    REOPENED = "alert.reopened"
    LAPSED = "alert.lapsed"
    ESCALATED = "alert.escalated"


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a digest counts: alerts of the reader's clients, open now, and new and resolved since a day ago."""

    open: int
    new: int
    resolved: int

    @property
    def all_quiet(self) -> bool:
        """Whether there is nothing to tell."""
        return self.open == self.new == self.resolved == 0


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A file that goes with a message, JSON."""

    name: str
    content: bytes


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message, neutral by construction: it has no field for a name, a score or anything a client said.

    `delivery_id` is stable over every attempt, so that a receiver can drop a second copy. `alert_id`: None for what is
    about no alert. `to`: an e-mail address, a URL, or a browser's subscription; `address_id` is that one's, should it
    say that it is gone. `stop`: where its reader ends such messages, by a POST, too (RFC 8058). `secrets` sign what
    goes to a URL, two while one takes the other's place. `receipt`: what a receiver hands back when the message has
    arrived. `expires_at`: from then on it is worth nothing. `outside`: it goes to somebody outside the clinic, as
    things stood when it was written.
    """

    delivery_id: UUID
    alert_id: UUID | None = None
    template: Template = Template.ALERT
    event: Event = Event.OPENED
    language: str = "en"
    counts: Counts | None = None
    attachment: Attachment | None = None
    address_id: UUID | None = None
    to: str
    link: str
    stop: str = ""
    receipt: str = ""
    written_at: datetime
    expires_at: datetime | None = None
    secrets: tuple[bytes, ...] = ()
    outside: bool = False


class Sent(msgspec.Struct, frozen=True, tag=True):
    """The other side took it."""


class Retry(msgspec.Struct, frozen=True, tag=True):
    """Not now; again after so many seconds, where the other side said so, else as the channel's table says.

    `may_have_arrived`: the message was on its way when the answer was lost, so that another try may be a second copy.
    """

    problem: str
    after_seconds: float | None = None
    may_have_arrived: bool = False


class Dead(msgspec.Struct, frozen=True, tag=True):
    """Never: this recipient cannot be reached like this."""

    problem: str


class Disable(msgspec.Struct, frozen=True, tag=True):
    """Never, and nothing else to that address either: it said that it is gone."""

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
