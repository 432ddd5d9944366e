"""Close alerts for review whose clients have been on track for a week."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from jobs.work import Result, Tools
from service import database
from service.alerting import rounds


async def run_once(tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
    """Close those of one clinic."""
    async with database.transaction(tools.pool, clinic_id) as db:
        return Result({"closed": await rounds.auto_resolve(db, now=now)})
