"""What staff do to a client's course of treatment: each verb with its bounds, its consequences and its audit row.

It records what people decided and did. Doses and durations are what was given, never what should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.client import Client
from schemas.course import ChangeReason, Course, Infusion, InfusionState, Pause, PauseReason, Phase
from schemas.gate import Decision
from schemas.treatment import (
    CourseForm,
    DischargeForm,
    EndPauseForm,
    MoveForm,
    PauseForm,
    PhaseForm,
    ReopenForm,
    ScheduleForm,
    StateForm,
    SubstancesForm,
)
from service import errors
from service.alerting import notices
from service.database import Db
from service.errors import FieldFault
from service.facts import (
    client_day,
    course_events,
    courses,
    gate_checks,
    infusion_events,
    infusions,
    pauses,
    placing,
    schedules,
    sessions,
)
from service.facts.infusions import Given
from service.facts.schedules import Made
from service.people import audit, clients, clinics
from service.people.audit import Actor

# Clocks of two rooms differ; a plan beyond two years is a slip of the pen.
CLOCK_SLACK = timedelta(minutes=10)
FURTHEST_AHEAD = timedelta(days=730)
# Nobody gets two within an hour; what is said of the wrong slot is found out at once.
LEAST_BETWEEN = timedelta(hours=1)
# Given further from its slot than that it was another infusion, or was moved first.
FURTHEST_FROM_SLOT = timedelta(days=7)
STANDING = frozenset({InfusionState.PLANNED, InfusionState.HELD, InfusionState.GIVEN})
NEEDS_REASON = frozenset({InfusionState.HELD, InfusionState.MISSED, InfusionState.CANCELLED})


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A client, their newest course or the one asked for, the zones of their client days and of the clinic, today."""

    client: Client
    course: Course
    zone: ZoneInfo
    clinic_zone: ZoneInfo
    today: date


async def place_of(db: Db, client_id: UUID, *, now: datetime, course_id: UUID | None = None) -> Place:
    """Where a client's treatment stands, with the course locked: what is done to one is done one after the other.

    The newest course, unless `course_id` names an earlier one.

    Raises NotFound where there is no such client, or no course.
    """
    client = await clients.get(db, client_id)
    clinic_zone = ZoneInfo((await clinics.get(db)).time_zone)
    zone = client_day.zone_or_none(client.time_zone) or clinic_zone
    every = await courses.of(db, client_id)
    if not every:
        raise errors.NotFound("Not found.")
    course, today = await courses.hold_row(db, course_id or every[-1].course_id), client_day.of(now, zone)
    return Place(client=client, course=course, zone=zone, clinic_zone=clinic_zone, today=today)


async def make_schedule(
    db: Db, client_id: UUID, schedule_id: UUID, form: ScheduleForm, *, by: Actor, now: datetime
) -> Made:
    """Plan infusions from a template, on the clinic's clock, once for each id. Raises as `schedules.make` does."""
    at = await place_of(db, client_id, now=now)
    if await schedules.find(db, schedule_id) is None:
        courses.refuse_ended(at.course)
        _refuse_outside(form.starts_on, "starts_on", first=at.course.started_on, last=at.today + FURTHEST_AHEAD)
        _refuse_too_long(schedules.days_of(form), last=at.today + FURTHEST_AHEAD)
    made = await schedules.make(
        db, client_id, at.course.course_id, schedule_id, form, zone=at.clinic_zone, by=by.staff_id, now=now
    )
    await audit.record(db, by, "schedule.make", client_id=client_id, object_id=schedule_id, now=now)
    return made


def _refuse_too_long(days: Sequence[date], *, last: date) -> None:
    if days[-1] > last:
        fault = FieldFault("boosters.count", f"{sum(day <= last for day in days)} infusions lie within two years")
        raise errors.Invalid("The plan reaches further ahead than two years.", fields=(fault,))


async def plan_infusion(
    db: Db, client_id: UUID, infusion_id: UUID, planned_at: datetime, *, by: Actor, now: datetime
) -> tuple[Infusion, bool]:
    """Plan a single infusion, once for each id; it, and whether it was planned just now.

    Raises Conflict for an id that is in use otherwise, or a course that is over.
    """
    at = await place_of(db, client_id, now=now)
    before = await infusions.find(db, infusion_id)
    if before is not None:
        first_said = (await infusion_events.of(db, before.client_id))[infusion_id][0].planned_at
        if before.client_id != client_id or first_said != planned_at:
            raise errors.Conflict("This id is already in use for another infusion.")
        return before, False
    courses.refuse_ended(at.course)
    _refuse_far(planned_at, at, now=now)
    await _refuse_beside_another(db, client_id, infusion_id, planned_at, "planned_at")
    await infusions.plan(
        db, client_id, at.course.course_id, planned_at=planned_at, by=by.staff_id, now=now, infusion_id=infusion_id
    )
    await audit.record(db, by, "infusion.plan", client_id=client_id, object_id=infusion_id, now=now)
    return await infusions.hold_row(db, infusion_id), True


async def move_infusion(
    db: Db, client_id: UUID, infusion_id: UUID, form: MoveForm, *, by: Actor, now: datetime
) -> Infusion:
    """Give a planned or held infusion another time; what it has already changes nothing, whatever the version.

    Raises NotFound, Conflict where it is settled, or no longer as it was when somebody looked.
    """
    at = await place_of(db, client_id, now=now)
    _refuse_far(form.planned_at, at, now=now)
    await _own_infusion(db, client_id, infusion_id)
    before = await infusions.hold_row(db, infusion_id)
    if before.state not in infusions.SETTLED and (before.planned_at, before.reason) == (form.planned_at, form.reason):
        return before
    infusions.refuse_changed(before, form.version)
    await _refuse_beside_another(db, client_id, infusion_id, form.planned_at, "planned_at")
    moved = await infusions.move(db, infusion_id, form.planned_at, reason=form.reason, by=by.staff_id, now=now)
    await audit.record(db, by, "infusion.move", client_id=client_id, object_id=infusion_id, now=now)
    return moved


async def record_infusion(
    db: Db, client_id: UUID, infusion_id: UUID, form: StateForm, *, by: Actor, now: datetime
) -> Infusion:
    """Record what became of an infusion; said of a settled one, it corrects that; what stands already changes nothing.

    Raises NotFound, Invalid naming what is missing or cannot be, Conflict as `move_infusion` does.
    """
    # One of an earlier course is judged by that course, however many began since.
    course_id = (await _own_infusion(db, client_id, infusion_id)).course_id
    at = await place_of(db, client_id, now=now, course_id=course_id)
    before = await infusions.hold_row(db, infusion_id)
    if infusions.stands_so(before, form):
        return before
    infusions.refuse_changed(before, form.version)
    _refuse_implausible(form, before, at, now=now)
    if form.state in (InfusionState.PLANNED, InfusionState.HELD):
        courses.refuse_ended(at.course)
    if form.state is before.state is InfusionState.PLANNED:
        raise errors.Conflict("It is planned as it is. Give it another time by moving it.")
    if form.state is InfusionState.PLANNED:
        await _refuse_past_the_gate(db, infusion_id)
    if form.state in STANDING and before.state not in STANDING and form.given_at is None:
        await _refuse_beside_another(db, client_id, infusion_id, before.planned_at, "state")
    given = None
    if form.given_at is not None:
        await _refuse_beside_another(db, client_id, infusion_id, form.given_at, "given_at")
        given = Given(
            given_at=form.given_at, dose_mg_per_kg=form.dose_mg_per_kg, duration_minutes=form.duration_minutes
        )
    changed = await infusions.record_state(
        db, infusion_id, form.state, by=by.staff_id, now=now, given=given, reason=form.reason
    )
    await audit.record(db, by, "infusion.record", client_id=client_id, object_id=infusion_id, now=now)
    return changed


async def _refuse_beside_another(db: Db, client_id: UUID, infusion_id: UUID, at: datetime, field: str) -> None:
    for each in await infusions.of(db, client_id):
        if each.infusion_id == infusion_id or each.state not in STANDING:
            continue
        if abs((each.given_at or each.planned_at) - at) < LEAST_BETWEEN:
            fault = FieldFault(field, "an hour or more from every other infusion")
            raise errors.Invalid("Another infusion is at that time.", fields=(fault,))


async def _refuse_past_the_gate(db: Db, infusion_id: UUID) -> None:
    """What the gate holds goes ahead by a decision there, not by a plan of somebody who may not see why."""
    decisions = await gate_checks.of_infusions(db, [infusion_id])
    if decisions and decisions[-1].decision is Decision.HOLD:
        raise errors.Conflict("The gate holds it: put it on hold, and it is planned again by a decision there.")


async def _own_infusion(db: Db, client_id: UUID, infusion_id: UUID) -> Infusion:
    found = await infusions.find(db, infusion_id)
    if found is None or found.client_id != client_id:
        raise errors.NotFound("Not found.")
    return found


def _refuse_implausible(form: StateForm, before: Infusion, at: Place, *, now: datetime) -> None:
    faults = []
    if form.state is InfusionState.GIVEN:
        if form.given_at is None:
            faults.append(FieldFault("given_at", "needed when it was given"))
        elif form.given_at > now + CLOCK_SLACK:
            faults.append(FieldFault("given_at", "not later than now"))
        elif not _ran_on(client_day.of(placing.in_calendar(form.given_at), at.zone), at.course):
            faults.append(FieldFault("given_at", "on a day of the course"))
        elif abs(form.given_at - before.planned_at) > FURTHEST_FROM_SLOT:
            faults.append(FieldFault("given_at", f"within {FURTHEST_FROM_SLOT.days} days of its slot; move it first"))
    else:
        told = {"given_at": form.given_at, "dose_mg_per_kg": form.dose_mg_per_kg}
        told["duration_minutes"] = form.duration_minutes
        faults += [FieldFault(name, "only when it was given") for name, value in told.items() if value is not None]
    if form.state is InfusionState.MISSED and before.planned_at > now + CLOCK_SLACK:
        faults.append(FieldFault("state", "its time has not come yet"))
    if form.state in NEEDS_REASON and form.reason is None:
        faults.append(FieldFault("reason", "needed for this state"))
    if faults:
        raise errors.Invalid("The infusion cannot be recorded so.", fields=faults)


def _ran_on(day: date, course: Course) -> bool:
    return course.started_on <= day and (course.ended_on is None or day <= course.ended_on)


async def pause(
    db: Db, client_id: UUID, pause_id: UUID, form: PauseForm, *, by: Actor, now: datetime
) -> tuple[Pause, bool]:
    """Pause a client, once for each id, and tell their care team; the pause, and whether it began just now.

    A pause that was over already is entered for the record, and nobody is told. Raises as `pauses.begin` does.
    """
    at = await place_of(db, client_id, now=now)
    _refuse_outside(form.from_on, "from_on", first=at.course.started_on, last=at.today + FURTHEST_AHEAD)
    if form.until_on is not None:
        _refuse_outside(form.until_on, "until_on", first=form.from_on, last=at.today + FURTHEST_AHEAD)
    if form.reason in (PauseReason.DISCHARGED, PauseReason.LEFT_MONITORING):
        fault = FieldFault("reason", "of a pause that staff enter")
        raise errors.Invalid("A discharge is a call of its own; monitoring is left by the client.", fields=(fault,))
    said = [each for each in await pauses.history_of(db, client_id) if each.pause_id == pause_id]
    if said:
        first = said[0]
        if (first.from_on, first.until_on, first.reason) != (form.from_on, form.until_on, form.reason):
            raise errors.Conflict("This id is already in use for another pause.")
        return said[-1], False
    courses.refuse_ended(at.course)
    begun = await pauses.begin(
        db,
        client_id,
        from_on=form.from_on,
        until_on=form.until_on,
        reason=form.reason,
        by=by.staff_id,
        now=now,
        pause_id=pause_id,
    )
    await audit.record(db, by, "pause.begin", client_id=client_id, object_id=pause_id, now=now)
    if begun.until_on is None or begun.until_on >= at.today:
        await notices.tell_team(db, client_id, but=by.staff_id, now=now)
    return begun, True


async def end_pause(db: Db, client_id: UUID, pause_id: UUID, form: EndPauseForm, *, by: Actor, now: datetime) -> Pause:
    """Give a pause another last day, or withdraw it. Raises as `pauses.end` does."""
    at = await place_of(db, client_id, now=now)
    standing = await pauses.find(db, pause_id)
    if standing is None or standing.client_id != client_id:
        raise errors.NotFound("Not found.")
    if form.until_on is not None:
        _refuse_outside(form.until_on, "until_on", first=standing.from_on, last=at.today + FURTHEST_AHEAD)
    ended = await pauses.end(db, pause_id, until_on=form.until_on, by=by.staff_id, now=now)
    await audit.record(db, by, "pause.end", client_id=client_id, object_id=pause_id, now=now)
    return ended


async def change_substances(db: Db, client_id: UUID, form: SubstancesForm, *, by: Actor, now: datetime) -> None:
    """Treat other substances from a client day on that has begun. Raises as `courses.change_substances` does."""
    at = await place_of(db, client_id, now=now)
    _refuse_outside(form.from_on, "from_on", first=at.course.started_on, last=at.today)
    await courses.change_substances(
        db, at.course.course_id, form.substances, from_on=form.from_on, by=by.staff_id, now=now
    )
    await audit.record(db, by, "course.change_substances", client_id=client_id, object_id=at.course.course_id, now=now)


async def enter_phase(db: Db, client_id: UUID, form: PhaseForm, *, by: Actor, now: datetime) -> None:
    """Say which phase the course is in from a client day on that has begun. Raises as `courses.enter_phase` does."""
    at = await place_of(db, client_id, now=now)
    _refuse_outside(form.from_on, "from_on", first=at.course.started_on, last=at.today)
    await courses.enter_phase(db, at.course.course_id, form.phase, from_on=form.from_on, by=by.staff_id, now=now)
    await audit.record(db, by, "course.enter_phase", client_id=client_id, object_id=at.course.course_id, now=now)


async def start_course(db: Db, client_id: UUID, course_id: UUID, form: CourseForm, *, by: Actor, now: datetime) -> bool:
    """Treat somebody again who was discharged, once for each id; whether the course started just now.

    Raises Conflict while a course runs or for an id that is in use otherwise, Invalid as `courses.start` does and for a
    day that is not between the last course and today.
    """
    at = await place_of(db, client_id, now=now)
    said = [each for each in await course_events.of(db, client_id) if each.course_id == course_id]
    if said:
        first = said[0]
        if (first.substances, first.from_on, first.phase) != (form.substances, form.started_on, form.phase):
            raise errors.Conflict("This id is already in use for another course.")
        return False
    clients.refuse_imported(at.client)
    if at.course.ended_on is None:
        raise errors.Conflict("A course is under way. Another starts once it has ended.")
    _refuse_outside(form.started_on, "started_on", first=at.course.ended_on + timedelta(days=1), last=at.today)
    if form.phase is Phase.DISCHARGED:
        raise errors.Invalid("A course does not start with its end.", fields=(FieldFault("phase", "a running one"),))
    await courses.start(
        db,
        client_id,
        form.substances,
        started_on=form.started_on,
        now=now,
        phase=form.phase,
        by=by.staff_id,
        course_id=course_id,
    )
    await audit.record(db, by, "course.start", client_id=client_id, object_id=course_id, now=now)
    return True


async def discharge(db: Db, client_id: UUID, form: DischargeForm, *, by: Actor, now: datetime) -> int:
    """End the course with a client day that has begun; how many infusions planned or held after it are cancelled by it.

    Therapy sessions booked from now on are cancelled, too, unless therapy goes on without infusions. The team is told.

    Raises as `courses.end` does, and Invalid where an infusion was given after that day.
    """
    at = await place_of(db, client_id, now=now)
    course_id = at.course.course_id
    courses.refuse_ended(at.course)
    _refuse_outside(form.last_day, "last_day", first=at.course.started_on, last=at.today)
    after = client_day.ends_at(form.last_day, at.zone)
    given = [each.given_at for each in await infusions.of(db, client_id) if each.course_id == course_id]
    if any(given_at is not None and given_at >= after for given_at in given):
        fault = FieldFault("last_day", "not before the last infusion that was given")
        raise errors.Invalid("An infusion was given after that day.", fields=(fault,))
    cancelled = await infusions.cancel_from(
        db, course_id, since=after, reason=ChangeReason.DISCHARGED, by=by.staff_id, now=now
    )
    if form.cancel_sessions:
        await sessions.cancel_from(db, client_id, since=max(after, now), by=by.staff_id, now=now)
    await courses.end(db, course_id, ended_on=form.last_day, reason=form.reason, by=by.staff_id, now=now)
    await audit.record(db, by, "course.discharge", client_id=client_id, object_id=course_id, now=now)
    await notices.tell_team(db, client_id, but=by.staff_id, now=now)
    return cancelled


async def reopen(db: Db, client_id: UUID, form: ReopenForm, *, by: Actor, now: datetime) -> None:
    """Let the course go on from a client day that has begun; the days between are paused, unless it is all undone.

    Infusions that the discharge cancelled stay so. Raises as `courses.reopen` does.
    """
    at = await place_of(db, client_id, now=now)
    clients.refuse_imported(at.client)
    if form.from_on is not None:
        _refuse_outside(form.from_on, "from_on", first=at.course.started_on, last=at.today)
    after, goes_on = await courses.reopen(db, at.course.course_id, from_on=form.from_on, by=by.staff_id, now=now)
    standing = await pauses.of(db, client_id)
    for first, last in pauses.uncovered(standing, after, goes_on - timedelta(days=1)):
        await pauses.begin(
            db, client_id, from_on=first, until_on=last, reason=PauseReason.DISCHARGED, by=by.staff_id, now=now
        )
    await audit.record(db, by, "course.reopen", client_id=client_id, object_id=at.course.course_id, now=now)


def _refuse_far(planned_at: datetime, at: Place, *, now: datetime) -> None:
    first = datetime.combine(at.course.started_on, time(0), at.clinic_zone)
    if not first <= planned_at <= now + FURTHEST_AHEAD:
        raise errors.Invalid(
            "An infusion lies within the course, and within two years.",
            fields=(FieldFault("planned_at", "not before the course began, not more than two years ahead"),),
        )


def _refuse_outside(day: date, field: str, *, first: date, last: date) -> None:
    if not first <= day <= last:
        raise errors.Invalid(
            "This day cannot be.", fields=(FieldFault(field, f"from {first.isoformat()} to {last.isoformat()}"),)
        )
