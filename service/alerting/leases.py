"""The lease that an acknowledgement is: for how long whoever took an alert on is believed to act on it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol
from uuid import UUID
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


END_OF = """
update alert
set lease_until = $3
where clinic_id = $1
  and acknowledged_by = $2
  and state = 'acknowledged'
  and lease_until > $3
  and ($4::uuid is null or client_id = $4)
"""


async def end_of(db: Db, staff_id: UUID, *, client_id: UUID | None = None, now: datetime) -> None:
    """End what a person has taken on, of one client or of all, who cannot act on it any more: the next round tells
    others."""
    await db.execute(END_OF, db.clinic_id, staff_id, now, client_id)


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
