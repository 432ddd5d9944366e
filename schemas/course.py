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


class ChangeReason(StrEnum):
    """Why an infusion was moved, held, missed or cancelled. No free text: what needs words belongs into the notes."""

    CLIENT_WISH = "client_wish"
    ILLNESS = "illness"
    TRAVEL = "travel"
    INPATIENT = "inpatient"
    NO_SHOW = "no_show"
    DRUG_SCREEN = "drug_screen"
    BLOOD_PRESSURE = "blood_pressure"
    CONTRAINDICATION = "contraindication"
    CLINIC = "clinic"
    PLAN_CHANGED = "plan_changed"
    DISCHARGED = "discharged"
    ENTERED_IN_ERROR = "entered_in_error"
    OTHER = "other"


class PauseReason(StrEnum):
    """Why a client pauses; `left_monitoring`: the client did so on their phone; `discharged`: the days between a
    discharge and the course's going on.
    """

    TRAVEL = "travel"
    INPATIENT = "inpatient"
    OWN_WISH = "own_wish"
    LEFT_MONITORING = "left_monitoring"
    DISCHARGED = "discharged"
    OTHER = "other"


class DischargeReason(StrEnum):
    COMPLETED = "completed"
    OWN_WISH = "own_wish"
    OTHER_TREATMENT = "other_treatment"
    LOST_CONTACT = "lost_contact"
    MOVED_AWAY = "moved_away"
    DIED = "died"
    OTHER = "other"


class CourseEventKind(StrEnum):
    STARTED = "started"
    PHASE_ENTERED = "phase_entered"
    SUBSTANCES_CHANGED = "substances_changed"
    DISCHARGED = "discharged"
    REOPENED = "reopened"


class Template(StrEnum):
    """A rhythm of infusions, as clinics plan them."""

    TWICE_A_WEEK = "twice_a_week"
    THREE_TIMES_A_WEEK = "three_times_a_week"
    BOOSTERS = "boosters"


class Modality(StrEnum):
    """What a therapy session is; `integration` takes up what an infusion brought."""

    INTEGRATION = "integration"
    COGNITIVE_BEHAVIOURAL = "cognitive_behavioural"
    MOTIVATIONAL = "motivational"
    RELAPSE_PREVENTION = "relapse_prevention"
    GROUP = "group"
    FAMILY = "family"
    OTHER = "other"


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


class CourseEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What was said of a course, by whom, and the client day from which it holds (a discharge: the last day)."""

    course_event_id: UUID
    course_id: UUID
    kind: CourseEventKind
    from_on: date
    phase: Phase | None
    substances: list[Substance] | None
    reason: DischargeReason | None
    recorded_by: str | None
    recorded_at: datetime


class Infusion(msgspec.Struct, frozen=True, kw_only=True):
    """An infusion as it stands. Dose (mg/kg) and duration record what was given; `version` counts its changes."""

    infusion_id: UUID
    client_id: UUID
    course_id: UUID
    schedule_id: UUID | None
    state: InfusionState
    planned_at: datetime
    given_at: datetime | None
    dose_mg_per_kg: float | None
    duration_minutes: int | None
    reason: ChangeReason | None
    version: int


class InfusionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One state that an infusion went through; `supersedes`: the event whose words this one corrects."""

    infusion_event_id: UUID
    infusion_id: UUID
    state: InfusionState
    planned_at: datetime
    given_at: datetime | None
    dose_mg_per_kg: float | None
    duration_minutes: int | None
    reason: ChangeReason | None
    supersedes: UUID | None
    recorded_by: str | None
    recorded_at: datetime


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """Client days, both inclusive, without reminders, silence and charts; no last day: until somebody ends it."""

    pause_id: UUID
    version: int
    client_id: UUID
    from_on: date
    until_on: date | None
    reason: PauseReason
    withdrawn: bool
    recorded_by: str | None
    recorded_at: datetime

    def covers(self, client_day: date) -> bool:
        """Whether that client day lies in the pause."""
        return self.from_on <= client_day and (self.until_on is None or client_day <= self.until_on)


class TherapySession(msgspec.Struct, frozen=True, kw_only=True):
    therapy_session_id: UUID
    client_id: UUID
    staff_id: UUID | None
    state: SessionState
    planned_at: datetime
    modality: Modality
    minutes: int
    version: int
