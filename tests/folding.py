"""Folding one client, and what the tables hold afterwards."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from schemas.alert import Finding, Rule
from schemas.clinic import Clinic
from schemas.trend import Trend
from service import database as databases
from service import fold, trends
from service.database import Pool
from tests.builders import NOW


async def folded(pool: Pool, clinic: Clinic, client_id: UUID, *, now: datetime = NOW) -> fold.Folded:
    async with databases.transaction(pool, clinic.clinic_id) as db:
        return await fold.fold_client(db, client_id, now=now)


async def trend_of(pool: Pool, clinic: Clinic, client_id: UUID) -> list[Trend]:
    async with databases.transaction(pool, clinic.clinic_id) as db:
        return await trends.of(db, client_id, from_day=date(2000, 1, 1), until_day=date(2100, 1, 1))


FINDINGS = """
select f.finding_id, f.client_id, f.client_day, f.rule, f.tier, f.check_in_id, f.instrument_response_id,
  f.alert_id, f.found_at, f.found_late, f.origin, f.numbers, f.rule_set_version
from finding f
where f.clinic_id = $1
  and not exists (
    select from finding_withdrawal w where w.clinic_id = f.clinic_id and w.finding_id = f.finding_id
  )
order by f.client_day, f.rule
"""


async def findings_of(pool: Pool, clinic: Clinic, *, of_silence: bool = False, quiet: bool = False) -> list[Finding]:
    """What stands; with `quiet` also what alerts nobody."""
    async with databases.transaction(pool, clinic.clinic_id) as db:
        found = await db.rows(Finding, FINDINGS, clinic.clinic_id)
    found = [each for each in found if quiet or each.tier is not None]
    return [each for each in found if not of_silence or each.rule in (Rule.SILENCE, Rule.SILENCE_AFTER_INFUSION)]
