"""The course of treatment as staff read and write it over the API: forms in, views out."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from schemas.course import (
    ChangeReason,
    CourseEvent,
    CourseSubstance,
    DischargeReason,
    Infusion,
    InfusionEvent,
    InfusionState,
    Pause,
    PauseReason,
    Phase,
    Substance,
    Template,
)

AwareTime = Annotated[datetime, Meta(tz=True)]
LocalTime = Annotated[
    str, Meta(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$(?!\n)", description="on the clinic's clock, '10:00'")
]
Weekday = Annotated[int, Meta(ge=1, le=7, description="ISO weekday, 1 is Monday")]
Dose = Annotated[float, Meta(ge=0.05, le=3, description="mg per kg of body weight, as it was given")]
Duration = Annotated[int, Meta(ge=5, le=480, description="minutes, as it was given")]
Version = Annotated[int, Meta(ge=1, description="the infusion's version that was looked at; refused where it moved on")]


class Boosters(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Single infusions every few weeks, on the weekday of the last infusion before them."""

    every_weeks: Annotated[int, Meta(ge=1, le=26)]
    count: Annotated[int, Meta(ge=1, le=26)]


class ScheduleForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan in one call: `weeks` from `starts_on` on the template's weekdays (or those given), then `boosters`.

    The template `boosters` takes no weeks and no weekdays: the first booster is on `starts_on`. `replace_rest` cancels
    whatever the course still had planned or held from `starts_on` on; what was given stays, and no day gets two.
    """

    template: Template
    starts_on: date
    at: LocalTime
    weeks: Annotated[int, Meta(ge=1, le=12)] | None = None
    weekdays: Annotated[list[Weekday], Meta(min_length=1, max_length=7)] | None = None
    boosters: Boosters | None = None
    replace_rest: bool = False


class PlanForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A single infusion."""

    planned_at: AwareTime


class MoveForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another time for a planned or held infusion."""

    planned_at: AwareTime
    reason: ChangeReason
    version: Version | None = None


class StateForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of an infusion; said of one that was given, missed or cancelled already, it corrects that.

    `given_at`, and dose and duration where they are known, for a given one only; a reason for a held, missed or
    cancelled one.
    """

    state: InfusionState
    given_at: AwareTime | None = None
    dose_mg_per_kg: Dose | None = None
    duration_minutes: Duration | None = None
    reason: ChangeReason | None = None
    version: Version | None = None


class PauseForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Client days, both inclusive; without a last one until it is ended."""

    from_on: date
    reason: PauseReason
    until_on: date | None = None


class EndPauseForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last paused client day; null: there was no pause, it was entered in error."""

    until_on: date | None


class SubstancesForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the course treats from a client day on, the primary substance first."""

    substances: Annotated[list[Substance], Meta(min_length=1, max_length=4)]
    from_on: date


class PhaseForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The phase from a client day on; discharging is its own call."""

    phase: Phase
    from_on: date


class CourseForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A further course of somebody who was discharged: what it treats, the primary substance first, and from when."""

    substances: Annotated[list[Substance], Meta(min_length=1, max_length=4)]
    started_on: date
    phase: Phase = Phase.INDUCTION


class DischargeForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The course's last client day, and why; whether the therapy sessions booked after it are cancelled, too."""

    last_day: date
    reason: DischargeReason
    cancel_sessions: bool = True


class ReopenForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client day from which the course goes on; null: as if the discharge had never been."""

    from_on: date | None = None


class Scheduled(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan did: the infusions it planned, days it left as they were, and what it cancelled. `held_at_gate`: the
    client's infusions that were cancelled or missed while their gate held them; the next gate asks for a decision.
    """

    schedule_id: UUID
    planned: list[Infusion]
    kept_on: list[date]
    cancelled: int
    held_at_gate: list[UUID]


class InfusionRecorded(Infusion, frozen=True, kw_only=True):
    """An infusion as it stands after something was said of it. `held_at_gate`: as of a plan (`Scheduled`)."""

    held_at_gate: list[UUID]


class InfusionLine(msgspec.Struct, frozen=True, kw_only=True):
    """An infusion, and its number among the client's given ones, by time."""

    infusion: Infusion
    number: int | None


class InfusionHistory(msgspec.Struct, frozen=True, kw_only=True):
    """An infusion with every state it went through, the oldest first."""

    infusion: Infusion
    number: int | None
    events: list[InfusionEvent]


class EarlierCourse(msgspec.Struct, frozen=True, kw_only=True):
    """A course before the newest one, with its history; `infusions` by time."""

    course_id: UUID
    started_on: date
    ended_on: date | None
    substance_periods: list[CourseSubstance]
    infusions: list[InfusionLine]
    events: list[CourseEvent]


class CourseView(msgspec.Struct, frozen=True, kw_only=True):
    """The newest course as it stands, with its history; `infusions` by time, their numbers counted over all courses;
    `pauses` those that stand; `earlier` the newest first.
    """

    course_id: UUID
    phase: Phase
    started_on: date
    ended_on: date | None
    substances: list[Substance]
    substance_periods: list[CourseSubstance]
    paused: bool
    pauses: list[Pause]
    infusions: list[InfusionLine]
    next_infusion_at: datetime | None
    events: list[CourseEvent]
    earlier: list[EarlierCourse]


class InfusionDay(msgspec.Struct, frozen=True, kw_only=True):
    """Where a moment stands between two infusions.

    `number`, `hours_since`, `days_since` (client days): of the last one given before it; null before the first.
    `days_to_next` (client days): to the first one given or still planned after it.
    """

    number: int | None
    hours_since: float | None
    days_since: int | None
    next_at: datetime | None
    days_to_next: int | None


class CheckInDay(msgspec.Struct, frozen=True, kw_only=True):
    check_in_id: UUID
    client_day: date
    counted_at: datetime
    infusion_day: InfusionDay


class InfusionDays(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a client's check-ins of either kind, newest first, each with its infusion day; `next` is `before` of
    the following page.
    """

    items: list[CheckInDay]
    next: str | None


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """One answered client day after an infusion; `craving` is the day's, null where it was partly answered."""

    days_since: int
    hours_since: float
    client_day: date
    check_in_id: UUID
    craving: int | None
    craving_of: dict[Substance, int]
    mood: int | None
    anxiety: int | None


class CurveChange(msgspec.Struct, frozen=True, kw_only=True):
    """This infusion's day less the same day after the infusion before: points on the stored scales."""

    days_since: int
    craving: int | None
    mood: int | None
    anxiety: int | None


class Curve(msgspec.Struct, frozen=True, kw_only=True):
    """The days from one infusion to the next. `before`: the last answer in the two days before it."""

    infusion_id: UUID
    number: int
    given_at: datetime
    dose_mg_per_kg: float | None
    duration_minutes: int | None
    before: CurvePoint | None
    points: list[CurvePoint]
    against_previous: list[CurveChange]


class InfusionCurves(msgspec.Struct, frozen=True, kw_only=True):
    """A curve for each given infusion, by number."""

    items: list[Curve]
