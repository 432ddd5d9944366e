"""Failed sign-ins, counted by what was tried and for the clinic as a whole; locks that grow.

The subject is a keyed hash of the address that was typed, known here or not: a lock tells nobody who works here.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from service import errors
from service.database import Db
from service.sealing import Sealer

FREE_TRIES = 5
FIRST_LOCK = timedelta(seconds=30)
LONGEST_LOCK = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(hours=24)
# For the clinic as a whole: one password tried on many addresses. Generous, for this lock hits everybody.
CLINIC_FREE_TRIES = 200
CLINIC_FORGOTTEN_AFTER = timedelta(minutes=15)


class Subject(msgspec.Struct, frozen=True):
    """What tries are counted against."""

    hash: bytes
    free_tries: int
    forgotten_after: timedelta


def of_email(master: Sealer, email: str) -> Subject:
    """Tries with this address, whether or not anybody has it."""
    return Subject(
        master.keyed_hash(email.strip().lower().encode(), purpose="sign_in_email"), FREE_TRIES, FORGOTTEN_AFTER
    )


def of_clinic(master: Sealer) -> Subject:
    """Tries with any address of the clinic."""
    return Subject(
        master.keyed_hash(b"every address", purpose="sign_in_clinic"), CLINIC_FREE_TRIES, CLINIC_FORGOTTEN_AFTER
    )


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


async def take(db: Db, subjects: list[Subject], *, now: datetime) -> None:
    """Count a try of each before it is looked at, so that many at once gain nothing. For `committed_now`.

    Past the free ones each try locks twice as long as the one before. Raises TooMany while any subject is locked.
    """
    for subject in sorted(subjects, key=lambda each: each.hash):
        tries = await db.get(Tries, COUNT_TRY, db.clinic_id, subject.hash, now, now - subject.forgotten_after)
        if tries.locked_until is not None and tries.locked_until > now:
            raise errors.TooMany(
                "Too many tries that did not work. Please wait and try again.", retry_at=tries.locked_until
            )
        over = tries.failed_tries - subject.free_tries
        if over >= 0:
            lock = min(FIRST_LOCK * 2 ** min(over, 10), LONGEST_LOCK)
            await db.execute(LOCK, db.clinic_id, subject.hash, now + lock)


GIVE_BACK = """
update sign_in_throttle
set failed_tries = greatest(failed_tries - 1, 0),
    locked_until = null
where clinic_id = $1
  and subject_hash = any($2)
"""


async def give_back(db: Db, subjects: list[Subject]) -> None:
    """The try just taken was a right one: as if it had not been counted; those that failed still are."""
    await db.execute(GIVE_BACK, db.clinic_id, [subject.hash for subject in subjects])


FORGET = """
delete from sign_in_throttle
where clinic_id = $1
  and subject_hash = $2
"""


async def forget(db: Db, subject: Subject) -> None:
    """Start anew after a whole sign-in."""
    await db.execute(FORGET, db.clinic_id, subject.hash)
