"""Curves by infusion: the days from one infusion to the next, so that the same day can be held against another's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from schemas.course import CourseSubstance, Infusion
from schemas.treatment import Curve, CurveChange, CurvePoint
from service.database import Db
from service.facts import checkins, client_day, client_zone, courses, infusions
from service.facts.checkins import CheckInRow
from service.facts.infusion_days import Timeline, hours_between
from service.people import clients

# How long before an infusion an answer still says how things were before it.
BEFORE_DAYS = 2


async def of(db: Db, client_id: UUID, *, days: int) -> list[Curve]:
    """The client's infusion curves by number, each up to `days` client days long. Raises NotFound.

    They rest on the daily check-ins that count; on an infusion's own day those counted after it belong to its curve.
    """
    client = await clients.get(db, client_id)
    booked = await infusions.of(db, client_id)
    given = [each for each in booked if each.given_at is not None]
    if not given:
        return []
    timeline = Timeline.of(booked, await client_zone.of(db, client))
    first = client_day.of(timeline.given[0], timeline.zone) - timedelta(days=BEFORE_DAYS)
    last = client_day.of(timeline.given[-1], timeline.zone) + timedelta(days=days)
    rows = await checkins.days_of(db, client_id, from_day=first, until_day=last)
    return curves_of(given, rows, await courses.substances_of(db, client_id), timeline, days=days)


def curves_of(
    given: Sequence[Infusion],
    rows: Sequence[CheckInRow],
    substances: Sequence[CourseSubstance],
    timeline: Timeline,
    *,
    days: int,
) -> list[Curve]:
    """The curves of given infusions, by time, from the check-ins that count, by day."""
    points: dict[int, list[CurvePoint]] = {}
    for row in rows:
        place = timeline.place(row.counted_at, row.client_day)
        if place.number is not None and place.days_since is not None and place.days_since <= days:
            points.setdefault(place.number, []).append(
                _point(row, substances, place.days_since, place.hours_since or 0.0)
            )
    curves: list[Curve] = []
    for number, infusion in enumerate(sorted(given, key=lambda each: (_given_at(each), each.infusion_id)), start=1):
        at = _given_at(infusion)
        own = points.get(number, [])
        curves.append(
            Curve(
                infusion_id=infusion.infusion_id,
                number=number,
                given_at=at,
                dose_mg_per_kg=infusion.dose_mg_per_kg,
                duration_minutes=infusion.duration_minutes,
                before=_before(infusion, rows, substances, timeline),
                points=own,
                against_previous=_changes(own, curves[-1].points) if curves else [],
            )
        )
    return curves


def _given_at(infusion: Infusion) -> datetime:
    assert infusion.given_at is not None
    return infusion.given_at


def _point(row: CheckInRow, substances: Sequence[CourseSubstance], days_since: int, hours_since: float) -> CurvePoint:
    return CurvePoint(
        days_since=days_since,
        hours_since=hours_since,
        client_day=row.client_day,
        check_in_id=row.check_in_id,
        craving=checkins.day_craving(row, courses.active_on(substances, row.client_day)),
        craving_of=row.craving,
        mood=row.mood,
        anxiety=row.anxiety,
    )


def _before(
    infusion: Infusion, rows: Sequence[CheckInRow], substances: Sequence[CourseSubstance], timeline: Timeline
) -> CurvePoint | None:
    at = _given_at(infusion)
    on = client_day.of(at, timeline.zone)
    earlier = [row for row in rows if row.counted_at < at and (on - row.client_day).days <= BEFORE_DAYS]
    if not earlier:
        return None
    row = max(earlier, key=lambda each: each.counted_at)
    return _point(row, substances, -max(0, (on - row.client_day).days), hours_between(at, row.counted_at))


def _changes(own: Sequence[CurvePoint], previous: Sequence[CurvePoint]) -> list[CurveChange]:
    """This curve less the one before, day by day, on days that both have."""
    by_day = {point.days_since: point for point in previous}
    return [
        CurveChange(
            days_since=point.days_since,
            craving=_less(point.craving, other.craving),
            mood=_less(point.mood, other.mood),
            anxiety=_less(point.anxiety, other.anxiety),
        )
        for point in own
        if (other := by_day.get(point.days_since)) is not None
    ]


def _less(one: int | None, other: int | None) -> int | None:
    return None if one is None or other is None else one - other
