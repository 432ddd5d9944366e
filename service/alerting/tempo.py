"""When a person is told of what is not urgent, by their own choice; pure. Tier 1 never waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from zoneinfo import ZoneInfo

from schemas.staff import MessageTimes, Tempo

# The digest comes then, too.
MORNING = time(7)
HOURS_OF: Mapping[Tempo, Sequence[time]] = MappingProxyType(
    {Tempo.WITHIN_3_HOURS: [time(hour) for hour in range(0, 24, 3)], Tempo.DAILY: [MORNING]}
)
"""On the clinic's clock; whoever wants to hear at once waits for none."""
DAY = timedelta(days=1)


def due_at(times: MessageTimes, *, zone: ZoneInfo, now: datetime) -> datetime:
    """The instant (UTC, `now` or later) at which a message of now is due for a person of these times.

    `within_3_hours`: at the next of the hours 0, 3, 6, … of the clinic's clock, so that what comes meanwhile comes
    together; `daily`: in the morning. What falls into quiet hours waits for their end.
    """
    at = now.astimezone(UTC)
    if (hours := HOURS_OF.get(times.tempo)) is not None:
        at = _next_of(hours, zone, at)
    return _after_quiet(times, zone, at)


def _next_of(hours: Sequence[time], zone: ZoneInfo, at: datetime) -> datetime:
    today = at.astimezone(zone).date()
    slots = [datetime.combine(day, hour, zone).astimezone(UTC) for day in (today, today + DAY) for hour in hours]
    return min(each for each in slots if each >= at)


def _after_quiet(times: MessageTimes, zone: ZoneInfo, at: datetime) -> datetime:
    if times.quiet_from is None or times.quiet_until is None:
        return at
    begins, ends = time.fromisoformat(times.quiet_from), time.fromisoformat(times.quiet_until)
    today = at.astimezone(zone).date()
    for day in (today - DAY, today):
        last = day if begins < ends else day + DAY
        quiet = (datetime.combine(day, begins, zone), datetime.combine(last, ends, zone))
        if quiet[0].astimezone(UTC) <= at < quiet[1].astimezone(UTC):
            return quiet[1].astimezone(UTC)
    return at
