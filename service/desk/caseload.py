"""The caseload: everybody a person may see, who needs them first, and why; a constant number of queries."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Finding, Tier
from schemas.client import RecordOrigin
from schemas.course import Pause, Phase, Substance
from schemas.trend import Status
from service import errors
from service.alerting import findings
from service.database import Db
from service.desk import names, open_alerts, reasons, sentences
from service.desk.open_alerts import OpenAlert
from service.facts import client_day, pauses
from service.people import access, clinics
from service.people.access import Reach

SPARK_DAYS = 28
ANSWERED_DAYS = 14
# Among the ranks of urgency that of an open alert whose client is otherwise well: asked for, but not unwell.
OTHER_ALERT = 3
# An answer older than this is no longer "now".
NOW_DAYS = 2


class ClientLine(msgspec.Struct, frozen=True, kw_only=True):
    """A client with the course and the newest trend; no trend before the first client day was folded."""

    client_id: UUID
    given_name: str
    family_name: str
    time_zone: str
    origin: RecordOrigin
    substances: list[Substance]
    phase: Phase | None
    client_day: date | None
    status: Status | None
    silent_days: int | None
    statistic: float | None
    limit_value: float | None
    infusions_given: int
    last_infusion_at: datetime | None
    next_infusion_at: datetime | None
    next_session_at: datetime | None
    answered_ever: int

    @property
    def discharged(self) -> bool:
        """Whether the treatment is over: nobody waits for an answer or a session any more."""
        return self.phase is Phase.DISCHARGED


class SparkDay(msgspec.Struct, frozen=True, kw_only=True):
    """Craving on one client day, and the usual band of that day; null: unknown."""

    client_id: UUID
    client_day: date
    answered: bool
    value: int | None
    low: float | None
    high: float | None


class Line(NamedTuple):
    """One line of the caseload as it is read: `urgency` 0 is the most pressing, `needs` whether it asks for anybody,
    `in_hand` whether all that it asks for was taken on or put off, `tells` the alert that `why` is of: the most urgent
    that nobody has in hand, else the most urgent."""

    client: ClientLine
    spark: list[SparkDay]
    alerts: list[OpenAlert]
    tells: OpenAlert | None
    why: str
    urgency: int
    needs: bool
    in_hand: bool
    days_since_infusion: int | None
    pause: Pause | None
    today: date

    @property
    def spark_until(self) -> date:
        """The last day of the sparkline: today; the last one of a history, or of a treatment that is over."""
        over = self.client.discharged or self.client.origin is not RecordOrigin.LIVE
        return self.spark[-1].client_day if over and self.spark else self.today

    @property
    def mark(self) -> str:
        """What the line is marked with: "urgent", "discharged", "paused", or the status."""
        if self.urgency == 0:
            return "urgent"
        if self.client.discharged:
            return "discharged"
        if self.pause is not None:
            return "paused"
        return self.client.status or Status.LEARNING

    @property
    def waits_as(self) -> str:
        """As what it counts among those whom nobody has in hand; "alert": otherwise well, or paused, but with an open
        alert. What is urgent and in hand does not wait."""
        mark: str | None = self.mark
        if mark == "urgent" and self.tells is not None and self.tells.tier is not Tier.URGENT:
            mark = None if self.pause is not None else self.client.status
        return mark if mark in ("urgent", Status.NOT_ON_TRACK, Status.NO_DATA) else "alert"

    @property
    def now(self) -> int | None:
        """The craving of today's or yesterday's answer, None when there is none."""
        recent = [day.value for day in self.spark if (self.today - day.client_day).days < NOW_DAYS]
        return next((value for value in reversed(recent) if value is not None), None)

    @property
    def next_session_at(self) -> datetime | None:
        """When the next booked session begins; a discharged client has none to be ready for."""
        return None if self.client.discharged else self.client.next_session_at

    @property
    def answered(self) -> tuple[int, int]:
        """Client days answered, of how many on which something was asked, within a fortnight."""
        days = [day for day in self.spark if (self.spark_until - day.client_day).days < ANSWERED_DAYS]
        return sum(day.answered for day in days), len(days)


class Caseload(NamedTuple):
    """Every line a person may see, the most pressing first."""

    lines: list[Line]

    @property
    def needing(self) -> list[Line]:
        """The lines that ask for somebody."""
        return [line for line in self.lines if line.needs]

    @property
    def waiting(self) -> list[Line]:
        """Those of them whom nobody has in hand."""
        return [line for line in self.needing if not line.in_hand]

    @property
    def waiting_by_mark(self) -> dict[str, int]:
        """How many of those wait as what (`Line.waits_as`), in the order of the lines; they add up to `waiting`."""
        return dict(Counter(str(line.waits_as) for line in self.waiting))

    @property
    def next_session_at(self) -> datetime | None:
        """When the next booked session of anybody here begins."""
        return min((line.next_session_at for line in self.lines if line.next_session_at), default=None)


async def read(db: Db, who: Reach, *, now: datetime) -> Caseload:
    """The caseload of whoever has this reach."""
    lines = await _lines_of(db, await access.visible_clients(db, who, now=now), now=now)
    return Caseload(sorted(lines, key=_place))


def _place(line: Line) -> tuple[int, bool, bool, bool, float, str, str]:
    """By urgency, whom nobody has in hand first; of those watched who is far off; who is seen next, then by name."""
    session = line.next_session_at
    at = session.timestamp() if session is not None else 0.0
    named = names.in_order(line.client.given_name, line.client.family_name)
    beyond = sentences.beyond(sentences.share_of_limit(line.client.statistic, line.client.limit_value))
    return line.urgency, line.in_hand, not (beyond and line.mark == Status.WATCH), session is None, at, *named


async def line_of(db: Db, client_id: UUID, *, now: datetime) -> Line:
    """One client's line. Raises NotFound."""
    lines = await _lines_of(db, [client_id], now=now)
    if not lines:
        raise errors.NotFound("Not found.")
    return lines[0]


LINES = """
select
  c.client_id, c.given_name, c.family_name, c.time_zone, c.origin,
  coalesce(course.substances, '{}') as substances, course.phase,
  newest.client_day, newest.status, newest.silent_days, newest.statistic, newest.limit_value,
  coalesce(given.infusions, 0) as infusions_given, given.last_at as last_infusion_at,
  planned.next_at as next_infusion_at, session.next_at as next_session_at,
  coalesce(answers.days, 0) as answered_ever
from client c
left join lateral (
  select
    co.phase,
    array(
      select cs.substance
      from course_substance cs
      where cs.clinic_id = $1
        and cs.course_id = co.course_id
        and cs.until_on is null
      order by cs.is_primary desc, cs.substance
    ) as substances
  from course co
  where co.clinic_id = $1
    and co.client_id = c.client_id
  order by co.started_on desc
  limit 1
) course on true
left join lateral (
  select t.client_day, t.status, t.silent_days, t.statistic, t.limit_value
  from trend t
  where t.clinic_id = $1
    and t.client_id = c.client_id
  order by t.client_day desc
  limit 1
) newest on true
left join lateral (
  select count(*) as infusions, max(i.given_at) as last_at
  from infusion i
  where i.clinic_id = $1
    and i.client_id = c.client_id
    and i.state = 'given'
) given on true
left join lateral (
  select min(i.planned_at) as next_at
  from infusion i
  where i.clinic_id = $1
    and i.client_id = c.client_id
    and i.state = 'planned'
    and i.planned_at > $3
) planned on true
left join lateral (
  select min(s.planned_at) as next_at
  from therapy_session s
  where s.clinic_id = $1
    and s.client_id = c.client_id
    and s.state = 'planned'
    and s.planned_at > $3
) session on true
left join lateral (
  select count(*) as days
  from (
    select
    from trend t
    where t.clinic_id = $1
      and t.client_id = c.client_id
      and t.answered
    limit 7
  ) first_answers
) answers on true
where c.clinic_id = $1
  and c.client_id = any ($2::uuid[])
"""
SPARKS = """
select
  t.client_id, t.client_day, t.answered, t.craving as value, t.band_low[1] as low, t.band_high[1] as high
from trend t
join (
  select n.client_id, max(n.client_day) as last_day
  from trend n
  where n.clinic_id = $1
    and n.client_id = any ($2::uuid[])
  group by n.client_id
) newest
  on newest.client_id = t.client_id
where t.clinic_id = $1
  and t.client_id = any ($2::uuid[])
  and t.client_day > newest.last_day - $3::integer
order by t.client_id, t.client_day
"""


async def _lines_of(db: Db, visible: list[UUID], *, now: datetime) -> list[Line]:
    clients = await db.rows(ClientLine, LINES, db.clinic_id, visible, now)
    sparks: defaultdict[UUID, list[SparkDay]] = defaultdict(list)
    for day in await db.rows(SparkDay, SPARKS, db.clinic_id, visible, SPARK_DAYS):
        sparks[day.client_id].append(day)
    alerts: defaultdict[UUID, list[OpenAlert]] = defaultdict(list)
    for alert in await open_alerts.of(db, visible):
        alerts[alert.client_id].append(alert)
    said = await _reasons_of(db, [alert.alert_id for each in alerts.values() for alert in each])
    clinic_zone = ZoneInfo((await clinics.get(db)).time_zone)
    paused: defaultdict[UUID, list[Pause]] = defaultdict(list)
    for pause in await pauses.of_many(db, visible):
        paused[pause.client_id].append(pause)
    return [
        _line(
            client,
            sparks[client.client_id],
            alerts[client.client_id],
            paused[client.client_id],
            said,
            clinic_zone,
            now=now,
        )
        for client in clients
    ]


async def _reasons_of(db: Db, alert_ids: list[UUID]) -> dict[UUID, Finding]:
    """Of each alert the finding that weighs most; an alert all of whose findings were withdrawn has none."""
    grouped: defaultdict[UUID, list[Finding]] = defaultdict(list)
    for finding in await findings.of_alerts(db, alert_ids):
        if finding.alert_id is not None:
            grouped[finding.alert_id].append(finding)
    weighed = {alert_id: reasons.by_weight(found) for alert_id, found in grouped.items()}
    return {alert_id: found[0] for alert_id, found in weighed.items() if found}


def _line(
    client: ClientLine,
    spark: list[SparkDay],
    alerts: list[OpenAlert],
    paused: list[Pause],
    said: Mapping[UUID, Finding],
    clinic_zone: ZoneInfo,
    *,
    now: datetime,
) -> Line:
    zone = client_day.zone_or_none(client.time_zone) or clinic_zone
    today = client_day.of(now, zone)
    given_on = client_day.of(client.last_infusion_at, zone) if client.last_infusion_at else None
    pause = pauses.covering(paused, today)
    tells = next((alert for alert in alerts if not alert.in_hand(now)), alerts[0] if alerts else None)
    told = said.get(tells.alert_id) if tells is not None else None
    why = _why(client, pause, today)
    if tells is not None and told is not None:
        why = f"{sentences.of_finding(told, today)} {_whose(tells, alerts[0], clinic_zone, now=now)}"
    return Line(
        client,
        spark,
        alerts,
        tells,
        why,
        _urgency(client, alerts, pause),
        _needs(client, alerts, pause),
        bool(alerts) and all(alert.in_hand(now) for alert in alerts),
        (today - given_on).days if given_on else None,
        pause,
        today,
    )


def _needs(client: ClientLine, alerts: Sequence[OpenAlert], pause: Pause | None) -> bool:
    """Whether somebody is asked for: by an open alert or by the status; after discharge only by what cannot wait.

    In a pause the status is that of the day before it, and asks for nobody.
    """
    if client.origin is not RecordOrigin.LIVE:
        return False
    if client.discharged:
        return _asks_today(alerts)
    if pause is not None:
        return bool(alerts)
    return bool(alerts) or client.status in (Status.NOT_ON_TRACK, Status.NO_DATA)


def _asks_today(alerts: Sequence[OpenAlert]) -> bool:
    return bool(alerts) and alerts[0].tier <= Tier.TODAY


def _urgency(client: ClientLine, alerts: Sequence[OpenAlert], pause: Pause | None) -> int:
    """0 urgent, then not on track, no data, another open alert, watch, learning, on track; paused, discharged last."""
    if alerts and alerts[0].tier is Tier.URGENT:
        return 0
    if client.discharged:
        return OTHER_ALERT if _asks_today(alerts) else 9
    if pause is not None:
        return OTHER_ALERT if alerts else 7
    by_status = {
        Status.NOT_ON_TRACK: 1,
        Status.NO_DATA: 2,
        Status.WATCH: 4,
        Status.LEARNING: 5,
        Status.ON_TRACK: 6,
        None: 5,
    }[client.status]
    lifted = min(by_status, OTHER_ALERT) if alerts else by_status
    return lifted if client.origin is RecordOrigin.LIVE else 8


def _whose(tells: OpenAlert, first: OpenAlert, clinic_zone: ZoneInfo, *, now: datetime) -> str:
    whose = open_alerts.whose(tells, clinic_zone, now=now)
    if first is tells:
        return whose
    return f"{whose} {first.tier.word.capitalize()}: {open_alerts.whose(first, clinic_zone, now=now)}"


def _why(client: ClientLine, pause: Pause | None, today: date) -> str:
    """What the status says, where no alert says more."""
    if client.discharged:
        return ""
    if pause is not None:
        return sentences.of_pause(pause, today)
    return sentences.of_status(
        client.status,
        silent_days=client.silent_days,
        answered_ever=client.answered_ever,
        share_of_limit=sentences.share_of_limit(client.statistic, client.limit_value),
    )
