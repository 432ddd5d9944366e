"""Service accounts of a clinic: made and revoked by admins, let in by a token, limited to what their scopes write."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schemas.service_account import ServiceAccount, ServiceScope
from schemas.staff import SessionStage
from service import errors, ids
from service.database import Db
from service.keys import tokens
from service.people.access import PARTY_OF_SCOPE
from service.people.audit import Actor
from service.people.staff_sessions import SignedIn

# A write per request would be wasted; what admins read is at most this old.
TOUCH_AFTER = timedelta(minutes=1)


class Program(SignedIn, frozen=True, kw_only=True):
    """A program that comes in by its token, as if signed in; `staff_id` is the account's id and nobody of the staff."""

    scopes: list[ServiceScope]

    @property
    def parties(self) -> list[str]:
        """As whom it comes: by its scopes."""
        return [PARTY_OF_SCOPE[scope] for scope in self.scopes]

    @property
    def actor(self) -> Actor:
        """The program, for the audit trail."""
        return Actor("service_account", self.staff_id)


INSERT = """
insert into service_account (clinic_id, service_account_id, name, scopes, token_hash, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""


async def add(db: Db, name: str, scopes: Sequence[ServiceScope], *, by: UUID, now: datetime) -> tuple[UUID, str]:
    """Make an account; its id, and its token, told this once. Raises Invalid without a name or a scope."""
    name = name.strip()
    if not 1 <= len(name) <= 100:
        raise errors.Invalid("A name is needed.", fields=(errors.FieldFault("name", "1 to 100 characters"),))
    if not scopes:
        raise errors.Invalid("It may do nothing so.", fields=(errors.FieldFault("scopes", "at least one"),))
    account_id, (text, digest) = ids.new(), tokens.issue("service", db.clinic_id)
    await db.execute(INSERT, db.clinic_id, account_id, name, sorted(set(scopes)), digest, by, now)
    return account_id, text


OF_CLINIC = """
select service_account_id, name, scopes, created_by, created_at, last_used_at, revoked_at
from service_account
where clinic_id = $1
order by created_at, service_account_id
"""


async def of(db: Db) -> list[ServiceAccount]:
    """Every account of the clinic, revoked ones too."""
    return await db.rows(ServiceAccount, OF_CLINIC, db.clinic_id)


REVOKE = """
update service_account
set revoked_at = coalesce(revoked_at, $3)
where clinic_id = $1
  and service_account_id = $2
"""


async def revoke(db: Db, service_account_id: UUID, *, now: datetime) -> None:
    """Shut it out from the next request on; once revoked it stays so. Raises NotFound."""
    if await db.execute(REVOKE, db.clinic_id, service_account_id, now) == 0:
        raise errors.NotFound("Not found.")


class Found(msgspec.Struct, frozen=True):
    """An account behind a token."""

    service_account_id: UUID
    name: str
    scopes: list[ServiceScope]
    created_at: datetime
    last_used_at: datetime | None


FIND = """
select service_account_id, name, scopes, created_at, last_used_at
from service_account
where clinic_id = $1
  and token_hash = $2
  and revoked_at is null
"""
TOUCH = """
update service_account
set last_used_at = $3
where clinic_id = $1
  and service_account_id = $2
"""


async def current(db: Db, digest: bytes, *, now: datetime) -> Program:
    """The program whose token this is. Raises Unauthenticated where it was revoked, or never was."""
    found = await db.find(Found, FIND, db.clinic_id, digest)
    if found is None:
        raise errors.Unauthenticated("This credential is not valid.")
    if found.last_used_at is None or now - found.last_used_at >= TOUCH_AFTER:
        await db.execute(TOUCH, db.clinic_id, found.service_account_id, now)
    return Program(
        staff_id=found.service_account_id,
        name=found.name,
        email="",
        roles=[],
        on_call=False,
        stage=SessionStage.FULL,
        csrf_token="",
        session_hash=digest,
        created_at=found.created_at,
        last_seen_at=now,
        scopes=found.scopes,
    )
