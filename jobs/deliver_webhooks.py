"""Announce alerts at webhook endpoints; apart from the e-mails, which must not wait for an endpoint that hangs."""

from __future__ import annotations

from datetime import datetime

from jobs import deliver_messages
from jobs.work import Result, Tools
from schemas.alert import Channel


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Send the webhooks that are due in every clinic."""
    return await deliver_messages.deliver_everywhere(tools, Channel.WEBHOOK, now=now)
