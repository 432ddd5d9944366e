"""Signing in: password, then second factor, then a session; and the one-time links that start or mend it.

Whole transactions of their own, because hashing happens between them and a counted failure must survive its refusal.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from uuid import UUID

import msgspec

from schemas.staff import LinkPurpose, SessionStage
from service import database, errors
from service.database import Db, Pool
from service.keys.sealing import Sealer
from service.people import audit, one_time_links, recovery_codes, sign_in_throttle, staff_sessions, totp
from service.people.audit import ANONYMOUS, Actor
from service.people.passwords import Passwords
from service.people.sign_in_throttle import Subject, Visitor
from service.people.staff_sessions import SignedIn

WRONG = "That did not match. Check the address, the password and the clinic, then try again."
WRONG_CODE = "That code did not match or was used already. Wait for the next one and try again."


class Door(msgspec.Struct, frozen=True):
    """What signing in needs of the process."""

    pool: Pool
    master: Sealer
    passwords: Passwords


class StoredPassword(msgspec.Struct, frozen=True):
    """What a typed password is compared with."""

    staff_id: UUID
    password_hash: str | None
    is_confirmed: bool


FIND_FOR_SIGN_IN = """
select staff_id, password_hash, totp_confirmed_at is not null as is_confirmed
from staff
where clinic_id = $1
  and email = $2
  and disabled_at is null
"""


async def with_password(
    door: Door, clinic_id: UUID, visitor: Visitor, *, email: str, password: str, now: datetime
) -> str:
    """A session's token, still to pass the second factor. Raises TooMany while locked, Unauthenticated otherwise,
    in the same words and after the same time whether the address or the password is wrong.
    """
    async with database.committed_now(door.pool, clinic_id) as db:
        stored = await db.find(StoredPassword, FIND_FOR_SIGN_IN, clinic_id, email.strip().lower())
        known = stored is not None and _knows(door, clinic_id, stored.staff_id, visitor)
        subjects = _subjects_of_password(door, email, visitor, known=known, now=now)
        crowded = await sign_in_throttle.take(db, subjects, now=now)
    if crowded:
        await asyncio.sleep(sign_in_throttle.SLOWED_SECONDS)
    matches = await door.passwords.verify(None if stored is None else stored.password_hash, password)
    if stored is None or not matches:
        actor = ANONYMOUS if stored is None else Actor("staff", stored.staff_id)
        await _audit_refusal(door, clinic_id, actor, now=now)
        raise errors.Unauthenticated(WRONG)
    async with database.transaction(door.pool, clinic_id) as db:
        await sign_in_throttle.give_back(db, subjects)
        if stored.is_confirmed:
            return await staff_sessions.start(db, stored.staff_id, SessionStage.PASSWORD, now=now)
        # A password without a second factor: its set-up was left half-way.
        await totp.renew(db, door.master, stored.staff_id)
        return await staff_sessions.start(db, stored.staff_id, SessionStage.ENROL_TOTP, now=now)


def _knows(door: Door, clinic_id: UUID, staff_id: UUID, visitor: Visitor) -> bool:
    """Whether the person signed in with this browser before."""
    return visitor.is_known(sign_in_throttle.mark_of(door.master, clinic_id, staff_id))


def _subjects_of_password(door: Door, email: str, visitor: Visitor, *, known: bool, now: datetime) -> list[Subject]:
    if known:
        return [sign_in_throttle.of_known_browsers(door.master, email)]
    return [
        sign_in_throttle.of_person_at(door.master, email, visitor.network),
        sign_in_throttle.of_person(door.master, email, now=now),
        sign_in_throttle.of_network(door.master, visitor.network, now=now),
        sign_in_throttle.of_clinic(door.master, "sign_in", now=now),
    ]


async def with_code(door: Door, clinic_id: UUID, visitor: Visitor, who: SignedIn, code: str, *, now: datetime) -> str:
    """A full session's token, for the code of an authenticator or a recovery code; the half-way session ends.

    Raises Unauthenticated for a wrong or replayed code, TooMany while locked, Conflict at another stage.
    """
    if who.stage is not SessionStage.PASSWORD:
        raise errors.Conflict("This step is done already.")
    await _take_try(door, clinic_id, visitor, who, now=now)
    async with database.transaction(door.pool, clinic_id) as db:
        accepted = await totp.accept(db, door.master, who.staff_id, code, now=now)
        if not accepted:
            accepted = await recovery_codes.spend(db, door.master, who.staff_id, code, now=now)
        if accepted:
            return await _admit(db, door, visitor, who, "sign_in.second_factor", now=now)
    await _audit_refusal(door, clinic_id, Actor("staff", who.staff_id), now=now)
    raise errors.Unauthenticated(WRONG_CODE)


async def confirm_totp(
    door: Door, clinic_id: UUID, visitor: Visitor, who: SignedIn, code: str, *, now: datetime
) -> tuple[str, list[str]]:
    """A full session's token and the recovery codes, once the first code shows that the authenticator has the secret.

    Raises Unauthenticated for a wrong code, TooMany while locked, Conflict at another stage.
    """
    if who.stage is not SessionStage.ENROL_TOTP:
        raise errors.Conflict("This step is done already.")
    await _take_try(door, clinic_id, visitor, who, now=now)
    async with database.transaction(door.pool, clinic_id) as db:
        if await totp.accept(db, door.master, who.staff_id, code, now=now):
            codes = await recovery_codes.renew(db, door.master, who.staff_id, now=now)
            return await _admit(db, door, visitor, who, "sign_in.second_factor_set_up", now=now), codes
    await _audit_refusal(door, clinic_id, Actor("staff", who.staff_id), now=now)
    raise errors.Unauthenticated(WRONG_CODE)


async def prove_again(db: Db, door: Door, visitor: Visitor, who: SignedIn, code: str, *, now: datetime) -> bool:
    """Whether a signed-in person's code is right: the second factor proved anew. Raises TooMany while locked.

    The caller commits in any case: the try counts, and a refusal stays written down.
    """
    subject = _subject_of_code(door, db.clinic_id, visitor, who)
    # Tries of one person wait for each other at this row until the transaction ends: many at once gain nothing.
    async with database.undone_alone(db):
        await sign_in_throttle.take(db, [subject], now=now)
    if await totp.accept(db, door.master, who.staff_id, code, now=now):
        await sign_in_throttle.forget(db, [subject])
        return True
    await audit.record(db, who.actor, "sign_in.refused", allowed=False, now=now)
    return False


REPLACE_HASH = """
update staff
set password_hash = $3
where clinic_id = $1
  and staff_id = $2
"""


async def set_password(
    door: Door, clinic_id: UUID, visitor: Visitor, link_digest: bytes, password: str, *, now: datetime
) -> str:
    """Spend a set-password link: a new password, a fresh second factor to set up, every former session ended.

    A session's token for setting up the second factor. Raises Gone, and Invalid for a password too short.
    """
    async with database.transaction(door.pool, clinic_id) as db:
        link = await one_time_links.get(db, link_digest, now=now)
    if link.purpose is not LinkPurpose.SET_PASSWORD:
        raise errors.Gone("This link is for something else.")
    password_hash = await door.passwords.hash(password)
    async with database.transaction(door.pool, clinic_id) as db:
        link = await one_time_links.spend(db, link_digest, now=now)
        await db.execute(REPLACE_HASH, clinic_id, link.staff_id, password_hash)
        await totp.renew(db, door.master, link.staff_id)
        await recovery_codes.forget(db, link.staff_id)
        await staff_sessions.end_all(db, link.staff_id)
        await _forget_tries(db, door, link.email, visitor, now=now)
        await audit.record(db, Actor("staff", link.staff_id), "sign_in.set_password", now=now)
        return await staff_sessions.start(db, link.staff_id, SessionStage.ENROL_TOTP, now=now)


async def into_demo(door: Door, clinic_id: UUID, link_digest: bytes, *, now: datetime) -> str:
    """Spend a demonstration's link: a full session's token. Raises Gone. Only offered where the demonstration runs."""
    async with database.transaction(door.pool, clinic_id) as db:
        link = await one_time_links.spend(db, link_digest, now=now)
        if link.purpose is not LinkPurpose.DEMO_SIGN_IN:
            raise errors.Gone("This link is for something else.")
        await audit.record(db, Actor("staff", link.staff_id), "sign_in.demo_link", now=now)
        return await staff_sessions.start(db, link.staff_id, SessionStage.FULL, now=now)


async def _admit(db: Db, door: Door, visitor: Visitor, who: SignedIn, action: str, *, now: datetime) -> str:
    await staff_sessions.end(db, who.session_hash)
    await _forget_tries(db, door, who.email, visitor, now=now)
    await audit.record(db, Actor("staff", who.staff_id), action, now=now)
    return await staff_sessions.start(db, who.staff_id, SessionStage.FULL, now=now)


async def _forget_tries(db: Db, door: Door, email: str, visitor: Visitor, *, now: datetime) -> None:
    subjects = [
        sign_in_throttle.of_person_at(door.master, email, visitor.network),
        sign_in_throttle.of_person(door.master, email, now=now),
        sign_in_throttle.of_known_browsers(door.master, email),
        sign_in_throttle.of_second_factor(door.master, email),
    ]
    await sign_in_throttle.forget(db, subjects)


def _subject_of_code(door: Door, clinic_id: UUID, visitor: Visitor, who: SignedIn) -> Subject:
    if _knows(door, clinic_id, who.staff_id, visitor):
        return sign_in_throttle.of_known_browsers(door.master, who.email)
    return sign_in_throttle.of_second_factor(door.master, who.email)


async def _take_try(door: Door, clinic_id: UUID, visitor: Visitor, who: SignedIn, *, now: datetime) -> None:
    async with database.committed_now(door.pool, clinic_id) as db:
        await sign_in_throttle.take(db, [_subject_of_code(door, clinic_id, visitor, who)], now=now)


async def _audit_refusal(door: Door, clinic_id: UUID, actor: Actor, *, now: datetime) -> None:
    async with database.committed_now(door.pool, clinic_id) as db:
        await audit.record(db, actor, "sign_in.refused", allowed=False, now=now)
