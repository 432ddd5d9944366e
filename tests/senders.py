"""Every sender at once, for a test that asks what people were told and not which job told them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from jobs import deliver_messages
from jobs.work import DeploymentJob, Result, Tools
from schemas.alert import Channel
from service.alerting import outbox
from service.alerting.outbox import Delivered, Lane
from service.alerting.writing import Sending
from service.database import Pool
from service.notify.email import Email


async def deliver(pool: Pool, clinic_id: UUID, sending: Sending, *, now: datetime) -> Delivered:
    """Send all that is due in one clinic at this instant, batch by batch."""
    total = Delivered()
    for lane in Lane:
        for channel in sending.notifiers:
            while any(
                msgspec.structs.astuple(sent := await outbox.deliver(pool, clinic_id, sending, channel, lane, now=now))
            ):
                total.add(sent)
    return total


def by(channel: Channel, lane: Lane) -> DeploymentJob:
    """A channel's job as the product has it, but for the clock, which stands still."""
    return deliver_messages.by(channel, lane, clock_from=lambda now: lambda: now)


async def deliver_everywhere(tools: Tools, channel: Channel, *, now: datetime) -> Result:
    """A run of each of a channel's jobs."""
    runs = [await by(channel, lane)(tools, now=now) for lane in Lane]
    counts = {name: sum(run.counts[name] for run in runs) for name in runs[0].counts}
    return Result(counts, failed=sum(run.failed for run in runs))


def an_email_channel(port: int) -> Email:
    return Email(
        host="127.0.0.1", port=port, security="none", sender="Neap <neap@harbour.example>", user=None, password=None
    )
