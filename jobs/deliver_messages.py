"""Send what the outbox holds, by channel and urgent alerts apart, and try again what failed when its time has come.

A run looks again after each batch, at the time it is by then, so that what comes in the middle of a long one takes the
place that its tier gives it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from jobs.work import Clock, DeploymentJob, Result, Tools, going_on_from
from schemas.alert import Channel
from service import database
from service.alerting import outbox
from service.alerting.outbox import Delivered, Lane

log = logging.getLogger(__name__)

BATCHES_AT_ONCE = 8
# What hangs there is not to keep another from going out.
URGENT_BATCHES_AT_ONCE = 64
# Then what was sent is counted and other jobs are woken; what is left is the next run's.
RUN_LASTS = timedelta(seconds=30)
# While some clinic's messages hang, others may come elsewhere.
LOOK_AGAIN_SECONDS = 0.5


def by(channel: Channel, lane: Lane, *, clock_from: Callable[[datetime], Clock] = going_on_from) -> DeploymentJob:
    """The job of one channel and lane: what hangs there holds up no message of another."""

    async def run_once(tools: Tools, *, now: datetime) -> Result:
        """Send what is due on the channel, and comes meanwhile, in every clinic; trouble in one holds up no other."""
        if channel not in tools.sending.notifiers:
            return Result(msgspec.structs.asdict(Delivered()))
        return await _Run(tools, channel, lane, clock_from(now)).finish()

    return run_once


CLINICS_WITH_WORK = """
select d.clinic_id
from delivery d
left join alert a
  on a.clinic_id = d.clinic_id
  and a.alert_id = d.alert_id
where d.state in ('queued', 'failed')
  and d.channel = $2
  and d.due_at <= $1
  and (d.leased_until is null or d.leased_until <= $1)
  and (a.tier = 1 or not $3)
  and d.clinic_id <> all ($4::uuid[])
group by d.clinic_id
order by min(a.tier), min(d.due_at)
limit $5
"""


class _Run:
    """One run: batches of several clinics beside each other, at most one of each; of urgent messages any number."""

    def __init__(self, tools: Tools, channel: Channel, lane: Lane, clock: Clock) -> None:
        self._tools, self._channel, self._lane, self._clock = tools, channel, lane, clock
        self._ends_at = clock() + RUN_LASTS
        self._counts = Delivered()
        self._busy: dict[asyncio.Task[None], UUID] = {}
        # Where nothing could be claimed, for a while; where it went wrong, for another run.
        self._resting_until: dict[UUID, datetime] = {}
        # Several batches of one clinic may fail beside each other; what is told is how many clinics.
        self._failed = set[UUID]()

    async def finish(self) -> Result:
        """Send until nothing is due any more, or for a while."""
        async with asyncio.TaskGroup() as group:
            while True:
                for clinic_id in await self._next():
                    self._busy[group.create_task(self._deliver_in(clinic_id))] = clinic_id
                if not self._busy:
                    return Result(msgspec.structs.asdict(self._counts), failed=len(self._failed))
                done, _ = await asyncio.wait(
                    self._busy, timeout=LOOK_AGAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    del self._busy[task]

    async def _next(self) -> list[UUID]:
        """Clinics for the places that are free, the one with the most urgent message first."""
        urgent, now = self._lane is Lane.URGENT, self._clock()
        free = (URGENT_BATCHES_AT_ONCE if urgent else BATCHES_AT_ONCE) - len(self._busy)
        if not free or now >= self._ends_at:
            return []
        elsewhere = [clinic_id for clinic_id, until in self._resting_until.items() if until > now]
        elsewhere += () if urgent else self._busy.values()
        async with database.across_clinics(self._tools.sweep) as connection:
            args = (now, self._channel, urgent, elsewhere, free)
            return [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK, *args)]

    async def _deliver_in(self, clinic_id: UUID) -> None:
        sending = self._tools.sending
        try:
            sent = await outbox.deliver(
                self._tools.pool, clinic_id, sending, self._channel, self._lane, now=self._clock()
            )
        except Exception:
            log.exception("delivering_failed", extra={"clinic_id": clinic_id})
            self._resting_until[clinic_id] = self._ends_at
            self._failed.add(clinic_id)
            return
        if not any(msgspec.structs.astuple(sent)):
            self._resting_until[clinic_id] = self._clock() + timedelta(seconds=LOOK_AGAIN_SECONDS)
        self._counts.add(sent)
