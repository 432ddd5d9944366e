"""Remind the clients who asked for it, at the hour of their own clock that they chose."""

from __future__ import annotations

import logging
from datetime import datetime

import msgspec

from jobs.work import Result, Tools
from service import database, reminders
from service.reminders import Reminded

log = logging.getLogger(__name__)

CLINICS_WITH_WORK = """
select clinic_id
from phone_setting
where next_at <= $1
group by clinic_id
order by min(next_at)
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Send what is due in every clinic; trouble in one holds up no other."""
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK, now)]
    totals = dict.fromkeys(Reminded.__struct_fields__, 0)
    failed = 0
    for clinic_id in clinic_ids:
        try:
            counts = await reminders.remind(tools.pool, clinic_id, tools.sending, now=now)
        except Exception:
            failed += 1
            log.exception("reminding_failed", extra={"clinic_id": clinic_id})
            continue
        for name, count in msgspec.structs.asdict(counts).items():
            totals[name] += count
    return Result(totals, failed=failed)
