"""Which slots of daily jobs have come: pure on the zone. Which of them are done, `runner` asks the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# After a longer downtime than this the days before are left out: whatever runs looks at all that is open anyway.
CATCH_UP_DAYS = 31


def instant_of(local_date: date, local_time: time, zone: ZoneInfo) -> datetime:
    """The instant (UTC) of a local time: the first of two; where it does not exist, the first valid one after."""
    wall = datetime.combine(local_date, local_time, zone)
    instant = wall.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall.replace(tzinfo=None):
        return instant
    # In a gap: read with the offset from after it, the time lies before the gap, else after it. Halve in between.
    before, after = wall.replace(fold=1).astimezone(UTC), instant
    later_offset = after.astimezone(zone).utcoffset()
    while after - before > timedelta(seconds=1):
        middle = before + timedelta(seconds=(after - before) // timedelta(seconds=2))
        if middle.astimezone(zone).utcoffset() == later_offset:
            after = middle
        else:
            before = middle
    return after


def come(at: Iterable[time], zone: ZoneInfo, *, now: datetime, first: date) -> Iterator[tuple[date, time]]:
    """The newest slot of each local day from `first` to today that has come, oldest first: of a day that is over, its
    last one. No further back than CATCH_UP_DAYS."""
    today = now.astimezone(zone).date()
    first = max(first, today - timedelta(days=CATCH_UP_DAYS))
    times = sorted(at)
    for ahead in range((today - first).days + 1):
        day = first + timedelta(days=ahead)
        over = [each for each in times if instant_of(day, each, zone) <= now]
        if over:
            yield day, over[-1]
