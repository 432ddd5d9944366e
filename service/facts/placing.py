"""Where an answer stands in time: the phone's clock against ours, the instant that counts, the client day."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from schemas.checkin import CheckInForm
from service import errors
from service.facts import client_day

# Past this much skew the phone's clock is not believed: the instant is corrected, and the answer yields to any without.
CREDIBLE_SKEW = timedelta(minutes=10)
# Outside these years a clock is not merely wrong; the bounds also keep every later date computation in range.
EARLIEST_YEAR, LATEST_YEAR = 1970, 2200


class Placed(msgspec.Struct, frozen=True, kw_only=True):
    """Where an answer stands in time: the corrected instant, its client day, and the client day of its arrival."""

    counted_at: datetime
    client_day: date
    today: date
    zone_known: bool


def place(form: CheckInForm, *, received_at: datetime, clinic_zone: ZoneInfo) -> Placed:
    """Place an answer in time. Raises Invalid for years no clock shows.

    A phone whose clock is off by more than ten minutes is corrected by the difference seen at the first receipt; an
    answer that claims to be later than its own sending is never counted later than its arrival.
    """
    for field, moment in (("answered_at", form.answered_at), ("sent_at", form.sent_at)):
        if not EARLIEST_YEAR < moment.year < LATEST_YEAR:
            raise errors.Invalid("The time is out of range.", fields=(errors.FieldFault(field, "not a possible time"),))
    skew = form.sent_at - received_at
    credible = abs(skew) <= CREDIBLE_SKEW
    counted_at = min(form.answered_at if credible else form.answered_at - skew, received_at)
    believed = credible and form.answered_at <= form.sent_at
    zone = client_day.zone_or_none(form.time_zone)
    day = client_day.of(form.answered_at if believed else counted_at, zone or clinic_zone)
    return Placed(
        counted_at=counted_at,
        client_day=day,
        today=client_day.of(received_at, zone or clinic_zone),
        zone_known=zone is not None,
    )
