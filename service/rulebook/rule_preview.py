"""What other rules would have done: the last days of the clinic's clients folded again, nothing stored."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import msgspec

from schemas.alert import Rule
from schemas.client import RecordOrigin
from schemas.rules import ClientPreview, Preview
from service.database import Db
from service.fold import days
from service.fold import facts as fold_facts
from service.fold import findings as fold_findings
from service.fold.facts import ClientFacts
from service.people import clients
from service.rules import rule_sets
from service.rules.rule_sets import Choices, RuleSet

DAYS = 90
CLIENTS_AT_ONCE = 64
WEEK = timedelta(days=7)


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
    # From the states that stood before the time in question, so that no more is folded than what may differ.
    told = await fold_facts.as_of(db, None if client_id is None else [client_id], from_day=since)
    every = [each for each in told if each.origin is RecordOrigin.LIVE]
    for start in range(0, len(every), CLIENTS_AT_ONCE):
        facts = await fold_facts.read(db, every[start : start + CLIENTS_AT_ONCE])
        raised += await _worsenings(db, facts, actual, since=since, now=now)
        would_be += await _worsenings(db, facts, [*before_then, changed], since=since, now=now)
    weeks = await _therapist_weeks(db, since, now) if client_id is None else 0
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
    ready = await rule_sets.ready(db, versions, from_day=min(each.rules_needed_from for each in facts))
    # In a thread, for months of many clients take seconds and others wait for the loop.
    folded = await asyncio.to_thread(days.run, facts, ready, now=now)
    found: Counter[UUID] = Counter()
    for each in folded:
        for finding in fold_findings.of(each, from_day=since, today=now.date()):
            found[each.facts.client_id] += finding.rule is Rule.WORSENING
    return found


async def _therapist_weeks(db: Db, since: date, now: datetime) -> float:
    first = datetime.combine(since, time(), tzinfo=UTC)
    return sum((await clients.therapists_time(db, since=first, until=now)).values(), timedelta()) / WEEK
