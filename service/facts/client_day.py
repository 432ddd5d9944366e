"""The client day: the client's local calendar day, starting at 04:00."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAY_STARTS = timedelta(hours=4)
OFFSET = re.compile(r"(?:GMT|UTC)?([+-])(\d{1,2})(?::?(\d{2}))?", re.ASCII)
# Zones without a summer time, one for each offset that is no whole hour.
OF_PART_HOURS = {
    "-9:30": "Pacific/Marquesas",
    "+3:30": "Asia/Tehran",
    "+4:30": "Asia/Kabul",
    "+5:30": "Asia/Kolkata",
    "+5:45": "Asia/Kathmandu",
    "+6:30": "Asia/Yangon",
    "+8:45": "Australia/Eucla",
    "+9:30": "Australia/Darwin",
}


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

    A phone whose clock is set by hand may tell an offset instead ("-05:00", "GMT+3"; ECMA-402 allows it).
    """
    try:
        return ZoneInfo(_named(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # ValueError: a name that is a path out of the database; OSError: one that is a folder in it.
        return None


def _named(zone: str) -> str:
    """The name of a zone that has this offset all year; whatever is no offset as it is."""
    if (offset := OFFSET.fullmatch(zone)) is None:
        return zone
    sign, hours, minutes = offset[1], int(offset[2]), offset[3] or "00"
    # By POSIX the names of these zones count the hours to the west.
    whole = f"Etc/GMT{'-' if sign == '+' else '+'}{hours}"
    return whole if minutes == "00" else OF_PART_HOURS.get(f"{sign}{hours}:{minutes}", zone)
