"""One-time links for staff: to set a password and second factor, and to walk into the demonstration.

The address carries its clinic in the clear beside the secret; it is spent by the POST of a button, never by the GET,
so that a mail scanner that follows links spends nothing.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schemas.staff import LinkPurpose
from service import errors
from service.database import Db
from service.keys import tokens

VALID = {LinkPurpose.SET_PASSWORD: timedelta(hours=72), LinkPurpose.DEMO_SIGN_IN: timedelta(days=7)}

VOID_FORMER = """
update one_time_link
set used_at = $4
where clinic_id = $1
  and staff_id = $2
  and purpose = $3
  and used_at is null
"""
INSERT = """
insert into one_time_link (clinic_id, link_hash, staff_id, purpose, created_by, created_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""


async def issue(db: Db, staff_id: UUID, purpose: LinkPurpose, *, by: UUID | None = None, now: datetime) -> str:
    """A fresh link's path ("/link/neap_link_…"), told once; former unspent ones of this purpose are void."""
    text, digest = tokens.issue("link", db.clinic_id)
    await db.execute(VOID_FORMER, db.clinic_id, staff_id, purpose, now)
    await db.execute(INSERT, db.clinic_id, digest, staff_id, purpose, by, now, now + VALID[purpose])
    return f"/link/{text}"


class _Invited(msgspec.Struct, frozen=True):
    staff_id: UUID
    link_holds: bool


INVITED = """
select
  s.staff_id,
  exists (
    select
    from one_time_link l
    where l.clinic_id = $1
      and l.staff_id = s.staff_id
      and l.purpose = 'set_password'
      and l.used_at is null
      and l.expires_at > $3
  ) as link_holds
from staff s
where s.clinic_id = $1
  and s.disabled_at is null
  and s.password_hash is null
  and (not $2 or exists (
    select
    from one_time_link l
    where l.clinic_id = $1
      and l.staff_id = s.staff_id
      and l.purpose = 'set_password'
  ))
"""


async def invited(db: Db, *, demo: bool, now: datetime) -> dict[UUID, bool]:
    """Whoever has not come yet, and whether the link for it still holds. The people of a `demo` need no password."""
    return {each.staff_id: each.link_holds for each in await db.rows(_Invited, INVITED, db.clinic_id, demo, now)}


class Link(msgspec.Struct, frozen=True):
    """Whom an unspent link belongs to, and what it is for."""

    staff_id: UUID
    name: str
    email: str
    purpose: LinkPurpose


FIND = """
select l.staff_id, s.name, s.email, l.purpose
from one_time_link l
join staff s
  on s.clinic_id = l.clinic_id
  and s.staff_id = l.staff_id
where l.clinic_id = $1
  and l.link_hash = $2
  and l.used_at is null
  and l.expires_at > $3
  and s.disabled_at is null
"""


async def get(db: Db, digest: bytes, *, now: datetime) -> Link:
    """An unspent link. Raises Gone where it was spent, ran out or never was."""
    link = await db.find(Link, FIND, db.clinic_id, digest, now)
    if link is None:
        raise errors.Gone("This link was used already or has run out. Ask an admin of your clinic for a new one.")
    return link


SPEND = """
update one_time_link
set used_at = $3
where clinic_id = $1
  and link_hash = $2
  and used_at is null
  and expires_at > $3
"""


async def spend(db: Db, digest: bytes, *, now: datetime) -> Link:
    """Spend it: of two that try at once one gets it. Raises Gone for the other."""
    link = await get(db, digest, now=now)
    if await db.execute(SPEND, db.clinic_id, digest, now) == 0:
        raise errors.Gone("This link was used already. Ask an admin of your clinic for a new one.")
    return link
