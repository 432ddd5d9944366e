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


def due(
    at: Iterable[time], zone: ZoneInfo, *, now: datetime, ran: Mapping[date, time], since: date | None
) -> Iterator[tuple[date, time]]:
    """The slots (local date, local time) to run now, oldest first.

    `ran`: the latest slot of each local day that ran or is running; `since`: the first local day to look at, None for
    a clinic in which the job never ran. Of a day that is over its last time is due, of today the last that has come.
    """
    today = now.astimezone(zone).date()
    first = today if since is None else max(since, today - timedelta(days=CATCH_UP_DAYS))
    times = sorted(at)
    for ahead in range((today - first).days + 1):
        day = first + timedelta(days=ahead)
        come = [each for each in times if instant_of(day, each, zone) <= now]
        if come and (day not in ran or ran[day] < come[-1]):
            yield day, come[-1]
