"""A database at hand for a single command: the embedded one made ready, another one checked."""

import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg
from msgspec import Struct

from service import embedded
from service.config import Config
from service.embedded import Cluster
from service.storage import roles, schema


class Prepared(Struct, frozen=True):
    """What `prepare` did: the migrations it applied, and notes for the operator."""

    applied: list[str]
    notes: list[str]


def _on_stderr(text: str) -> None:
    sys.stderr.write(f"neap: {text}\n")


@asynccontextmanager
async def at_hand(config: Config, *, tell: Callable[[str], None] = _on_stderr) -> AsyncIterator[Cluster | None]:
    """Have a current database for as long as the block runs; gives the embedded server, or None for another.

    Only the embedded server is migrated on the way; another one must be current (SchemaFault). `tell` hears where one
    is made: whoever forgot the settings of their deployment should not look for their data in it.
    """
    if config.embedded:
        if not embedded.is_made(config):
            tell(
                f"no database is set, so one is made for this machine in {config.data_dir.resolve()}, with a key of "
                "its own; set NEAP_DATABASE_URL for another"
            )
        async with embedded.running(config) as cluster:
            await prepare(config, admin_url=cluster.superuser_url)
            yield cluster
        return
    connection = await asyncpg.connect(config.database_url_of("owner"))
    try:
        await schema.refuse_stale(connection)
    finally:
        await connection.close()
    yield None


async def prepare(config: Config, *, admin_url: str | None) -> Prepared:
    """Make roles and database where an administrator's address is given, then migrate as neap_owner.

    RoleFault or SchemaFault when that cannot be done; the first holds the SQL that helps.
    """
    notes = await roles.make(admin_url, config) if admin_url is not None else []
    if admin_url is None:
        await _refuse_missing_roles(config)
    return Prepared(await schema.migrate(config.database_url_of("owner")), notes)


async def _refuse_missing_roles(config: Config) -> None:
    database = roles.database_of(config)
    try:
        connection = await asyncpg.connect(config.database_url_of("owner"))
    except asyncpg.InvalidPasswordError:
        raise roles.RoleFault(
            "the password of neap_owner is refused; check NEAP_OWNER_PASSWORD or NEAP_OWNER_DATABASE_URL. "
            "Where that role was never made, set NEAP_ADMIN_DATABASE_URL"
        ) from None
    except asyncpg.InvalidCatalogNameError:
        others = [role for role in roles.PROCESS_ROLES if role != "neap_owner"]
        raise roles.RoleFault(
            f"there is no database {database}. Set NEAP_ADMIN_DATABASE_URL, or let an administrator run this, "
            f'without the roles that are there:\ncreate database "{database}";\n' + roles.sql_for(others, database)
        ) from None
    except asyncpg.InvalidAuthorizationSpecificationError as error:
        raise roles.RoleFault(
            f"neap_owner cannot connect to {database} ({type(error).__name__}). "
            "Set NEAP_ADMIN_DATABASE_URL, or let an administrator run what is missing of:\n"
            f'create database "{database}";\n' + roles.sql_for(list(roles.PROCESS_ROLES), database)
        ) from None
    try:
        if missing := await roles.missing(connection):
            raise roles.RoleFault(
                f"missing: {', '.join(missing)}. Set NEAP_ADMIN_DATABASE_URL, or let an administrator run:\n"
                + roles.sql_for(missing, database)
            )
    finally:
        await connection.close()
