"""Which clients' trends are due to be folded again, and from which client day: queue and per-client lock in one row."""

from __future__ import annotations

from collections.abc import Sequence
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


SETTLE = """
delete from fold_due
where clinic_id = $1
  and client_id = any ($2::uuid[])
"""


async def settle(db: Db, client_ids: Sequence[UUID]) -> None:
    """Take clients off the queue, in the transaction that folded them and has held their rows since it began."""
    await db.execute(SETTLE, db.clinic_id, list(client_ids))


DUE = """
select client_id
from fold_due
where clinic_id = $1
  and (retry_at is null or retry_at <= $2)
order by since, client_id
"""


async def due(db: Db, *, now: datetime) -> list[UUID]:
    """Every client whose trend is due and who is not set aside, the longest waiting first."""
    return [record["client_id"] for record in await db.connection.fetch(DUE, db.clinic_id, now)]


# Twice as long after every failure, from four seconds to about half an hour.
SET_ASIDE = """
update fold_due
set failures = least(failures + 1, 10),
    retry_at = $3::timestamptz + interval '2 seconds' * power(2, least(failures + 1, 10))
where clinic_id = $1
  and client_id = $2
"""


async def set_aside(db: Db, client_id: UUID, *, now: datetime) -> None:
    """Let a client whose facts could not be folded wait before the next try, so that the others do not."""
    await db.execute(SET_ASIDE, db.clinic_id, client_id, now)
