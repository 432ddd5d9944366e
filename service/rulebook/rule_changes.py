"""Changing the clinic's rules: always a new version, from the first day that has begun nowhere yet; never history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from schemas.rules import RuleVersion
from service import errors
from service.database import Db
from service.keys.sealing import Sealer
from service.people import clients
from service.rules import rule_sets
from service.rules.rule_sets import Choices, NewVersion


class _Version(msgspec.Struct, frozen=True, kw_only=True):
    version: int
    valid_from: date
    rules: Choices
    created_at: datetime
    created_by: UUID | None
    client_id: UUID | None
    reason: str | None
    reason_sealed: bytes | None


VERSIONS = """
select version, valid_from, rules, created_at, created_by, client_id, reason, reason_sealed
from rule_set
where clinic_id = $1
  and (client_id is null or client_id = any ($2::uuid[]))
order by version desc
"""


async def history(db: Db, master: Sealer, *, client_ids: Sequence[UUID]) -> list[RuleVersion]:
    """Every version that changed something for all, and those for one of these clients; the newest first."""
    return [
        RuleVersion(
            version=each.version,
            valid_from=each.valid_from,
            budget_days=each.rules.budget_days,
            population=each.rules.population,
            created_at=each.created_at,
            created_by=each.created_by,
            client_id=each.client_id,
            client_budget_days=None if each.client_id is None else each.rules.clients.get(each.client_id),
            reason=await _reason_of(db, master, each),
        )
        for each in await db.rows(_Version, VERSIONS, db.clinic_id, list(client_ids))
    ]


async def _reason_of(db: Db, master: Sealer, version: _Version) -> str | None:
    if version.reason_sealed is None or version.client_id is None:
        return version.reason
    sealer = await clients.sealer_of(db, master, version.client_id)
    return sealer.open(version.reason_sealed, bound_to=_binding(db.clinic_id, version.version)).decode()


def _binding(clinic_id: UUID, version: int) -> str:
    return f"rule_set:{clinic_id}:{version}"


async def newest(db: Db) -> rule_sets.RuleSet:
    """The newest version, whether it holds yet or not."""
    return max(await rule_sets.of(db), key=lambda each: each.version)


async def change(
    db: Db, budget_days: float, *, reason: str, after_version: int, by: UUID, now: datetime
) -> rule_sets.RuleSet:
    """Choose the clinic's budget. Raises Conflict where others changed the rules since `after_version`, Invalid where
    nothing would change."""
    before = await _unless_overtaken(db, after_version)
    rules = msgspec.structs.replace(before.rules, budget_days=budget_days)
    new = NewVersion(rules=rules, valid_from=rule_sets.first_day_not_begun(now), created_by=by, reason=_given(reason))
    return await _add(db, before, new, now=now)


async def change_for_client(
    db: Db,
    client_id: UUID,
    budget_days: float | None,
    *,
    reason: str,
    after_version: int,
    by: UUID,
    master: Sealer,
    now: datetime,
) -> rule_sets.RuleSet:
    """Choose a budget for one client, None: the clinic's again. Raises as `change`, and NotFound."""
    before = await _unless_overtaken(db, after_version)
    chosen = {each: days for each, days in before.rules.clients.items() if each != client_id}
    if budget_days is not None:
        chosen[client_id] = budget_days
    sealer = await clients.sealer_of(db, master, client_id)
    binding = _binding(db.clinic_id, before.version + 1)
    new = NewVersion(
        rules=msgspec.structs.replace(before.rules, clients=chosen),
        valid_from=rule_sets.first_day_not_begun(now),
        created_by=by,
        client_id=client_id,
        reason_sealed=sealer.seal(_given(reason).encode(), bound_to=binding),
    )
    return await _add(db, before, new, now=now)


async def _unless_overtaken(db: Db, after_version: int) -> rule_sets.RuleSet:
    before = await newest(db)
    if before.version != after_version:
        raise errors.Conflict("The rules were changed meanwhile. Please look at them again.")
    return before


def _given(reason: str) -> str:
    if not reason.strip():
        raise errors.Invalid("Say why.", fields=(errors.FieldFault("reason", "at least one character"),))
    return reason.strip()


async def _add(db: Db, before: rule_sets.RuleSet, new: NewVersion, *, now: datetime) -> rule_sets.RuleSet:
    if new.rules == before.rules:
        raise errors.Invalid(
            "Nothing would change.", fields=(errors.FieldFault("budget_days", "another number than now"),)
        )
    if not await rule_sets.add(db, before.version + 1, new, now=now):
        raise errors.Conflict("The rules were changed meanwhile. Please look at them again.")
    return rule_sets.RuleSet(version=before.version + 1, valid_from=new.valid_from, rules=new.rules)
