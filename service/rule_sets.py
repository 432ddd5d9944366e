"""Rule sets: which version of the clinic's rules holds on a client day, and the detector's rules it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime

import msgspec

from service import detection, ids, populations
from service.database import Db
from service.detection import Shipped


class Choices(msgspec.Struct, frozen=True):
    """What a clinic chose: one false alert per `budget_days` stable client days; and the population its people are
    held against, None: the shipped one."""

    budget_days: float = 60
    population: int | None = None


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


def detector(rule_set: RuleSet) -> detection.Rules:
    """The numbers with which the detector runs under this version."""
    if rule_set.rules.population is None:
        return detection.shipped_rules(rule_set.rules.budget_days)
    assert rule_set.fitted is not None, "a version that runs was made ready"
    return rule_set.fitted.at(rule_set.rules.budget_days)


INSERT = """
insert into rule_set (clinic_id, rule_set_id, version, valid_from, rules, created_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (clinic_id, version) do nothing
"""


async def adopt_population(db: Db, population: int, *, valid_from: date, now: datetime) -> bool:
    """Add a version that is the newest but for its population; False where the newest has it already.

    Days before `valid_from` keep the version they had.
    """
    newest = max(await of(db), key=lambda each: each.version)
    if newest.rules.population is not None and newest.rules.population >= population:
        return False
    chosen = msgspec.to_builtins(msgspec.structs.replace(newest.rules, population=population))
    return await db.execute(INSERT, db.clinic_id, ids.new(), newest.version + 1, valid_from, chosen, now) > 0
