"""When a clinic is open: pure on its hours and zone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

Hours = Mapping[str, tuple[str, str]]
"""Opening and closing time ("09:00", "17:00") by ISO weekday ("1" Monday); a missing day is closed."""
Span = tuple[datetime, datetime]


def _open_on(hours: Hours, zone: ZoneInfo, day: date) -> Span | None:
    """From when to when (UTC) the clinic is open on a day of its calendar; None where it is closed."""
    if (opening := hours.get(str(day.isoweekday()))) is None:
        return None
    opens, closes = (datetime.combine(day, time.fromisoformat(at), zone).astimezone(UTC) for at in opening)
    return opens, closes


def next_closing(hours: Hours, zone: ZoneInfo, *, now: datetime) -> datetime:
    """The instant (UTC) at which the next clinic day after today ends; the end of tomorrow where it is never open."""
    today = now.astimezone(zone).date()
    for ahead in range(1, 8):
        day = today + timedelta(days=ahead)
        if (opening := _open_on(hours, zone, day)) is not None:
            return opening[1]
    return datetime.combine(today + timedelta(days=2), time(0), zone).astimezone(UTC)


# Somebody who is never open still counts days, of eight hours.
_NEVER_OPEN_DAY = timedelta(hours=8)


def after_open(hours: Hours, zone: ZoneInfo, *, begin: datetime, open_for: timedelta) -> datetime:
    """The instant (UTC) at which the clinic has been open for `open_for` since `begin`.

    A clinic without hours counts eight of every day.
    """
    if not any(hours.values()):
        return begin + open_for / _NEVER_OPEN_DAY * timedelta(days=1)
    left, day = open_for, begin.astimezone(zone).date()
    while True:
        if (opening := _open_on(hours, zone, day)) is not None:
            opens, closes = opening
            opens = max(opens, begin.astimezone(UTC))
            if closes - opens >= left:
                return opens + left
            left -= max(closes - opens, timedelta(0))
        day += timedelta(days=1)


def unattended(
    hours: Hours, zone: ZoneInfo, on_call: Iterable[Span], *, begin: datetime, until: datetime, at_least: timedelta
) -> list[Span]:
    """The spans between two instants, no shorter than `at_least`, in which the clinic is closed and nobody is on call.

    `on_call`: from when to when somebody is, in any order, also at one time.
    """
    taken = [*on_call, (until, until)]
    day, last = begin.astimezone(zone).date(), until.astimezone(zone).date()
    while day <= last:
        if (opening := _open_on(hours, zone, day)) is not None:
            taken.append(opening)
        day += timedelta(days=1)
    found, free_from = list[Span](), begin
    for from_at, until_at in sorted(taken):
        if min(from_at, until) - free_from >= at_least:
            found.append((free_from, min(from_at, until)))
        free_from = max(free_from, until_at)
    return found
