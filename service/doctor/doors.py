"""Whether the database lets each role in, and no further than it should."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from service.config import ROLES, Config, ConfigError, Role
from service.database import Connection
from service.doctor.finding import CONNECT_SECONDS, Finding
from service.storage import roles

TO_MEND = "take the membership or the table away from it; see docs/security.md"


@asynccontextmanager
async def connected(config: Config, role: Role) -> AsyncIterator[Connection]:
    """One connection of a role; raises what keeps it out."""
    connection = await asyncpg.connect(config.database_url_of(role), timeout=CONNECT_SECONDS)
    try:
        yield connection
    finally:
        await connection.close()


async def tried(config: Config) -> tuple[list[Finding], set[Role]]:
    """What each role meets, and which of them come no further: whatever else would be asked under them is not known.

    What keeps everybody out is one finding.
    """
    found: list[Finding] = []
    shut: set[Role] = set()
    for role in ROLES:
        try:
            found.append(await _door(config, role))
        except ConfigError as fault:
            found.append(Finding(f"role neap_{role}", "not set", "; ".join(fault.faults)))
            shut.add(role)
        except asyncpg.InvalidAuthorizationSpecificationError:
            found.append(Finding(f"role neap_{role}", "is refused", _remedy(config, role)))
            shut.add(role)
        except asyncpg.InvalidCatalogNameError:
            remedy = "run `python -m service migrate` with an administrator's address: it makes what is missing"
            return [Finding("PostgreSQL", "there is no such database", remedy)], set(ROLES)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
            return [Finding("PostgreSQL", f"no answer ({type(error).__name__})", _start(config))], set(ROLES)
    if shut == set(ROLES) and len({(each.seen, each.remedy) for each in found}) == 1:
        return [Finding("PostgreSQL", found[0].seen, found[0].remedy)], shut
    return found, shut


async def _door(config: Config, role: Role) -> Finding:
    name = f"role neap_{role}"
    async with connected(config, role) as connection:
        try:
            await roles.refuse_other(connection, role)
        except roles.RoleFault as fault:
            return Finding(name, str(fault), f"let NEAP_{role.upper()}_DATABASE_URL name neap_{role} and its password")
        if role == "owner":
            return Finding(name, "lets us in")
        try:
            await roles.refuse_unbounded(connection)
        except roles.RoleFault as fault:
            return Finding(name, str(fault), TO_MEND)
    return Finding(name, "lets us in, and no further than it should")


def _remedy(config: Config, role: Role) -> str:
    if config.embedded:
        return f"run `python -m service migrate`: it sets the password that {config.secrets_dir / role}_password holds"
    return (
        f"set NEAP_{role.upper()}_PASSWORD to the one that it has, or run `python -m service migrate` with an "
        "administrator's address: it sets the one of the settings"
    )


def _start(config: Config) -> str:
    if config.embedded:
        return "start it: `python -m service database`"
    return "see whether the server that NEAP_DATABASE_URL names runs, listens there and takes connections"
