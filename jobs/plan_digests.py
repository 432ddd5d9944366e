"""Queue each morning's digests, and the audit trail's newest seal for the privacy officer."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from jobs.work import Result, Tools
from service import database
from service.alerting import digests


async def run_once(tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
    """One clinic's local morning."""
    async with database.transaction(tools.pool, clinic_id) as db:
        return Result({"planned": await digests.plan(db, now=now)})
