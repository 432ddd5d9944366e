"""Remind the clients who asked for it, at the hour of their own clock that they chose.

Clinics take turns, so that one whose messages hang holds up no other; and a run ends soon, so that those whose hour
comes in the middle of it are seen.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from jobs.work import Clock, Result, Tools, going_on_from
from service import database, reminders
from service.people import phone_settings
from service.reminders import Reminded

log = logging.getLogger(__name__)

AT_ONCE = 24
RUN_LASTS = timedelta(seconds=30)

CLINICS_WITH_WORK = """
select clinic_id
from phone_setting
where next_at <= $1
  or next_at > $2
group by clinic_id
order by min(next_at)
"""


async def run_once(tools: Tools, *, now: datetime, clock_from: Callable[[datetime], Clock] = going_on_from) -> Result:
    """Send what is due in every clinic; trouble in one holds up no other."""
    async with database.across_clinics(tools.sweep) as connection:
        found = await connection.fetch(CLINICS_WITH_WORK, now, now + phone_settings.FURTHEST)
    clinic_ids = [record["clinic_id"] for record in found]
    totals = dict.fromkeys(Reminded.__struct_fields__, 0)
    places, clock = asyncio.Semaphore(AT_ONCE), clock_from(now)
    async with asyncio.TaskGroup() as group:
        runs = [group.create_task(_in_clinic(tools, clinic_id, places, clock, now=now)) for clinic_id in clinic_ids]
    done = [counts for run in runs if (counts := run.result()) is not None]
    for counts in done:
        for name, count in msgspec.structs.asdict(counts).items():
            totals[name] += count
    return Result(totals, failed=len(runs) - len(done))


async def _in_clinic(
    tools: Tools, clinic_id: UUID, places: asyncio.Semaphore, clock: Clock, *, now: datetime
) -> Reminded | None:
    """What became of a clinic's reminders; None where something went wrong."""
    until = now + RUN_LASTS
    try:
        return await reminders.remind(tools.pool, clinic_id, tools.sending, places, clock=clock, until=until)
    except Exception:
        log.exception("reminding_failed", extra={"clinic_id": clinic_id})
        return None
