"""Reminders at the hour that a client chose: once a client day at most, never late, and only of the page.

A claim moves the next reminder on and commits just before it is sent. Killed in between, or without an answer once the
message was on its way, that day has no further reminder: of a message that only invites, one too few is better than a
second. Tried again, and sent by the other channel, is only what certainly reached nobody.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Literal
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Channel
from schemas.course import Phase
from service import database, instrument_log
from service.alerting.writing import Sending
from service.database import Db, Pool
from service.facts import checkins, client_day, courses, pauses
from service.notify import Disable, Message, Result, Retry, Sent, Template
from service.people import clinics, phone_settings, reminder_stops
from service.people.phone_settings import Browser

log = logging.getLogger(__name__)

# Of one clinic: what is under way when the process ends has no reminder that day, so it is few.
AT_ONCE = 3
# Later than that, the client would be reminded at an hour that they did not choose.
LASTS = timedelta(hours=2)
AGAIN_AFTER = timedelta(minutes=10)

Clock = Callable[[], datetime]
Outcome = Literal["sent", "perhaps_sent", "failed"]
# Why nothing is sent; "unreachable": there is something to answer, and neither a browser nor an address; "had": the day
# has had its reminder; "ahead": it was set by a clock that was wrong, or this one is.
Unsent = Literal["failed", "not_needed", "unreachable", "late", "had", "ahead"]


class Reminded(msgspec.Struct, kw_only=True):
    """What became of the reminders that were due."""

    sent: int = 0
    perhaps_sent: int = 0
    failed: int = 0
    not_needed: int = 0
    unreachable: int = 0
    late: int = 0

    def count(self, what: Outcome | Unsent) -> None:
        """Count one; a day that has had its reminder was counted then, and one that is ahead will be."""
        if what not in ("had", "ahead"):
            setattr(self, what, getattr(self, what) + 1)


class _Due(msgspec.Struct, frozen=True, kw_only=True):
    client_id: UUID
    language: str | None
    remind_time: time
    time_zone: str
    email_sealed: bytes | None
    next_at: datetime


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A reminder that is ours to send: to the browsers of these phones, else to the e-mail address."""

    client_id: UUID
    day: date
    due_at: datetime
    expires_at: datetime
    moved_to: datetime
    language: str
    browsers: dict[UUID, Browser]
    email: str | None
    slug: str


# Also what lies further ahead than any next hour can: a clock that was wrong for a moment ends nobody's reminders.
DUE = """
select client_id, language, remind_time, time_zone, email_sealed, next_at
from phone_setting
where clinic_id = $1
  and (next_at <= $2 or next_at > $3)
order by next_at, client_id
limit 1
for update skip locked
"""
MOVE_ON = """
update phone_setting
set next_at = $3
where clinic_id = $1
  and client_id = $2
"""


async def claim(db: Db, sending: Sending, *, now: datetime) -> Claimed | Unsent | None:
    """Claim what has been due longest in this clinic: what to send, or why nothing is sent; None: nothing is due."""
    due = await db.find(_Due, DUE, db.clinic_id, now, now + phone_settings.FURTHEST)
    if due is None:
        return None
    clinic = await clinics.get(db)
    zone = client_day.zone_or_none(due.time_zone) or ZoneInfo(clinic.time_zone)
    moved_to = phone_settings.next_after(now, due.remind_time, zone)
    await db.execute(MOVE_ON, db.clinic_id, due.client_id, moved_to)
    # By a clock of which nobody knows whether it is right, nothing is sent.
    if due.next_at > now + phone_settings.FURTHEST:
        return "ahead"
    # A try may come at any minute; day, lateness and end go by the hour that the client chose.
    due_at = phone_settings.latest_at(now, due.remind_time, zone)
    day = client_day.of(due_at, zone)
    ready = Claimed(
        client_id=due.client_id,
        day=day,
        due_at=due_at,
        expires_at=min(due_at + LASTS, client_day.ends_at(day, zone)),
        moved_to=moved_to,
        language=due.language or "en",
        browsers={},
        email=None,
        slug=clinic.slug,
    )
    to_send = await _decided(db, sending, due, ready, now=now)
    state = "claimed" if isinstance(to_send, Claimed) else to_send
    return to_send if await _take(db, ready, state, now=now) else "had"


# While nothing of the day's reminder went out, another hour or another try may; what was sent, or may have been, is not
# sent a second time.
TAKE = """
insert into reminder (clinic_id, client_id, client_day, due_at, state, claimed_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (clinic_id, client_id, client_day) do update
set due_at = excluded.due_at,
    state = excluded.state,
    claimed_at = excluded.claimed_at
where reminder.state in ('failed', 'not_needed', 'unreachable', 'late')
"""


async def _take(db: Db, ready: Claimed, state: str, *, now: datetime) -> bool:
    """Whether the day's reminder is ours; not where this day has had it."""
    return await db.execute(TAKE, db.clinic_id, ready.client_id, ready.day, ready.due_at, state, now) > 0


async def _decided(db: Db, sending: Sending, due: _Due, ready: Claimed, *, now: datetime) -> Claimed | Unsent:
    """The same, and "failed" where something of this client cannot be read; that holds up nobody else."""
    try:
        async with database.undone_alone(db):
            return await _decide(db, sending, due, ready, now=now)
    except Exception:
        log.exception("reminder_not_readable", extra={"clinic_id": db.clinic_id, "client_id": due.client_id})
        return "failed"


async def _decide(db: Db, sending: Sending, due: _Due, ready: Claimed, *, now: datetime) -> Claimed | Unsent:
    """What to send and where to, or why nothing is."""
    if now >= ready.expires_at:
        return "late"
    if not await _is_needed(db, due.client_id, ready.day):
        return "not_needed"
    phones = await phone_settings.browsers_of(db, sending.master, due.client_id)
    if not phones:
        return "not_needed"
    email = await phone_settings.email_of(db, sending.master, due.client_id, due.email_sealed)
    browsers = {device_id: browser for device_id, browser in phones.items() if browser is not None}
    if not (browsers or email):
        return "unreachable"
    return msgspec.structs.replace(ready, browsers=browsers, email=email)


async def _is_needed(db: Db, client_id: UUID, day: date) -> bool:
    """Whether there is something to answer: the day's check-in or a new questionnaire; not on a pause or after the end.

    A questionnaire waits for days. Whoever answers each day is told of it on its first, and not again and again.
    """
    asked = await instrument_log.read(db, client_id)
    # A discharge holds from the moment it is noted, though its day is the course's last.
    if not asked.courses or asked.courses[-1].phase is Phase.DISCHARGED:
        return False
    if pauses.covering(asked.pauses, day) is not None or not courses.active_on(asked.substances, day):
        return False
    if not await checkins.days_of(db, client_id, from_day=day, until_day=day):
        return True
    return any(each.since == day for each in instrument_log.due_of(asked, day))


async def remind(
    pool: Pool, clinic_id: UUID, sending: Sending, places: asyncio.Semaphore, *, clock: Clock, until: datetime
) -> Reminded:
    """Send one clinic's due reminders, a few beside each other, each as things stand just before it goes.

    `places`: for what is sent at once in all clinics; whoever waits longest is next. After `until`, none is begun.
    """
    counts = Reminded()

    async def one_by_one() -> None:
        while clock() < until:
            async with places:
                what = await _next(pool, clinic_id, sending, clock=clock)
            if what is None:
                return
            counts.count(what)

    # Trouble of one cuts off nothing that another has under way.
    for ended in await asyncio.gather(*(one_by_one() for _ in range(AT_ONCE)), return_exceptions=True):
        if ended is not None:
            raise ended
    return counts


async def _next(pool: Pool, clinic_id: UUID, sending: Sending, *, clock: Clock) -> Outcome | Unsent | None:
    async with database.transaction(pool, clinic_id) as db:
        claimed = await claim(db, sending, now=clock())
    return await _send(pool, clinic_id, sending, claimed, clock=clock) if isinstance(claimed, Claimed) else claimed


async def _send(pool: Pool, clinic_id: UUID, sending: Sending, claimed: Claimed, *, clock: Clock) -> Outcome | Unsent:
    results, gone = await _to_browsers(clinic_id, sending, claimed, clock=clock)
    stands: Claimed | Unsent = claimed
    # The fall-back, and only that: who has it in a browser, or may have it there, gets no letter.
    if _outcome_of(results) == "failed" and claimed.email is not None:
        if results:
            async with database.transaction(pool, clinic_id) as db:
                stands = await _as_it_stands(db, sending, claimed, now=clock())
        if isinstance(stands, Claimed) and stands.email is not None:
            results.append(await _one(clinic_id, sending, Channel.EMAIL, claimed, stands.email, now=clock()))
    outcome = _outcome_of(results) if isinstance(stands, Claimed) else stands
    now, wait = clock(), _wait_after(results)
    async with database.transaction(pool, clinic_id) as db:
        await _settle(db, claimed, outcome, gone, now=now)
        if outcome == "failed" and wait is not None:
            await _try_again(db, claimed, at=now + wait)
    return outcome


async def _to_browsers(
    clinic_id: UUID, sending: Sending, claimed: Claimed, *, clock: Clock
) -> tuple[list[Result], dict[UUID, Browser]]:
    """What became of it in each browser, and those that are gone."""
    results, gone = list[Result](), dict[UUID, Browser]()
    for device_id, browser in claimed.browsers.items():
        results.append(await _one(clinic_id, sending, Channel.PUSH, claimed, browser.subscription, now=clock()))
        if isinstance(results[-1], Disable):
            gone[device_id] = browser
    return results, gone


STANDS = """
select client_id, language, remind_time, time_zone, email_sealed, next_at
from phone_setting
where clinic_id = $1
  and client_id = $2
  and next_at = $3
"""


async def _as_it_stands(db: Db, sending: Sending, claimed: Claimed, *, now: datetime) -> Claimed | Unsent:
    """The same, read again after browsers took their time; not needed where it was turned off or chosen anew."""
    due = await db.find(_Due, STANDS, db.clinic_id, claimed.client_id, claimed.moved_to)
    return "not_needed" if due is None else await _decided(db, sending, due, claimed, now=now)


def _outcome_of(results: Sequence[Result]) -> Outcome:
    if any(isinstance(each, Sent) for each in results):
        return "sent"
    may_have_arrived = any(isinstance(each, Retry) and each.may_have_arrived for each in results)
    return "perhaps_sent" if may_have_arrived else "failed"


def _wait_after(results: Sequence[Result]) -> timedelta | None:
    """How long to leave it: as long as a push service asked for, where one did; None where all said no for good."""
    again = [each.after_seconds or 0 for each in results if isinstance(each, Retry)]
    return max(AGAIN_AFTER, timedelta(seconds=max(again))) if again else None


def id_of(clinic_id: UUID, client_id: UUID, day: date) -> UUID:
    """The one id of a day's reminder, for every try and channel, so that a receiver can drop a second copy."""
    return uuid5(clinic_id, f"reminder {client_id} {day.isoformat()}")


async def _one(
    clinic_id: UUID, sending: Sending, channel: Channel, claimed: Claimed, to: str, *, now: datetime
) -> Result:
    notifier = sending.notifiers.get(channel)
    if notifier is None:
        return Retry("there is no such channel")
    message = Message(
        delivery_id=id_of(clinic_id, claimed.client_id, claimed.day),
        template=Template.REMINDER,
        language=claimed.language,
        to=to,
        link=f"{sending.base_url}/phone/{claimed.slug}",
        stop=_stop_of(clinic_id, sending, claimed, to) if channel is Channel.EMAIL else "",
        written_at=claimed.due_at,
        expires_at=claimed.expires_at,
    )
    try:
        return await notifier.send(message, now=now)
    except Exception as error:
        log.exception("reminder_raised")
        # How far it came is not known.
        return Retry(f"unexpected {type(error).__name__}", may_have_arrived=True)


def _stop_of(clinic_id: UUID, sending: Sending, claimed: Claimed, email: str) -> str:
    path = reminder_stops.path_of(sending.master, clinic_id, claimed.client_id, email)
    return f"{sending.base_url}{path}?language={claimed.language}"


SETTLE = """
update reminder
set state = $4,
    settled_at = $5
where clinic_id = $1
  and client_id = $2
  and client_day = $3
  and state = 'claimed'
"""


async def _settle(
    db: Db, claimed: Claimed, state: Outcome | Unsent, gone: Mapping[UUID, Browser], *, now: datetime
) -> None:
    # What may have been sent stays claimed, as if the process had been killed: the claim is what keeps off a second.
    if state != "perhaps_sent":
        await db.execute(SETTLE, db.clinic_id, claimed.client_id, claimed.day, state, now)
    for device_id, browser in gone.items():
        await phone_settings.forget_push(db, device_id, browser)


# Not where the client chose anew meanwhile: their new hour holds.
TRY_AGAIN = """
update phone_setting
set next_at = $4
where clinic_id = $1
  and client_id = $2
  and next_at = $3
"""


async def _try_again(db: Db, claimed: Claimed, *, at: datetime) -> None:
    if at < min(claimed.expires_at, claimed.moved_to):
        await db.execute(TRY_AGAIN, db.clinic_id, claimed.client_id, claimed.moved_to, at)
