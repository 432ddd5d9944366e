"""Tell whoever can be told by now of the alerts that could reach nobody: somebody was enabled or joined a care team."""

from __future__ import annotations

import logging
from datetime import datetime

from jobs.work import Result, Tools
from service import database, deliveries

log = logging.getLogger(__name__)

CLINICS_WITH_WORK = """
select clinic_id
from alert
where state in ('open', 'dispatched')
group by clinic_id
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Queue messages for what nobody was told of in any clinic; trouble in one of them holds up no other."""
    planned, failed = 0, 0
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK)]
    for clinic_id in clinic_ids:
        try:
            async with database.transaction(tools.pool, clinic_id) as db:
                planned += await deliveries.plan_untold(db, now=now)
        except Exception:
            failed += 1
            log.exception("planning_failed", extra={"clinic_id": clinic_id})
    return Result({"planned": planned}, failed=failed)
