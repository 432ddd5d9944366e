"""Begin the next round of alerts that somebody took on and let lapse or cannot open any more, or put off until now."""

from __future__ import annotations

from datetime import datetime

from jobs.work import Result, Tools, in_each_clinic
from service import database
from service.alerting import rounds

CLINICS_WITH_WORK = """
select clinic_id
from alert a
where (
    state = 'acknowledged'
    and (
      lease_until <= $1
      or not exists (
        select
        from alert_holder_reach r
        where r.clinic_id = a.clinic_id
          and r.alert_id = a.alert_id
          and r.from_at <= greatest(a.acknowledged_at, $1)
          and (r.until_at is null or r.until_at > $1)
      )
    )
  )
  or (state = 'snoozed' and snoozed_until <= $1)
group by clinic_id
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Open again, in every clinic, what was taken on or put off for a time that has run out, and queue its messages."""
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK, now)]
    return await in_each_clinic(tools, clinic_ids, lambda db: rounds.end_lapsed(db, now=now), counted="lapsed")
