"""The fold: a client's new facts become trend rows, findings and alerts, in one transaction.

Whatever the order in which answers arrive and however folds are split, the same facts give the same rows: a fold goes
on from the state before the first changed day, and a fold from the first day gives what all the folds before it gave.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from uuid import UUID

import msgspec

from schemas.alert import Finding, NewFinding, Rule
from schemas.trend import Trend
from service import database, trends
from service.alerting import alerts, findings
from service.database import Db, Pool
from service.facts import checkins, client_day, fold_queue
from service.fold import days
from service.fold import facts as fold_facts
from service.fold import findings as fold_findings
from service.fold.days import FoldedClient
from service.people import audit
from service.rules import rule_sets
from service.rules.rule_sets import RuleSet

# Whoever sends a check-in waits while their own client is folded, so a transaction folds few.
CLIENTS_AT_ONCE = 16
# The days before a crossing whose check-ins a finding names: as far back as the detector looks for an onset.
INPUT_DAYS = 28
NOT_FOUND_AGAIN = "not found after a later answer or a change of the course"


class Folded(msgspec.Struct, kw_only=True):
    """What folding did; `due` were looked at, `clients` of them folded."""

    due: int = 0
    clients: int = 0
    client_days: int = 0
    opened: int = 0
    joined: int = 0
    withdrawn: int = 0

    def add(self, other: Folded) -> None:
        """Count a further transaction."""
        self.due += other.due
        self.clients += other.clients
        self.client_days += other.client_days
        self.opened += other.opened
        self.joined += other.joined
        self.withdrawn += other.withdrawn


async def fold_client(db: Db, client_id: UUID, *, now: datetime) -> Folded:
    """Fold one client whose trend is due; nothing where it is not, or where somebody else folds it right now."""
    return await fold_clients(db, [client_id], now=now)


async def fold_clients(
    db: Db, client_ids: Sequence[UUID] | None, *, now: datetime, limit: int = CLIENTS_AT_ONCE
) -> Folded:
    """Fold up to `limit` of these clients (None: of all) whose trend is due, the longest waiting first.

    Facts are read and folded before the queue's rows are locked, so that a check-in waits for the writing alone.
    A client whose facts changed meanwhile stays due, and one whom somebody else folds is left to them.
    """
    due = await fold_facts.due(db, client_ids, limit=limit, now=now)
    counts = Folded(due=len(due))
    if not due:
        return counts
    facts = await fold_facts.read(db, due)
    first_day = min(each.rules_needed_from for each in facts)
    versions = await rule_sets.ready(db, await rule_sets.of(db), from_day=first_day)
    # In a thread, because years of days take seconds and the loop has urgent messages to send meanwhile.
    every = await asyncio.to_thread(days.run, facts, versions, now=now)
    held = await fold_facts.hold(db, due)
    folded = [each for each in every if each.facts.client_id in held]
    await _write(db, folded, versions, counts, now=now)
    return counts


async def _write(
    db: Db, folded: Sequence[FoldedClient], versions: Sequence[RuleSet], counts: Folded, *, now: datetime
) -> None:
    from_days = {each.facts.client_id: _changed_from(each) for each in folded}
    rows = [
        (each.facts.client_id, day.trend)
        for each in folded
        for day in each.days
        if day.trend.client_day >= from_days[each.facts.client_id]
    ]
    await trends.replace(db, from_days, rows)
    await trends.replace_checkpoints(db, from_days, [kept for each in folded for kept in each.checkpoints])
    for each in folded:
        changed_from = from_days[each.facts.client_id]
        from_day = max(changed_from, each.facts.due.told_before or changed_from)
        await _tell(db, each, versions, counts, from_day=from_day, now=now)
    await audit.record_each(db, audit.JOB, "trend.fold", list(from_days), now=now)
    await fold_queue.settle(db, list(from_days))
    counts.clients += len(folded)
    counts.client_days += len(rows)


async def fold_many(pool: Pool, clinic_id: UUID, client_ids: Sequence[UUID], *, now: datetime) -> Folded:
    """Fold those of many clients that are due, a few a transaction; for imports, demonstrations and rebuilding."""
    counts = Folded()
    for start in range(0, len(client_ids), CLIENTS_AT_ONCE):
        some = client_ids[start : start + CLIENTS_AT_ONCE]
        async with database.transaction(pool, clinic_id) as db:
            counts.add(await fold_clients(db, some, now=now))
    return counts


async def rebuild(db: Db, client_id: UUID, *, now: datetime) -> Folded:
    """Fold a client's days again from the first; what comes out is what stood there."""
    await fold_queue.mark_due(db, client_id, from_day=date.min, now=now)
    await trends.forget(db, client_id)
    return await fold_client(db, client_id, now=now)


async def recomputed(db: Db, client_ids: Sequence[UUID], *, now: datetime) -> dict[UUID, list[Trend]]:
    """The trends of some clients computed from the first day, each client's in order; nothing stored."""
    facts = await fold_facts.read(db, await fold_facts.as_of(db, client_ids, from_day=date.min))
    versions = await rule_sets.ready(db, await rule_sets.of(db), from_day=min(each.rules_needed_from for each in facts))
    every = await asyncio.to_thread(days.run, facts, versions, now=now)
    return {each.facts.client_id: [day.trend for day in each.days] for each in every}


async def replay(db: Db, client_id: UUID, *, now: datetime) -> list[tuple[Finding, NewFinding | None]]:
    """What stands of a client's folded findings, each beside the same found again from the first day; nothing stored.

    None: it is not found any more, for its facts changed since. Equal facts give equal numbers, to the last byte.
    """
    facts = await fold_facts.read(db, await fold_facts.as_of(db, [client_id], from_day=date.min))
    versions = await rule_sets.ready(db, await rule_sets.of(db), from_day=min(each.rules_needed_from for each in facts))
    [folded] = await asyncio.to_thread(days.run, facts, versions, now=now)
    # The slots that were booked then are no fact of today: what a finding was held against, it names itself.
    named = [each.numbers.get("next_infusion_on") for each in folded.facts.standing]
    folded.facts.booked_days.update(date.fromisoformat(each) for each in named if isinstance(each, str))
    again = fold_findings.of(folded, from_day=date.min, today=client_day.of(now, folded.facts.zone))
    found = {(each.rule, each.client_day): await _naming_inputs(db, folded, each) for each in again}
    return [(each, found.get((each.rule, each.client_day))) for each in folded.facts.standing]


def _changed_from(folded: FoldedClient) -> date:
    """The first client day whose row may change: the first changed day, or the first that has no row yet."""
    due = folded.facts.due
    if due.checkpoint_day is None:
        return min(due.from_day, folded.facts.start)
    newest = due.newest_day or due.checkpoint_day
    return min(due.from_day, newest + timedelta(days=1))


async def _tell(
    db: Db, folded: FoldedClient, versions: Sequence[RuleSet], counts: Folded, *, from_day: date, now: datetime
) -> None:
    """Append what is found now and was not before, and withdraw what was found before and is not now."""
    facts = folded.facts
    found = fold_findings.of(folded, from_day=from_day, today=client_day.of(now, facts.zone))
    for place in fold_findings.lost(folded, found, from_day=from_day):
        finding = facts.standing[place]
        if await findings.withdraw(db, finding.finding_id, why=NOT_FOUND_AGAIN, now=now):
            counts.withdrawn += 1
        if finding.alert_id is not None:
            await alerts.mark_recalculated(db, finding.alert_id, finding_id=finding.finding_id, now=now)
    stood = {(each.rule, each.client_day) for each in facts.standing}
    fresh = [each for each in found if (each.rule, each.client_day) not in stood]
    for version, group in groupby(fresh, key=lambda each: rule_sets.on(versions, each.client_day).version):
        named = [await _naming_inputs(db, folded, each) for each in group]
        change = await alerts.open_or_join(
            db, facts.client_id, named, now=now, rule_set_version=version, origin=facts.due.origin
        )
        counts.opened += len(change.opened)
        counts.joined += len(change.joined)


async def _naming_inputs(db: Db, folded: FoldedClient, finding: NewFinding) -> NewFinding:
    """A finding of worsening with the check-ins it rests on, and how many days lacked one."""
    if finding.rule is not Rule.WORSENING:
        return finding
    first = finding.client_day - timedelta(days=INPUT_DAYS - 1)
    rows = await checkins.days_of(db, folded.facts.client_id, from_day=first, until_day=finding.client_day)
    numbers = {
        **finding.numbers,
        "check_in_ids": [str(row.check_in_id) for row in rows],
        "missing_days": INPUT_DAYS - len(rows),
    }
    return msgspec.structs.replace(finding, numbers=numbers)
