"""What each process's role may do, written from the migrated database (`python -m docs.rights`)."""

from __future__ import annotations

from pathlib import Path

from docs import migrated
from service import storage
from service.database import Connection
from service.storage import rights

FILE = Path(storage.__file__).parent / "rights.json"


async def _write(connection: Connection) -> None:
    FILE.write_bytes(rights.encode(await rights.granted(connection)))


def main() -> None:
    """Write the rights of the schema as it is here."""
    migrated.ask(_write)


if __name__ == "__main__":
    main()
