"""What the reconciler sees."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from service import database as databases
from service import invariants
from service.database import Pool
from tests.builders import NOW

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


LATER = NOW + HOUR


async def seen(sweep: Pool, *, now: datetime = LATER) -> dict[str, list[UUID]]:
    async with databases.across_clinics(sweep) as connection:
        return {each.name: each.clinic_ids for each in await invariants.broken(connection, now=now)}
