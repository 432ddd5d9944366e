"""A course of treatment: its substances, phase, infusions and therapy sessions."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Substance(StrEnum):
    """What the course treats; `opioid` is heroin or another opioid."""

    ALCOHOL = "alcohol"
    COCAINE = "cocaine"
    OPIOID = "opioid"
    OTHER = "other"


class Phase(StrEnum):
    INDUCTION = "induction"
    MAINTENANCE = "maintenance"
    DISCHARGED = "discharged"


class InfusionState(StrEnum):
    PLANNED = "planned"
    HELD = "held"
    GIVEN = "given"
    MISSED = "missed"
    CANCELLED = "cancelled"


class SessionState(StrEnum):
    PLANNED = "planned"
    ATTENDED = "attended"
    MISSED = "missed"
    CANCELLED = "cancelled"


class Course(msgspec.Struct, frozen=True, kw_only=True):
    course_id: UUID
    client_id: UUID
    phase: Phase
    started_on: date
    ended_on: date | None


class CourseSubstance(msgspec.Struct, frozen=True, kw_only=True):
    """A substance and the client days, both inclusive, on which the course treats it."""

    course_id: UUID
    substance: Substance
    is_primary: bool
    from_on: date
    until_on: date | None


class Infusion(msgspec.Struct, frozen=True, kw_only=True):
    infusion_id: UUID
    client_id: UUID
    course_id: UUID
    state: InfusionState
    planned_at: datetime
    given_at: datetime | None


class TherapySession(msgspec.Struct, frozen=True, kw_only=True):
    therapy_session_id: UUID
    client_id: UUID
    staff_id: UUID | None
    state: SessionState
    planned_at: datetime
