"""Webhooks after the Standard Webhooks specification (standardwebhooks.com): thin, signed, and never into our own net.

The name is resolved here, every address it has is checked, and the connection goes to an address that was checked:
a second answer of a name server (DNS rebinding) is never asked for.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from datetime import datetime
from http import HTTPStatus

import httpx
import msgspec
import standardwebhooks

from schemas.alert import Channel
from service.notify import endpoint
from service.notify.endpoint import Refused
from service.notify.message import Dead, Disable, Message, Result, Retry, Sent

# Name, connection, handshake and answer together: others wait for the run that this is part of.
TIMEOUT_SECONDS = 10.0
CONNECT_SECONDS = 5.0
MINUTE, HOUR = 60, 3_600
# What a Retry-After may ask for at most.
LONGEST_WAIT_SECONDS = 24 * HOUR


Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host; OSError where it has none."""


async def resolved(host: str, port: int) -> list[str]:
    """What the system's name service says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(each[4][0]).partition("%")[0] for each in found]


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
        self._allowed = allowed
        self._tls = tls or ssl.create_default_context()
        self._resolve = resolve

    async def send(self, message: Message, *, now: datetime) -> Result:
        """One attempt, signed for `now`."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._post(message, now)
        except Refused as error:
            return Dead(str(error))
        except TimeoutError:
            return Retry("no answer in time")
        except (httpx.HTTPError, OSError) as error:
            return Retry(f"out of reach ({type(error).__name__})")

    async def _post(self, message: Message, now: datetime) -> Result:
        url = endpoint.read(message.to, allowed=self._allowed)
        address = await self._checked_address(url)
        body = msgspec.json.encode(
            {
                "type": "alert.opened",
                "timestamp": message.written_at,
                "data": {"alert_id": message.alert_id, "link": message.link},
            }
        )
        message_id = str(message.delivery_id)
        headers = {
            "host": url.netloc.decode(),
            "content-type": "application/json",
            "user-agent": "Neap",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": standardwebhooks.Webhook(message.secret).sign(message_id, now, body.decode()),
        }
        # A client each: a kept connection is known by its address, and another endpoint may share that.
        timeout = httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
        client = httpx.AsyncClient(verify=self._tls, follow_redirects=False, trust_env=False, timeout=timeout)
        async with (
            client,
            client.stream(
                "POST",
                url.copy_with(host=address),
                content=body,
                headers=headers,
                extensions={"sni_hostname": url.host},
            ) as response,
        ):
            return _result_of(response)

    async def _checked_address(self, url: httpx.URL) -> str:
        """An address of the URL's host to which we may connect. Raises Refused, OSError where the name has none."""
        addresses = await self._resolve(url.host, endpoint.port_of(url))
        if endpoint.pair_of(url) not in self._allowed and not all(endpoint.is_public(each) for each in addresses):
            raise Refused("the endpoint has a private address")
        return addresses[0]


def _result_of(response: httpx.Response) -> Result:
    if response.is_success:
        return Sent()
    problem = f"the endpoint answered {response.status_code}"
    if response.status_code == HTTPStatus.GONE:
        return Disable(problem)
    after = response.headers.get("retry-after", "")
    return Retry(problem, min(float(after), LONGEST_WAIT_SECONDS) if after.isdecimal() else None)
