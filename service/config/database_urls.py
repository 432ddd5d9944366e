"""Where each role connects: addresses that are given, and those of the embedded server."""

import typing
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from service.config.variable import ConfigError, variable_of

Role = Literal["owner", "web", "jobs", "sweep"]
ROLES: tuple[Role, ...] = typing.get_args(Role)


class EmbeddedServer(Struct, frozen=True):
    """Where the embedded server of a data folder listens and keeps its files; stored as embedded.json."""

    host: str
    port: int
    cluster_dir: str


class DatabaseUrls(Struct, frozen=True):
    """Where each role connects: one address a role, password included."""

    owner: str
    web: str
    jobs: str
    sweep: str

    def __repr__(self) -> str:
        """Name the roles only, since the addresses hold passwords."""
        return f"DatabaseUrls({', '.join(ROLES)})"


def with_login(url: str, role: str, password: str | None) -> str:
    """Give the address with the role's name, and with the password unless the address has one already."""
    parts = urlsplit(url)
    login, _, place = parts.netloc.rpartition("@")
    name, colon, own_password = login.partition(":")
    secret = own_password if colon else (quote(password, safe="") if password else "")
    login = (name or role) + (f":{secret}" if secret else "")
    return urlunsplit(parts._replace(netloc=f"{login}@{place}"))


def embedded_url(data_dir: Path, role: Role | Literal["postgres"], database: str = "neap") -> str:
    """Give a role's address at the embedded server; ConfigError when no server was ever started there."""
    password = data_dir / "secrets" / f"{role}_password"
    record = data_dir / "embedded.json"
    if not record.is_file():
        start = "start the embedded server (`python -m service database`)"
        raise ConfigError(f"no database: set {variable_of('database_url')}, or {start}")
    if not password.is_file():
        raise ConfigError(f"{password} is missing: put a new password there and run `python -m service migrate`")
    try:
        place = msgspec.json.decode(record.read_bytes(), type=EmbeddedServer)
    except msgspec.DecodeError:
        raise ConfigError(f"{variable_of('data_dir')}: {record.name} there does not say where the server is") from None
    name = "postgres" if role == "postgres" else f"neap_{role}"
    login = f"{name}:{quote(password.read_text().strip(), safe='')}"
    return f"postgresql://{login}@{place.host}:{place.port}/{database}?sslmode=disable"
