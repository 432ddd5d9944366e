"""Rule sets: which version of the clinic's rules holds on a client day, and the detector's rules it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import msgspec

from service import detection
from service.database import Db


class Choices(msgspec.Struct, frozen=True):
    """What a clinic chose: one false alert per `budget_days` stable client days."""

    budget_days: float = 60


class RuleSet(msgspec.Struct, frozen=True, kw_only=True):
    """One version, in force from a client day on until a later version is."""

    version: int
    valid_from: date
    rules: Choices


OF_CLINIC = """
select version, valid_from, rules
from rule_set
where clinic_id = $1
order by version
"""


async def of(db: Db) -> list[RuleSet]:
    """Every version of the clinic's rules."""
    return await db.rows(RuleSet, OF_CLINIC, db.clinic_id)


def on(rule_sets: Sequence[RuleSet], client_day: date) -> RuleSet:
    """The newest version that holds on a client day; before the first of them holds, the oldest."""
    holding = [each for each in rule_sets if each.valid_from <= client_day]
    return max(holding, key=lambda each: each.version) if holding else min(rule_sets, key=lambda each: each.version)


def detector(rule_set: RuleSet) -> detection.Rules:
    """The numbers with which the detector runs under this version."""
    return detection.shipped_rules(rule_set.rules.budget_days)
