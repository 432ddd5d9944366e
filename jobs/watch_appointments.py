"""Watch the appointments that come: gates still open shortly before the slot, therapy windows about to close."""

from __future__ import annotations

import logging
from datetime import datetime
from uuid import UUID

import msgspec

from jobs.work import Result, Tools
from service import database
from service.appointments import watch
from service.appointments.watch import Watched

log = logging.getLogger(__name__)


async def run_once(tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
    """Look at each client in a transaction of their own; trouble with one of them holds up no other."""
    async with database.transaction(tools.pool, clinic_id) as db:
        client_ids = await watch.to_watch(db, now=now)
    watched, failed = Watched(), 0
    for client_id in client_ids:
        try:
            async with database.transaction(tools.pool, clinic_id) as db:
                watched.add(await watch.watch(db, client_id, now=now, by_the_clock=True))
        except Exception:
            failed += 1
            log.exception("watching_failed", extra={"clinic_id": clinic_id, "client_id": client_id})
    return Result(msgspec.structs.asdict(watched), failed=failed)
