"""Tell therapists that there is a brief to read before a session of the next day."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

import msgspec

from jobs.work import Result, Tools
from schemas.alert import Channel
from service import database
from service.alerting import notices
from service.alerting.notices import Sendings

log = logging.getLogger(__name__)

CLINICS_WITH_WORK = """
select t.clinic_id
from therapy_session t
where t.state = 'planned'
  and t.planned_at > $1
  and t.planned_at <= $2
  and t.staff_id is not null
  and not exists (
    select
    from notice n
    where n.clinic_id = t.clinic_id
      and n.kind = 'brief'
      and n.staff_id = t.staff_id
      and n.subject_id = t.therapy_session_id
      and n.planned_at = t.planned_at
  )
union
select clinic_id
from notice
where state in ('queued', 'failed')
  and due_at <= $1
  and (leased_until is null or leased_until <= $1)
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Queue the notices of the next 24 hours and send what is due; trouble in one clinic holds up no other."""
    planned, counts, failed = 0, Sendings(), 0
    async with database.across_clinics(tools.sweep) as connection:
        records = await connection.fetch(CLINICS_WITH_WORK, now, now + notices.BEFORE_SESSION)
    for clinic_id in sorted(record["clinic_id"] for record in records):
        try:
            planned += await _serve(tools, clinic_id, counts, now=now)
        except Exception:
            failed += 1
            log.exception("notices_failed", extra={"clinic_id": clinic_id})
    return Result({"planned": planned, **msgspec.structs.asdict(counts)}, failed=failed)


async def _serve(tools: Tools, clinic_id: UUID, counts: Sendings, *, now: datetime) -> int:
    async with database.transaction(tools.pool, clinic_id) as db:
        planned = await notices.plan_briefs(db, now=now)
    email = tools.sending.notifiers.get(Channel.EMAIL)
    if email is not None:
        sent = await notices.deliver(tools.pool, clinic_id, email, base_url=tools.sending.base_url, now=now)
        for name, number in msgspec.structs.asdict(sent).items():
            setattr(counts, name, getattr(counts, name) + number)
    return planned
