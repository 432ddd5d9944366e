"""What was said of a course of treatment, in sentences, the newest first; pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from schemas.course import CourseEvent, CourseEventKind, Infusion, InfusionEvent, InfusionState, Pause, PauseReason
from service.desk import sentences
from service.desk.treatment_page import TreatmentView


class Said(NamedTuple):
    """One sentence, when it was said, and by whom; nobody known where a program said it."""

    at: datetime
    sentence: str
    by: str | None


def of(view: TreatmentView, *, zone: ZoneInfo, today: date) -> list[Said]:
    """Everything that was said of the courses, the pauses and the infusions; times on the clinic's clock."""
    events = [*view.events, *(event for course in view.earlier for event in course.events)]
    said = [Said(each.recorded_at, _of_course(each, today), each.recorded_by) for each in events]
    said += [Said(each.recorded_at, _of_pause(each, today), each.recorded_by) for each in view.pause_history]
    for infusion in view.infusions:
        said += _of_infusion(infusion, view, zone, today)
    return sorted(said, key=lambda each: each.at, reverse=True)


def _of_course(event: CourseEvent, today: date) -> str:
    on, treated = sentences.day(event.from_on, today), ", ".join(event.substances or ())
    match event.kind:
        case CourseEventKind.STARTED:
            return f"Course from {on}, {event.phase}: {treated}."
        case CourseEventKind.PHASE_ENTERED:
            return f"{str(event.phase).capitalize()} from {on}."
        case CourseEventKind.SUBSTANCES_CHANGED:
            return f"Treated from {on}: {treated}."
        case CourseEventKind.DISCHARGED:
            why = "" if event.reason is None else f": {sentences.words(event.reason)}"
            return f"Discharged, last day {on}{why}."
        case CourseEventKind.REOPENED:
            return f"Goes on from {on}."


def _of_leaving(pause: Pause, first: str) -> str:
    if pause.version > 1:
        return f"Monitoring, which the client left on {first}, goes on."
    return f"The client left monitoring from {first} on."


def _of_pause(pause: Pause, today: date) -> str:
    first = sentences.day(pause.from_on, today)
    if pause.reason is PauseReason.LEFT_MONITORING:
        return _of_leaving(pause, first)
    if pause.withdrawn:
        return f"The pause from {first} was entered in error."
    until = "until somebody ends it" if pause.until_on is None else f"to {sentences.day(pause.until_on, today)}"
    if pause.version > 1:
        return f"The pause from {first} now lasts {until}."
    return f"Pause from {first} {until}: {sentences.words(pause.reason)}."


def _of_infusion(infusion: Infusion, view: TreatmentView, zone: ZoneInfo, today: date) -> Iterator[Said]:
    before: InfusionEvent | None = None
    for event in view.infusion_events.get(infusion.infusion_id, ()):
        yield Said(event.recorded_at, _of_event(event, before, zone, today), event.recorded_by)
        before = event


def _of_event(event: InfusionEvent, before: InfusionEvent | None, zone: ZoneInfo, today: date) -> str:
    slot = _moment(event.planned_at, zone, today)
    why = "" if event.reason is None else f": {sentences.words(event.reason)}"
    if before is None:
        return f"Infusion planned for {slot}."
    if before.planned_at != event.planned_at:
        return f"Infusion of {_moment(before.planned_at, zone, today)} moved to {slot}{why}."
    corrected = "corrected to " if event.supersedes is not None else ""
    if event.state is InfusionState.GIVEN and event.given_at is not None:
        recorded = "".join(f", {part}" for part in (record_of(event),) if part)
        return f"Infusion of {slot} {corrected}given {_moment(event.given_at, zone, today)}{recorded}{why}."
    again = "planned again" if event.state is InfusionState.PLANNED else event.state
    return f"Infusion of {slot} {corrected}{again}{why}."


def record_of(infusion: Infusion | InfusionEvent) -> str:
    """What was recorded of a given infusion: "0.5 mg/kg, 40 min"; "" where nothing was."""
    dose = None if infusion.dose_mg_per_kg is None else f"{infusion.dose_mg_per_kg:g} mg/kg"
    minutes = None if infusion.duration_minutes is None else f"{infusion.duration_minutes} min"
    return ", ".join(part for part in (dose, minutes) if part)


def _moment(value: datetime, zone: ZoneInfo, today: date) -> str:
    local = value.astimezone(zone)
    return f"{sentences.day(local.date(), today)} {local:%H:%M}"
