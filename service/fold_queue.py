"""Which clients' trends are due to be folded again, and from which client day: queue and per-client lock in one row."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from service.database import Db

MARK_DUE = """
insert into fold_due (clinic_id, client_id, from_day, since)
values ($1, $2, $3, $4)
on conflict on constraint fold_due_pkey do update
set from_day = least(fold_due.from_day, excluded.from_day)
"""


async def mark_due(db: Db, client_id: UUID, *, from_day: date, now: datetime) -> None:
    """Say, in the transaction that changes a client's facts, that the trend must be folded again from `from_day` on."""
    await db.execute(MARK_DUE, db.clinic_id, client_id, from_day, now)
