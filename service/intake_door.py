"""The one door for answers from phones: check-ins that wait for the database at the same moment share a transaction.

No timer gathers them: whoever comes while fewer than WORKERS transactions run begins one at once, and those who come
meanwhile wait for the next to end. A group is of one clinic, and it is only the short way: whatever it does not store
for the first time, and everything in it when its transaction fails, goes through a transaction of its own, so that no
one's check-in depends on another's. (Measured: 1.5 times the check-ins a second of one transaction each;
docs/decisions/0011-check-ins-share-transactions.md.)
"""

from __future__ import annotations

import asyncio
import logging
from itertools import islice
from typing import cast
from uuid import UUID

import msgspec

from service import database, intake
from service.database import Pool
from service.intake import Accepted, Sent
from service.sealing import Sealer

log = logging.getLogger(__name__)

# Two: one gathers while the other commits. With four, groups are smaller: as many check-ins a second, but a p99 at half
# load of 12 to 18 ms in place of 10 to 13; with one, everybody waits for a client who is being folded.
WORKERS = 2
MOST_TOGETHER = 64


class Waiting(msgspec.Struct, frozen=True):
    """A check-in, and where its sender waits for the word; None: not stored here, try it alone."""

    sent: Sent
    outcome: asyncio.Future[Accepted | None]


class Door:
    """Takes check-ins in, each once."""

    def __init__(self, pool: Pool, master: Sealer) -> None:
        self._pool = pool
        self._master = master
        self._waiting: dict[UUID, dict[UUID, Waiting]] = {}
        self._workers: set[asyncio.Task[None]] = set()

    @property
    def is_at_work(self) -> bool:
        """Whether somebody is being stored together with others right now."""
        return bool(self._workers)

    async def accept(self, clinic_id: UUID, sent: Sent) -> Accepted:
        """Store a check-in; returns once it is committed. Raises as `intake.accept` does."""
        accepted = await self._accept_together(clinic_id, sent) if sent.is_plain else None
        if accepted is not None:
            return accepted
        async with database.transaction(self._pool, clinic_id) as db:
            return await intake.accept(db, sent, master=self._master)

    async def _accept_together(self, clinic_id: UUID, sent: Sent) -> Accepted | None:
        waiting = self._waiting.setdefault(clinic_id, {})
        if sent.check_in_id in waiting:
            return None
        outcome: asyncio.Future[Accepted | None] = asyncio.get_running_loop().create_future()
        waiting[sent.check_in_id] = Waiting(sent, outcome)
        if len(self._workers) < WORKERS:
            self._workers.add(asyncio.create_task(self._work()))
        return await outcome

    async def _work(self) -> None:
        try:
            while self._waiting:
                await self._store_group(*self._next_group())
        finally:
            # In the very step that saw nobody waiting: a worker that only seems to be there would leave the next who
            # comes without one.
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _store_group(self, clinic_id: UUID, group: list[Waiting]) -> None:
        accepted: list[Accepted | None] = [None] * len(group)
        try:
            async with database.transaction(self._pool, clinic_id) as db:
                accepted = await intake.accept_plain(db, [one.sent for one in group])
        except Exception as error:  # noqa: BLE001 each meets the same error, or none, in its own transaction
            log.warning("check_ins_refused_together", extra={"error_type": type(error).__name__})
            accepted = [None] * len(group)
        except asyncio.CancelledError:
            for one in group:
                one.outcome.cancel()
            raise
        for one, outcome in zip(group, accepted, strict=True):
            if not one.outcome.done():
                one.outcome.set_result(outcome)

    def _next_group(self) -> tuple[UUID, list[Waiting]]:
        clinic_id = next(iter(self._waiting))
        waiting = self._waiting.pop(clinic_id)
        group = list(islice(waiting.values(), MOST_TOGETHER))
        for one in group:
            del waiting[one.sent.check_in_id]
        if waiting:
            self._waiting[clinic_id] = waiting  # behind the other clinics
        return clinic_id, group
