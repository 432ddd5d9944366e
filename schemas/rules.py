"""The clinic's rules: dated versions, changes to them, and what a change would have done."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

BudgetDays = Annotated[float, Meta(ge=20, le=365)]
Reason = Annotated[str, Meta(min_length=1, max_length=1_000)]


class RuleVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A version, in force from a client day on: one false alert per `budget_days` stable client days.

    `client_id`: the one client for whom it changed the number, to `client_budget_days` (None: the clinic's again).
    `reason` is None where nobody gave one, or where it is not for the reader.
    """

    version: int
    valid_from: date
    budget_days: float
    population: int | None
    created_at: datetime
    created_by: UUID | None
    client_id: UUID | None
    client_budget_days: float | None
    reason: str | None


class RulesReply(msgspec.Struct, frozen=True, kw_only=True):
    """The number that holds today, and every version, the newest first."""

    budget_days: float
    versions: list[RuleVersion]


class PreviewForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    budget_days: BudgetDays


class RuleChangeForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`after_version` is the newest version that was seen: a change that others overtook is refused."""

    budget_days: BudgetDays
    reason: Reason
    after_version: int


class ClientRuleChangeForm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """As a change for the clinic; `budget_days` None: the clinic's number again."""

    budget_days: BudgetDays | None
    reason: Reason
    after_version: int


class ClientPreview(msgspec.Struct, frozen=True, kw_only=True):
    """Worsening alerts of one client: raised, and as they would have been."""

    client_id: UUID
    now: int
    then: int


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """Worsening alerts of the last `days` client days under the rules as they were, and with the number changed.

    `clients` are those for whom it makes a difference, as far as the reader may see them; the sums are of everybody.
    """

    days: int
    budget_days: float
    now: int
    then: int
    per_therapist_week_now: float | None
    per_therapist_week_then: float | None
    clients: list[ClientPreview]
