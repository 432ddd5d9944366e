"""What a client chose on their own phone: the language, the hour of the reminder, and where it goes."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from service.database import Db
from service.keys.sealing import Sealer
from service.people import clients
from service.people.devices import DeviceClient

A_DAY = timedelta(days=1)
# The longest day between two of them has 26 hours (Antarctica/Troll), and two machines' clocks may differ by as much as
# one more. What is further ahead was written while a clock was wrong.
FURTHEST = timedelta(hours=27)


class Chosen(msgspec.Struct, frozen=True, kw_only=True):
    """As it is stored; all None for a client who chose nothing."""

    language: str | None = None
    remind_time: time | None = None
    time_zone: str | None = None
    email_sealed: bytes | None = None


def next_after(moment: datetime, remind_time: time, zone: ZoneInfo) -> datetime:
    """The next instant (UTC) at which the clock there shows this time: the first of two on the day of a change."""
    today = moment.astimezone(zone).date()
    coming = (_instant(today + ahead * A_DAY, remind_time, zone) for ahead in range(3))
    return next(instant for instant in coming if instant > moment)


def latest_at(moment: datetime, remind_time: time, zone: ZoneInfo) -> datetime:
    """The latest of those instants (UTC) that is not after `moment`."""
    today = moment.astimezone(zone).date()
    gone = (_instant(today - back * A_DAY, remind_time, zone) for back in range(3))
    return next(instant for instant in gone if instant <= moment)


def _instant(day: date, remind_time: time, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, remind_time, zone).astimezone(UTC)


OF = """
select language, remind_time, time_zone, email_sealed
from phone_setting
where clinic_id = $1
  and client_id = $2
"""


async def of(db: Db, client_id: UUID) -> Chosen:
    """What a client chose."""
    return await db.find(Chosen, OF, db.clinic_id, client_id) or Chosen()


async def email_of(db: Db, master: Sealer, client_id: UUID, sealed: bytes | None) -> str | None:
    """The address behind the push messages, opened; None where there is none."""
    if sealed is None:
        return None
    sealer = await clients.sealer_of(db, master, client_id)
    return sealer.open(sealed, bound_to=_email_binding(db, client_id)).decode()


# By what was read: the client may have chosen another one meanwhile.
FORGET_EMAIL = """
update phone_setting
set email_sealed = null,
    changed_at = $4
where clinic_id = $1
  and client_id = $2
  and email_sealed = $3
"""


async def forget_email(db: Db, client_id: UUID, sealed: bytes, *, now: datetime) -> None:
    """No more letters to this address; where there is no browser either, the page says that nothing arrives."""
    await db.execute(FORGET_EMAIL, db.clinic_id, client_id, sealed, now)


CHOOSE_LANGUAGE = """
insert into phone_setting (clinic_id, client_id, language, changed_at)
values ($1, $2, $3, $4)
on conflict (clinic_id, client_id) do update
set language = excluded.language,
    changed_at = excluded.changed_at
"""


async def choose_language(db: Db, client_id: UUID, language: str, *, now: datetime) -> None:
    """Read and be reminded in this language from now on."""
    await db.execute(CHOOSE_LANGUAGE, db.clinic_id, client_id, language, now)


# The same hour once more, as for another address, is no new one: what is due stays due, also to be tried again. Later
# than the hour itself it is only where a clock was wrong.
CHOOSE_REMINDER = """
insert into phone_setting (clinic_id, client_id, remind_time, time_zone, email_sealed, next_at, changed_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (clinic_id, client_id) do update
set remind_time = excluded.remind_time,
    time_zone = excluded.time_zone,
    email_sealed = excluded.email_sealed,
    next_at = case
      when (phone_setting.remind_time, phone_setting.time_zone) = (excluded.remind_time, excluded.time_zone)
        then least(phone_setting.next_at, excluded.next_at)
      else excluded.next_at
    end,
    changed_at = excluded.changed_at
"""


async def choose_reminder(
    db: Db,
    master: Sealer,
    client_id: UUID,
    *,
    remind_time: time | None,
    time_zone: str,
    zone: ZoneInfo,
    email: str | None,
    now: datetime,
) -> None:
    """Be reminded at this time of the phone's clock, or not at all (None).

    `time_zone` as the phone names it, `zone` the one meant: the clinic's where the name is not known here.
    """
    sealed = None
    if remind_time is not None and email is not None:
        sealer = await clients.sealer_of(db, master, client_id)
        sealed = sealer.seal(email.encode(), bound_to=_email_binding(db, client_id))
    next_at = None if remind_time is None else next_after(now, remind_time, zone)
    await db.execute(CHOOSE_REMINDER, db.clinic_id, client_id, remind_time, time_zone, sealed, next_at, now)
    if remind_time is None:
        await _forget_all_push(db, client_id)


FORGET_ALL_PUSH = """
delete from phone_push
where clinic_id = $1
  and client_id = $2
"""


async def _forget_all_push(db: Db, client_id: UUID) -> None:
    await db.execute(FORGET_ALL_PUSH, db.clinic_id, client_id)


KEEP_PUSH = """
insert into phone_push (clinic_id, device_id, client_id, subscription_sealed, endpoint_hash, created_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (clinic_id, device_id) do update
set subscription_sealed = excluded.subscription_sealed,
    endpoint_hash = excluded.endpoint_hash,
    created_at = excluded.created_at
"""


async def keep_push(
    db: Db, master: Sealer, whose: DeviceClient, subscription: str, *, endpoint: str, now: datetime
) -> None:
    """Send reminders to this phone's browser; the newest subscription counts, and a browser is its newest owner's.

    `endpoint`: the subscription's. Whoever had the phone before is not told there any more.
    """
    known_by = master.keyed_hash(f"{db.clinic_id}:{endpoint}".encode(), purpose="phone_push.endpoint")
    await _take_from_others(db, whose.device_id, known_by)
    sealer = await clients.sealer_of(db, master, whose.client_id)
    sealed = sealer.seal(subscription.encode(), bound_to=_push_binding(db, whose.device_id))
    await db.execute(KEEP_PUSH, db.clinic_id, whose.device_id, whose.client_id, sealed, known_by, now)


TAKE_FROM_OTHERS = """
delete from phone_push
where clinic_id = $1
  and endpoint_hash = $2
  and device_id <> $3
"""


async def _take_from_others(db: Db, device_id: UUID, known_by: bytes) -> None:
    await db.execute(TAKE_FROM_OTHERS, db.clinic_id, known_by, device_id)


HAS_PUSH = """
select true
from phone_push
where clinic_id = $1
  and device_id = $2
"""


async def has_push(db: Db, device_id: UUID) -> bool:
    """Whether this phone's browser takes messages."""
    return await db.value(HAS_PUSH, db.clinic_id, device_id) is not None


class Browser(msgspec.Struct, frozen=True, kw_only=True):
    """One that takes messages: its subscription, and the keyed hash of its endpoint (None: from before them)."""

    subscription: str
    endpoint_hash: bytes | None


class _Phone(msgspec.Struct, frozen=True):
    device_id: UUID
    subscription_sealed: bytes | None
    endpoint_hash: bytes | None


# Of phones that are connected; one whose browser takes nothing still says that somebody is there to be reminded.
BROWSERS = """
select d.device_id, p.subscription_sealed, p.endpoint_hash
from device d
left join phone_push p
  on p.clinic_id = $1
  and p.device_id = d.device_id
where d.clinic_id = $1
  and d.client_id = $2
  and d.revoked_at is null
order by d.device_id
"""


async def browsers_of(db: Db, master: Sealer, client_id: UUID) -> dict[UUID, Browser | None]:
    """The client's connected phones, each with its browser, where that takes messages."""
    found = await db.rows(_Phone, BROWSERS, db.clinic_id, client_id)
    if not any(each.subscription_sealed for each in found):
        return {each.device_id: None for each in found}
    sealer = await clients.sealer_of(db, master, client_id)

    def opened(phone: _Phone) -> Browser | None:
        if not phone.subscription_sealed:
            return None
        text = sealer.open(phone.subscription_sealed, bound_to=_push_binding(db, phone.device_id)).decode()
        return Browser(subscription=text, endpoint_hash=phone.endpoint_hash)

    return {each.device_id: opened(each) for each in found}


# By what it was told of: the page may have given a newer one meanwhile.
FORGET_PUSH = """
delete from phone_push
where clinic_id = $1
  and device_id = $2
  and endpoint_hash is not distinct from $3
"""


async def forget_push(db: Db, device_id: UUID, browser: Browser) -> None:
    """The push service of this phone's browser says that it is gone."""
    await db.execute(FORGET_PUSH, db.clinic_id, device_id, browser.endpoint_hash)


def _email_binding(db: Db, client_id: UUID) -> str:
    return f"phone_setting:{db.clinic_id}:{client_id}:email"


def _push_binding(db: Db, device_id: UUID) -> str:
    return f"phone_push:{db.clinic_id}:{device_id}:subscription"
