"""The history of infusions: every state that each went through, as `infusions` appended it."""

from __future__ import annotations

from uuid import UUID

from schemas.course import InfusionEvent
from service.database import Db

OF_CLIENT = """
select
  e.infusion_event_id, e.infusion_id, e.state, e.planned_at, e.given_at, e.dose_mg_per_kg, e.duration_minutes,
  e.reason, e.supersedes, s.name as recorded_by, e.recorded_at
from infusion_event e
join infusion i
  on i.clinic_id = e.clinic_id
  and i.infusion_id = e.infusion_id
left join staff s
  on s.clinic_id = e.clinic_id
  and s.staff_id = e.recorded_by
where e.clinic_id = $1
  and i.client_id = $2
order by e.infusion_id, e.version nulls first, e.recorded_at, e.infusion_event_id
"""


async def of(db: Db, client_id: UUID) -> dict[UUID, list[InfusionEvent]]:
    """Every state that the client's infusions went through, by infusion, the oldest first."""
    events: dict[UUID, list[InfusionEvent]] = {}
    for event in await db.rows(InfusionEvent, OF_CLIENT, db.clinic_id, client_id):
        events.setdefault(event.infusion_id, []).append(event)
    return events
