"""Secret addresses of calendars: one at a time for a person on the staff or a client, re-issued and revoked at will.

The address carries its clinic in the clear beside the secret; the table holds the secret's digest only.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from service import errors, ids
from service.database import Db
from service.keys import tokens


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A calendar that may be read: of this person on the staff, or of this client."""

    calendar_feed_id: UUID
    staff_id: UUID | None
    client_id: UUID | None


REVOKE = """
update calendar_feed
set revoked_at = $4
where clinic_id = $1
  and staff_id is not distinct from $2
  and client_id is not distinct from $3
  and revoked_at is null
"""


async def revoke(db: Db, *, staff_id: UUID | None = None, client_id: UUID | None = None, now: datetime) -> bool:
    """End the address, so that nobody reads there any more; False where there was none."""
    return await db.execute(REVOKE, db.clinic_id, staff_id, client_id, now) > 0


INSERT = """
insert into calendar_feed (clinic_id, calendar_feed_id, feed_hash, staff_id, client_id, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""


async def issue(db: Db, *, staff_id: UUID | None = None, client_id: UUID | None = None, by: UUID, now: datetime) -> str:
    """A fresh address's path ("/calendar/neap_calendar_…"), told once; the former one ends.

    Exactly one of `staff_id` and `client_id` says whose appointments it holds.
    """
    text, digest = tokens.issue("calendar", db.clinic_id)
    await revoke(db, staff_id=staff_id, client_id=client_id, now=now)
    await db.execute(INSERT, db.clinic_id, ids.new(), digest, staff_id, client_id, by, now)
    return f"/calendar/{text}"


SINCE = """
select created_at
from calendar_feed
where clinic_id = $1
  and staff_id is not distinct from $2
  and client_id is not distinct from $3
  and revoked_at is null
"""


async def since(db: Db, *, staff_id: UUID | None = None, client_id: UUID | None = None) -> datetime | None:
    """Since when an address is in use, None where none is."""
    created_at = await db.value(SINCE, db.clinic_id, staff_id, client_id)
    return created_at if isinstance(created_at, datetime) else None


FIND = """
select f.calendar_feed_id, f.staff_id, f.client_id
from calendar_feed f
left join staff s
  on s.clinic_id = f.clinic_id
  and s.staff_id = f.staff_id
where f.clinic_id = $1
  and f.feed_hash = $2
  and f.revoked_at is null
  and s.disabled_at is null
"""


async def get(db: Db, digest: bytes) -> Feed:
    """The calendar behind an address. Raises NotFound where it ended or never was, or the person left."""
    feed = await db.find(Feed, FIND, db.clinic_id, digest)
    if feed is None:
        raise errors.NotFound("Not found.")
    return feed
