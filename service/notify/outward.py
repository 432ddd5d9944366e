"""A POST to an address that somebody outside gave us: https only, never into our own net, no redirect followed.

The name is resolved here, every address it has is checked, and the connection goes to an address that was checked:
a second answer of a name server (DNS rebinding) is never asked for.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet

import httpx

from service.notify import endpoint
from service.notify.endpoint import Refused
from service.notify.message import Dead, Disable, Result, Retry, Sent

# Name, connection, handshake and answer together: others wait for the run that this is part of.
TIMEOUT_SECONDS = 10.0
CONNECT_SECONDS = 5.0
# What a Retry-After may ask for at most.
LONGEST_WAIT_SECONDS = 24 * 3_600

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Gives the addresses of a host; OSError where it has none."""


async def resolved(host: str, port: int) -> list[str]:
    """What the system's name service says."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(each[4][0]).partition("%")[0] for each in found]


class _Way:
    """How far one request came."""

    def __init__(self) -> None:
        self.begun = False

    async def trace(self, event: str, info: Mapping[str, object]) -> None:
        """httpcore tells each step; from the body's first byte on, the other side may have the message."""
        del info
        self.begun = self.begun or event.endswith("send_request_body.started")


class Outward:
    """Posts. `allowed` host:port pairs may also be private and plain http; `gone`: the answers that end an address;
    `final`: those that only say that another try would have the same."""

    def __init__(
        self,
        *,
        allowed: AbstractSet[str],
        gone: AbstractSet[int],
        final: AbstractSet[int] = frozenset(),
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = resolved,
    ) -> None:
        self._allowed = allowed
        self._gone = gone
        self._final = final
        self._tls = tls or ssl.create_default_context()
        self._resolve = resolve

    async def post(self, to: str, body: bytes, headers: Mapping[str, str]) -> Result:
        """One attempt; never raises for what the other side does."""
        way = _Way()
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return await self._post(endpoint.read(to, allowed=self._allowed), body, headers, way)
        except Refused as error:
            return Dead(str(error))
        except TimeoutError:
            return Retry("no answer in time", may_have_arrived=way.begun)
        except (httpx.HTTPError, OSError) as error:
            return Retry(f"out of reach ({type(error).__name__})", may_have_arrived=way.begun)

    async def _post(self, url: httpx.URL, body: bytes, headers: Mapping[str, str], way: _Way) -> Result:
        address = await self._checked_address(url)
        # A client each: a kept connection is known by its address, and another endpoint may share that.
        timeout = httpx.Timeout(TIMEOUT_SECONDS, connect=CONNECT_SECONDS)
        client = httpx.AsyncClient(verify=self._tls, follow_redirects=False, trust_env=False, timeout=timeout)
        async with (
            client,
            client.stream(
                "POST",
                url.copy_with(host=address),
                content=body,
                headers={"host": url.netloc.decode(), "user-agent": "Neap", **headers},
                extensions={"sni_hostname": url.host, "trace": way.trace},
            ) as response,
        ):
            return self._result_of(response)

    async def _checked_address(self, url: httpx.URL) -> str:
        """An address of the URL's host to which we may connect. Raises Refused, OSError where the name has none."""
        addresses = await self._resolve(url.host, endpoint.port_of(url))
        if endpoint.pair_of(url) not in self._allowed and not all(endpoint.is_public(each) for each in addresses):
            raise Refused("the endpoint has a private address")
        return addresses[0]

    def _result_of(self, response: httpx.Response) -> Result:
        if response.is_success:
            return Sent()
        problem = f"the endpoint answered {response.status_code}"
        if response.status_code in self._gone:
            return Disable(problem)
        if response.status_code in self._final:
            return Dead(problem)
        after = response.headers.get("retry-after", "")
        return Retry(problem, min(float(after), LONGEST_WAIT_SECONDS) if after.isdecimal() else None)
