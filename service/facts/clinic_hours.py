"""When a clinic is open: pure on its hours and zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

Hours = Mapping[str, tuple[str, str]]
"""Opening and closing time ("09:00", "17:00") by ISO weekday ("1" Monday); a missing day is closed."""


def next_closing(hours: Hours, zone: ZoneInfo, *, now: datetime) -> datetime:
    """The instant (UTC) at which the next clinic day after today ends; the end of tomorrow where it is never open."""
    today = now.astimezone(zone).date()
    for ahead in range(1, 8):
        day = today + timedelta(days=ahead)
        if (opening := hours.get(str(day.isoweekday()))) is not None:
            return datetime.combine(day, time.fromisoformat(opening[1]), zone).astimezone(UTC)
    return datetime.combine(today + timedelta(days=2), time(0), zone).astimezone(UTC)
