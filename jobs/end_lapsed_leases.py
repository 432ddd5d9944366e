"""Begin the next round of alerts that somebody took on and let lapse."""

from __future__ import annotations

from datetime import datetime

from jobs.work import Result, Tools, in_each_clinic
from service import database
from service.alerting import alerts

CLINICS_WITH_WORK = """
select clinic_id
from alert
where state = 'acknowledged'
  and lease_until <= $1
group by clinic_id
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Open again, in every clinic, what was taken on for a time that has run out, and queue its messages."""
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK, now)]
    return await in_each_clinic(tools, clinic_ids, lambda db: alerts.end_lapsed_leases(db, now=now), counted="lapsed")
