"""Queue, for therapists and nurses, that there is a brief to read before a session or an infusion of the next day."""

from __future__ import annotations

from datetime import datetime

from jobs.work import Result, Tools, in_each_clinic
from service import database
from service.alerting import notices

CLINICS_WITH_WORK = """
select distinct coming.clinic_id
from (
  select clinic_id, therapy_session_id as subject_id, planned_at, staff_id
  from therapy_session
  where state = 'planned'
    and planned_at > $1
    and planned_at <= $2
  union all
  select clinic_id, infusion_id, planned_at, null
  from infusion
  where state in ('planned', 'held')
    and planned_at > $1
    and planned_at <= $2
) coming
where not exists (
  select
  from delivery n
  where n.clinic_id = coming.clinic_id
    and n.alert_id is null
    and n.kind = 'brief'
    and n.staff_id = coalesce(coming.staff_id, n.staff_id)
    and n.subject_id = coming.subject_id
    and n.planned_at = coming.planned_at
    and n.state <> 'blocked'
)
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Queue the notices of the next 24 hours; trouble in one clinic holds up no other."""
    async with database.across_clinics(tools.sweep) as connection:
        records = await connection.fetch(CLINICS_WITH_WORK, now, now + notices.BEFORE_APPOINTMENT)
    clinic_ids = sorted(record["clinic_id"] for record in records)
    return await in_each_clinic(tools, clinic_ids, lambda db: notices.plan_briefs(db, now=now), counted="planned")
