"""Webhooks after the Standard Webhooks specification (standardwebhooks.com): thin and signed."""

from __future__ import annotations

import ssl
from collections.abc import Set as AbstractSet
from datetime import datetime
from http import HTTPStatus

import msgspec
import standardwebhooks

from schemas.alert import Channel
from service.notify.message import Message, Result
from service.notify.outward import Outward, Resolve, resolved

MINUTE, HOUR = 60, 3_600


class Webhook:
    """Posts to https endpoints outside; `allowed` host:port pairs may also be private and plain http."""

    channel = Channel.WEBHOOK
    # Endpoints are everybody's own.
    at_once = 20
    # The table of the specification, after the first attempt, which is made at once.
    retry_after_seconds = (
        5,
        5 * MINUTE,
        30 * MINUTE,
        2 * HOUR,
        5 * HOUR,
        10 * HOUR,
        14 * HOUR,
        20 * HOUR,
        24 * HOUR,
    )

    def __init__(
        self, *, allowed: AbstractSet[str], tls: ssl.SSLContext | None = None, resolve: Resolve = resolved
    ) -> None:
        self._outward = Outward(allowed=allowed, gone={HTTPStatus.GONE}, tls=tls, resolve=resolve)

    async def send(self, message: Message, *, now: datetime) -> Result:
        """One attempt, signed for `now` with every secret that is valid."""
        data = {"alert_id": message.alert_id, "link": message.link}
        if message.receipt:
            data["receipt"] = message.receipt
        body = msgspec.json.encode({"type": message.event, "timestamp": message.written_at, "data": data})
        message_id = str(message.delivery_id)
        signatures = [
            standardwebhooks.Webhook(secret).sign(message_id, now, body.decode()) for secret in message.secrets
        ]
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
        return await self._outward.post(message.to, body, headers)
