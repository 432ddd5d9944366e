"""Rule sets: which version of the clinic's rules holds on a client day, and the detector's rules it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from service import detection, ids
from service.database import Db
from service.detection import Shipped
from service.rules import populations

# Somewhere in the world a client day is up to ten hours ahead of UTC (14 hours, less the 4 after midnight).
_FURTHEST_AHEAD = timedelta(hours=10)


class Choices(msgspec.Struct, frozen=True):
    """What a clinic chose: one false alert per `budget_days` stable client days, another number for some clients; and
    the population its people are held against, None: the shipped one."""

    budget_days: float = 60
    population: int | None = None
    clients: dict[UUID, float] = {}

    def budget_of(self, client_id: UUID) -> float:
        """The stable client days for one false alert that hold for a client."""
        return self.clients.get(client_id, self.budget_days)


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    valid_from: date
    rules: Choices


class RuleSet(_Stored, frozen=True, kw_only=True):
    """One version, in force from a client day on until a later version is; `fitted` are its population's rules."""

    fitted: Shipped | None = None


OF_CLINIC = """
select version, valid_from, rules
from rule_set
where clinic_id = $1
order by version
"""


async def of(db: Db) -> list[RuleSet]:
    """Every version of the clinic's rules, without the numbers of their populations."""
    stored = await db.rows(_Stored, OF_CLINIC, db.clinic_id)
    return [RuleSet(version=each.version, valid_from=each.valid_from, rules=each.rules) for each in stored]


async def ready(db: Db, rule_sets: Sequence[RuleSet], *, from_day: date) -> list[RuleSet]:
    """The same versions, those that a fold from `from_day` on may need with their populations."""
    holding = {on(rule_sets, from_day).version} | {each.version for each in rule_sets if each.valid_from > from_day}
    needed = {each.rules.population for each in rule_sets if each.version in holding} - {None}
    if not needed:
        return list(rule_sets)
    fitted = await populations.of_versions(db, [version for version in needed if version is not None])
    return [
        each
        if each.rules.population is None
        else msgspec.structs.replace(each, fitted=fitted.get(each.rules.population))
        for each in rule_sets
    ]


def on(rule_sets: Sequence[RuleSet], client_day: date) -> RuleSet:
    """The newest version that holds on a client day; before the first of them holds, the oldest."""
    holding = [each for each in rule_sets if each.valid_from <= client_day]
    return max(holding, key=lambda each: each.version) if holding else min(rule_sets, key=lambda each: each.version)


def detector(rule_set: RuleSet, budget_days: float) -> detection.Rules:
    """The numbers with which the detector runs under this version, at the budget of some of its clients."""
    if rule_set.rules.population is None:
        return detection.shipped_rules(budget_days)
    assert rule_set.fitted is not None, "a version that runs was made ready"
    return rule_set.fitted.at(budget_days)


def first_day_not_begun(now: datetime) -> date:
    """The first client day that has begun nowhere yet: what holds from it on changes no folded day."""
    return (now.astimezone(UTC) + _FURTHEST_AHEAD).date() + timedelta(days=1)


class NewVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version to be added: what it holds, from when, and who wants it why; `client_id`: for whom alone it differs."""

    rules: Choices
    valid_from: date
    created_by: UUID | None
    client_id: UUID | None = None
    reason: str | None = None
    reason_sealed: bytes | None = None


INSERT = """
insert into rule_set (
  clinic_id, rule_set_id, version, valid_from, rules, created_at, created_by, client_id, reason, reason_sealed
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (clinic_id, version) do nothing
"""


async def add(db: Db, version: int, new: NewVersion, *, now: datetime) -> bool:
    """Add a version under this number; False where somebody else was first."""
    chosen = msgspec.to_builtins(new.rules)
    return (
        await db.execute(
            INSERT,
            db.clinic_id,
            ids.new(),
            version,
            new.valid_from,
            chosen,
            now,
            new.created_by,
            new.client_id,
            new.reason,
            new.reason_sealed,
        )
        > 0
    )


async def adopt_population(db: Db, population: int, *, now: datetime) -> bool:
    """Add a version that is the newest but for its population; False where the newest has it already.

    It holds from the first client day on that has begun nowhere yet.
    """
    newest = max(await of(db), key=lambda each: each.version)
    if newest.rules.population is not None and newest.rules.population >= population:
        return False
    rules = msgspec.structs.replace(newest.rules, population=population)
    new = NewVersion(rules=rules, valid_from=first_day_not_begun(now), created_by=None)
    return await add(db, newest.version + 1, new, now=now)
