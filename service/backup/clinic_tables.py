"""A clinic's rows, table after table, as CSV in an order of their own: the same rows give the same bytes anywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from graphlib import TopologicalSorter

import msgspec

from service.database import Connection, Db

Put = Callable[[bytes], object]


class Table(msgspec.Struct, frozen=True):
    """A table's name; as a statement quotes it; which of its rows are a clinic's, and in which order."""

    name: str
    quoted: str
    where: str
    order_by: str


class Kept(msgspec.Struct, frozen=True):
    """A table's file: how many rows, and its SHA-256 in hexadecimal digits."""

    rows: int
    sha256: str


# Populations are the deployment's; those that the clinic's rules name are needed to fold its days.
POPULATIONS = Table(
    name="population_prior",
    quoted="population_prior",
    where="version in (select (rules ->> 'population')::integer from rule_set where clinic_id = $1)",
    order_by="version",
)

# By the primary key, and texts by their bytes: the languages of two servers may sort them differently.
TABLES = """
select c.relname as name, quote_ident(c.relname) as quoted, (
  select string_agg(
    quote_ident(k.attname) || case when k.attcollation <> 0 then ' collate "C"' else '' end, ', ' order by at.place
  )
  from pg_index i
  cross join unnest(i.indkey) with ordinality as at (number, place)
  join pg_attribute k
    on k.attrelid = c.oid
    and k.attnum = at.number
  where i.indrelid = c.oid
    and i.indisprimary
) as order_by
from pg_class c
join pg_attribute a
  on a.attrelid = c.oid
  and a.attname = 'clinic_id'
  and not a.attisdropped
where c.relnamespace = 'public'::regnamespace
  and c.relkind = 'r'
order by c.relname
"""


async def every(connection: Connection) -> list[Table]:
    """Every table that holds rows of a clinic's, by name."""
    records = await connection.fetch(TABLES)
    tenant = [Table(each["name"], each["quoted"], "clinic_id = $1", each["order_by"]) for each in records]
    return sorted([*tenant, POPULATIONS], key=lambda each: each.name)


REFERENCES = """
select t.relname as name, f.relname as needed
from pg_constraint c
join pg_class t
  on t.oid = c.conrelid
join pg_class f
  on f.oid = c.confrelid
where c.contype = 'f'
  and c.conrelid <> c.confrelid
  and t.relnamespace = 'public'::regnamespace
"""


async def in_order_of_need(connection: Connection, tables: Mapping[str, Table]) -> list[Table]:
    """The same tables, each behind those that its rows refer to."""
    needs: dict[str, set[str]] = {name: set() for name in sorted(tables)}
    for record in await connection.fetch(REFERENCES):
        if record["name"] in tables and record["needed"] in tables:
            needs[record["name"]].add(record["needed"])
    return [tables[name] for name in TopologicalSorter(needs).static_order()]


FORMATS = """
set local timezone = 'UTC';
set local datestyle = 'ISO, MDY';
set local intervalstyle = 'postgres';
set local bytea_output = 'hex';
set local extra_float_digits = 1
"""


async def same_formats(connection: Connection) -> None:
    """Write values, in this transaction, as every server does."""
    await connection.execute(FORMATS)


async def copy_out(db: Db, table: Table, put: Put) -> Kept:
    """Give the table's rows of the clinic to `put`, octets after octets; says what they were."""
    # Names from the catalogue, quoted by the server: no name can be a parameter. Row-level security holds the owner,
    # too; the condition says so once more.
    query = f"select * from public.{table.quoted} where {table.where} order by {table.order_by}"  # noqa: S608
    digest = hashlib.sha256()

    async def take(octets: bytes) -> None:
        digest.update(octets)
        put(octets)

    status = await db.connection.copy_from_query(query, db.clinic_id, output=take, format="csv", header=True)
    return Kept(int(status.rpartition(" ")[2]), digest.hexdigest())
