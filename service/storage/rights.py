"""What each process's role may do with each table: as the migrations grant it, and what a database lacks of that.

`rights.json` beside this module says it for the newest migration; `python -m docs.rights` writes it, a test holds it to
the migrated database.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import NamedTuple

import msgspec

from service.database import Connection

ROLES = ("neap_web", "neap_jobs", "neap_sweep")


class Right(NamedTuple):
    """One privilege of a role on a table, or on one of its columns."""

    role: str
    table: str
    privilege: str
    column: str | None


SELECT_GRANTED = """
select grantee.rolname::text as role, c.relname::text as table, lower(held.privilege_type) as privilege,
  null::text as column
from pg_class c
cross join lateral aclexplode(c.relacl) as held
join pg_roles grantee
  on grantee.oid = held.grantee
where c.relnamespace = 'public'::regnamespace
  and grantee.rolname = any($1::text[])
union all
select grantee.rolname::text, c.relname::text, lower(held.privilege_type), a.attname::text
from pg_class c
join pg_attribute a
  on a.attrelid = c.oid
  and not a.attisdropped
cross join lateral aclexplode(a.attacl) as held
join pg_roles grantee
  on grantee.oid = held.grantee
where c.relnamespace = 'public'::regnamespace
  and grantee.rolname = any($1::text[])
"""


async def granted(connection: Connection) -> list[Right]:
    """What is granted here, in order."""
    rows = await connection.fetch(SELECT_GRANTED, list(ROLES))
    return sorted((Right(**row) for row in rows), key=lambda right: (*right[:3], right.column or ""))


def wanted() -> list[Right]:
    """What the migrations grant."""
    raw = resources.files("service.storage").joinpath("rights.json").read_bytes()
    return [Right(*each) for each in msgspec.json.decode(raw, type=list[tuple[str, str, str, str | None]])]


SELECT_LACKING = """
select role, "table", privilege, "column"
from unnest($1::text[], $2::text[], $3::text[], $4::text[]) with ordinality
  as wanted (role, "table", privilege, "column", place)
where not case
    when "column" is null then has_table_privilege(role, 'public.' || quote_ident("table"), privilege)
    else has_column_privilege(role, 'public.' || quote_ident("table"), "column", privilege)
  end
order by place
"""


async def lacking(connection: Connection) -> list[Right]:
    """What a role may not do here though the migrations grant it; the schema must be this program's."""
    columns = [list(column) for column in zip(*wanted(), strict=True)]
    return [Right(**row) for row in await connection.fetch(SELECT_LACKING, *columns)]


def sql_for(rights: Iterable[Right]) -> str:
    """The statements that grant them, one a role and table."""
    grouped: defaultdict[tuple[str, str], list[Right]] = defaultdict(list)
    for right in rights:
        grouped[right.role, right.table].append(right)
    return " ".join(f"grant {_privileges(some)} on {table} to {role};" for (role, table), some in grouped.items())


def _privileges(rights: Sequence[Right]) -> str:
    columns: defaultdict[str, list[str | None]] = defaultdict(list)
    for right in rights:
        columns[right.privilege].append(right.column)
    return ", ".join(
        name if None in some else f"{name} ({', '.join(each for each in some if each is not None)})"
        for name, some in columns.items()
    )


def encode(rights: Sequence[Right]) -> bytes:
    """The bytes of `rights.json`, one right a line."""
    lines = [msgspec.json.encode(right).decode() for right in rights]
    return ("[\n" + ",\n".join(f" {line}" for line in lines) + "\n]\n").encode()
