"""Where an answer stands in time: the phone's clock against ours, the instant that counts, the client day."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from service.facts import client_day

# Past this much skew the phone's clock is not believed: the instant is corrected, and the answer yields to any without.
CREDIBLE_SKEW = timedelta(minutes=10)
# A phone that was away for longer may no longer send; an older answer comes from a clock that had lost its date.
LONGEST_IN_QUEUE = timedelta(days=400)
# What a clock may show, however wrong: the bounds keep every later computation in the calendar.
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Sent(Protocol):
    """What a phone says of when it was answered and sent."""

    @property
    def answered_at(self) -> datetime:
        """When it was answered, by the phone's clock."""

    @property
    def sent_at(self) -> datetime:
        """When it was sent, by the same clock."""

    @property
    def time_zone(self) -> str:
        """The phone's zone."""


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer stands in time: the corrected instant, its client day, and the client day of its arrival.

    `answered_at` and `sent_at` are what the phone's clock showed, in UTC.
    """

    answered_at: datetime
    sent_at: datetime
    counted_at: datetime
    client_day: date
    today: date
    zone_known: bool


def place(form: Sent, *, received_at: datetime, clinic_zone: ZoneInfo) -> Placed:
    """Place an answer in time. No time is refused: an answer with a wrong clock is still an answer.

    A phone whose clock is off by more than ten minutes is corrected by the difference seen at the first receipt; what
    no correction makes plausible counts when it arrived. No answer counts later than its arrival.
    """
    answered_at, sent_at = in_calendar(form.answered_at), in_calendar(form.sent_at)
    skew = sent_at - received_at
    credible = abs(skew) <= CREDIBLE_SKEW
    counted_at = min(answered_at if credible else answered_at - skew, received_at)
    if received_at - counted_at > LONGEST_IN_QUEUE:
        counted_at = received_at
    # The same three conditions rank the answers of a day in `checkins.DAYS_OF`.
    believed = credible and answered_at <= sent_at and counted_at <= answered_at
    zone = client_day.zone_or_none(form.time_zone)
    return Placed(
        answered_at=answered_at,
        sent_at=sent_at,
        counted_at=counted_at,
        client_day=client_day.of(answered_at if believed else counted_at, zone or clinic_zone),
        today=client_day.of(received_at, zone or clinic_zone),
        zone_known=zone is not None,
    )


def in_calendar(moment: datetime) -> datetime:
    """The instant in UTC, drawn to the years 1970 to 2200 where it lies outside."""
    try:
        return min(max(moment.astimezone(UTC), EARLIEST), LATEST)
    except OverflowError:
        return EARLIEST if moment.year < LATEST.year else LATEST
