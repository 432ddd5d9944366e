"""Pools, and the one way to open a transaction: inside one clinic, under row-level security."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID

import asyncpg
import msgspec

from service import errors

if TYPE_CHECKING:
    from asyncpg import Record
    from asyncpg.pool import PoolConnectionProxy

    Connection = asyncpg.Connection[Record] | PoolConnectionProxy[Record]
    Pool = asyncpg.Pool[Record]
else:  # asyncpg's classes are generic for type checkers only
    Connection = asyncpg.Connection
    Pool = asyncpg.Pool

T = TypeVar("T")

# Waiting longer than this for a row lock means that something hangs; better one refused request than a full pool.
LOCK_TIMEOUT_MILLISECONDS = 5_000
STATEMENT_TIMEOUT_MILLISECONDS = 30_000
# For a free connection; past it the request is refused as when the database is away, and may be sent again.
CONNECTION_TIMEOUT_SECONDS = 15


class Db:
    """One open transaction of one clinic; its statements still say `clinic_id = $1`, bound to `db.clinic_id`."""

    __slots__ = ("clinic_id", "connection")

    def __init__(self, connection: Connection, clinic_id: UUID) -> None:
        self.connection = connection
        self.clinic_id = clinic_id

    async def find(self, shape: type[T], sql: str, *arguments: object) -> T | None:
        """The first row as `shape`, or None."""
        record = await self.connection.fetchrow(sql, *arguments)
        return None if record is None else msgspec.convert(record, shape)

    async def get(self, shape: type[T], sql: str, *arguments: object) -> T:
        """The first row as `shape`. Raises NotFound where there is none."""
        found = await self.find(shape, sql, *arguments)
        if found is None:
            raise errors.NotFound("Not found.")
        return found

    async def rows(self, shape: type[T], sql: str, *arguments: object) -> list[T]:
        """Every row as `shape`."""
        return [msgspec.convert(record, shape) for record in await self.connection.fetch(sql, *arguments)]

    async def value(self, sql: str, *arguments: object) -> object:
        """The first column of the first row, or None."""
        return await self.connection.fetchval(sql, *arguments)

    async def execute(self, sql: str, *arguments: object) -> int:
        """Run it and say how many rows it touched."""
        status: str = await self.connection.execute(sql, *arguments)
        return int(status.rpartition(" ")[2])

    async def execute_many(self, sql: str, rows: list[tuple[object, ...]]) -> None:
        """Run it once for every tuple of arguments, pipelined."""
        await self.connection.executemany(sql, rows)


async def _prepare_connection(connection: asyncpg.Connection[Record]) -> None:
    encode = msgspec.json.Encoder()
    decode = msgspec.json.Decoder()
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + encode.encode(value),
        decoder=lambda value: decode.decode(value[1:]),
        format="binary",
    )


async def _leave_as_it_is(connection: object) -> None:
    """Reset nothing: every setting we make is LOCAL to its transaction (a test looks at a released connection)."""


async def open_pool(url: str, *, size: int, application_name: str) -> Pool:
    """A pool of at most `size` connections, one of them open at once and each further one when it is first needed;
    times out on locks and statements rather than hang."""
    return await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        init=_prepare_connection,
        reset=_leave_as_it_is,
        max_inactive_connection_lifetime=300,
        server_settings={
            "application_name": application_name,
            "lock_timeout": str(LOCK_TIMEOUT_MILLISECONDS),
            "statement_timeout": str(STATEMENT_TIMEOUT_MILLISECONDS),
            "jit": "off",
            "timezone": "UTC",
        },
    )


@asynccontextmanager
async def transaction(pool: Pool, clinic_id: UUID) -> AsyncIterator[Db]:
    """One transaction inside one clinic: commits when the block ends, rolls back when it raises.

    Raises the domain error a violated constraint stands for (`errors.CONSTRAINTS`), TimeoutError while no connection
    becomes free; other database errors pass through.
    """
    async with _free_connection(pool) as connection, rolled_back(connection):
        await begin(connection, clinic_id)
        yield Db(connection, clinic_id)
        await commit(connection)


@asynccontextmanager
async def _free_connection(pool: Pool) -> AsyncIterator[Connection]:
    async with asyncio.timeout(CONNECTION_TIMEOUT_SECONDS):
        connection = await pool.acquire()
    try:
        yield connection
    finally:
        await pool.release(connection)


@asynccontextmanager
async def rolled_back(connection: Connection) -> AsyncIterator[None]:
    """Roll back what is open on the connection when the block raises; raises the domain error that is meant."""
    try:
        yield
    except BaseException as error:
        if not connection.is_closed():
            await connection.execute("rollback")
        if isinstance(error, asyncpg.CharacterNotInRepertoireError):
            raise errors.Invalid("A text holds a character that cannot be stored.") from error
        if isinstance(error, asyncpg.IntegrityConstraintViolationError):
            meant = errors.of_constraint(error.constraint_name)
            if meant is not None:
                raise meant from error
        raise


@asynccontextmanager
async def undone_alone(db: Db) -> AsyncIterator[None]:
    """Within a transaction, undo only the block when it raises; the caller may then go on and commit the rest."""
    await db.connection.execute("savepoint part")
    try:
        yield
    except Exception:
        await db.connection.execute("rollback to savepoint part")
        raise
    await db.connection.execute("release savepoint part")


async def begin(connection: Connection, clinic_id: UUID) -> None:
    """Begin and name the clinic in one round trip: literal text, which also reaches a distributed table's shards."""
    await connection.execute(_begin(clinic_id))


def _begin(clinic_id: UUID) -> str:
    return f"begin; {naming(clinic_id)}"


def naming(clinic_id: UUID) -> str:
    """The statement that names the clinic of a transaction."""
    # A UUID's text is hexadecimal digits and hyphens only: nothing to escape.
    return f"set local neap.clinic_id = '{UUID(str(clinic_id))}'"


async def commit(connection: Connection, *, then_begin: UUID | None = None) -> None:
    """Commit and, in the same round trip, begin the next transaction: of this clinic, where one is named."""
    await connection.execute("commit" if then_begin is None else f"commit; {_begin(then_begin)}")


committed_now = transaction
"""The same, by the name that says why: what must survive a refusal is written in its own short transaction,
because the raised refusal rolls the request's back."""


@asynccontextmanager
async def across_clinics(pool: Pool) -> AsyncIterator[Connection]:
    """A read-only transaction that names no clinic.

    It sees tables without a tenant, and as `neap_sweep` ids, states, roles of staff and times.
    """
    async with pool.acquire() as connection, connection.transaction(readonly=True):
        yield connection
