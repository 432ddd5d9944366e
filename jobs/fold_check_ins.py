"""Fold new facts into trends: the clinics with a queue, a few clients a transaction, the longest waiting first."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

import msgspec

from jobs.work import Result, Tools
from service import database, fold
from service.facts import fold_queue

log = logging.getLogger(__name__)

CLINICS_WITH_WORK = """
select clinic_id
from fold_due
where retry_at is null
  or retry_at <= $1
group by clinic_id
order by min(since)
"""


async def run_once(tools: Tools, *, now: datetime) -> Result:
    """Fold what is due in every clinic. A client who cannot be folded is set aside for a while and holds up nobody."""
    counts, failed = fold.Folded(), 0
    async with database.across_clinics(tools.sweep) as connection:
        clinic_ids = [record["clinic_id"] for record in await connection.fetch(CLINICS_WITH_WORK, now)]
    for clinic_id in clinic_ids:
        try:
            await _fold_clinic(tools, clinic_id, counts, now=now)
        except Exception:
            log.exception("fold_failed", extra={"clinic_id": clinic_id})
            failed += await _fold_one_by_one(tools, clinic_id, counts, now=now)
    return Result(msgspec.structs.asdict(counts), failed=failed)


async def _fold_clinic(tools: Tools, clinic_id: UUID, counts: fold.Folded, *, now: datetime) -> None:
    while True:
        async with database.transaction(tools.pool, clinic_id) as db:
            some = await fold.fold_clients(db, None, now=now)
        counts.add(some)
        if some.due < fold.CLIENTS_AT_ONCE or not some.clients:
            return


async def _fold_one_by_one(tools: Tools, clinic_id: UUID, counts: fold.Folded, *, now: datetime) -> int:
    """Find out whose facts cannot be folded, and fold the others; how many could not be."""
    failed = 0
    try:
        async with database.transaction(tools.pool, clinic_id) as db:
            client_ids = await fold_queue.due(db, now=now)
    except Exception:
        log.exception("fold_queue_unreadable", extra={"clinic_id": clinic_id})
        return 1
    for client_id in client_ids:
        try:
            async with database.transaction(tools.pool, clinic_id) as db:
                counts.add(await fold.fold_client(db, client_id, now=now))
        except Exception:
            failed += 1
            log.exception("fold_failed", extra={"clinic_id": clinic_id, "client_id": client_id})
            await _set_aside(tools, clinic_id, client_id, now=now)
    return failed


async def _set_aside(tools: Tools, clinic_id: UUID, client_id: UUID, *, now: datetime) -> None:
    try:
        async with database.transaction(tools.pool, clinic_id) as db:
            await fold_queue.set_aside(db, client_id, now=now)
    except Exception:
        log.exception("setting_aside_failed", extra={"clinic_id": clinic_id, "client_id": client_id})
