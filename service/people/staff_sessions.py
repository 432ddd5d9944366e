"""Sign-in sessions of staff, kept on the server: a changed right or a disabled person counts from the next request."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from schemas.staff import Role, SessionStage
from service import errors
from service.database import Db
from service.keys import tokens
from service.people.access import Party
from service.people.audit import Actor

IDLE = timedelta(minutes=15)
ABSOLUTE = timedelta(hours=12)
# Between password and second factor, or while setting one up.
HALF_WAY = timedelta(minutes=15)
# A write per request would be wasted; the idle limit is this much short at most.
TOUCH_AFTER = timedelta(seconds=30)


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Whoever holds a session, and how far their sign-in has come."""

    staff_id: UUID
    name: str
    email: str
    roles: list[Role]
    on_call: bool
    stage: SessionStage
    csrf_token: str
    session_hash: bytes
    created_at: datetime
    last_seen_at: datetime

    @property
    def parties(self) -> list[str]:
        """As whom they come: by their roles, and on call while a shift of theirs runs."""
        return [*self.roles, Party.ON_CALL] if self.on_call else [*self.roles]

    @property
    def actor(self) -> Actor:
        """This person, for the audit trail."""
        return Actor("staff", self.staff_id)


class RanOut(errors.Unauthenticated):
    """A session that ended by itself: `because` nothing was done, or it had lasted as long as one may. Of any other end
    its holder is told no more than that there is no session."""

    def __init__(self, because: Literal["idle", "over"]) -> None:
        super().__init__("Please sign in.")
        self.because: Literal["idle", "over"] = because


INSERT = """
insert into staff_session
  (clinic_id, session_hash, staff_id, csrf_token, stage, created_at, last_seen_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $6, $7)
"""


async def start(db: Db, staff_id: UUID, stage: SessionStage, *, now: datetime) -> str:
    """Start a session; its token, told once."""
    text, digest = tokens.issue("session", db.clinic_id)
    lasts = ABSOLUTE if stage is SessionStage.FULL else HALF_WAY
    csrf_token = secrets.token_urlsafe(32)
    await db.execute(INSERT, db.clinic_id, digest, staff_id, csrf_token, stage, now, now + lasts)
    return text


FIND = """
select
  s.staff_id, p.name, p.email, p.roles, s.stage, s.csrf_token, s.session_hash, s.created_at, s.last_seen_at,
  exists (
    select
    from shift
    where shift.clinic_id = $1
      and shift.staff_id = s.staff_id
      and shift.from_at <= $3
      and shift.until_at > $3
  ) as on_call
from staff_session s
join staff p
  on p.clinic_id = s.clinic_id
  and p.staff_id = s.staff_id
where s.clinic_id = $1
  and s.session_hash = $2
  and s.expires_at > $3
  and s.last_seen_at > $4
  and p.disabled_at is null
"""
TOUCH = """
update staff_session
set last_seen_at = $3
where clinic_id = $1
  and session_hash = $2
"""


async def current(db: Db, digest: bytes, *, now: datetime, by_hand: bool = True) -> SignedIn:
    """Whoever holds this session now. Raises RanOut where it ended by itself, Unauthenticated where it was ended or its
    person disabled.

    `by_hand` false: a page asked by itself (a refresh every so often), which must not keep an abandoned desk open.
    """
    found = await db.find(SignedIn, FIND, db.clinic_id, digest, now, now - IDLE)
    if found is None:
        raise await _ended(db, digest, now)
    if by_hand and now - found.last_seen_at >= TOUCH_AFTER:
        await db.execute(TOUCH, db.clinic_id, digest, now)
    return found


def ends(who: SignedIn, *, now: datetime, by_hand: bool) -> tuple[datetime, Literal["idle", "over"]]:
    """When this session ends by itself if nothing more is done, and why; `by_hand` as of `current`."""
    over = who.created_at + ABSOLUTE
    idle = (now if by_hand else who.last_seen_at) + IDLE
    return (idle, "idle") if idle < over else (over, "over")


RAN_OUT = """
select least(s.last_seen_at + $4::interval, s.expires_at) = s.expires_at
from staff_session s
join staff p
  on p.clinic_id = s.clinic_id
  and p.staff_id = s.staff_id
where s.clinic_id = $1
  and s.session_hash = $2
  and s.stage = 'full'
  and p.disabled_at is null
  and least(s.last_seen_at + $4::interval, s.expires_at) <= $3
"""


async def _ended(db: Db, digest: bytes, now: datetime) -> errors.Unauthenticated:
    over = await db.value(RAN_OUT, db.clinic_id, digest, now, IDLE)
    return errors.Unauthenticated("Please sign in.") if over is None else RanOut("over" if over else "idle")


END = """
delete from staff_session
where clinic_id = $1
  and session_hash = $2
"""


async def end(db: Db, digest: bytes) -> None:
    """End one session."""
    await db.execute(END, db.clinic_id, digest)


END_ALL = """
delete from staff_session
where clinic_id = $1
  and staff_id = $2
"""


async def end_all(db: Db, staff_id: UUID) -> None:
    """End every session of a person."""
    await db.execute(END_ALL, db.clinic_id, staff_id)
