"""Take alerts that nobody has taken on in their time to the next step of the ladder."""

from __future__ import annotations

from datetime import datetime

from jobs.work import Result, Tools, in_each_clinic
from service import database
from service.alerting import rounds

CLINICS_WITH_WORK = """
select clinic_id
from alert
where next_step_at <= $1
  and state in ('open', 'dispatched')
group by clinic_id
order by min(tier)
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Climb in every clinic where a step is due, and queue the messages of whoever is told now."""
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK, now)]
    return await in_each_clinic(tools, clinic_ids, lambda db: rounds.climb(db, now=now), counted="steps")
