"""The statements that spread every table over the machines of a Citus cluster, read from the tables themselves."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import asyncpg

from service import config
from service.database import Connection
from service.storage import preparing

OPERATIONS = Path(__file__).parent / "operations.md"
BEGIN, END = "<!-- citus: begin (written by python -m docs.citus) -->", "<!-- citus: end -->"

TABLES = """
select c.relname::text as name, exists (
    select
    from pg_attribute a
    where a.attrelid = c.oid
      and a.attname = 'clinic_id'
      and not a.attisdropped
  ) as of_clinic
from pg_class c
where c.relkind = 'r'
  and c.relnamespace = 'public'::regnamespace
  and c.relname <> 'schema_migrations'
order by of_clinic, c.relname <> 'clinic', c.relname
"""


async def statements(connection: Connection) -> str:
    """The block of Markdown: tables that every machine holds whole first, then those spread by clinic."""
    lines = [
        f"select create_distributed_table('{record['name']}', 'clinic_id', colocate_with => "
        + ("'none');" if record["name"] == "clinic" else "'clinic');")
        if record["of_clinic"]
        else f"select create_reference_table('{record['name']}');"
        for record in await connection.fetch(TABLES)
    ]
    return "\n".join(["```sql", *lines, "```"])


def with_statements(text: str, block: str) -> str:
    """The text with the block between its markers. Raises ValueError where a marker is missing."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError("the markers of the statements are missing")
    return f"{before}{BEGIN}\n{block}\n{END}{after}"


async def _write(data_dir: str) -> None:
    settings = config.load({"NEAP_DATA_DIR": data_dir})
    async with preparing.at_hand(settings):
        connection = await asyncpg.connect(settings.database_url_of("owner"))
        try:
            OPERATIONS.write_text(with_statements(OPERATIONS.read_text(), await statements(connection)))
        finally:
            await connection.close()


def main() -> None:
    """Write the statements of the schema as it is here, from a database of a moment's life."""
    with tempfile.TemporaryDirectory(prefix="neap-") as data_dir:
        Path(data_dir).chmod(0o711)  # PostgreSQL runs under an account of its own
        asyncio.run(_write(data_dir))


if __name__ == "__main__":
    main()
