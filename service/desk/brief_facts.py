"""What a brief is written from: the facts of one client since their last appointment, read in one place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import AlertState, Finding, Outcome, Tier
from schemas.brief import BriefFor
from schemas.client import Client
from schemas.course import Course, CourseSubstance, Infusion, InfusionState, Pause, SessionState, TherapySession
from schemas.instrument_response import InstrumentSeries
from schemas.session import CoverageReply
from schemas.treatment import Curve
from service.alerting import findings
from service.database import Db
from service.desk import curves, instruments_page, open_alerts, sessions, treatment_page
from service.desk.open_alerts import OpenAlert
from service.facts import checkins, client_day, courses
from service.facts import sessions as booked_sessions
from service.facts.checkins import CheckInRow
from service.facts.client_day import of as client_day_of
from service.keys.sealing import Sealer
from service.people import clinics

# What is compared with: the days before the last appointment, as many as say what was usual then.
BEFORE_DAYS = 14
CURVE_DAYS = 14
MOST_REPORTS = 400


class Day(NamedTuple):
    """One answered client day; `note` where the reader may read notes and there is one."""

    row: CheckInRow
    craving: int | None
    note: str | None


class AlertSince(msgspec.Struct, frozen=True, kw_only=True):
    """An alert that is open, or was opened or closed since, and who has it."""

    alert_id: UUID
    tier: Tier
    state: AlertState
    opened_at: datetime
    acknowledged_by: str | None
    closed_at: datetime | None
    outcome: Outcome | None


class BriefFacts(NamedTuple):
    """All that the sentences are filled from; days are client days, `since` the last appointment or the course's
    first day. `reports`: every check-in since, of either kind, oldest first: use may be told in any of them. `unsafe`:
    those of them with a yes to the safety question, with what was said beside it."""

    client: Client
    course: Course
    zone: ZoneInfo
    clinic_zone: ZoneInfo
    now: datetime
    today: date
    since: datetime
    since_appointment: bool
    before: Sequence[Day]
    days: Sequence[Day]
    reports: Sequence[CheckInRow]
    unsafe: Sequence[Day]
    substances: Sequence[CourseSubstance]
    pauses: Sequence[Pause]
    infusions: Sequence[Infusion]
    curves: Sequence[Curve]
    sessions: Sequence[TherapySession]
    coverage: CoverageReply
    alerts: Sequence[tuple[AlertSince, Sequence[Finding]]]
    open_alerts: Sequence[OpenAlert]
    instruments: Sequence[InstrumentSeries]

    @property
    def since_on(self) -> date:
        """The client day of the last appointment."""
        return client_day_of(self.since, self.zone)

    @property
    def next_infusion(self) -> Infusion | None:
        """The next infusion that is planned or held; one of today also when its time has passed."""
        waiting = [each for each in self.infusions if each.state in (InfusionState.PLANNED, InfusionState.HELD)]
        return next((each for each in waiting if client_day_of(each.planned_at, self.zone) >= self.today), None)

    @property
    def next_session(self) -> TherapySession | None:
        """The next session that is planned."""
        return next(
            (each for each in self.sessions if each.state is SessionState.PLANNED and each.planned_at > self.now), None
        )


async def read(db: Db, client_id: UUID, brief_for: BriefFor, *, sealer: Sealer | None, now: datetime) -> BriefFacts:
    """The facts since the last appointment of that kind; notes only where the reader's `sealer` opens them.

    Raises NotFound where there is no such client, or no course.
    """
    view = await treatment_page.read(db, client_id, now=now)
    booked = await booked_sessions.of(db, client_id)
    given = sorted(each.given_at for each in view.infusions if each.given_at is not None)
    attended = [each.planned_at for each in booked if each.state is SessionState.ATTENDED and each.planned_at <= now]
    appointments = attended if brief_for is BriefFor.THERAPY else given
    began = client_day.ends_at(view.course.started_on - timedelta(days=1), view.zone)
    since = max(appointments, default=began)
    since_on = client_day_of(since, view.zone)
    rows = await checkins.days_of(db, client_id, from_day=since_on - timedelta(days=BEFORE_DAYS), until_day=view.day)
    days = [_day(db, row, view.periods, sealer) for row in rows]
    before = [each for each in days if each.row.counted_at <= since]
    # Its own day is one of them where it was answered before it.
    own = any(each.row.client_day == since_on for each in before)
    before = [each for each in before if each.row.client_day >= since_on - timedelta(days=BEFORE_DAYS - own)]
    reports = await _reports_since(db, client_id, since)
    return BriefFacts(
        client=view.client,
        course=view.course,
        zone=view.zone,
        clinic_zone=ZoneInfo((await clinics.get(db)).time_zone),
        now=now,
        today=view.day,
        since=since,
        since_appointment=bool(appointments),
        before=before,
        days=[each for each in days if each.row.counted_at > since],
        reports=reports,
        unsafe=[_day(db, row, view.periods, sealer) for row in reports if row.safety],
        substances=await courses.substances_of(db, client_id),
        pauses=view.pauses,
        infusions=view.infusions,
        curves=await curves.of(db, client_id, days=CURVE_DAYS),
        sessions=booked,
        coverage=await sessions.coverage_of(db, client_id, now=now),
        alerts=await _alerts_since(db, client_id, since),
        open_alerts=await open_alerts.of(db, [client_id]),
        instruments=(await instruments_page.read(db, client_id, now=now)).series,
    )


def _day(db: Db, row: CheckInRow, substances: Sequence[CourseSubstance], sealer: Sealer | None) -> Day:
    note = None
    if row.note_sealed is not None and sealer is not None:
        note = sealer.open(row.note_sealed, bound_to=checkins.note_binding(db.clinic_id, row.check_in_id)).decode()
    return Day(row, checkins.day_craving(row, courses.active_on(substances, row.client_day)), note)


async def _reports_since(db: Db, client_id: UUID, since: datetime) -> list[CheckInRow]:
    recent = await checkins.history(db, client_id, limit=MOST_REPORTS)
    return [row for row in reversed(recent) if row.counted_at > since]


ALERTS_SINCE = """
select a.alert_id, a.tier, a.state, a.opened_at, s.name as acknowledged_by, a.closed_at, a.outcome
from alert a
left join staff s
  on s.clinic_id = a.clinic_id
  and s.staff_id = a.acknowledged_by
where a.clinic_id = $1
  and a.client_id = $2
  and a.origin = 'live'
  and (a.closed_at is null or a.closed_at > $3)
order by (a.closed_at is not null), a.tier, a.opened_at desc
limit 20
"""


async def _alerts_since(db: Db, client_id: UUID, since: datetime) -> list[tuple[AlertSince, list[Finding]]]:
    alerts = await db.rows(AlertSince, ALERTS_SINCE, db.clinic_id, client_id, since)
    found = await findings.of_alerts(db, [alert.alert_id for alert in alerts])
    return [(alert, [each for each in found if each.alert_id == alert.alert_id]) for alert in alerts]
