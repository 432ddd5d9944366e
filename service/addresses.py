"""What may stand in a setting as an address: of a host, a web page, a mail sender, a database.

A refusal never holds the address, nor a part of it: a password that is written wrong looks like a port or a path.
"""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

MOST_PORT = 65_535
SSL_MODES = frozenset(("disable", "allow", "prefer", "require", "verify-ca", "verify-full"))
LOGIN_PARAMETERS = frozenset(("user", "password", "passfile"))
ESCAPED = "in a password, / is written %2F, @ %40, : %3A, ? %3F, # %23, [ %5B, % %25"

# RFC 1123, 2.1; the underscore because networks of containers use it. A last part of digits would be an address.
LABEL = r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST_NAME = re.compile(rf"(?!(.*\.)?[0-9]+\.?$)(?=.{{1,253}}$){LABEL}(\.{LABEL})*\.?", re.ASCII)
PORT = re.compile(r"[0-9]{1,5}", re.ASCII)
# RFC 5322, 3.4, without comments, groups and quoted local parts; a name before it is bare or quoted.
ATOMS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
SENDER = re.compile(
    rf'(?P<bare>{ATOMS}@(?P<host>[^\s<>@]+))|(([^<>@,;:"\\()\[\]]+ |"[^"\\]*" ?)?<{ATOMS}@(?P<inner>[^\s<>@]+)>)'
)


def is_host(text: str) -> bool:
    """Whether it is the name of a host, or an IPv4 or IPv6 address without brackets."""
    return _is_ip(text) or HOST_NAME.fullmatch(text) is not None


def is_port(text: str) -> bool:
    """Whether it is a port that one can connect to."""
    return PORT.fullmatch(text) is not None and 1 <= int(text) <= MOST_PORT


def is_host_and_port(text: str) -> bool:
    """Whether it is host:port, an IPv6 address in brackets."""
    host, colon, port = text.rpartition(":")
    return bool(colon) and is_port(port) and _is_written_host(host)


def is_network(text: str) -> bool:
    """Whether it is an IP address, or a network of them."""
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_sender(text: str) -> bool:
    """Whether it is name@host, or Words <name@host>."""
    found = SENDER.fullmatch(text) if text.isprintable() else None
    return found is not None and is_host(found["host"] or found["inner"])


def page_fault(url: str) -> str | None:
    """Why this is no address at which a browser finds us."""
    parts = _parts(url)
    if not url.lower().startswith(("http://", "https://")):
        return "must begin with http:// or https://, and name a host"
    if parts is None or not (_is_written_host(parts.netloc) or is_host_and_port(parts.netloc)):
        return "must name a host, and a port where it is not the usual one, such as https://neap.clinic.example"
    return "must end after host and port" if url.rstrip("/").count("/") > len("//") else None


def database_faults(url: str, *, login: bool) -> list[str]:
    """Why this is no address of a PostgreSQL database; `login` where a name and a password may stand in it."""
    parts = _parts(url)
    if parts is None:
        return [f"cannot be read as an address; {ESCAPED}"]
    faults = []
    if parts.scheme not in ("postgresql", "postgres"):
        faults.append("must begin with postgresql://")
    who, _, places = parts.netloc.rpartition("@")
    if not _are_places(places) or "@" in who:
        faults.append(f"must name a host, and after a colon a port where it is not 5432; {ESCAPED}")
    name = parts.path.strip("/")
    if not name:
        faults.append("must name the database")
    elif "/" in name or "@" in name or parts.fragment:
        faults.append(f"must end with the name of one database; {ESCAPED}")
    return faults + _query_faults(parts.query) + ([] if login else _login_faults(parts))


def _parts(url: str) -> SplitResult | None:
    """The parts; None where Python cannot part it, or would drop what is written there."""
    if any(letter.isspace() or not letter.isprintable() for letter in url):
        return None
    try:
        return urlsplit(url)
    except ValueError:
        return None


def _are_places(text: str) -> bool:
    """Hosts with or without ports, one or several; none where the server is found by a socket or a query."""
    return text == "" or all(_is_place(each) for each in text.split(","))


def _is_place(text: str) -> bool:
    return unquote(text).startswith("/") or _is_written_host(text) or is_host_and_port(text)


def _is_written_host(text: str) -> bool:
    """A host as it stands in an address: an IPv6 address is in brackets, or its last part would be a port."""
    if text.startswith("["):
        return text.endswith("]") and ":" in text and _is_ip(text[1:-1])
    return ":" not in text and is_host(text)


def _login_faults(parts: SplitResult) -> list[str]:
    if "@" in parts.netloc or parse_qs(parts.query).keys() & LOGIN_PARAMETERS:
        return ["names host, port and database only; passwords come by role"]
    return []


def _query_faults(query: str) -> list[str]:
    try:
        given = parse_qs(query, strict_parsing=True) if query else {}
    except ValueError:
        return ["has a query that is not written as name=value&name=value"]
    faults = []
    if not all(mode in SSL_MODES for mode in given.get("sslmode", ())):
        faults.append(f"sslmode is one of {', '.join(sorted(SSL_MODES))}")
    if not all(is_port(port) for ports in given.get("port", ()) for port in ports.split(",")):
        faults.append("port is a number of at most 65535")
    if not all(_is_place(host) or is_host(host) for hosts in given.get("host", ()) for host in hosts.split(",")):
        faults.append("host is a host or the folder of a socket")
    return faults


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
