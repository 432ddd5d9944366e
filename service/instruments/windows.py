"""When an instrument is due: windows of client days, counted over the days on which it is asked; pure.

A day that is paused, or on which the instrument does not apply, does not count: what lies open waits for the next day
that does. The counting begins anew where the phase or the rhythm changes.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from datetime import date, timedelta
from itertools import groupby

import msgspec

DAY = timedelta(days=1)


class Plan(msgspec.Struct, frozen=True):
    """A rhythm, and what it belongs to: days in a row with the same plan are counted on."""

    belongs_to: Hashable
    every_days: int
    open_days: int


class Interval(msgspec.Struct, frozen=True):
    """Days, both inclusive, that have the same plan, or none; no last day: for good."""

    first: date
    last: date | None
    plan: Plan | None

    @property
    def days(self) -> int | None:
        """How many they are."""
        return None if self.last is None else (self.last - self.first).days + 1


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """From `first` to `last_open` it is due; an answer until `last` (None: for good) still counts for it."""

    first: date
    last_open: date
    last: date | None

    def holds(self, day: date) -> bool:
        """Whether an answer of that client day counts for this window."""
        return self.first <= day and (self.last is None or day <= self.last)


def windows_until(intervals: Sequence[Interval], day: date) -> list[Window]:
    """Every window that has begun by that day, by time. `intervals`: without gaps, by time."""
    windows: list[Window] = []
    planned = (each for each in intervals if each.plan is not None)
    for plan, group in groupby(planned, key=lambda each: each.plan):
        assert plan is not None
        period = list(group)
        at = 0
        while (first := _day_of(period, at)) is not None and first <= day:
            following = _day_of(period, at + plan.every_days)
            closing = _day_of(period, at + plan.open_days - 1)
            end = period[-1].last if following is None else following - DAY
            windows.append(Window(first=first, last_open=closing or end or date.max, last=end))
            at += plan.every_days
    return windows


def plan_on(intervals: Iterable[Interval], day: date) -> Plan | None:
    """The plan of a day, None where it does not count."""
    return next(
        (each.plan for each in intervals if each.first <= day and (each.last is None or day <= each.last)), None
    )


def _day_of(period: Sequence[Interval], at: int) -> date | None:
    """The day with that number among the counted ones, from 0; None where they end before."""
    for interval in period:
        days = interval.days
        if days is None or at < days:
            return _later(interval.first, at)
        at -= days
    return None


def _later(day: date, days: int) -> date | None:
    try:
        return day + timedelta(days=days)
    except OverflowError:
        return None
