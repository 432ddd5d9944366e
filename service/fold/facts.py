"""What a fold reads: the facts of some clients, in one query a kind whatever their number."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Finding, Outcome, Rule
from schemas.client import RecordOrigin
from schemas.course import CourseSubstance, Pause
from service import detection
from service.alerting import alerts, findings
from service.database import Db
from service.facts import checkins, client_day, pauses
from service.facts.checkins import CheckInRow
from service.people import clinics

log = logging.getLogger(__name__)

# A queue may hold answers from before the enrolment of its present phone. Anything older comes from a clock that had
# lost its date: it is stored and shown, and opens no years of silence.
LONGEST_BEFORE_ENROLMENT = timedelta(days=400)
FOLD_RULES = (
    Rule.WORSENING,
    Rule.WANING,
    Rule.SILENCE_AFTER_INFUSION,
    Rule.SILENCE,
    Rule.LEARNING,
    Rule.IMPROVING,
)


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A client whose trend is due from `from_day` on; the state before that day, and the newest state's day.

    `version` names the row of the queue as it was read: every change of a fact makes another of it.
    """

    client_id: UUID
    from_day: date
    version: str
    time_zone: str
    enrolled_on: date
    origin: RecordOrigin
    checkpoint_day: date | None
    checkpoint_state: bytes | None
    newest_day: date | None
    newest_layout: bytes | None
    # What is found of days before it is no news: another version of the detector has judged them.
    told_before: date | None


class CoursePeriod(msgspec.Struct, frozen=True, kw_only=True):
    """The client days of one course, both inclusive."""

    client_id: UUID
    started_on: date
    ended_on: date | None


@dataclass(frozen=True)
class ClientFacts:
    """Everything the fold of one client rests on, from `start` on."""

    due: Due
    zone: ZoneInfo
    start: date
    days: dict[date, CheckInRow] = field(default_factory=dict)
    courses: list[CoursePeriod] = field(default_factory=list)
    substances: list[CourseSubstance] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    infusion_days: set[date] = field(default_factory=set)
    booked_days: set[date] = field(default_factory=set)
    new_usual_days: set[date] = field(default_factory=set)
    confirmed_days: set[date] = field(default_factory=set)
    standing: list[Finding] = field(default_factory=list)

    @property
    def client_id(self) -> UUID:
        """Whose facts these are."""
        return self.due.client_id

    @property
    def rules_needed_from(self) -> date:
        """The first day whose rules a fold may ask for: that of the state it begins with, or of its own first day."""
        return self.start if self.due.checkpoint_day is None else min(self.start, self.due.checkpoint_day)

    def is_active(self, day: date) -> bool:
        """Whether charts run: before the first course and during each, not in a pause, not after discharge."""
        if pauses.covering(self.pauses, day) is not None:
            return False
        begun = [course for course in self.courses if course.started_on <= day]
        return not begun or any(course.ended_on is None or day <= course.ended_on for course in begun)

    def last_day(self, now: datetime) -> date:
        """The day up to which the trend goes: the last closed one, or the last answered one where that is later.

        After discharge nothing more comes, and an imported history ends with its last answer.
        """
        answered = max(self.days, default=self.start - timedelta(days=1))
        last = answered
        if self.due.origin is RecordOrigin.LIVE:
            last = max(answered, client_day.last_closed(now, self.zone))
        ends = [course.ended_on for course in self.courses]
        if ends and None not in ends:
            last = min(last, max(end for end in ends if end is not None))
        return last

    def kept_day(self, now: datetime) -> date:
        """The newest day after which the state is kept: an open day's answer may still be replaced by a later one."""
        last_day = self.last_day(now)
        if self.due.origin is RecordOrigin.IMPORT:
            return last_day
        return min(last_day, client_day.last_closed(now, self.zone))


DUE = """
with due as (
  select client_id, from_day, xmin::text as version
  from fold_due
  where clinic_id = $1
    and (client_id = any ($2::uuid[]) or ($2 is null and (retry_at is null or retry_at <= $4)))
  order by since, client_id
  limit $3
)
select
  due.client_id, due.from_day, due.version, c.time_zone, c.enrolled_on, c.origin,
  checkpoint.client_day as checkpoint_day, checkpoint.state as checkpoint_state,
  newest.client_day as newest_day, newest.layout as newest_layout, null::date as told_before
from due
join client c
  on c.clinic_id = $1
  and c.client_id = due.client_id
left join lateral (
  select t.client_day, t.state
  from trend_checkpoint t
  where t.clinic_id = $1
    and t.client_id = due.client_id
    and t.client_day < due.from_day
  order by t.client_day desc
  limit 1
) checkpoint on true
left join lateral (
  select t.client_day, substring(t.state for 6) as layout
  from trend_checkpoint t
  where t.clinic_id = $1
    and t.client_id = due.client_id
  order by t.client_day desc
  limit 1
) newest on true
order by due.client_id
"""


async def due(db: Db, client_ids: Sequence[UUID] | None, *, limit: int, now: datetime) -> list[Due]:
    """Clients whose trend is due: of these, or (None) the longest waiting who are not set aside. None is locked yet."""
    every = await db.rows(Due, DUE, db.clinic_id, None if client_ids is None else list(client_ids), limit, now)
    return [_with_usable_state(db, each) for each in every]


AS_OF = """
select
  c.client_id, $3::date as from_day, '' as version, c.time_zone, c.enrolled_on, c.origin,
  checkpoint.client_day as checkpoint_day, checkpoint.state as checkpoint_state, null::date as newest_day,
  null::bytea as newest_layout, null::date as told_before
from client c
left join lateral (
  select t.client_day, t.state
  from trend_checkpoint t
  where t.clinic_id = $1
    and t.client_id = c.client_id
    and t.client_day < $3
  order by t.client_day desc
  limit 1
) checkpoint on true
where c.clinic_id = $1
  and ($2::uuid[] is null or c.client_id = any ($2))
order by c.client_id
"""


async def as_of(db: Db, client_ids: Sequence[UUID] | None, *, from_day: date) -> list[Due]:
    """These clients, or (None) all of them, as if their trend were due from a day on.

    For reading: no row of the queue says so. From `date.min` on it is the whole trend.
    """
    every = await db.rows(Due, AS_OF, db.clinic_id, None if client_ids is None else list(client_ids), from_day)
    return [_with_usable_state(db, each) for each in every]


def _with_usable_state(db: Db, due: Due) -> Due:
    """Without its state where another version of the detector wrote it: then the fold begins at the first day, and
    tells of no day that it would not have told of."""
    if not _is_outdated(due):
        return due
    log.warning("fold_state_outdated", extra={"clinic_id": db.clinic_id, "client_id": due.client_id})
    newest = due.newest_day or due.checkpoint_day
    told_before = due.from_day if newest is None else min(due.from_day, newest + timedelta(days=1))
    return msgspec.structs.replace(
        due,
        from_day=date.min,
        checkpoint_day=None,
        checkpoint_state=None,
        newest_day=None,
        told_before=told_before,
    )


def _is_outdated(due: Due) -> bool:
    """Whether another version wrote the state that the fold would begin with or, where there is none, what is kept."""
    if due.checkpoint_state is None:
        return due.newest_layout is not None and due.newest_layout != detection.State.head()
    try:
        detection.State.from_rows([due.checkpoint_state])
    except detection.StateLayoutError:
        return True
    return False


HOLD = """
select q.client_id
from fold_due q
join unnest($2::uuid[], $3::text[]) as seen (client_id, version)
  on q.client_id = seen.client_id
where q.clinic_id = $1
  and q.xmin::text = seen.version
for update of q skip locked
"""


async def hold(db: Db, clients_due: Sequence[Due]) -> set[UUID]:
    """Lock those whose facts are still what was read; whoever changes a fact of theirs now waits for our commit."""
    ids = [each.client_id for each in clients_due]
    held = await db.connection.fetch(HOLD, db.clinic_id, ids, [each.version for each in clients_due])
    return {record["client_id"] for record in held}


async def read(db: Db, clients_due: Sequence[Due]) -> list[ClientFacts]:
    """The facts of these clients from the day after their state on; without a state from their first day on."""
    clinic_zone = ZoneInfo((await clinics.get(db)).time_zone)
    zones = {each.client_id: client_day.zone_or_none(each.time_zone) or clinic_zone for each in clients_due}
    from_days = {
        each.client_id: each.enrolled_on - LONGEST_BEFORE_ENROLMENT
        if each.checkpoint_day is None
        else each.checkpoint_day + timedelta(days=1)
        for each in clients_due
    }
    rows: dict[UUID, dict[date, CheckInRow]] = {each.client_id: {} for each in clients_due}
    for row in await checkins.days_of_many(db, from_days, until_day=date.max):
        rows[row.client_id][row.client_day] = row
    facts = {}
    for each in clients_due:
        days = rows[each.client_id]
        start = from_days[each.client_id]
        if each.checkpoint_day is None:
            start = min(each.enrolled_on, min(days, default=each.enrolled_on))
        facts[each.client_id] = ClientFacts(due=each, zone=zones[each.client_id], start=start, days=days)
    await _add_courses(db, facts)
    await _add_infusions(db, facts)
    await _add_outcomes(db, facts)
    for finding in await findings.standing_of_many(db, list(facts), rules=FOLD_RULES):
        facts[finding.client_id].standing.append(finding)
    return list(facts.values())


class _ClientSubstance(CourseSubstance, frozen=True, kw_only=True):
    client_id: UUID


COURSES = """
select client_id, started_on, ended_on
from course
where clinic_id = $1
  and client_id = any ($2::uuid[])
order by client_id, started_on
"""
SUBSTANCES = """
select c.client_id, cs.course_id, cs.substance, cs.is_primary, cs.from_on, least(cs.until_on, c.ended_on) as until_on
from course_substance cs
join course c
  on c.clinic_id = cs.clinic_id
  and c.course_id = cs.course_id
where cs.clinic_id = $1
  and c.client_id = any ($2::uuid[])
order by c.client_id, cs.is_primary desc, cs.substance
"""


async def _add_courses(db: Db, facts: dict[UUID, ClientFacts]) -> None:
    for course in await db.rows(CoursePeriod, COURSES, db.clinic_id, list(facts)):
        facts[course.client_id].courses.append(course)
    for substance in await db.rows(_ClientSubstance, SUBSTANCES, db.clinic_id, list(facts)):
        facts[substance.client_id].substances.append(substance)
    for pause in await pauses.of_many(db, list(facts)):
        facts[pause.client_id].pauses.append(pause)


class _Infusion(msgspec.Struct, frozen=True):
    client_id: UUID
    given_at: datetime | None
    planned_at: datetime


INFUSIONS = """
select client_id, given_at, planned_at
from infusion
where clinic_id = $1
  and client_id = any ($2::uuid[])
  and state in ('given', 'planned')
"""


async def _add_infusions(db: Db, facts: dict[UUID, ClientFacts]) -> None:
    for infusion in await db.rows(_Infusion, INFUSIONS, db.clinic_id, list(facts)):
        client = facts[infusion.client_id]
        if infusion.given_at is not None:
            client.infusion_days.add(client_day.of(infusion.given_at, client.zone))
        else:
            client.booked_days.add(client_day.of(infusion.planned_at, client.zone))


class _Outcome(msgspec.Struct, frozen=True, kw_only=True):
    client_id: UUID
    outcome: Outcome
    client_day: date
    about_worsening: bool


OUTCOMES = """
select
  a.client_id, e.detail ->> 'outcome' as outcome, (e.detail ->> 'client_day')::date as client_day,
  exists (
    select
    from finding f
    where f.clinic_id = $1
      and f.alert_id = a.alert_id
      and f.rule = 'worsening'
  ) as about_worsening
from alert a
join alert_event e
  on e.clinic_id = a.clinic_id
  and e.alert_id = a.alert_id
where a.clinic_id = $1
  and a.client_id = any ($2::uuid[])
  and a.state = 'resolved'
  and e.kind = 'resolved'
  and not exists (
    select
    from alert_event taken_back
    where taken_back.clinic_id = $1
      and taken_back.alert_id = a.alert_id
      and taken_back.kind = 'undone'
      and taken_back.alert_event_id > e.alert_event_id
  )
"""


async def _add_outcomes(db: Db, facts: dict[UUID, ClientFacts]) -> None:
    for row in await db.rows(_Outcome, OUTCOMES, db.clinic_id, list(facts)):
        client = facts[row.client_id]
        if row.outcome is Outcome.NEW_USUAL and row.about_worsening:
            client.new_usual_days.add(row.client_day)
        elif row.outcome in alerts.CONFIRMING and row.about_worsening:
            client.confirmed_days.add(row.client_day)
