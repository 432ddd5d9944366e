"""The client day: the client's local calendar day, starting at 04:00."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY_STARTS = timedelta(hours=4)
OFFSET = re.compile(r"(?:GMT|UTC)?([+-])(\d{1,2})(?::?00)?", re.ASCII)


def of(moment: datetime, zone: ZoneInfo) -> date:
    """The client day of an instant, by wall clock: 04:00 is 04:00 also on the days of a clock change."""
    return (moment.astimezone(zone).replace(tzinfo=None) - DAY_STARTS).date()


def ends_at(day: date, zone: ZoneInfo) -> datetime:
    """The instant (UTC) at which the client day is over: 04:00 of the next calendar day."""
    local = datetime.combine(day + timedelta(days=1), time(0), zone) + DAY_STARTS
    return local.astimezone(UTC)


def last_closed(now: datetime, zone: ZoneInfo) -> date:
    """The newest client day that has ended by `now`."""
    return of(now, zone) - timedelta(days=1)


def zone_or_none(name: str) -> ZoneInfo | None:
    """The zone of that IANA name, None where it is unknown: a phone may know zones that this server does not.

    A phone whose clock is set by hand may tell an offset of whole hours ("-05:00", "GMT+3"; ECMA-402 allows it).
    """
    offset = OFFSET.fullmatch(name)
    try:
        # By POSIX the names of these zones count the hours to the west.
        return ZoneInfo(f"Etc/GMT{'-' if offset[1] == '+' else '+'}{int(offset[2])}" if offset else name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # ValueError: a name that is a path out of the database; OSError: one that is a folder in it.
        return None
