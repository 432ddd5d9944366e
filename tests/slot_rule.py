"""When a slot is due, said plainly of one clinic: what the database is asked for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from jobs import slots


def due(
    at: Iterable[time], zone: ZoneInfo, *, now: datetime, ran: Mapping[date, time], since: date | None
) -> Iterator[tuple[date, time]]:
    """The slots (local date, local time) to run now, oldest first.

    `ran`: the latest slot of each local day that ran or is running; `since`: the first local day to look at, None for
    a clinic in which the job never ran.
    """
    first = now.astimezone(zone).date() if since is None else since
    for day, newest in slots.come(at, zone, now=now, first=first):
        if day not in ran or ran[day] < newest:
            yield day, newest
