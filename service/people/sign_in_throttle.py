"""Failed sign-ins, counted by who was tried and from where; locks that grow, and that no stranger can put on a clinic.

A subject is a keyed hash, of the address that was typed, known here or not: a lock tells nobody who works here.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Literal
from uuid import UUID

import msgspec

from service import base64url, errors
from service.database import Db
from service.keys import tokens
from service.keys.sealing import Sealer

log = logging.getLogger(__name__)

# One person, from one network (or from the browsers they signed in with before).
FREE_TRIES = 5
# One person from everywhere, in an hour: a dozen networks are needed to come here.
PERSON_FREE_TRIES = 50
# One network, whomever it tries, in an hour: a whole clinic may sit behind one.
NETWORK_FREE_TRIES = 30
# A clinic, in an hour: past it every try is slowed down and an operator is told. It never locks.
CLINIC_FREE_TRIES = 200
SLOWED_SECONDS = 1.0

FIRST_LOCK = timedelta(seconds=30)
LONGEST_LOCK = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=24)


class Subject(msgspec.Struct, frozen=True):
    """What tries are counted against; one that does not lock only says when it is crowded."""

    hash: bytes
    free_tries: int
    locks: bool = True


class Visitor(msgspec.Struct, frozen=True):
    """From where somebody tries: the network, and the marks that their browser kept of earlier sign-ins."""

    network: str
    marks: tuple[str, ...] = ()

    def is_known(self, mark: str) -> bool:
        """Whether the browser holds this mark."""
        return any(tokens.same(each, mark) for each in self.marks)


def mark_of(master: Sealer, clinic_id: UUID, staff_id: UUID) -> str:
    """What a browser keeps of a whole sign-in: a keyed hash of clinic and person, which opens nothing by itself."""
    return base64url.encode(master.keyed_hash(clinic_id.bytes + staff_id.bytes, purpose="known_browser"))


def of_person_at(master: Sealer, email: str, network: str) -> Subject:
    """Tries with this address, whether or not anybody has it, from one network."""
    return _subject(master, "sign_in_person_at", email.strip().lower(), network, free_tries=FREE_TRIES)


def of_person(master: Sealer, email: str, *, now: datetime) -> Subject:
    """Tries with this address from everywhere, in this hour."""
    return _subject(master, "sign_in_person", email.strip().lower(), _hour(now), free_tries=PERSON_FREE_TRIES)


def of_known_browsers(master: Sealer, email: str) -> Subject:
    """Tries with this address from the browsers its owner signed in with: what strangers do counts elsewhere."""
    return _subject(master, "sign_in_known_browsers", email.strip().lower(), free_tries=FREE_TRIES)


def of_second_factor(master: Sealer, email: str) -> Subject:
    """Tries of the second factor, to which only the right password leads."""
    return _subject(master, "sign_in_second_factor", email.strip().lower(), free_tries=FREE_TRIES)


def of_network(master: Sealer, network: str, *, now: datetime) -> Subject:
    """Tries with any address from one network, in this hour."""
    return _subject(master, "sign_in_network", network, _hour(now), free_tries=NETWORK_FREE_TRIES)


def of_clinic(master: Sealer, what: Literal["sign_in", "enrol"], *, now: datetime) -> Subject:
    """Tries at one of the clinic's doors, from anywhere, in this hour."""
    return _subject(master, f"{what}_clinic", _hour(now), free_tries=CLINIC_FREE_TRIES, locks=False)


def _subject(master: Sealer, purpose: str, *parts: str, free_tries: int, locks: bool = True) -> Subject:
    return Subject(master.keyed_hash("\0".join(parts).encode(), purpose=purpose), free_tries, locks)


def _hour(now: datetime) -> str:
    """Counts of an hour begin anew: a trickle of honest mistakes never adds up to a lock."""
    return f"{now.astimezone(UTC):%Y-%m-%dT%H}"


def _in_order(subjects: Iterable[Subject]) -> list[Subject]:
    """One order for everybody, so that two tries never wait for each other; the busiest row is held shortest."""
    return sorted(subjects, key=lambda each: (each.locks, each.hash), reverse=True)


class Tries(msgspec.Struct, frozen=True):
    """How often a subject was tried without success, this time included."""

    failed_tries: int
    locked_until: datetime | None


COUNT_TRY = """
insert into sign_in_throttle as t (clinic_id, subject_hash, failed_tries, last_failed_at)
values ($1, $2, 1, $3)
on conflict on constraint sign_in_throttle_pkey do update
set failed_tries = case when t.last_failed_at < $4 then 1 else t.failed_tries + 1 end,
    last_failed_at = excluded.last_failed_at
returning failed_tries, locked_until
"""
LOCK = """
update sign_in_throttle
set locked_until = $3
where clinic_id = $1
  and subject_hash = $2
"""


async def take(db: Db, subjects: Iterable[Subject], *, now: datetime) -> bool:
    """Count a try of each before it is looked at, so that many at once gain nothing. For `committed_now`.

    Past the free ones each try locks twice as long as the one before. Raises TooMany while any subject is locked.
    True when the clinic is crowded, and the caller should wait for SLOWED_SECONDS with no connection held.
    """
    crowded = False
    for subject in _in_order(subjects):
        tries = await db.get(Tries, COUNT_TRY, db.clinic_id, subject.hash, now, now - FORGOTTEN_AFTER)
        if tries.locked_until is not None and tries.locked_until > now:
            raise errors.TooMany(
                "Too many tries that did not work. Please wait and try again.", retry_at=tries.locked_until
            )
        over = tries.failed_tries - subject.free_tries
        if over < 0:
            continue
        if subject.locks:
            lock = min(FIRST_LOCK * 2 ** min(over, 10), LONGEST_LOCK)
            await db.execute(LOCK, db.clinic_id, subject.hash, now + lock)
            continue
        crowded = True
        if over % subject.free_tries == 0:
            log.warning("many_tries_fail", extra={"clinic_id": db.clinic_id, "tries_this_hour": tries.failed_tries})
    return crowded


GIVE_BACK = """
update sign_in_throttle
set failed_tries = greatest(failed_tries - 1, 0),
    locked_until = null
where clinic_id = $1
  and subject_hash = $2
"""


async def give_back(db: Db, subjects: Iterable[Subject]) -> None:
    """The try just taken was a right one: as if it had not been counted; those that failed still are."""
    for subject in _in_order(subjects):
        await db.execute(GIVE_BACK, db.clinic_id, subject.hash)


FORGET = """
delete from sign_in_throttle
where clinic_id = $1
  and subject_hash = $2
"""


async def forget(db: Db, subjects: Iterable[Subject]) -> None:
    """Start anew after a whole sign-in."""
    for subject in _in_order(subjects):
        await db.execute(FORGET, db.clinic_id, subject.hash)
