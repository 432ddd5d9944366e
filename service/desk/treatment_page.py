"""A client's course of treatment as staff read it: substances, phase, pauses, and every infusion with its history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.client import Client
from schemas.course import (
    Course,
    CourseEvent,
    CourseSubstance,
    Infusion,
    InfusionEvent,
    InfusionState,
    Pause,
    Phase,
    Substance,
)
from schemas.treatment import CheckInDay, CourseView, EarlierCourse, InfusionHistory, InfusionLine
from service import errors
from service.database import Db
from service.facts import (
    checkins,
    client_day,
    client_zone,
    course_events,
    courses,
    infusion_days,
    infusion_events,
    infusions,
    pauses,
)
from service.facts.infusion_days import Timeline
from service.people import clients


class TreatmentView(NamedTuple):
    """All that the page of a client's treatment shows; `day` is the client day it is, `infusions` are of all courses,
    `earlier` are those before the newest one.
    """

    client: Client
    course: Course
    substances: list[Substance]
    periods: list[CourseSubstance]
    events: list[CourseEvent]
    pauses: list[Pause]
    pause_history: list[Pause]
    earlier: list[EarlierCourse]
    infusions: list[Infusion]
    numbers: Mapping[UUID, int]
    infusion_events: Mapping[UUID, Sequence[InfusionEvent]]
    zone: ZoneInfo
    day: date
    now: datetime

    @property
    def discharged(self) -> bool:
        """Whether the newest course is over."""
        return self.course.phase is Phase.DISCHARGED

    @property
    def paused(self) -> Pause | None:
        """The pause in which today lies."""
        return pauses.covering(self.pauses, self.day)

    @property
    def ahead(self) -> list[Infusion]:
        """What is still planned or held, also where its time has passed and nobody said what became of it."""
        return [each for each in self.infusions if each.state in (InfusionState.PLANNED, InfusionState.HELD)]

    @property
    def past(self) -> list[Infusion]:
        """What of this course is settled and its time has come, the newest first."""
        return [each for each in self._settled if (each.given_at or each.planned_at) <= self.now][::-1]

    @property
    def called_off(self) -> list[Infusion]:
        """What of this course was cancelled before its time came."""
        return [each for each in self._settled if (each.given_at or each.planned_at) > self.now]

    @property
    def _settled(self) -> list[Infusion]:
        return [each for each in self.of_course if each.state in infusions.SETTLED]

    @property
    def of_course(self) -> list[Infusion]:
        """The infusions of the newest course."""
        return [each for each in self.infusions if each.course_id == self.course.course_id]

    @property
    def next_planned(self) -> Infusion | None:
        """The next planned infusion."""
        return next((each for each in self.ahead if self.is_next(each)), None)

    def is_next(self, infusion: Infusion) -> bool:
        """Whether an infusion is planned for a time that is still to come."""
        return infusion.state is InfusionState.PLANNED and infusion.planned_at > self.now

    def is_overdue(self, infusion: Infusion) -> bool:
        """Whether its time has passed and nobody said what became of it."""
        return infusion.state is InfusionState.PLANNED and infusion.planned_at <= self.now


async def read(db: Db, client_id: UUID, *, now: datetime) -> TreatmentView:
    """A client's treatment. Raises NotFound where there is no such client, or no course."""
    client = await clients.get(db, client_id)
    every = await courses.of(db, client_id)
    if not every:
        raise errors.NotFound("Not found.")
    zone = await client_zone.of(db, client)
    course, day = every[-1], client_day.of(now, zone)
    every_period, every_event = await courses.substances_of(db, client_id), await course_events.of(db, client_id)
    periods = [each for each in every_period if each.course_id == course.course_id]
    history, booked = await pauses.history_of(db, client_id), await infusions.of(db, client_id)
    numbers = infusion_days.numbers_of(booked)
    return TreatmentView(
        client=client,
        course=course,
        substances=courses.active_on(periods, min(day, course.ended_on or day)),
        periods=periods,
        events=[each for each in every_event if each.course_id == course.course_id],
        pauses=await pauses.of(db, client_id),
        pause_history=history,
        earlier=[_earlier(each, every_period, every_event, booked, numbers) for each in every[-2::-1]],
        infusions=booked,
        numbers=numbers,
        infusion_events=await infusion_events.of(db, client_id),
        zone=zone,
        day=day,
        now=now,
    )


def _earlier(
    course: Course,
    periods: Sequence[CourseSubstance],
    events: Sequence[CourseEvent],
    booked: Sequence[Infusion],
    numbers: Mapping[UUID, int],
) -> EarlierCourse:
    return EarlierCourse(
        course_id=course.course_id,
        started_on=course.started_on,
        ended_on=course.ended_on,
        substance_periods=[each for each in periods if each.course_id == course.course_id],
        infusions=_lines(booked, numbers, course),
        events=[each for each in events if each.course_id == course.course_id],
    )


def _lines(booked: Sequence[Infusion], numbers: Mapping[UUID, int], course: Course) -> list[InfusionLine]:
    return [
        InfusionLine(infusion=each, number=numbers.get(each.infusion_id))
        for each in booked
        if each.course_id == course.course_id
    ]


def course_of(view: TreatmentView) -> CourseView:
    """The same as the API gives it."""
    upcoming = view.next_planned
    return CourseView(
        course_id=view.course.course_id,
        phase=view.course.phase,
        started_on=view.course.started_on,
        ended_on=view.course.ended_on,
        substances=view.substances,
        substance_periods=view.periods,
        paused=view.paused is not None,
        pauses=view.pauses,
        infusions=_lines(view.infusions, view.numbers, view.course),
        next_infusion_at=None if upcoming is None else upcoming.planned_at,
        events=view.events,
        earlier=view.earlier,
    )


def infusion_of(view: TreatmentView, infusion_id: UUID) -> InfusionHistory:
    """One of the infusions with its history. Raises NotFound."""
    infusion = next((each for each in view.infusions if each.infusion_id == infusion_id), None)
    if infusion is None:
        raise errors.NotFound("Not found.")
    return InfusionHistory(
        infusion=infusion,
        number=view.numbers.get(infusion_id),
        events=list(view.infusion_events.get(infusion_id, ())),
    )


async def infusion_days_of(
    db: Db, client_id: UUID, *, limit: int, before: tuple[datetime, UUID] | None = None
) -> list[CheckInDay]:
    """Where each check-in, of those before (counted_at, id), stands between two infusions, newest first.

    Raises NotFound.
    """
    client = await clients.get(db, client_id)
    timeline = Timeline.of(await infusions.of(db, client_id), await client_zone.of(db, client))
    rows = await checkins.history(db, client_id, limit=limit, before=before)
    return [
        CheckInDay(
            check_in_id=row.check_in_id,
            client_day=row.client_day,
            counted_at=row.counted_at,
            infusion_day=timeline.place(row.counted_at, row.client_day),
        )
        for row in rows
    ]
