"""The statements that spread every table over the machines of a Citus cluster, read from the tables themselves."""

from __future__ import annotations

import graphlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from docs import migrated
from service.database import Connection

OPERATIONS = Path(__file__).parent / "operations.md"
BEGIN, END = "<!-- citus: begin (written by python -m docs.citus) -->", "<!-- citus: end -->"

TABLES = """
select c.relname::text as name, exists (
    select
    from pg_attribute a
    where a.attrelid = c.oid
      and a.attname = 'clinic_id'
      and not a.attisdropped
  ) and not exists (
    select
    from pg_index i
    where i.indrelid = c.oid
      and i.indisunique
      and not exists (
        select
        from pg_attribute a
        where a.attrelid = c.oid
          and a.attnum = any(i.indkey)
          and a.attname = 'clinic_id'
      )
  ) as spread, array(
    select f.confrelid::regclass::text
    from pg_constraint f
    where f.conrelid = c.oid
      and f.contype = 'f'
      and f.confrelid <> c.oid
  ) as refers_to
from pg_class c
where c.relkind = 'r'
  and c.relnamespace = 'public'::regnamespace
  and c.relname <> 'schema_migrations'
order by c.relname
"""


async def statements(connection: Connection) -> str:
    """The block of Markdown: tables that every machine holds whole first, then those spread by clinic.

    What is unique must be so within a clinic to be spread; and a table comes after those that its foreign keys name:
    https://docs.citusdata.com/en/stable/develop/reference_ddl.html.
    """
    tables = {record["name"]: dict(record) for record in await connection.fetch(TABLES)}
    spread = [name for name in _in_order(tables) if tables[name]["spread"]]
    lines = [f"select create_reference_table('{name}');" for name in _in_order(tables) if not tables[name]["spread"]]
    lines += [
        f"select create_distributed_table('{name}', 'clinic_id', colocate_with => "
        f"'{'none' if name == spread[0] else spread[0]}');"
        for name in spread
    ]
    return "\n".join(["```sql", *lines, "```"])


def _in_order(tables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Each table after those that it refers to. Raises graphlib.CycleError where two refer to each other."""
    order = graphlib.TopologicalSorter({name: sorted(table["refers_to"]) for name, table in tables.items()})
    return list(order.static_order())


def with_statements(text: str, block: str) -> str:
    """The text with the block between its markers. Raises ValueError where a marker is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the markers of the statements are missing")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


async def _write(connection: Connection) -> None:
    OPERATIONS.write_text(with_statements(OPERATIONS.read_text(), await statements(connection)))


def main() -> None:
    """Write the statements of the schema as it is here."""
    migrated.ask(_write)


if __name__ == "__main__":
    main()
