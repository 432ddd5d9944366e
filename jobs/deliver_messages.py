"""Send people what the outbox holds for them, and try again what failed when its time has come."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from uuid import UUID

import msgspec

from jobs.work import Result, Tools
from schemas.alert import Channel
from service import database
from service.alerting import outbox
from service.alerting.outbox import Delivered

log = logging.getLogger(__name__)

CLINICS_AT_ONCE = 8


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Send the e-mails that are due in every clinic; webhooks are a job of their own, for an endpoint may hang."""
    return await deliver_everywhere(tools, Channel.EMAIL, now=now)


CLINICS_WITH_WORK = """
select clinic_id
from delivery
where state in ('queued', 'failed')
  and due_at <= $1
  and (leased_until is null or leased_until <= $1)
group by clinic_id
order by min(due_at)
"""


async def deliver_everywhere(tools: Tools, channel: Channel, *, now: datetime) -> Result:
    """Send what is due on one channel, several clinics at once; trouble in one of them holds up no other."""
    counts, gate = Delivered(), asyncio.Semaphore(CLINICS_AT_ONCE)
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK, now)]

    async def deliver_in(clinic_id: UUID) -> bool:
        async with gate:
            try:
                counts.add(await outbox.deliver(tools.pool, clinic_id, tools.sending, channels=[channel], now=now))
            except Exception:
                log.exception("delivering_failed", extra={"clinic_id": clinic_id})
                return False
        return True

    done = await asyncio.gather(*(deliver_in(clinic_id) for clinic_id in clinic_ids))
    return Result(msgspec.structs.asdict(counts), failed=done.count(False))
