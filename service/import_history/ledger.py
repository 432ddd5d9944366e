"""Which record of a treatment's file stands as what: so a second run changes nothing, and a changed record corrects."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

import msgspec

from service import ids
from service.database import Db

INFUSION = "infusion"


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A record as it was brought in last: the row it stands as, and a keyed hash of what the file said."""

    record: str
    record_key: str
    object_id: UUID
    content_hash: bytes


OF_CLIENT = """
select distinct on (record, record_key) record, record_key, object_id, content_hash
from imported_record
where clinic_id = $1
  and client_id = $2
order by record, record_key, imported_at desc, imported_record_id desc
"""


async def of(db: Db, client_id: UUID) -> dict[tuple[str, str], Standing]:
    """Every record that stands for a client, by kind and key."""
    rows = await db.rows(Standing, OF_CLIENT, db.clinic_id, client_id)
    return {(row.record, row.record_key): row for row in rows}


INSERT = """
insert into imported_record (
  clinic_id, imported_record_id, client_id, record, record_key, object_id, content_hash, imported_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def write(db: Db, client_id: UUID, standing: Standing, *, now: datetime) -> None:
    """Say that a record stands so from now on."""
    await db.execute(
        INSERT,
        db.clinic_id,
        ids.new(),
        client_id,
        standing.record,
        standing.record_key,
        standing.object_id,
        standing.content_hash,
        now,
    )


async def infusion_days(db: Db, client_id: UUID) -> set[date]:
    """The days whose infusion a treatment's file tells of: a daily history says nothing about them any more."""
    known = await of(db, client_id)
    return {date.fromisoformat(key) for record, key in known if record == INFUSION}
