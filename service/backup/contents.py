"""What a database holds, written down beside a base backup: what a restore must give back at least."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import asyncpg
import msgspec

from service.database import Connection


class Table(msgspec.Struct, frozen=True):
    """How many rows a table held; `grows`: no process may delete any."""

    rows: int
    grows: bool


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a database, from one snapshot: migrations, rows by table, each clinic's newest row of the audit
    trail, and when the newest of all was written; `key_check` tells the master key from others.
    """

    at: datetime
    server_version: str
    migrations: list[str]
    tables: dict[str, Table]
    audit_heads: dict[UUID, UUID]
    newest_at: datetime | None
    key_check: str | None = None


TABLES = """
select c.relname as name, not exists (
    select
    from information_schema.role_table_grants g
    where g.table_schema = 'public'
      and g.table_name = c.relname
      and g.privilege_type = 'DELETE'
      and g.grantee in ('neap_web', 'neap_jobs', 'neap_sweep')
  ) as grows
from pg_class c
where c.relnamespace = 'public'::regnamespace
  and c.relkind = 'r'
order by c.relname
"""


async def _tables(connection: Connection) -> list[asyncpg.Record]:
    return await connection.fetch(TABLES)


HEADS = """
select distinct on (clinic_id) clinic_id, audit_event_id
from audit_event
order by clinic_id, happened_at desc, audit_event_id desc
"""


async def _heads(connection: Connection) -> dict[UUID, UUID]:
    return {record["clinic_id"]: record["audit_event_id"] for record in await connection.fetch(HEADS)}


NOW = """
select clock_timestamp() as at, current_setting('server_version') as server_version,
  (select array_agg(version order by version) from schema_migrations) as migrations,
  greatest((select max(happened_at) from audit_event), (select max(received_at) from check_in)) as newest_at
"""


async def read(url: str) -> Contents:
    """Look at everything as a superuser, whom row-level security does not hold, in one snapshot."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            said = dict(await connection.fetchrow(NOW) or {})
            tables = {}
            for record in await _tables(connection):
                # A name from the catalogue, quoted by the server; no table's name can be a parameter.
                quoted = await connection.fetchval("select quote_ident($1)", record["name"])
                rows = await connection.fetchval(f"select count(*) from public.{quoted}")  # noqa: S608
                tables[record["name"]] = Table(rows, record["grows"])
            heads = await _heads(connection)
    finally:
        await connection.close()
    return msgspec.convert({**said, "tables": tables, "audit_heads": heads}, Contents)


NEWEST_AT = """
select greatest((select max(happened_at) from audit_event), (select max(received_at) from check_in))
"""


async def newest_at(url: str) -> datetime | None:
    """When the newest answer, or row of an audit trail, was written, as a superuser sees it; None without any."""
    connection = await asyncpg.connect(url)
    try:
        return msgspec.convert(await connection.fetchval(NEWEST_AT), datetime | None)
    finally:
        await connection.close()


HAS_EVENT = """
select true
from audit_event
where clinic_id = $1
  and audit_event_id = $2
"""


async def lacks_heads(url: str, heads: dict[UUID, UUID]) -> list[UUID]:
    """The clinics whose newest row of the audit trail, as it was written down, is not there."""
    connection = await asyncpg.connect(url)
    try:
        return [each for each, head in heads.items() if not await connection.fetchval(HAS_EVENT, each, head)]
    finally:
        await connection.close()


def missing_of(was: Contents, is_now: Contents) -> list[str]:
    """What a restored database lacks of what was written down, in words; empty where nothing does."""
    faults = []
    if gone := [each for each in was.migrations if each not in is_now.migrations]:
        faults.append(f"migrations are missing: {', '.join(gone)}")
    for name, table in was.tables.items():
        there = is_now.tables.get(name)
        if there is None:
            faults.append(f"table {name} is missing")
        elif table.grows and there.rows < table.rows:
            faults.append(f"table {name} holds {there.rows} rows of at least {table.rows}")
    return faults
