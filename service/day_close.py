"""Closing client days: a day that is over and brought no answer belongs into the trend too."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from service.database import Db
from service.facts import client_day, fold_queue
from service.people import clinics


class OpenClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client who is treated here: how far the trend goes, and the last client day of the last course, if known."""

    client_id: UUID
    time_zone: str
    enrolled_on: date
    newest_day: date | None
    ends_on: date | None


OPEN_CLIENTS = """
select
  c.client_id, c.time_zone, c.enrolled_on,
  (
    select max(t.client_day)
    from trend_checkpoint t
    where t.clinic_id = $1
      and t.client_id = c.client_id
  ) as newest_day,
  (
    select case when bool_or(course.ended_on is null) then null else max(course.ended_on) end
    from course
    where course.clinic_id = $1
      and course.client_id = c.client_id
  ) as ends_on
from client c
where c.clinic_id = $1
  and c.origin = 'live'
order by c.client_id
"""


async def mark_due(db: Db, *, now: datetime) -> list[UUID]:
    """Make the fold due for every client whose trend lacks a client day that is over; who they are."""
    clinic_zone = ZoneInfo((await clinics.get(db)).time_zone)
    marked = []
    for client in await db.rows(OpenClient, OPEN_CLIENTS, db.clinic_id):
        zone = client_day.zone_or_none(client.time_zone) or clinic_zone
        last_day = client_day.last_closed(now, zone)
        if client.ends_on is not None:
            last_day = min(last_day, client.ends_on)
        first_day = client.enrolled_on if client.newest_day is None else client.newest_day + timedelta(days=1)
        if first_day <= last_day:
            await fold_queue.mark_due(db, client.client_id, from_day=first_day, now=now)
            marked.append(client.client_id)
    return marked
