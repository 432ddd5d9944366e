"""Times as people type them into forms: on the clinic's clock, told to the minute."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from service import errors

FURTHEST_DAYS = 4000


def instant_of(text: str, zone: ZoneInfo, field: str) -> datetime:
    """The instant (UTC) of "2026-11-26T09:30" on the clinic's clock; of a time that comes twice the first.

    Raises Invalid for what is no such time, and for one that the clocks skip.
    """
    try:
        wall = datetime.fromisoformat(text)
        instant = wall.replace(tzinfo=zone).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _unreadable(field) from error
    if wall.tzinfo is not None:
        raise _unreadable(field)
    if instant.astimezone(zone).replace(tzinfo=None) != wall:
        fault = errors.FieldFault(field, "another time: the clocks go forward and skip this one")
        raise errors.Invalid("This time does not exist on that day.", fields=(fault,))
    return instant


def day_of(asked_for: date | None, today: date) -> date:
    """A day to look at, today where none is asked for. Raises Invalid for one that no calendar of a clinic holds."""
    if asked_for is not None and abs((asked_for - today).days) > FURTHEST_DAYS:
        raise errors.Invalid("This day is too far away.", fields=(errors.FieldFault("day", "nearer to today"),))
    return asked_for or today


def _unreadable(field: str) -> errors.Invalid:
    fault = errors.FieldFault(field, "a date and a time such as 2026-11-26T09:30")
    return errors.Invalid("The time could not be read.", fields=(fault,))


def typed(value: datetime, zone: ZoneInfo) -> str:
    """The text that a form's field for date and time takes: "2026-11-26T09:30"."""
    return f"{value.astimezone(zone):%Y-%m-%dT%H:%M}"
