"""Delete what has run out (nonces, tokens, sessions, links), and revoke devices that nobody uses."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from jobs.work import Result, Tools
from service import database, expiry


async def run_once(tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
    """Prune one clinic."""
    async with database.transaction(tools.pool, clinic_id) as db:
        return Result(msgspec.structs.asdict(await expiry.prune(db, now=now)))
