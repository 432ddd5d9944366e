"""Which runs of a clinic's daily jobs are due: pure on the clinic's zone and on what ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
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
    """The newest slot of each local day from `first` to today that has come: of a day that is over, its last one."""
    today = now.astimezone(zone).date()
    times = sorted(at)
    for ahead in range((today - first).days + 1):
        day = first + timedelta(days=ahead)
        over = [each for each in times if instant_of(day, each, zone) <= now]
        if over:
            yield day, over[-1]


def due(
    at: Iterable[time], zone: ZoneInfo, *, now: datetime, ran: Mapping[date, time], since: date | None
) -> Iterator[tuple[date, time]]:
    """The slots (local date, local time) to run now, oldest first.

    `ran`: the latest slot of each local day that ran or is running; `since`: the first local day to look at, None for
    a clinic in which the job never ran.
    """
    today = now.astimezone(zone).date()
    first = today if since is None else max(since, today - timedelta(days=CATCH_UP_DAYS))
    for day, newest in come(at, zone, now=now, first=first):
        if day not in ran or ran[day] < newest:
            yield day, newest
