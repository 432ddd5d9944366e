"""What other rules would have done: the last days of the clinic's clients folded again, nothing stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.alert import Rule
from schemas.client import RecordOrigin
from schemas.rules import ClientPreview, Preview
from service import detection, rule_sets
from service.database import Db
from service.fold import days
from service.fold import facts as fold_facts
from service.fold import findings as fold_findings
from service.fold.facts import ClientFacts, Due
from service.rule_sets import Choices, RuleSet

DAYS = 90
CLIENTS_AT_ONCE = 64
WEEK_DAYS = 7


async def of(db: Db, change: Callable[[Choices], Choices], *, client_id: UUID | None, now: datetime) -> Preview:
    """Worsening alerts of the last DAYS days with the newest rules changed, beside those of the rules as they were.

    For one client, or (None) for all of the clinic's own; whom the reader may not see, the caller leaves out.
    """
    since = now.date() - timedelta(days=DAYS)
    actual = await rule_sets.of(db)
    newest = max(actual, key=lambda each: each.version)
    changed = msgspec.structs.replace(newest, version=newest.version + 1, valid_from=since, rules=change(newest.rules))
    before_then = [each for each in actual if each.valid_from < since] or [min(actual, key=lambda each: each.version)]
    raised: Counter[UUID] = Counter()
    would_be: Counter[UUID] = Counter()
    every = await _clients(db, since, client_id)
    for start in range(0, len(every), CLIENTS_AT_ONCE):
        facts = await fold_facts.read(db, every[start : start + CLIENTS_AT_ONCE])
        raised += await _worsenings(db, facts, actual, since=since, now=now)
        would_be += await _worsenings(db, facts, [*before_then, changed], since=since, now=now)
    weeks = await _therapist_days(db, since, now) / WEEK_DAYS if client_id is None else 0
    return Preview(
        days=DAYS,
        budget_days=changed.rules.budget_days if client_id is None else changed.rules.budget_of(client_id),
        now=raised.total(),
        then=would_be.total(),
        per_therapist_week_now=raised.total() / weeks if weeks else None,
        per_therapist_week_then=would_be.total() / weeks if weeks else None,
        clients=[
            ClientPreview(client_id=each.client_id, now=raised[each.client_id], then=would_be[each.client_id])
            for each in every
            if raised[each.client_id] != would_be[each.client_id]
        ],
    )


async def _worsenings(
    db: Db, facts: Sequence[ClientFacts], versions: Sequence[RuleSet], *, since: date, now: datetime
) -> Counter[UUID]:
    first_day = min((each.start for each in facts), default=since)
    ready = await rule_sets.ready(db, versions, from_day=min([first_day, *_checkpoint_days(facts)]))
    # In a thread, for months of many clients take seconds and others wait for the loop.
    folded = await asyncio.to_thread(days.run, facts, ready, now=now)
    found: Counter[UUID] = Counter()
    for each in folded:
        for finding in fold_findings.of(each, from_day=since, today=now.date()):
            found[each.facts.client_id] += finding.rule is Rule.WORSENING
    return found


def _checkpoint_days(facts: Sequence[ClientFacts]) -> list[date]:
    return [each.due.checkpoint_day for each in facts if each.due.checkpoint_day is not None]


class _Client(msgspec.Struct, frozen=True, kw_only=True):
    client_id: UUID
    time_zone: str
    enrolled_on: date
    checkpoint_day: date | None
    checkpoint_state: bytes | None


# The state that stood before the time in question, so that no more is folded than what may differ.
CLIENTS = """
select c.client_id, c.time_zone, c.enrolled_on, checkpoint.client_day as checkpoint_day,
  checkpoint.state as checkpoint_state
from client c
left join lateral (
  select t.client_day, t.state
  from trend_checkpoint t
  where t.clinic_id = $1
    and t.client_id = c.client_id
    and t.client_day < $2
  order by t.client_day desc
  limit 1
) checkpoint on true
where c.clinic_id = $1
  and c.origin = 'live'
  and ($3::uuid is null or c.client_id = $3)
order by c.client_id
"""


async def _clients(db: Db, since: date, client_id: UUID | None) -> list[Due]:
    return [_due(each, since) for each in await db.rows(_Client, CLIENTS, db.clinic_id, since, client_id)]


def _due(client: _Client, since: date) -> Due:
    usable = client.checkpoint_state is not None
    if client.checkpoint_state is not None:
        try:
            detection.State.from_rows([client.checkpoint_state])
        except detection.StateLayoutError:
            usable = False
    return Due(
        client_id=client.client_id,
        from_day=since,
        version="",
        time_zone=client.time_zone,
        enrolled_on=client.enrolled_on,
        origin=RecordOrigin.LIVE,
        checkpoint_day=client.checkpoint_day if usable else None,
        checkpoint_state=client.checkpoint_state if usable else None,
        newest_day=None,
    )


THERAPIST_DAYS = """
select coalesce(sum(extract(epoch from upper(span) - lower(span)) / 86400), 0)::float8
from (
  select unnest(range_agg(tstzrange(greatest(from_at, $2), least(coalesce(until_at, $3), $3)))) as span
  from care_team_member
  where clinic_id = $1
    and role = 'therapist'
    and from_at < $3
    and coalesce(until_at, $3) > $2
  group by staff_id
) as working
"""


async def _therapist_days(db: Db, since: date, now: datetime) -> float:
    first = datetime.combine(since, datetime.min.time(), tzinfo=now.tzinfo)
    found = await db.value(THERAPIST_DAYS, db.clinic_id, first, now)
    return float(found) if isinstance(found, float) else 0.0
