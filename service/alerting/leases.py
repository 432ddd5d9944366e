"""The lease that an acknowledgement is: for how long whoever took an alert on is believed to act on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from schemas.alert import AlertState, Tier
from service.database import Db
from service.facts import clinic_hours
from service.people import clinics

URGENT = timedelta(minutes=30)
REVIEW = timedelta(days=7)


async def until(db: Db, tier: Tier, *, now: datetime) -> datetime:
    """When a lease ends that begins now: tier 1 after 30 minutes, tier 2 with the next clinic day, tier 3 in a week."""
    if tier is Tier.URGENT:
        return now + URGENT
    if tier is Tier.REVIEW:
        return now + REVIEW
    clinic, setting = await clinics.get(db), await clinics.get_setting(db)
    return clinic_hours.next_closing(setting.hours, ZoneInfo(clinic.time_zone), now=now)


# The same predicate stands in `service/alerting/rounds.py:OVER`, `jobs/end_lapsed_leases.py` and
# `service/invariants/alerts.py`; the view is its one home. Clocks of two hosts differ: what began when they took the
# alert on has begun.
END_BEYOND_REACH = """
update alert a
set lease_until = $2
where a.clinic_id = $1
  and a.state = 'acknowledged'
  and a.lease_until > $2
  and not exists (
    select
    from alert_holder_reach r
    where r.clinic_id = a.clinic_id
      and r.alert_id = a.alert_id
      and r.from_at <= greatest(a.acknowledged_at, $2)
      and (r.until_at is null or r.until_at > $2)
  )
"""


async def end_beyond_reach(db: Db, *, now: datetime) -> None:
    """End what is with people who no longer reach it, so that colleagues can take it on at once.

    The job that ends what lapsed asks the same, and needs nobody to have called this.
    """
    await db.execute(END_BEYOND_REACH, db.clinic_id, now)


class Held(Protocol):
    """What of an alert says whether a lease runs."""

    @property
    def state(self) -> AlertState:
        """The alert's state."""
        ...

    @property
    def lease_until(self) -> datetime | None:
        """The end of the lease, None without one."""
        ...


def lapsed(alert: Held, now: datetime) -> bool:
    """Whether whoever took the alert on has let the time run out that they took it on for."""
    return alert.state is AlertState.ACKNOWLEDGED and alert.lease_until is not None and alert.lease_until <= now
