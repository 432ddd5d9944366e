"""When a clinic's audit trail can be sealed to its last row."""

from __future__ import annotations

import asyncio

from schemas.clinic import Clinic
from service import database as databases
from service.database import Pool

# Transactions of every database of the server hold the horizon back, those of tests beside this one too.
OVERTAKEN = """
select coalesce(max(transaction_id) < pg_snapshot_xmin(pg_current_snapshot()), true) or pg_sleep(0.01) is null
from audit_event
where clinic_id = $1
"""


async def all_finished(pool: Pool, clinic: Clinic) -> None:
    """Wait until no transaction runs any more that is older than the trail's last row."""
    async with asyncio.timeout(30):
        while True:
            async with databases.transaction(pool, clinic.clinic_id) as db:
                if await db.value(OVERTAKEN, db.clinic_id):
                    return
