"""Queue, for therapists and nurses, that there is a brief to read before a session or an infusion of the next day."""

from __future__ import annotations

from datetime import datetime

from jobs.work import Result, Tools, in_each_clinic
from service import database
from service.alerting import notices

# Of these, `notices.plan_briefs` knows who was told already. Who reads before an appointment changes until it comes:
# people join the team, are covered or back, or are disabled; a clinic is not done because somebody was told.
CLINICS_WITH_APPOINTMENTS = """
select clinic_id
from therapy_session
where state = 'planned'
  and planned_at > $1
  and planned_at <= $2
union
select clinic_id
from infusion
where state in ('planned', 'held')
  and planned_at > $1
  and planned_at <= $2
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Queue the notices of the next 24 hours; trouble in one clinic holds up no other."""
    async with database.across_clinics(tools.sweep) as connection:
        records = await connection.fetch(CLINICS_WITH_APPOINTMENTS, now, now + notices.BEFORE_APPOINTMENT)
    clinic_ids = sorted(record["clinic_id"] for record in records)
    return await in_each_clinic(tools, clinic_ids, lambda db: notices.plan_briefs(db, now=now), counted="planned")
