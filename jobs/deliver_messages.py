"""Send what the outbox holds, channel by channel, and try again what failed when its time has come."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime
from uuid import UUID

import msgspec

from jobs.work import DeploymentJob, Result, Tools
from schemas.alert import Channel
from service import database
from service.alerting import outbox
from service.alerting.outbox import Delivered

log = logging.getLogger(__name__)

CLINICS_AT_ONCE = 8


def by(channel: Channel) -> DeploymentJob:
    """The job of one channel: what hangs there holds up no message of another."""

    async def run_once(tools: Tools, *, now: datetime) -> Result:
        """Send what is due on the channel in every clinic."""
        return await deliver_everywhere(tools, channel, now=now)

    return run_once


CLINICS_WITH_WORK = """
select clinic_id
from delivery
where state in ('queued', 'failed')
  and channel = $2
  and due_at <= $1
  and (leased_until is null or leased_until <= $1)
group by clinic_id
order by min(due_at)
"""


async def deliver_everywhere(tools: Tools, channel: Channel, *, now: datetime) -> Result:
    """Send what is due on one channel, several clinics at once; trouble in one of them holds up no other."""
    counts, gate = Delivered(), asyncio.Semaphore(CLINICS_AT_ONCE)
    if channel not in tools.sending.notifiers:
        return Result(msgspec.structs.asdict(counts))
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK, now, channel)]

    async def deliver_in(clinic_id: UUID) -> bool:
        async with gate:
            try:
                counts.add(await outbox.deliver(tools.pool, clinic_id, tools.sending, on=[channel], now=now))
            except Exception:
                log.exception("delivering_failed", extra={"clinic_id": clinic_id})
                return False
        return True

    done = await asyncio.gather(*(deliver_in(clinic_id) for clinic_id in clinic_ids))
    return Result(msgspec.structs.asdict(counts), failed=done.count(False))
