"""The brief before an appointment: sentences filled from numbers, each with the data it rests on."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class BriefFor(StrEnum):
    """Which appointment it is read before: `therapy` by the therapist, `infusion` by nurse or prescriber."""

    THERAPY = "therapy"
    INFUSION = "infusion"


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that a sentence rests on; `href` is where it can be read."""

    kind: str
    id: UUID | None
    href: str


class BriefSentence(msgspec.Struct, frozen=True, kw_only=True):
    """`quote`: the client's own words, for whoever may read notes."""

    text: str
    evidence: list[Evidence]
    quote: str | None = None


class BriefSection(msgspec.Struct, frozen=True, kw_only=True):
    """`code` names what it answers; it never changes with the wording of `title`."""

    code: str
    title: str
    sentences: list[BriefSentence]


class Brief(msgspec.Struct, frozen=True, kw_only=True):
    """What happened since the last appointment of this kind, or since the course began (`since_appointment` false)."""

    client_id: UUID
    client: str
    brief_for: BriefFor = msgspec.field(name="for")
    written_at: datetime
    since: datetime
    since_appointment: bool
    appointment_at: datetime | None
    sections: list[BriefSection]
