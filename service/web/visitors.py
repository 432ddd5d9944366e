"""From where a request comes, as far as slowing guesses goes: its network, and what its browser kept of sign-ins."""

from __future__ import annotations

import ipaddress
from typing import Any

from litestar import Request, Response
from litestar.datastructures import Cookie

from service.people.sign_in_throttle import Visitor

# Marks of the people who signed in with this browser; a desk that colleagues share keeps one of each.
KNOWN_COOKIE = "__Host-neap-known"
MOST_MARKS = 10
KNOWN_SECONDS = 365 * 24 * 3600

# An IPv6 customer has at least 2^64 addresses, so the network counts.
IPV6_PREFIX_BITS = 64


def network_of(request: Request[Any, Any, Any]) -> str:
    """The IPv4 address or the IPv6 network of whoever asks."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped
        return str(inner or ipaddress.ip_network((address, IPV6_PREFIX_BITS), strict=False))
    return str(address)


def visitor_of(request: Request[Any, Any, Any]) -> Visitor:
    """Whoever asks."""
    return Visitor(network_of(request), tuple(_marks_of(request)))


def _marks_of(request: Request[Any, Any, Any]) -> list[str]:
    kept = request.cookies.get(KNOWN_COOKIE, "")
    return [mark for mark in kept.split(".") if mark][:MOST_MARKS]


def remember(reply: Response[Any], request: Request[Any, Any, Any], mark: str) -> Response[Any]:
    """The reply, by which the browser keeps the mark of a whole sign-in, the newest first."""
    marks = [mark, *(each for each in _marks_of(request) if each != mark)][:MOST_MARKS]
    reply.set_cookie(
        Cookie(
            KNOWN_COOKIE,
            path="/",
            value=".".join(marks),
            httponly=True,
            secure=True,
            samesite="strict",
            max_age=KNOWN_SECONDS,
        )
    )
    return reply
