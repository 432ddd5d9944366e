"""The quality ledger: what the clinic's alerts were worth, and what they cost."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from schemas.alert import Rule, Tier


class RuleQuality(msgspec.Struct, frozen=True, kw_only=True):
    """The alerts in which a rule fired; several rules may have fired in one.

    `judged` were resolved with an outcome, `right` of them with one that says that something was there. `precision` is
    right / judged with its 95 % interval (Wilson 1927), None while nothing is judged. `asks_for_review`: under a
    quarter over fifty and more.
    """

    rule: Rule
    alerts: int
    judged: int
    right: int
    false_alarms: int
    precision: float | None
    precision_low: float | None
    precision_high: float | None
    asks_for_review: bool


class TierPace(msgspec.Struct, frozen=True, kw_only=True):
    """How fast somebody took on the alerts of a tier: minutes from opening to the first acknowledgement or outcome.

    `waiting` are open and untouched; they are in no median.
    """

    tier: Tier
    alerts: int
    taken_on: int
    waiting: int
    median_minutes: float | None
    p90_minutes: float | None


class TherapistLoad(msgspec.Struct, frozen=True, kw_only=True):
    """Alerts of a therapist's clients while on their care teams, over the weeks with any client at all."""

    staff_id: UUID
    name: str
    alerts: int
    weeks: float
    alerts_per_week: float


class BudgetShare(msgspec.Struct, frozen=True, kw_only=True):
    """Clients watched for `budget_days` and more, and those with over twice the worsening alerts without need that the
    budget of one in `budget_days` allows."""

    budget_days: float
    clients: int
    over_twice: int


class QualityReply(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger of the alerts opened in a time; those of an import are no part of it."""

    since: datetime
    until: datetime
    days: int
    rules: list[RuleQuality]
    pace: list[TierPace]
    alerts_per_therapist_week: float | None
    therapists: list[TherapistLoad]
    budget: BudgetShare
