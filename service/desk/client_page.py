"""One client as the care team reads them: treatment, trend, alerts, check-ins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Alert, Finding, Rule
from schemas.checkin import CheckIn
from schemas.client import Client
from schemas.course import Course, Infusion, InfusionState, Pause, Phase, SessionState, Substance, TherapySession
from schemas.device import DeviceRow
from schemas.treatment import InfusionDay
from schemas.trend import Trend
from service.alerting import findings
from service.database import Db
from service.desk import told
from service.facts import checkins, client_day, client_zone, courses, infusions, pauses, sessions
from service.facts.infusion_days import Timeline
from service.keys.sealing import Sealer
from service.people import clients, devices

CHECK_INS_SHOWN = 28
# What alerts nobody is still worth a line in the two weeks after it was found; learning shows as the status.
QUIET_RULES = (Rule.IMPROVING, Rule.WANING)
QUIET_LASTS = timedelta(days=13)
ALERTS_SHOWN = 20
OPEN_STATES = frozenset({"open", "dispatched", "acknowledged", "snoozed"})

TREND_OF = """
select
  client_day, status, answered, partly, craving, mood, anxiety, baseline, sd, level, band_low, band_high, statistic,
  limit_value, crossing, resting, silent_days, days_since_infusion, origin, rule_set_version
from trend
where clinic_id = $1
  and client_id = $2
order by client_day desc
limit $3
"""


async def trend_of(db: Db, client_id: UUID, *, days: int) -> list[Trend]:
    """The newest client days of a trend, oldest first."""
    return (await db.rows(Trend, TREND_OF, db.clinic_id, client_id, days))[::-1]


class TeamMember(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on the care team now."""

    staff_id: UUID
    name: str
    role: str
    from_at: datetime
    works_here: bool


TEAM = """
select m.staff_id, s.name, m.role, m.from_at, s.disabled_at is null as works_here
from care_team_member m
join staff s
  on s.clinic_id = m.clinic_id
  and s.staff_id = m.staff_id
where m.clinic_id = $1
  and m.client_id = $2
  and m.from_at <= $3
  and (m.until_at is null or m.until_at > $3)
order by m.from_at, s.name
"""


async def team_of(db: Db, client_id: UUID, *, now: datetime) -> list[TeamMember]:
    """Whoever is on the care team now, by name."""
    return await db.rows(TeamMember, TEAM, db.clinic_id, client_id, now)


ALERTS_OF = """
select alert_id, client_id, tier, state, origin, opened_at, round, acknowledged_by, acknowledged_at, lease_until,
  snoozed_until, recalculated_at, closed_at, outcome
from alert
where clinic_id = $1
  and client_id = $2
order by (closed_at is not null), case when closed_at is null then tier end, opened_at desc, alert_id desc
limit $3
"""


async def _alerts_of(db: Db, client_id: UUID) -> list[tuple[Alert, list[Finding]]]:
    alerts = await db.rows(Alert, ALERTS_OF, db.clinic_id, client_id, ALERTS_SHOWN)
    grouped = await findings.of_alerts(db, [alert.alert_id for alert in alerts])
    return [(alert, [each for each in grouped if each.alert_id == alert.alert_id]) for alert in alerts]


ANSWERED_EVER = """
select count(*)
from trend
where clinic_id = $1
  and client_id = $2
  and answered
"""


async def _answered_ever(db: Db, client_id: UUID) -> int:
    count = await db.value(ANSWERED_EVER, db.clinic_id, client_id)
    return count if isinstance(count, int) else 0


class Chart(NamedTuple):
    """What the charts draw: client days, craving by substance where several are treated, infusions and sessions, from
    which answered day on what is usual has been learned, until when a pause goes on past the newest trend, and
    whether there are days before the first one."""

    trend: list[Trend]
    by_substance: dict[date, dict[Substance, int]]
    infusions: list[tuple[date, int]]
    sessions: list[date]
    usual_since: date | None
    paused_until: date | None = None
    older: bool = False


class ClientView(NamedTuple):
    """All that a client's page shows; `counting`: the check-ins that count for their client day."""

    client: Client
    course: Course | None
    substances: list[Substance]
    team: list[TeamMember]
    chart: Chart
    alerts: list[tuple[Alert, list[Finding]]]
    known: told.Known
    check_ins: list[CheckIn]
    counting: frozenset[UUID]
    devices: list[DeviceRow]
    given: list[Infusion]
    next_infusion: Infusion | None
    at_the_gate: Infusion | None
    next_session: TherapySession | None
    answered_ever: int
    quiet: list[Finding]
    pause: Pause | None
    infusion_days: Mapping[UUID, InfusionDay]

    @property
    def discharged(self) -> bool:
        """Whether the newest course is over."""
        return self.course is not None and self.course.phase is Phase.DISCHARGED

    @property
    def newest(self) -> Trend | None:
        """The trend after the newest client day."""
        return self.chart.trend[-1] if self.chart.trend else None

    @property
    def open_alerts(self) -> list[tuple[Alert, list[Finding]]]:
        """The alerts that nobody has closed."""
        return [each for each in self.alerts if each[0].state in OPEN_STATES]

    @property
    def closed_alerts(self) -> list[tuple[Alert, list[Finding]]]:
        """The alerts that are closed, newest first."""
        return [each for each in self.alerts if each[0].state not in OPEN_STATES]


async def read(
    db: Db, client_id: UUID, *, days: int, zone: ZoneInfo, sealer: Sealer | None, now: datetime
) -> ClientView:
    """One client's page; `days` of trend, notes only where the reader's `sealer` opens them. Raises NotFound."""
    client = await clients.get(db, client_id)
    treated = await courses.substances_of(db, client_id)
    course = next(iter((await courses.of(db, client_id))[::-1]), None)
    booked, appointments = await infusions.of(db, client_id), await sessions.of(db, client_id)
    rows = await checkins.history(db, client_id, limit=CHECK_INS_SHOWN)
    own_zone = client_day.zone_or_none(client.time_zone) or zone
    timeline = Timeline.of(booked, own_zone)
    today = client_day.of(now, own_zone)
    pause = pauses.covering(await pauses.of(db, client_id), today)
    paused_until = None if pause is None else today
    chart = await _chart(db, client_id, booked, appointments, zone=own_zone, days=days, paused_until=paused_until)
    alerts = await _alerts_of(db, client_id)
    last_day = chart.trend[-1].client_day if chart.trend else now.astimezone(zone).date()
    return ClientView(
        client=client,
        course=course,
        substances=courses.active_on(treated, min(last_day, course.ended_on or last_day) if course else last_day),
        team=await team_of(db, client_id, now=now),
        chart=chart,
        alerts=alerts,
        known=await told.of_alerts(db, [alert for alert, _ in alerts]),
        check_ins=[
            checkins.shown(
                row,
                courses.active_on(treated, row.client_day),
                sealer,
                clinic_id=db.clinic_id,
                clinic_zone=zone,
            )
            for row in rows
        ],
        counting=await _counting(db, client_id, rows),
        devices=await devices.devices_of(db, client_id),
        given=[each for each in booked if each.given_at is not None],
        next_infusion=next(
            (each for each in booked if each.state is InfusionState.PLANNED and each.planned_at > now), None
        ),
        at_the_gate=_at_the_gate(booked, own_zone, now),
        next_session=next(
            (each for each in appointments if each.state is SessionState.PLANNED and each.planned_at > now), None
        ),
        answered_ever=await _answered_ever(db, client_id),
        quiet=await findings.quiet_of(db, client_id, rules=QUIET_RULES, from_day=last_day - QUIET_LASTS),
        pause=pause,
        infusion_days={row.check_in_id: timeline.place(row.counted_at, row.client_day) for row in rows},
    )


async def _counting(db: Db, client_id: UUID, rows: Sequence[checkins.CheckInRow]) -> frozenset[UUID]:
    days = [row.client_day for row in rows]
    counted = await checkins.days_of(db, client_id, from_day=min(days), until_day=max(days)) if days else []
    return frozenset(row.check_in_id for row in counted)


def _at_the_gate(booked: Sequence[Infusion], zone: ZoneInfo, now: datetime) -> Infusion | None:
    """The next infusion that is planned or held; one of today also when its time has passed."""
    today = client_day.of(now, zone)
    waiting = [each for each in booked if each.state in (InfusionState.PLANNED, InfusionState.HELD)]
    return next((each for each in waiting if client_day.of(each.planned_at, zone) >= today), None)


async def chart_of(db: Db, client_id: UUID, *, days: int, now: datetime) -> Chart:
    """What the charts of one client draw. Raises NotFound."""
    client = await clients.get(db, client_id)
    booked, appointments = await infusions.of(db, client_id), await sessions.of(db, client_id)
    zone = await client_zone.of(db, client)
    today = client_day.of(now, zone)
    pause = pauses.covering(await pauses.of(db, client_id), today)
    paused_until = None if pause is None else today
    return await _chart(db, client_id, booked, appointments, zone=zone, days=days, paused_until=paused_until)


async def _chart(
    db: Db,
    client_id: UUID,
    booked: Sequence[Infusion],
    appointments: Sequence[TherapySession],
    *,
    zone: ZoneInfo,
    days: int,
    paused_until: date | None,
) -> Chart:
    known = await trend_of(db, client_id, days=days + 1)
    if not known:
        return Chart([], {}, [], [], None)
    trend = known[-days:]
    first, last = trend[0].client_day, trend[-1].client_day
    answers = await checkins.days_of(db, client_id, from_day=first, until_day=last)
    given = [each.given_at for each in booked if each.given_at is not None]
    numbered = [(client_day.of(at, zone), number) for number, at in enumerate(sorted(given), start=1)]
    attended = [each.planned_at for each in appointments if each.state is SessionState.ATTENDED]
    shown_until = last + timedelta(days=1)
    return Chart(
        trend,
        {row.client_day: row.craving for row in answers if len(row.craving) > 1},
        [(on, number) for on, number in numbered if first <= on <= shown_until],
        [on for at in attended if first <= (on := client_day.of(at, zone)) <= shown_until],
        await _usual_since(db, client_id),
        paused_until,
        older=len(known) > days,
    )


# What staff called the new usual begins it anew.
USUAL_SINCE = """
select min(t.client_day)
from trend t
where t.clinic_id = $1
  and t.client_id = $2
  and t.answered
  and t.client_day >= coalesce(
    (
      select max((e.detail ->> 'client_day')::date)
      from alert a
      join alert_event e
        on e.clinic_id = a.clinic_id
        and e.alert_id = a.alert_id
        and e.kind = 'resolved'
      where a.clinic_id = $1
        and a.client_id = $2
        and a.outcome = 'new_usual'
    ),
    '-infinity'
  )
"""


async def _usual_since(db: Db, client_id: UUID) -> date | None:
    found = await db.value(USUAL_SINCE, db.clinic_id, client_id)
    return found if isinstance(found, date) else None
