"""Queue, for therapists, that there is a brief to read before a session of the next day."""

from __future__ import annotations

from datetime import datetime

from jobs.work import Result, Tools, in_each_clinic
from service import database
from service.alerting import notices

CLINICS_WITH_WORK = """
select distinct t.clinic_id
from therapy_session t
where t.state = 'planned'
  and t.planned_at > $1
  and t.planned_at <= $2
  and t.staff_id is not null
  and not exists (
    select
    from delivery n
    where n.clinic_id = t.clinic_id
      and n.alert_id is null
      and n.kind = 'brief'
      and n.staff_id = t.staff_id
      and n.subject_id = t.therapy_session_id
      and n.planned_at = t.planned_at
  )
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Queue the notices of the next 24 hours; trouble in one clinic holds up no other."""
    async with database.across_clinics(tools.sweep) as connection:
        records = await connection.fetch(CLINICS_WITH_WORK, now, now + notices.BEFORE_SESSION)
    clinic_ids = sorted(record["clinic_id"] for record in records)
    return await in_each_clinic(tools, clinic_ids, lambda db: notices.plan_briefs(db, now=now), counted="planned")
