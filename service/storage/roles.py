"""The database's roles: made by an administrator once, bounded for ever.

neap_owner owns the database and migrates; neap_web, neap_jobs and neap_sweep run the processes; none of them is a
superuser or passes row-level security. neap_backup does pass it, for dumps, and nobody logs in as it.
"""

import base64
import hashlib
import hmac
import secrets
from urllib.parse import unquote, urlsplit

import asyncpg
from msgspec import Struct

from service.config import ROLES, Config, ConfigError, Role
from service.database import Connection
from service.errors import DomainError

PROCESS_ROLES = tuple(f"neap_{role}" for role in ROLES)
BACKUP_ROLE = "neap_backup"

# PostgreSQL's own default; what a guesser of a stolen verifier has to pay for each try.
SCRAM_ITERATIONS = 4096


class RoleFault(DomainError):
    """A role is missing or may do more than it must."""

    kind = "database-role"


class Rights(Struct):
    """What a session may do beyond its own clinic."""

    role: str
    above_policies: list[str]
    owned_table: str | None


SELECT_MISSING = """
select wanted.role
  from unnest($1::text[]) with ordinality as wanted (role, place)
 where not exists (select from pg_roles where pg_roles.rolname = wanted.role)
 order by wanted.place
"""


async def missing(connection: Connection) -> list[str]:
    """Give the names of the process roles that are not there."""
    return [row["role"] for row in await connection.fetch(SELECT_MISSING, list(PROCESS_ROLES))]


SELECT_RIGHTS = """
select current_user::text as role,
       array(select rolname::text
               from pg_roles
              where pg_has_role(current_user, oid, 'member')
                and (rolsuper or rolbypassrls)
              order by rolname) as above_policies,
       (select min(relname::text)
          from pg_class
         where relkind in ('r', 'p')
           and relnamespace = 'public'::regnamespace
           and pg_has_role(current_user, relowner, 'member')) as owned_table
"""


async def refuse_unbounded(connection: Connection) -> None:
    """Raise RoleFault when the session's role could step past row-level security; web and jobs begin with this."""
    record = await connection.fetchrow(SELECT_RIGHTS)
    assert record is not None
    rights = Rights(**record)
    if rights.above_policies:
        raise RoleFault(f"{rights.role} passes row-level security (through {', '.join(rights.above_policies)})")
    if rights.owned_table is not None:
        raise RoleFault(f"{rights.role} owns tables ({rights.owned_table}), so it could lift row-level security")


async def refuse_other(connection: Connection, role: Role) -> None:
    """Raise RoleFault when the address of a role lets in another one, whose rights fit other work."""
    user = await connection.fetchval("select current_user::text")
    if user != f"neap_{role}":
        raise RoleFault(f"the address of neap_{role} lets in {user}: see NEAP_{role.upper()}_DATABASE_URL")


def sql_for(missing_roles: list[str], database: str) -> str:
    """Give the SQL with which an administrator makes what is missing by hand."""
    lines = [_create_role(role) for role in missing_roles]
    lines += [f"\\password {role}" for role in missing_roles]
    lines += [f"alter database {_quoted(database)} owner to neap_owner;"]
    return "\n".join(lines)


async def make(admin_url: str, config: Config) -> list[str]:
    """Make the roles and the database that are missing, set the passwords that are known; give notes for the operator.

    RoleFault when what is there already is not as it must be.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        # Two migrations at once would otherwise race to create the same role.
        await connection.execute("select pg_advisory_lock(hashtext('neap roles'))")
        for role in await missing(connection):
            await connection.execute(_create_role(role))
        await _set_passwords(connection, config)
        await _refuse_powerful(connection)
        await _make_database(connection, database_of(config))
        return await _make_backup_role(connection)
    finally:
        await connection.close()


def database_of(config: Config) -> str:
    """Give the name of the database that neap_owner migrates."""
    return unquote(urlsplit(config.database_url_of("owner")).path.strip("/"))


def scram_verifier(password: str, salt: bytes, iterations: int = SCRAM_ITERATIONS) -> str:
    """Give what PostgreSQL stores for a password (RFC 5803), so that the password itself is never in a statement."""
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    parts = [base64.b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def _create_role(role: str) -> str:
    return f"create role {role} login nosuperuser nocreatedb nocreaterole noreplication nobypassrls;"


async def _set_passwords(connection: Connection, config: Config) -> None:
    for role in ROLES:
        try:
            address = urlsplit(config.database_url_of(role))
        except ConfigError:
            continue
        if address.username == f"neap_{role}" and address.password:
            verifier = scram_verifier(unquote(address.password), secrets.token_bytes(16))
            await connection.execute(f"alter role neap_{role} password '{verifier}'")


SELECT_POWERFUL = """
select rolname::text as role
  from pg_roles
 where rolname = any($1::text[])
   and (rolsuper or rolbypassrls)
 order by rolname
"""


async def _refuse_powerful(connection: Connection) -> None:
    if powerful := [row["role"] for row in await connection.fetch(SELECT_POWERFUL, list(PROCESS_ROLES))]:
        raise RoleFault(f"must be neither superuser nor bypassrls: {', '.join(powerful)}")


SELECT_DATABASE_OWNER = """
select pg_get_userbyid(datdba)::text
  from pg_database
 where datname = $1
"""


async def _make_database(connection: Connection, database: str) -> None:
    owner = await connection.fetchval(SELECT_DATABASE_OWNER, database)
    if owner == "neap_owner":
        return
    if owner is not None:
        raise RoleFault(f"the database {database} must be owned by neap_owner, not by {owner}")
    name = _quoted(database)
    try:
        await _create_database(connection, name)
    except asyncpg.InsufficientPrivilegeError:
        # Whoever is no superuser must be a member of the owner for a moment.
        await connection.execute("grant neap_owner to current_user")
        await _create_database(connection, name)
        await connection.execute("revoke neap_owner from current_user")


async def _create_database(connection: Connection, name: str) -> None:
    await connection.execute(f"create database {name} owner neap_owner template template0 encoding 'UTF8'")
    await connection.execute(f"revoke connect, temporary on database {name} from public")
    await connection.execute(f"grant connect on database {name} to {', '.join(PROCESS_ROLES)}")


async def _make_backup_role(connection: Connection) -> list[str]:
    if await connection.fetchval("select true from pg_roles where rolname = $1", BACKUP_ROLE):
        return []
    try:
        async with connection.transaction():
            await connection.execute(f"create role {BACKUP_ROLE} nologin bypassrls")
            await connection.execute(f"grant pg_read_all_data to {BACKUP_ROLE}")
    except asyncpg.InsufficientPrivilegeError:
        return [
            f"{BACKUP_ROLE} is missing: only a superuser can make it, and pg_dump --role={BACKUP_ROLE} needs it:",
            f"create role {BACKUP_ROLE} nologin bypassrls; grant pg_read_all_data to {BACKUP_ROLE};",
        ]
    return []


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
