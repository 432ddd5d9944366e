"""Messages that wait because their recipient chose so: what is not urgent, until its hour."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.staff import MessageTimes
from service.alerting import tempo
from service.database import Db
from service.people import clinics, message_times


async def until_of_each(db: Db, staff_ids: Sequence[UUID], *, now: datetime) -> dict[UUID, datetime]:
    """When each of some people wants to hear of what is not urgent and came now."""
    zone = ZoneInfo((await clinics.get(db)).time_zone)
    times = await message_times.of(db, staff_ids)
    return {staff_id: tempo.due_at(chosen, zone=zone, now=now) for staff_id, chosen in times.items()}


# What waits by the former choice comes by the new one, where that is sooner: nobody hears later for having chosen.
COME_SOONER = """
update delivery d
set due_at = $3
from alert a
where d.clinic_id = $1
  and d.staff_id = $2
  and d.state = 'queued'
  and d.attempts = 0
  and d.due_at > $3
  and a.clinic_id = $1
  and a.alert_id = d.alert_id
"""


async def choose(db: Db, staff_id: UUID, times: MessageTimes, *, now: datetime) -> None:
    """Tell the person so from now on, and of what waits already. Raises like `message_times.choose`."""
    await message_times.choose(db, staff_id, times)
    until = await until_of_each(db, [staff_id], now=now)
    await db.execute(COME_SOONER, db.clinic_id, staff_id, until[staff_id])
