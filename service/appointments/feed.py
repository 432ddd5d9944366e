"""A calendar as iCalendar (RFC 5545): neutral titles, stable ids, a sequence that grows with every change.

Calendars lie on servers that are not ours and on screens that others see: an entry says that there is an appointment,
when, and nothing else. Times are in UTC, which every calendar shows on its own clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import icalendar
import msgspec
from icalendar.enums import STATUS

from service.database import Db
from service.people.calendar_feeds import Feed

TITLE = "Appointment"
PRODUCT = "-//Neap//Appointments//EN"
# An infusion with what belongs to it, in a monitored setting.
INFUSION_LASTS = timedelta(hours=4)
DAYS_BACK, DAYS_AHEAD = timedelta(days=60), timedelta(days=400)
REFRESH_HOURLY = icalendar.vDuration(timedelta(hours=1))

STATUS_OF = {"cancelled": STATUS.CANCELLED, "held": STATUS.TENTATIVE}


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """An appointment of either kind; `changes` counts what was recorded about it, `changed_at` is the last of that."""

    appointment_id: UUID
    state: str
    begins_at: datetime
    minutes: int
    changes: int
    changed_at: datetime | None


SESSIONS = """
select
  s.therapy_session_id as appointment_id, s.state, s.planned_at as begins_at, s.minutes::integer as minutes,
  count(e.therapy_session_event_id) as changes, max(e.recorded_at) as changed_at
from therapy_session s
left join therapy_session_event e
  on e.clinic_id = s.clinic_id
  and e.therapy_session_id = s.therapy_session_id
where s.clinic_id = $1
  and (s.staff_id = $2 or s.client_id = $3)
  and s.planned_at between $4 and $5
group by s.clinic_id, s.therapy_session_id
order by s.planned_at, s.therapy_session_id
"""
HANDED_OVER = """
select
  s.therapy_session_id as appointment_id, 'cancelled' as state, s.planned_at as begins_at,
  s.minutes::integer as minutes,
  (
    select count(*)
    from therapy_session_event e
    where e.clinic_id = s.clinic_id
      and e.therapy_session_id = s.therapy_session_id
  ) as changes,
  (
    select max(e.recorded_at)
    from therapy_session_event e
    where e.clinic_id = s.clinic_id
      and e.therapy_session_id = s.therapy_session_id
  ) as changed_at
from therapy_session s
where s.clinic_id = $1
  and s.staff_id is distinct from $2
  and s.planned_at between $3 and $4
  and exists (
    select
    from therapy_session_event former
    where former.clinic_id = s.clinic_id
      and former.therapy_session_id = s.therapy_session_id
      and former.staff_id = $2
  )
order by s.planned_at, s.therapy_session_id
"""
INFUSIONS = """
select
  i.infusion_id as appointment_id, i.state, i.planned_at as begins_at, $5::integer as minutes,
  count(e.infusion_event_id) as changes, max(e.recorded_at) as changed_at
from infusion i
left join infusion_event e
  on e.clinic_id = i.clinic_id
  and e.infusion_id = i.infusion_id
where i.clinic_id = $1
  and i.client_id = $2
  and i.planned_at between $3 and $4
group by i.clinic_id, i.infusion_id
order by i.planned_at, i.infusion_id
"""


async def entries_of(db: Db, feed: Feed, *, now: datetime) -> list[Entry]:
    """A person's sessions, or a client's infusions and sessions; a session that went to a colleague as cancelled."""
    first, last = now - DAYS_BACK, now + DAYS_AHEAD
    entries = await db.rows(Entry, SESSIONS, db.clinic_id, feed.staff_id, feed.client_id, first, last)
    if feed.staff_id is not None:
        entries += await db.rows(Entry, HANDED_OVER, db.clinic_id, feed.staff_id, first, last)
    if feed.client_id is not None:
        minutes = int(INFUSION_LASTS.total_seconds() // 60)
        entries += await db.rows(Entry, INFUSIONS, db.clinic_id, feed.client_id, first, last, minutes)
    return sorted(entries, key=lambda each: (each.begins_at, each.appointment_id))


def text_of(feed: Feed, entries: Sequence[Entry], *, base_url: str) -> bytes:
    """The calendar's text. `base_url`: where a person of the staff opens an entry after signing in."""
    calendar = icalendar.Calendar.new(
        uid=f"{feed.calendar_feed_id}@neap",
        prodid=PRODUCT,
        method="PUBLISH",
        name="Appointments",
        calscale="GREGORIAN",
    )
    # How often to look again: as RFC 7986 says it, and as Outlook reads it.
    calendar.add("REFRESH-INTERVAL", REFRESH_HOURLY, parameters={"VALUE": "DURATION"})
    calendar.add("X-PUBLISHED-TTL", REFRESH_HOURLY)
    for entry in entries:
        begins_at, changed_at = entry.begins_at.astimezone(UTC), (entry.changed_at or entry.begins_at).astimezone(UTC)
        event = icalendar.Event.new(
            uid=f"{entry.appointment_id}@neap",
            summary=TITLE,
            start=begins_at,
            end=begins_at + timedelta(minutes=entry.minutes),
            stamp=changed_at,
            last_modified=changed_at,
            sequence=max(0, entry.changes - 1),
            status=STATUS_OF.get(entry.state, STATUS.CONFIRMED),
            url=f"{base_url}/sessions/{entry.appointment_id}" if feed.staff_id is not None else None,
        )
        calendar.add_component(event)
    return bytes(calendar.to_ical())
