"""Findings: what was known when a rule fired. Never changed; one that a later fold no longer finds is withdrawn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from schemas.alert import Finding, NewFinding, Rule
from schemas.client import RecordOrigin
from service import ids
from service.database import Db

_Key = tuple[Rule, date, UUID | None, UUID | None, UUID | None]


def _key(finding: NewFinding | _Known) -> _Key:
    about = finding.check_in_id, finding.instrument_response_id, finding.infusion_id
    return finding.rule, finding.client_day, *about


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    rule: Rule
    client_day: date
    check_in_id: UUID | None
    instrument_response_id: UUID | None
    infusion_id: UUID | None
    revision: int
    withdrawn: bool


KNOWN = """
select distinct on (f.rule, f.client_day, f.check_in_id, f.instrument_response_id, f.infusion_id)
  f.rule, f.client_day, f.check_in_id, f.instrument_response_id, f.infusion_id, f.revision,
  w.finding_id is not null as withdrawn
from finding f
left join finding_withdrawal w
  on w.clinic_id = f.clinic_id
  and w.finding_id = f.finding_id
where f.clinic_id = $1
  and f.client_id = $2
  and f.client_day = any ($3::date[])
order by f.rule, f.client_day, f.check_in_id, f.instrument_response_id, f.infusion_id, f.revision desc
"""


async def _known(db: Db, client_id: UUID, days: list[date]) -> list[_Known]:
    return await db.rows(_Known, KNOWN, db.clinic_id, client_id, days)


INSERT = """
insert into finding (
  clinic_id, finding_id, client_id, client_day, rule, tier, check_in_id, instrument_response_id, infusion_id, alert_id,
  revision, found_at, found_late, origin, numbers, rule_set_version
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
on conflict do nothing
"""


class Store:
    """Appends one client's findings of one moment, each once."""

    def __init__(self, db: Db, client_id: UUID, *, now: datetime, origin: RecordOrigin, rule_set_version: int) -> None:
        self.db = db
        self.client_id = client_id
        self.now = now
        self._origin = origin
        self._rule_set_version = rule_set_version
        self._revisions: dict[_Key, int] = {}

    async def not_yet(self, new_findings: Sequence[NewFinding]) -> list[NewFinding]:
        """Those that stand nowhere yet; one that was withdrawn may be found again, as its next revision."""
        days = sorted({finding.client_day for finding in new_findings})
        known = {_key(row): row for row in await _known(self.db, self.client_id, days)}
        fresh = []
        for finding in new_findings:
            row = known.get(_key(finding))
            if row is None or row.withdrawn:
                self._revisions[_key(finding)] = 1 if row is None else row.revision + 1
                fresh.append(finding)
        return fresh

    async def add(self, finding: NewFinding, *, alert_id: UUID | None) -> UUID | None:
        """Append it; its id, or None where another transaction was first."""
        finding_id = ids.new()
        stored = await self.db.execute(
            INSERT,
            self.db.clinic_id,
            finding_id,
            self.client_id,
            finding.client_day,
            finding.rule,
            finding.tier,
            finding.check_in_id,
            finding.instrument_response_id,
            finding.infusion_id,
            alert_id,
            self._revisions.get(_key(finding), 1),
            self.now,
            finding.found_late,
            self._origin,
            finding.numbers,
            self._rule_set_version,
        )
        return finding_id if stored else None


OF_ALERTS = """
select
  f.finding_id, f.client_id, f.client_day, f.rule, f.tier, f.check_in_id, f.instrument_response_id, f.alert_id,
  f.found_at, f.found_late, f.origin, f.numbers, f.rule_set_version, w.withdrawn_at
from finding f
left join finding_withdrawal w
  on w.clinic_id = f.clinic_id
  and w.finding_id = f.finding_id
where f.clinic_id = $1
  and f.alert_id = any ($2::uuid[])
order by f.found_at, f.finding_id
"""


async def of_alerts(db: Db, alert_ids: Sequence[UUID]) -> list[Finding]:
    """The findings that some alerts group, in the order they were found, the withdrawn ones marked as such."""
    return await db.rows(Finding, OF_ALERTS, db.clinic_id, list(alert_ids))


STANDING = """
select
  f.finding_id, f.client_id, f.client_day, f.rule, f.tier, f.check_in_id, f.instrument_response_id, f.alert_id,
  f.found_at, f.found_late, f.origin, f.numbers, f.rule_set_version, null::timestamptz as withdrawn_at
from finding f
where f.clinic_id = $1
  and f.client_id = any ($2::uuid[])
  and f.rule = any ($3::text[])
  and not exists (
    select
    from finding_withdrawal w
    where w.clinic_id = f.clinic_id
      and w.finding_id = f.finding_id
  )
order by f.client_day, f.finding_id
"""


async def standing_of_many(db: Db, client_ids: Sequence[UUID], *, rules: Sequence[Rule]) -> list[Finding]:
    """What some rules found for some clients and nobody withdrew, by client day."""
    return await db.rows(Finding, STANDING, db.clinic_id, list(client_ids), list(rules))


QUIET = """
select
  f.finding_id, f.client_id, f.client_day, f.rule, f.tier, f.check_in_id, f.instrument_response_id, f.alert_id,
  f.found_at, f.found_late, f.origin, f.numbers, f.rule_set_version, null::timestamptz as withdrawn_at
from finding f
where f.clinic_id = $1
  and f.client_id = $2
  and f.rule = any ($3::text[])
  and f.client_day >= $4
  and f.tier is null
  and not exists (
    select
    from finding_withdrawal w
    where w.clinic_id = f.clinic_id
      and w.finding_id = f.finding_id
  )
order by f.client_day desc, f.finding_id
"""


async def quiet_of(db: Db, client_id: UUID, *, rules: Sequence[Rule], from_day: date) -> list[Finding]:
    """What some rules found since a client day that alerts nobody, newest first."""
    return await db.rows(Finding, QUIET, db.clinic_id, client_id, list(rules), from_day)


def standing(found: Sequence[Finding]) -> list[Finding]:
    """Those that nobody withdrew: what an alert rests on now."""
    return [each for each in found if each.withdrawn_at is None]


INSERT_WITHDRAWAL = """
insert into finding_withdrawal (clinic_id, finding_id, why, withdrawn_at)
values ($1, $2, $3, $4)
on conflict do nothing
"""


async def withdraw(db: Db, finding_id: UUID, *, why: str, now: datetime) -> bool:
    """Record that a later fold no longer finds it; False where that is recorded already."""
    return await db.execute(INSERT_WITHDRAWAL, db.clinic_id, finding_id, why, now) > 0
