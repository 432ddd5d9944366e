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
from collections.abc import Sequence
from contextvars import Context
from itertools import islice
from typing import cast
from uuid import UUID

import msgspec

from service import database
from service.database import Db, Pool
from service.intake import check_in_intake
from service.intake.check_in_intake import Accepted, Sent
from service.keys.sealing import Sealer

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
        self._reserved: set[UUID] = set()
        self._workers: set[asyncio.Task[None]] = set()

    async def accept(self, clinic_id: UUID, sent: Sent) -> Accepted:
        """Store a check-in; returns once it is committed. Raises as `intake.accept` does."""
        accepted = await self._accept_together(clinic_id, sent) if sent.is_plain else None
        if accepted is not None:
            return accepted
        async with database.transaction(self._pool, clinic_id) as db:
            return await check_in_intake.accept(db, sent, master=self._master)

    async def _accept_together(self, clinic_id: UUID, sent: Sent) -> Accepted | None:
        waiting = self._waiting.setdefault(clinic_id, {})
        if sent.check_in_id in waiting:
            return None
        outcome: asyncio.Future[Accepted | None] = asyncio.get_running_loop().create_future()
        waiting[sent.check_in_id] = Waiting(sent, outcome)
        if len(self._workers) < WORKERS:
            # In a context of its own: it stores other requests' check-ins as well.
            self._workers.add(asyncio.create_task(self._work(), context=Context()))
        return await outcome

    async def _work(self) -> None:
        try:
            while (clinic_id := self._reserve()) is not None:
                await self._store_groups(clinic_id)
        finally:
            # In the very step that saw nobody waiting: a worker that only seems to be there would leave the next who
            # comes without one.
            self._workers.discard(cast("asyncio.Task[None]", asyncio.current_task()))

    async def _store_groups(self, clinic_id: UUID) -> None:
        """Store group after group on one connection, from this reserved clinic's on, until nobody waits or one fails.

        A group's commit and the beginning of the next are one message to the database. Who comes for the reserved
        clinic while it is on its way still belongs to the next group.
        """
        reserved: UUID | None = clinic_id
        group: list[Waiting] = []
        try:
            async with self._pool.acquire() as connection, database.rolled_back(connection):
                await database.begin(connection, clinic_id)
                while reserved is not None:
                    db, group, reserved = Db(connection, reserved), self._close_group(reserved), None
                    accepted = await check_in_intake.accept_plain(db, [one.sent for one in group])
                    reserved = self._reserve()
                    await database.commit(connection, then_begin=reserved)
                    _tell(group, accepted)
                    group = []
        except Exception as error:  # noqa: BLE001 each meets the same error, or none, in its own transaction
            log.warning("check_ins_refused_together", extra={"error_type": type(error).__name__})
            group = group or self._close_group(reserved)
            _tell(group, [None] * len(group))
        except asyncio.CancelledError:
            for one in group or self._close_group(reserved):
                one.outcome.cancel()
            raise
        finally:
            if reserved is not None:
                self._reserved.discard(reserved)

    def _reserve(self) -> UUID | None:
        """The clinic that has waited longest, for this worker alone until it closes the group."""
        for clinic_id in self._waiting:
            if clinic_id not in self._reserved:
                self._reserved.add(clinic_id)
                return clinic_id
        return None

    def _close_group(self, clinic_id: UUID | None) -> list[Waiting]:
        if clinic_id is None:
            return []
        self._reserved.discard(clinic_id)
        waiting = self._waiting.pop(clinic_id)
        group = list(islice(waiting.values(), MOST_TOGETHER))
        for one in group:
            del waiting[one.sent.check_in_id]
        if waiting:
            self._waiting[clinic_id] = waiting  # behind the other clinics
        return group


def _tell(group: list[Waiting], accepted: Sequence[Accepted | None]) -> None:
    for one, outcome in zip(group, accepted, strict=True):
        if not one.outcome.done():
            one.outcome.set_result(outcome)
