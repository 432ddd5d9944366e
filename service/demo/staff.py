"""What the fictional staff do about alerts on a day that is played: acknowledge, then resolve, at human hours."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Alert, AlertState, Outcome, Rule, Tier
from service.alerting import alerts
from service.database import Db
from service.demo import stories
from service.demo.clinic import SOURCE, DemoClinic
from service.demo.people import STAFF_NOTES, Person
from service.keys.sealing import Sealer
from service.people import clients

OPENS, CLOSES = time(9), time(17)

OUTCOMES = {
    Rule.SAFETY: (Outcome.SAFETY_PLAN,),
    Rule.INSTRUMENT_SAFETY: (Outcome.SAFETY_PLAN,),
    Rule.OPIOID_USE: (Outcome.SAFETY_PLAN, Outcome.CALLED),
    Rule.OTHER_USE: (Outcome.CALLED, Outcome.SESSION_MOVED),
    Rule.WORSENING: (
        Outcome.CALLED,
        Outcome.CALLED,
        Outcome.SESSION_MOVED,
        Outcome.NO_ACTION_NEEDED,
        Outcome.FALSE_ALARM,
    ),
    Rule.WANING: (Outcome.INFUSION_REVIEWED, Outcome.NO_ACTION_NEEDED),
    Rule.SILENCE: (Outcome.CALLED, Outcome.NO_ACTION_NEEDED),
    Rule.SILENCE_AFTER_INFUSION: (Outcome.CALLED,),
    Rule.GATE_PENDING: (Outcome.INFUSION_REVIEWED,),
    Rule.GIVEN_NOT_CLEAR: (Outcome.INFUSION_REVIEWED,),
    Rule.UNCOVERED_WINDOW: (Outcome.SESSION_MOVED, Outcome.CALLED),
}


# Of a rule that this demonstration does not know yet.
USUALLY = (Outcome.CALLED, Outcome.NO_ACTION_NEEDED)


class OpenAlert(msgspec.Struct, frozen=True, kw_only=True):
    """An open alert, whose it is, the rule that opened it, and since when it waits for somebody."""

    alert_id: UUID
    client_id: UUID
    source_key: str
    rule: Rule
    waits_since: datetime


OPEN = """
select distinct on (a.alert_id) a.alert_id, a.client_id, c.source_key, f.rule,
  (
    select max(e.happened_at)
    from alert_event e
    where e.clinic_id = $1
      and e.alert_id = a.alert_id
  ) as waits_since
from alert a
join client c
  on c.clinic_id = a.clinic_id
  and c.client_id = a.client_id
join finding f
  on f.clinic_id = a.clinic_id
  and f.alert_id = a.alert_id
where a.clinic_id = $1
  and c.source = $2
  and a.state not in ('resolved', 'auto_resolved')
order by a.alert_id, f.found_at
"""


async def work(
    db: Db, demo: DemoClinic, master: Sealer, people: dict[str, Person], day: date, *, until: datetime
) -> None:
    """Do on that day what is to be done about open alerts, up to `until`."""
    for each in await db.rows(OpenAlert, OPEN, db.clinic_id, SOURCE):
        person = people.get(each.source_key)
        if person is None:
            continue
        alert = await alerts.get(db, each.alert_id)
        therapist = demo.staff_ids[person.therapist]
        if alert.state is not AlertState.ACKNOWLEDGED:
            at = _acknowledged_at(alert, each.waits_since, person, demo.zone)
            if at > until:
                continue
            await alerts.acknowledge(db, alert.alert_id, by=therapist, now=at)
            alert = await alerts.get(db, each.alert_id)
        await _finish(db, demo, master, person, each, alert, day, until=until)


async def _finish(
    db: Db,
    demo: DemoClinic,
    master: Sealer,
    person: Person,
    each: OpenAlert,
    alert: Alert,
    day: date,
    *,
    until: datetime,
) -> None:
    taken = alert.acknowledged_at or alert.opened_at
    days = stories.share(person, taken.date(), "resolve days") * 3
    at = in_hours(taken + timedelta(minutes=50, days=days), demo.zone)
    if at > until:
        return
    sealer = await clients.sealer_of(db, master, each.client_id)
    outcome = Outcome(stories.pick(person, day, "outcome", OUTCOMES.get(each.rule, USUALLY)))
    note = stories.pick(person, day, "staff note", STAFF_NOTES)
    therapist = demo.staff_ids[person.therapist]
    await alerts.resolve(db, each.alert_id, outcome, by=therapist, now=at, note=note, sealer=sealer)


def _acknowledged_at(alert: Alert, waits_since: datetime, person: Person, zone: ZoneInfo) -> datetime:
    share = stories.share(person, waits_since.date(), "acknowledge")
    if alert.tier is Tier.URGENT:
        return waits_since + timedelta(minutes=4 + 14 * share)
    return in_hours(waits_since + timedelta(minutes=10), zone) + timedelta(minutes=90 * share)


def in_hours(moment: datetime, zone: ZoneInfo) -> datetime:
    """The moment itself if it lies in working hours, else the next opening."""
    local = moment.astimezone(zone)
    if local.time() >= CLOSES:
        local = datetime.combine(local.date() + timedelta(days=1), OPENS, zone)
    elif local.time() < OPENS:
        local = datetime.combine(local.date(), OPENS, zone)
    while local.weekday() >= 5:
        local = datetime.combine(local.date() + timedelta(days=1), OPENS, zone)
    return local
