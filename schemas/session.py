"""Therapy sessions as they are booked, changed and remembered; the infusions they cover; the calendar's address."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.checkin import AwareTime
from schemas.course import Modality, SessionState, TherapySession

Version = Annotated[int, Meta(ge=1, description="the session's version that was looked at; refused where it moved on")]


class SessionForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session to book."""

    planned_at: AwareTime
    staff_id: UUID | None = None
    modality: Modality = Modality.OTHER
    minutes: Annotated[int, Meta(ge=5, le=480)] = 50


class SessionChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What changes of a session; what is left out stays as it is."""

    state: SessionState | None = None
    planned_at: AwareTime | None = None
    staff_id: UUID | None = None
    modality: Modality | None = None
    minutes: Annotated[int, Meta(ge=5, le=480)] | None = None
    version: Version | None = None


class SessionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A session as it stood after a change, and who made it."""

    therapy_session_event_id: UUID
    therapy_session_id: UUID
    state: SessionState
    planned_at: datetime
    staff_id: UUID | None
    modality: Modality
    minutes: int
    recorded_by: UUID | None
    recorded_at: datetime


class CoverageState(StrEnum):
    """Whether a given infusion is followed by therapy inside the clinic's window.

    `unrecorded`: of a session in the window whose time is past nobody wrote down whether it was attended, and no
    further one is booked.
    """

    COVERED = "covered"
    BOOKED = "booked"
    OPEN = "open"
    UNRECORDED = "unrecorded"
    UNCOVERED = "uncovered"


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """A given infusion, when its window closes, and the session that covers it or may."""

    infusion_id: UUID
    given_at: datetime
    closes_at: datetime
    state: CoverageState
    therapy_session_id: UUID | None


class CoverageReply(msgspec.Struct, frozen=True, kw_only=True):
    """Infusions, the newest first; `covered` of `closed` windows that are over or covered already."""

    items: list[Coverage]
    window_hours: int
    covered: int
    closed: int


class SessionReply(msgspec.Struct, frozen=True, kw_only=True):
    """A session with everything that happened to it, oldest first."""

    session: TherapySession
    history: list[SessionEvent]


class SessionsReply(msgspec.Struct, frozen=True, kw_only=True):
    """Sessions by time."""

    items: list[TherapySession]


class CalendarAddress(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar's secret address, told this once; whoever has it reads the appointments."""

    url: str
