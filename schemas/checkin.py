"""A check-in: the form a phone sends, and the answer as it is stored and shown."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.course import Substance
from schemas.crisis import CrisisContact
from schemas.problem import Problem

NOTE_CHARACTERS = 2_000

Score = Annotated[int, Meta(ge=0, le=10, description="0 to 10, whole")]
AwareTime = Annotated[datetime, Meta(tz=True)]
# Whatever a phone calls its zone: an answer is not refused for it.
ZoneName = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=r"^[ -~]+$(?!\n)",
        description="Time zone of the phone: an IANA name, or the offset that a phone without one tells (-05:00)",
    ),
]


class Kind(StrEnum):
    DAILY = "daily"
    MOMENT = "moment"


class Origin(StrEnum):
    PHONE = "phone"
    IMPORT = "import"


class CheckInForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client answered, as the phone sends it. `used` null: not asked; []: none."""

    kind: Kind
    answered_at: AwareTime
    sent_at: AwareTime
    time_zone: ZoneName
    craving: dict[Substance, Score]
    mood: Score | None = None
    anxiety: Score | None = None
    used: Annotated[list[Substance], Meta(max_length=4)] | None = None
    safety: bool | None = None
    note: Annotated[str, Meta(max_length=NOTE_CHARACTERS)] | None = None


# Its table has a shape of its own (`service/facts/checkins.py:CheckInRow`): this one holds when columns change.
class CheckIn(msgspec.Struct, frozen=True, kw_only=True):
    """A stored check-in. `late`: it arrived after its client day had ended."""

    id: UUID
    kind: Kind
    answered_at: datetime
    sent_at: datetime
    received_at: datetime
    counted_at: datetime
    time_zone: str
    zone_known: bool
    client_day: date
    craving: dict[Substance, int]
    mood: int | None
    anxiety: int | None
    used: list[Substance] | None
    safety: bool | None
    note: str | None
    partly: bool
    late: bool
    origin: Origin


class Next(msgspec.Struct, frozen=True, kw_only=True):
    """What comes next for the client: the client day of the next daily check-in, and the next planned infusion."""

    check_in_on: date
    infusion_at: datetime | None


class CheckInReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a check-in. `crisis` is filled after a positive safety answer."""

    check_in: CheckIn
    next: Next
    monitoring: str
    crisis: list[CrisisContact] | None


class BatchItemResult(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of one item of a batch: its check-in, or the problem that refused it."""

    id: str | None
    status: int
    check_in: CheckIn | None = None
    problem: Problem | None = None


class BatchReply(msgspec.Struct, frozen=True, kw_only=True):
    results: list[BatchItemResult]
    monitoring: str
    crisis: list[CrisisContact] | None


class CheckInPage(msgspec.Struct, frozen=True, kw_only=True):
    """Own history, newest first; `next` is the cursor of the following page."""

    items: list[CheckIn]
    next: str | None
