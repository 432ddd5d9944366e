"""What a supervisor asks of the database, answered in seconds whatever the database does: one that is frozen, too."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from service import database, errors, watch
from service.database import Pool
from service.watch import Report

T = TypeVar("T")

PATIENCE_SECONDS = 3.0
# A question that hangs is left behind then, for the database may have moved; so few of them hold a connection each.
GIVEN_UP_SECONDS = 60.0


class Question(Generic[T]):
    """One question that is asked once at a time; whoever asks meanwhile waits for the same answer."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[T] | None = None

    async def answer(self) -> T:
        """The answer. Raises TimeoutError where none comes in time, or what the database raises.

        To cancel what hangs would take an answer, too: nobody waits for the end of it.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._asked())
        await asyncio.wait({self._asking}, timeout=PATIENCE_SECONDS)
        if not self._asking.done():
            raise TimeoutError
        return self._asking.result()

    async def _asked(self) -> T:
        async with asyncio.timeout(GIVEN_UP_SECONDS):
            return await self._ask()


class Pulse:
    """The two questions."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._in_recovery = Question(self._ask_whether_in_recovery)
        self._reports = Question(self._ask_reports)

    async def refuse_unready(self) -> None:
        """Raises NotReady where check-ins would not be stored now, TimeoutError or the database's error."""
        if await self._in_recovery.answer():
            raise errors.NotReady("The database takes no writes.")

    async def promises(self, *, now: datetime) -> tuple[list[str], bool]:
        """The names of what is overdue, of the silent database where it says nothing; and whether nobody looked yet."""
        try:
            said = await self._reports.answer()
        except TimeoutError:
            return [watch.DATABASE_SILENT], False
        return watch.overdue_in(said, now=now), watch.is_starting(said, now=now)

    async def _ask_whether_in_recovery(self) -> bool:
        async with self._pool.acquire() as connection:
            return bool(await connection.fetchval("select pg_is_in_recovery()"))

    async def _ask_reports(self) -> list[Report]:
        async with database.across_clinics(self._pool) as connection:
            return await watch.reports(connection, now=datetime.now(UTC))
