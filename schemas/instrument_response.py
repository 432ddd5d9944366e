"""Answers to an instrument: the form a phone sends, what is stored of it, and what staff read."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.checkin import AwareTime, ZoneName
from schemas.course import Phase
from schemas.crisis import CrisisContact
from schemas.instrument import Days, Instrument, InstrumentCode, ItemCode, LanguageTag, Points, Worse

MOST_ANSWERS = 100


class ResponseForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a client answered, as the phone sends it; an item that is not there was left out.

    `language`: in whose words it was asked; null: in the instrument's own.
    """

    instrument: InstrumentCode
    version: Annotated[int, Meta(ge=1, le=9_999)]
    answered_at: AwareTime
    sent_at: AwareTime
    time_zone: ZoneName
    answers: Annotated[dict[ItemCode, Points], Meta(min_length=1, max_length=MOST_ANSWERS)]
    language: LanguageTag | None = None


class InstrumentResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A stored response. `missing`: the items left out; `total` null where too many were. `late`: its day was over."""

    id: UUID
    instrument: str
    version: int
    answered_at: datetime
    sent_at: datetime
    received_at: datetime
    counted_at: datetime
    time_zone: str
    zone_known: bool
    client_day: date
    answers: dict[str, int]
    total: float | None
    missing: list[str]
    late: bool
    language: str | None


class ResponseReply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a response. `crisis` is filled after an urgent answer."""

    response: InstrumentResponse
    monitoring: str
    crisis: list[CrisisContact] | None


class DueInstrument(msgspec.Struct, frozen=True, kw_only=True):
    """What is due: since which client day, and until which (inclusive) it waits; `asks` in words for the phone."""

    code: str
    version: int
    title: str
    asks: str
    items: int
    since: date
    until: date


class WindowState(StrEnum):
    ANSWERED = "answered"
    DUE = "due"
    MISSED = "missed"


class WindowLine(msgspec.Struct, frozen=True, kw_only=True):
    """One time it was asked, and what came of it."""

    since: date
    until: date
    state: WindowState
    response_id: UUID | None
    answered_on: date | None


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A later total less an earlier one; `reliable` null where the instrument has no rule for it, or where
    something was filled in, in either of them."""

    points: float
    worse: bool
    reliable: bool | None
    since: date


class SeriesPoint(msgspec.Struct, frozen=True, kw_only=True):
    """One response as staff read it, compared with the first and the one before it of the same version and course.

    `filled_in`: the mean of the answered items stands in for the missing ones; nothing is judged from such a total.
    `urgent_missing`: those left out whose answer may be urgent. `responded` and `remitted` are judged from the first
    total that is high enough, of which nothing was filled in.
    """

    response_id: UUID
    client_day: date
    counted_at: datetime
    version: int
    total: float | None
    band: str | None
    missing: list[str]
    filled_in: bool
    urgent: list[str]
    urgent_missing: list[str]
    late: bool
    answers: dict[str, int]
    since_first: Change | None
    since_previous: Change | None
    responded: bool | None
    remitted: bool | None


class RuleInWords(msgspec.Struct, frozen=True, kw_only=True):
    """How something is judged, and on whose word."""

    formula: str
    source: str


class InstrumentSeries(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument of one client: totals by time, the rules they are judged by, and every time it was asked."""

    code: str
    version: int
    title: str
    attribution: str
    licence: str
    source: str
    worse: Worse
    least: float
    greatest: float
    missing_rule: RuleInWords
    bands_source: str | None
    reliable_change: RuleInWords | None
    response: RuleInWords | None
    remission: RuleInWords | None
    points: list[SeriesPoint]
    windows: list[WindowLine]


class ClientInstruments(msgspec.Struct, frozen=True, kw_only=True):
    """Every instrument that the client is or was asked, by code."""

    items: list[InstrumentSeries]


class RhythmForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a clinic asks an instrument in a phase, from a day on; `every_days` null: never.

    `open_days`: for how many client days it is then due; the file's, or the whole rhythm, where not said.
    """

    phase: Phase
    every_days: Days | None
    from_on: date
    open_days: Days | None = None


class ChosenRhythm(msgspec.Struct, frozen=True, kw_only=True):
    """A choice of the clinic, valid from a day until the next one for the same phase."""

    code: str
    phase: Phase
    every_days: int | None
    open_days: int | None
    from_on: date
    recorded_at: datetime


class InstrumentLine(msgspec.Struct, frozen=True, kw_only=True):
    """An instrument as the clinic has it: its newest version, and the rhythms that the clinic chose, oldest first."""

    definition: Instrument
    own: bool
    chosen: list[ChosenRhythm]


class InstrumentList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[InstrumentLine]
