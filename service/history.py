"""What a client's own phone may read: the check-ins it sent, and what is due today."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schemas.alert import Rule
from schemas.checkin import CheckIn, Kind
from schemas.instrument import Instrument
from schemas.today import LastInfusion, NextInfusion, Today
from service import errors, instrument_log
from service.database import Db
from service.facts import checkins, client_day, courses, infusions, instruments, pauses
from service.keys.sealing import Sealer
from service.people import audit, clients, phone_settings
from service.people.clinics import ClinicView
from service.people.devices import DeviceClient

# Older than that, it is no answer any more to what the client sees on the phone.
SEEN_FOR = timedelta(days=2)
# Whoever takes on what these found has looked at answers.
RULES_OF_ANSWERS = [
    Rule.SAFETY,
    Rule.OPIOID_USE,
    Rule.OTHER_USE,
    Rule.INSTRUMENT_SAFETY,
    Rule.WORSENING,
    Rule.WANING,
]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """One page; `last` is the position to go on from, None on the last page."""

    items: list[CheckIn]
    last: tuple[datetime, UUID] | None


async def page_of(
    db: Db,
    reader: DeviceClient,
    *,
    before: tuple[datetime, UUID] | None,
    limit: int,
    master: Sealer,
    view: ClinicView,
    now: datetime,
) -> Page:
    """The client's own check-ins, newest first, notes opened."""
    client_id = reader.client_id
    rows = await checkins.history(db, client_id, limit=limit + 1, before=before)
    shown = await _shown(db, client_id, rows[:limit], master=master, view=view)
    await audit.record(db, audit.Actor("device", reader.device_id), "check_in.read_own", now=now, client_id=client_id)
    more = len(rows) > limit
    return Page(items=shown, last=(rows[limit - 1].counted_at, rows[limit - 1].check_in_id) if more else None)


async def _shown(
    db: Db, client_id: UUID, rows: list[checkins.CheckInRow], *, master: Sealer, view: ClinicView
) -> list[CheckIn]:
    sealer = await clients.sealer_of(db, master, client_id) if any(row.note_sealed for row in rows) else None
    substances = await courses.substances_of(db, client_id)
    return [
        checkins.shown(
            row,
            courses.active_on(substances, row.client_day),
            sealer,
            clinic_id=db.clinic_id,
            clinic_zone=view.zone,
        )
        for row in rows
    ]


SEEN_AT = """
select max(e.happened_at)
from alert a
join alert_event e
  on e.clinic_id = a.clinic_id
  and e.alert_id = a.alert_id
where a.clinic_id = $1
  and a.client_id = $2
  and a.origin = 'live'
  and e.kind = 'acknowledged'
  and e.happened_at > $3
  and exists (
    select
    from finding f
    where f.clinic_id = a.clinic_id
      and f.alert_id = a.alert_id
      and f.rule = any ($4)
  )
  and not exists (
    select
    from check_in newer
    where newer.clinic_id = a.clinic_id
      and newer.client_id = a.client_id
      and newer.received_at > e.happened_at
  )
  and not exists (
    select
    from instrument_response newer
    where newer.clinic_id = a.clinic_id
      and newer.client_id = a.client_id
      and newer.received_at > e.happened_at
  )
  and not exists (
    select
    from alert_event back
    where back.clinic_id = e.clinic_id
      and back.alert_id = e.alert_id
      and back.kind = 'given_back'
      and back.happened_at between e.happened_at and e.happened_at + interval '1 minute'
  )
"""


async def _seen_at(db: Db, client_id: UUID, view: ClinicView, *, now: datetime) -> datetime | None:
    if not view.tell_seen:
        return None
    found = await db.value(SEEN_AT, db.clinic_id, client_id, now - SEEN_FOR, RULES_OF_ANSWERS)
    return found if isinstance(found, datetime) else None


def _has_scores(row: checkins.CheckInRow) -> bool:
    return bool(row.craving) or row.mood is not None or row.anxiety is not None


def _next_infusion(planned_at: datetime, view: ClinicView) -> NextInfusion:
    """As the clinic tells it: the phone may be in another zone, or set to one."""
    at_clinic = planned_at.astimezone(view.zone).replace(tzinfo=None)
    return NextInfusion(planned_at=planned_at, at_clinic=at_clinic.isoformat(timespec="minutes"))


async def today_of(
    db: Db, reader: DeviceClient, *, time_zone: str | None, master: Sealer, view: ClinicView, now: datetime
) -> Today:
    """What the phone shows when it opens. Raises NotFound."""
    client_id = reader.client_id
    asked = await instrument_log.read(db, client_id)
    zone = client_day.zone_or_none(time_zone or asked.client.time_zone) or view.zone
    today = client_day.of(now, zone)
    recent = await checkins.history(db, client_id, limit=10)
    scored = [row for row in recent if row.kind is Kind.DAILY and _has_scores(row)]
    last = (await _shown(db, client_id, scored[:1], master=master, view=view))[:1]
    given = [each.given_at for each in await infusions.of(db, client_id) if each.given_at is not None]
    planned = await infusions.next_planned_of(db, client_id, now=now)
    chosen = await phone_settings.of(db, client_id)
    await audit.record(db, audit.Actor("device", reader.device_id), "today.read_own", now=now, client_id=client_id)
    return Today(
        client_day=today,
        due=not await checkins.days_of(db, client_id, from_day=today, until_day=today),
        paused=pauses.covering(asked.pauses, today) is not None,
        substances=courses.active_on(asked.substances, today),
        last=last[0] if last else None,
        next_infusion=_next_infusion(planned.planned_at, view) if planned else None,
        instruments=instrument_log.due_of(asked, today),
        last_infusion=LastInfusion(number=len(given), days_ago=(today - client_day.of(max(given), zone)).days)
        if given
        else None,
        seen_at=await _seen_at(db, client_id, view, now=now),
        language=chosen.language,
        reminder_zone=chosen.time_zone if chosen.remind_time is not None else None,
        monitoring=view.monitoring_notice,
        crisis=view.crisis,
        fictional=view.fictional,
    )


async def instrument_of(db: Db, reader: DeviceClient, code: str, *, now: datetime) -> Instrument:
    """An instrument as it is asked now: every item in its exact words. Raises NotFound."""
    found = (await instruments.catalogue_of(db)).newest(code)
    if found is None:
        raise errors.NotFound("Not found.")
    device = audit.Actor("device", reader.device_id)
    await audit.record(db, device, "instrument.read", now=now, client_id=reader.client_id)
    return found
