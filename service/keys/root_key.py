"""The key under which everything of a deployment is sealed or from which it is derived, and its rotation.

At first it is the master key of the settings itself, and the first process to start keeps it in the database, sealed
under itself: no other key will do from then on. `rotate` seals it under another one, which then opens that single row;
nothing else has to be sealed, signed or hashed anew (NIST SP 800-57 part 1, 5.3.5: a key-wrapping key is replaced apart
from the keys that it wraps).
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import asyncpg

from service import config, errors
from service.database import Connection
from service.keys.sealing import Sealer

BOUND_TO = "root_key"


def master_key_in(file: Path) -> bytes:
    """The master key of a file, as NEAP_KEY_FILE would name it. Raises Invalid where it holds none."""
    try:
        return config.load({"NEAP_KEY_FILE": str(file.expanduser().absolute())}).master_key()
    except (OSError, config.ConfigError) as error:
        raise errors.Invalid(f"{file} holds no 32-byte master key") from error


SEALED = """
select sealed
from root_key
"""


async def stored(connection: Connection) -> bytes | None:
    """The root key as it is sealed under the master key; None before any process started."""
    try:
        async with connection.transaction():
            found: bytes | None = await connection.fetchval(SEALED)
    except asyncpg.UndefinedTableError:
        # A schema from before keys could be rotated; whoever needs a newer one says so.
        return None
    return found


async def sealer(connection: Connection, master_key: bytes) -> Sealer:
    """What seals and opens everything. Raises NotReady where the master key does not open what was rotated."""
    return Sealer(opened(await stored(connection), master_key))


def opened(sealed: bytes | None, master_key: bytes) -> bytes:
    """The root key, of what is `stored`. Raises NotReady where the master key does not open it."""
    if sealed is None:
        return master_key
    try:
        return Sealer(master_key).open(sealed, bound_to=BOUND_TO)
    except errors.Invalid as error:
        raise errors.NotReady(
            "NEAP_KEY is not the master key of this deployment: it was rotated, or this is another's."
        ) from error


KEEP_FIRST = """
insert into root_key (sealed, rotated_at)
values ($1, $2)
on conflict do nothing
"""


async def keep_first(connection: Connection, master_key: bytes, *, now: datetime) -> bytes | None:
    """Where none is kept yet, the master key is the root key: whoever starts later needs it. What is `stored` then."""
    await connection.execute(KEEP_FIRST, Sealer(master_key).seal(master_key, bound_to=BOUND_TO), now)
    return await stored(connection)


KEEP = """
insert into root_key (sealed, rotated_at)
values ($1, $2)
on conflict on constraint root_key_pkey do update
set sealed = excluded.sealed,
    rotated_at = excluded.rotated_at
"""


async def _keep(connection: Connection, root: bytes, master_key: bytes, now: datetime) -> None:
    await connection.execute(KEEP, Sealer(master_key).seal(root, bound_to=BOUND_TO), now)


async def rotate(connection: Connection, master_key: bytes, new_key: bytes, *, now: datetime) -> None:
    """Let `new_key` open everything instead of `master_key`, in one statement.

    Raises NotReady where the latter does not, Conflict where both are the same; whether it is the right one where none
    is kept yet is for `key_proof` to say. Whoever runs already goes on; the next start needs the new one.
    """
    root = opened(await stored(connection), master_key)
    if new_key == master_key:
        raise errors.Conflict("The new master key is the one in use.")
    await _keep(connection, root, new_key, now)


async def adopt(connection: Connection, root: bytes, master_key: bytes, *, now: datetime) -> None:
    """Let a deployment that holds nothing yet take another one's root key, sealed under its own master key."""
    await _keep(connection, root, master_key, now)
