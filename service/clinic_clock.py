"""A clinic gets another name or zone: what the zone would move, told before, and what must not move, held."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import msgspec

from service.database import Db
from service.facts import client_day
from service.people import audit, clients, clinics
from service.people.audit import Actor


class ZoneChange(msgspec.Struct, frozen=True, kw_only=True):
    """What another zone would do: counts and moments, nothing about any client.

    `coming` are infusions and sessions that are planned, `duties` shifts and covers that are not over; each with the
    first that begins after now. `clients_as_before` count their days in a zone of their own that is the clinic's now.
    """

    before: ZoneInfo
    after: ZoneInfo
    coming: int
    first_coming_at: datetime | None
    duties: int
    first_duty_at: datetime | None
    clients_as_before: int

    def hours_ahead(self, now: datetime) -> float:
        """By how many hours the new clock shows a later time than the present one."""
        there, here = now.astimezone(self.after).utcoffset(), now.astimezone(self.before).utcoffset()
        assert there is not None
        assert here is not None
        return (there - here).total_seconds() / 3600


class _Planned(msgspec.Struct, frozen=True):
    coming: int
    first_coming_at: datetime | None
    duties: int
    first_duty_at: datetime | None


PLANNED = """
select
  (select count(*) from infusion where clinic_id = $1 and state = 'planned' and planned_at > $2)
    + (select count(*) from therapy_session where clinic_id = $1 and state = 'planned' and planned_at > $2) as coming,
  least(
    (select min(planned_at) from infusion where clinic_id = $1 and state = 'planned' and planned_at > $2),
    (select min(planned_at) from therapy_session where clinic_id = $1 and state = 'planned' and planned_at > $2)
  ) as first_coming_at,
  (select count(*) from shift where clinic_id = $1 and until_at > $2)
    + (select count(*) from cover where clinic_id = $1 and until_at > $2) as duties,
  least(
    (select min(from_at) from shift where clinic_id = $1 and from_at > $2),
    (select min(from_at) from cover where clinic_id = $1 and from_at > $2)
  ) as first_duty_at
"""


async def preview(db: Db, time_zone: str, *, now: datetime) -> ZoneChange | None:
    """What this zone would move; None where it is the clinic's. Raises Invalid for one that this server lacks."""
    clinics.refuse_unknown_zone(time_zone)
    clinic = await clinics.get(db)
    if clinic.time_zone == time_zone:
        return None
    planned = await db.get(_Planned, PLANNED, db.clinic_id, now)
    return ZoneChange(
        before=ZoneInfo(clinic.time_zone),
        after=ZoneInfo(time_zone),
        clients_as_before=(await clients.zones(db)).get(clinic.time_zone, 0),
        **msgspec.structs.asdict(planned),
    )


async def change(db: Db, *, name: str, time_zone: str, by: Actor, now: datetime) -> bool:
    """Change them, and write down what they were and are; False where nothing changed. Raises Invalid.

    Appointments, shifts and all that happened keep their instants. Whoever has a zone that this server does not know
    counted by the clinic's clock, and goes on counting by the one they had: their days stay where they are.
    """
    assert by.staff_id is not None
    before = await clinics.change(db, name=name, time_zone=time_zone, by=by.staff_id, now=now)
    if before is None:
        return False
    told = []
    if before.name != name:
        told.append(f"{before.name} → {name}")
    if before.time_zone != time_zone:
        told.append(f"{before.time_zone} → {time_zone}")
        unknown = [zone for zone in await clients.zones(db) if client_day.zone_or_none(zone) is None]
        await clients.move_to_zone(db, before.time_zone, unknown)
    await audit.record(db, by, "clinic.change", reason="; ".join(told), now=now)
    return True
