"""Findings of reported use in an imported history: the same rules as live, closed at once under history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.client import RecordOrigin
from schemas.course import Substance
from service.alerting import alerts
from service.database import Db
from service.facts import courses
from service.rules import rule_sets, urgent_rules


class ReportedUse(msgspec.Struct, frozen=True, kw_only=True):
    """A check-in that was stored now and reports use."""

    client_id: UUID
    check_in_id: UUID
    client_day: date
    used: list[Substance]


USED_BEFORE = """
select distinct unnest(c.used) as substance
from check_in c
where c.clinic_id = $1
  and c.client_id = $2
  and c.client_day between $3 and $4
  and not exists (
    select
    from check_in newer
    where newer.clinic_id = $1
      and newer.supersedes = c.check_in_id
  )
"""


async def find(db: Db, reported: Sequence[ReportedUse], *, now: datetime) -> None:
    """Store the findings of check-ins that report use; one that is stored already changes nothing."""
    versions = await rule_sets.of(db) if reported else []
    for each in reported:
        since = each.client_day - timedelta(days=urgent_rules.ABSTINENCE_DAYS)
        before = await db.connection.fetch(
            USED_BEFORE, db.clinic_id, each.client_id, since, each.client_day - timedelta(days=1)
        )
        substances = await courses.substances_of(db, each.client_id)
        findings = urgent_rules.findings_of_check_in(
            check_in_id=each.check_in_id,
            client_day=each.client_day,
            safety=None,
            used=each.used,
            treated=courses.active_on(substances, each.client_day),
            used_before={Substance(row["substance"]) for row in before},
            opioid_screened=False,  # a table of answers holds no screens
            late_days=0,
        )
        version = rule_sets.on(versions, each.client_day).version
        await alerts.open_or_join(
            db, each.client_id, findings, now=now, rule_set_version=version, origin=RecordOrigin.IMPORT
        )
