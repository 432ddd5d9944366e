"""The quality ledger, read from alerts, their events and outcomes; nothing is stored for it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from math import sqrt
from uuid import UUID

import msgspec

from schemas.alert import Outcome, Rule
from schemas.quality import BudgetShare, QualityReply, RuleQuality, TherapistLoad, TierPace
from service.alerting import alerts
from service.database import Db
from service.people import clients
from service.rules import rule_sets

RIGHT = alerts.CONFIRMING | {Outcome.NEW_USUAL}
"""The outcomes that say that something was there: somebody acted on it, or it became the client's usual."""
REVIEW_BELOW = 0.25
REVIEW_FROM = 50
WEEK = timedelta(days=7)
Z95 = 1.959964
TWICE = 2


async def read(db: Db, *, days: int, now: datetime) -> QualityReply:
    """The ledger of the alerts opened in the last `days` days."""
    since = now - timedelta(days=days)
    therapists = await _therapists(db, since, now)
    weeks = sum(each.weeks for each in therapists)
    return QualityReply(
        since=since,
        until=now,
        days=days,
        rules=await _rules(db, since),
        pace=await _pace(db, since),
        alerts_per_therapist_week=sum(each.alerts for each in therapists) / weeks if weeks else None,
        therapists=therapists,
        budget=await _budget(db, since),
    )


class _Tally(msgspec.Struct, frozen=True, kw_only=True):
    rule: Rule
    outcome: Outcome | None
    alerts: int


TALLIES = """
select f.rule, a.outcome, count(distinct a.alert_id) as alerts
from alert a
join finding f
  on f.clinic_id = a.clinic_id
  and f.alert_id = a.alert_id
where a.clinic_id = $1
  and a.origin = 'live'
  and a.opened_at >= $2
group by f.rule, a.outcome
order by f.rule, a.outcome
"""


async def _rules(db: Db, since: datetime) -> list[RuleQuality]:
    by_rule: defaultdict[Rule, Counter[Outcome | None]] = defaultdict(Counter)
    for tally in await db.rows(_Tally, TALLIES, db.clinic_id, since):
        by_rule[tally.rule][tally.outcome] += tally.alerts
    found = [of_rule(rule, counted) for rule, counted in by_rule.items()]
    return sorted(found, key=lambda each: (-each.alerts, each.rule))


def of_rule(rule: Rule, by_outcome: Mapping[Outcome | None, int]) -> RuleQuality:
    """A rule's line from its alerts by outcome; None: without one."""
    judged = sum(count for outcome, count in by_outcome.items() if outcome is not None)
    right = sum(by_outcome.get(outcome, 0) for outcome in RIGHT)
    low, high = wilson(right, judged) if judged else (None, None)
    return RuleQuality(
        rule=rule,
        alerts=sum(by_outcome.values()),
        judged=judged,
        right=right,
        false_alarms=by_outcome.get(Outcome.FALSE_ALARM, 0),
        precision=right / judged if judged else None,
        precision_low=low,
        precision_high=high,
        asks_for_review=judged >= REVIEW_FROM and right < REVIEW_BELOW * judged,
    )


def wilson(right: int, judged: int) -> tuple[float, float]:
    """The 95 % score interval of a share `right` / `judged` (Wilson 1927, JASA 22: 209-212); judged > 0."""
    share, spread = right / judged, Z95 * Z95 / judged
    middle = (share + spread / 2) / (1 + spread)
    half = Z95 * sqrt(share * (1 - share) / judged + spread / (4 * judged)) / (1 + spread)
    return max(0.0, middle - half), min(1.0, middle + half)


PACE = """
with acted as (
  select a.tier, a.state,
    extract(epoch from (
      select min(e.happened_at)
      from alert_event e
      where e.clinic_id = $1
        and e.alert_id = a.alert_id
        and e.kind in ('acknowledged', 'resolved')
        and not exists (
          select
          from alert_event back
          where back.clinic_id = e.clinic_id
            and back.alert_id = e.alert_id
            and back.kind = 'given_back'
            and back.alert_event_id > e.alert_event_id
            and back.happened_at <= e.happened_at + interval '1 minute'
        )
    ) - a.opened_at) / 60 as minutes
  from alert a
  where a.clinic_id = $1
    and a.origin = 'live'
    and a.opened_at >= $2
)
select
  tier,
  count(*) as alerts,
  count(minutes) as taken_on,
  count(*) filter (where minutes is null and state not in ('resolved', 'auto_resolved')) as waiting,
  percentile_cont(0.5) within group (order by minutes)::float8 as median_minutes,
  percentile_cont(0.9) within group (order by minutes)::float8 as p90_minutes
from acted
group by tier
order by tier
"""


async def _pace(db: Db, since: datetime) -> list[TierPace]:
    return await db.rows(TierPace, PACE, db.clinic_id, since)


class _Load(msgspec.Struct, frozen=True, kw_only=True):
    staff_id: UUID
    name: str
    alerts: int


LOADS = """
select
  s.staff_id,
  s.name,
  (
    select count(distinct a.alert_id)
    from alert a
    join care_team_member m
      on m.clinic_id = $1
      and m.client_id = a.client_id
      and m.staff_id = s.staff_id
      and m.role = 'therapist'
      and m.from_at <= a.opened_at
      and (m.until_at is null or m.until_at > a.opened_at)
    where a.clinic_id = $1
      and a.origin = 'live'
      and a.opened_at >= $3
  ) as alerts
from staff s
where s.clinic_id = $1
  and s.staff_id = any ($2::uuid[])
order by s.name, s.staff_id
"""


async def _therapists(db: Db, since: datetime, until: datetime) -> list[TherapistLoad]:
    time = await clients.therapists_time(db, since=since, until=until)
    return [
        TherapistLoad(
            staff_id=each.staff_id,
            name=each.name,
            alerts=each.alerts,
            weeks=time[each.staff_id] / WEEK,
            alerts_per_week=each.alerts * WEEK / time[each.staff_id],
        )
        for each in await db.rows(_Load, LOADS, db.clinic_id, list(time), since)
    ]


class _Watched(msgspec.Struct, frozen=True, kw_only=True):
    days: int
    without_need: int


# What a client's first weeks teach is no watching; a day of an import was watched by nobody.
WATCHED = """
select
  count(*) as days,
  (
    select count(*)
    from alert a
    where a.clinic_id = $1
      and a.client_id = t.client_id
      and a.origin = 'live'
      and a.opened_at >= $2
      and a.outcome in ('no_action_needed', 'false_alarm')
      and exists (
        select from finding f
        where f.clinic_id = $1
          and f.alert_id = a.alert_id
          and f.rule = 'worsening'
      )
  ) as without_need
from trend t
where t.clinic_id = $1
  and t.origin = 'live'
  and t.status <> 'learning'
  and t.client_day >= ($2 at time zone 'UTC')::date
group by t.client_id
"""


async def _budget(db: Db, since: datetime) -> BudgetShare:
    budget_days = max(await rule_sets.of(db), key=lambda each: each.version).rules.budget_days
    watched = await db.rows(_Watched, WATCHED, db.clinic_id, since)
    return share_over(((each.days, each.without_need) for each in watched), budget_days)


def share_over(watched: Iterable[tuple[int, int]], budget_days: float) -> BudgetShare:
    """Of clients by (days watched, alerts without need), those with over twice the budget; the little watched not."""
    long_enough = [(days, without_need) for days, without_need in watched if days >= budget_days]
    over = sum(without_need > TWICE * days / budget_days for days, without_need in long_enough)
    return BudgetShare(budget_days=budget_days, clients=len(long_enough), over_twice=over)
