"""Where a webhook may go: what an endpoint's URL must be, and which addresses are of the public internet.

Source of the ranges: IANA's special-purpose address registries for IPv4 and IPv6 (RFC 6890 and its successors).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Set as AbstractSet
from ipaddress import IPv4Address, IPv6Address

import httpx

PORTS = {"https": 443, "http": 80}
LONGEST_URL = 2_000
LAST_PORT = 65_535
# A name's letters and an address's; httpx passes others.
HOST = re.compile(r"[A-Za-z0-9._:-]+", re.ASCII)

# Not for hosts of the internet although Python's `is_global` passes them, in some of its releases.
ALSO_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network, ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20")
    )
)
# Every host of the IPv6 internet lies in here; loopback, IPv4-compatible, site-local and local NAT64 addresses do not.
UNICAST = ipaddress.IPv6Network("2000::/3")
# Stands for an IPv4 address where a network has no IPv4 of its own (RFC 6052).
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class Refused(Exception):
    """We will not send there; says why."""


def read(text: str, *, allowed: AbstractSet[str]) -> httpx.URL:
    """An endpoint's URL as somebody typed it. Raises Refused for what could never be sent to.

    `allowed` host:port pairs may also be private and plain http. Where a name leads is seen when a message is sent.
    """
    authority = text.partition("://")[2].replace("?", "/").partition("/")[0]
    if len(text) > LONGEST_URL or not text.isascii() or not text.isprintable() or set(text) & set(" \\#"):
        raise Refused("the endpoint is no URL")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise Refused("the endpoint is no URL") from error
    said_port_fits = url.port is None or 0 < url.port <= LAST_PORT
    if url.scheme not in PORTS or HOST.fullmatch(url.host) is None or set(authority) & set("@%") or not said_port_fits:
        raise Refused("the endpoint is no http address")
    if pair_of(url) in allowed:
        return url
    if url.scheme != "https":
        raise Refused("the endpoint is not https")
    if not _may_be_public(url.host):
        raise Refused("the endpoint has a private address")
    return url


def port_of(url: httpx.URL) -> int:
    """The port, said or meant."""
    return url.port or PORTS[url.scheme]


def pair_of(url: httpx.URL) -> str:
    """Host and port as the settings write them."""
    return f"[{url.host}]:{port_of(url)}" if ":" in url.host else f"{url.host}:{port_of(url)}"


def _may_be_public(host: str) -> bool:
    """Whether a host could have a public address: a name could, except this machine's own."""
    last = host.rstrip(".").rpartition(".")[2]
    if ":" in host or last[:1].isdigit():
        # Numbers in other forms than an address ("2130706433", "127.1", "0x7f.1") are addresses to a resolver only.
        try:
            return is_public(host)
        except ValueError:
            return False
    return bool(last) and last != "localhost"


def is_public(text: str) -> bool:
    """Whether an address belongs to the public internet; an IPv4 address in IPv6's clothes is judged as what it is.

    Raises ValueError for what is no address.
    """
    address = ipaddress.ip_address(text)
    if isinstance(address, IPv6Address):
        inner = address.ipv4_mapped or (IPv4Address(address.packed[-4:]) if address in NAT64 else None)
        if inner is None and address not in UNICAST:
            return False
        address = inner or address
    return address.is_global and not address.is_multicast and not any(address in each for each in ALSO_NOT_PUBLIC)
