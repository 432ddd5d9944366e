"""Send what the outbox holds, and try again what failed when its time has come."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec

from jobs.work import Result, Tools
from service import database, outbox

log = logging.getLogger(__name__)

CLINICS_WITH_WORK = """
select clinic_id
from delivery
where state in ('queued', 'failed')
  and due_at <= $1
  and (leased_until is null or leased_until <= $1)
group by clinic_id
order by min(due_at)
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Send what is due in every clinic; trouble in one of them holds up no other."""
    counts, failed = outbox.Delivered(), 0
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK, now)]
    for clinic_id in clinic_ids:
        try:
            counts.add(await outbox.deliver(tools.pool, clinic_id, tools.sending, now=now))
        except Exception:
            failed += 1
            log.exception("delivering_failed", extra={"clinic_id": clinic_id})
    return Result(msgspec.structs.asdict(counts), failed=failed)
