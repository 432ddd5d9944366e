"""Clinics, the tenants, and their settings."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from schemas.clinic import Clinic, ClinicSetting
from schemas.crisis import CrisisContact
from service import errors, ids
from service.database import Connection, Db
from service.people import reading_hours

# One false alert per 60 stable client days, unless a clinic chooses otherwise.
DEFAULT_RULES: dict[str, object] = {"budget_days": 60}
NAME_CHARACTERS = 200
DEFAULT_HOURS = dict.fromkeys("12345", ("09:00", "17:00"))
# United States national lines; a clinic replaces them with its own.
NATIONAL_CRISIS_CONTACTS = (
    CrisisContact("988 Suicide & Crisis Lifeline: call or text", "988"),
    CrisisContact("Emergency services", "911"),
)

# A clinic's sign-in page is /<slug>/sign-in: these first parts are pages of our own.
# fmt: off
RESERVED_SLUGS = frozenset((
    "account", "alerts", "calendar", "caseload", "clients", "demo-mail", "docs", "gates", "health", "how-to-read",
    "inbox", "infusions", "link", "messages", "operator", "phone", "problems", "quality", "reminders", "rota", "rules",
    "sessions", "settings", "sign-in", "sign-out", "staff", "static", "v1",
))
# fmt: on
# The constraint clinic_slug_shape, in Python's words.
SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)

INSERT_CLINIC = """
insert into clinic (clinic_id, slug, name, time_zone, created_at)
values ($1, $2, $3, $4, $5)
"""
INSERT_SETTING = """
insert into clinic_setting (clinic_id, notice_addition, crisis, hours, fictional, updated_at)
values ($1, '', $2, $3, $4, $5)
"""
INSERT_FIRST_RULE_SET = """
insert into rule_set (clinic_id, rule_set_id, version, valid_from, rules, created_at)
values ($1, $2, 1, $3, $4, $5)
"""


async def create(
    db: Db,
    *,
    slug: str,
    name: str,
    time_zone: str,
    now: datetime,
    fictional: bool = False,
) -> Clinic:
    """Make the clinic whose id `db` was opened with, its settings and rule set version 1.

    Raises Invalid for an unknown zone or a slug that is reserved or of the wrong shape, Conflict for one that is taken.
    """
    if slug in RESERVED_SLUGS:
        raise errors.Invalid("This slug is an address of Neap itself.", fields=(errors.FieldFault("slug", "another"),))
    refuse_unknown_zone(time_zone)
    await db.execute(INSERT_CLINIC, db.clinic_id, slug, name, time_zone, now)
    await db.execute(
        INSERT_SETTING,
        db.clinic_id,
        msgspec.to_builtins(NATIONAL_CRISIS_CONTACTS),
        DEFAULT_HOURS,
        fictional,
        now,
    )
    # Valid from the first day a history may hold, so that imported days have rules too.
    await db.execute(INSERT_FIRST_RULE_SET, db.clinic_id, ids.new(), date(1900, 1, 1), DEFAULT_RULES, now)
    return Clinic(clinic_id=db.clinic_id, slug=slug, name=name, time_zone=time_zone)


@functools.cache
def time_zones() -> Sequence[str]:
    """The IANA names that this server knows, in order. Kept: looking through the zones' files takes 20 ms."""
    return tuple(sorted(available_timezones()))


def refuse_unknown_zone(time_zone: str) -> None:
    """Raises Invalid unless this server knows the zone by that name."""
    if time_zone not in time_zones():
        raise errors.Invalid(
            "Unknown time zone.", fields=(errors.FieldFault("time_zone", "an IANA name such as America/Chicago"),)
        )


FIND_BY_SLUG = """
select clinic_id, slug, name, time_zone
from clinic
where slug = $1
"""


async def find_by_slug(connection: Connection, slug: str) -> Clinic | None:
    """The clinic of this slug, None where there is none; what can be no slug is not asked of the database."""
    if SLUG.fullmatch(slug) is None:
        return None
    record = await connection.fetchrow(FIND_BY_SLUG, slug)
    return None if record is None else msgspec.convert(record, Clinic)


FIND = """
select clinic_id, slug, name, time_zone
from clinic
where clinic_id = $1
"""


async def get(db: Db) -> Clinic:
    """The clinic of this transaction. Raises NotFound."""
    return await db.get(Clinic, FIND, db.clinic_id)


def refuse_unnamed(name: str) -> None:
    """Raises Invalid for what cannot be a clinic's name: the words of the constraint that would refuse it."""
    if not 1 <= len(name) <= NAME_CHARACTERS:
        raise errors.CONSTRAINTS["clinic_name_length"]


class FormerClinic(msgspec.Struct, frozen=True, kw_only=True):
    """What a clinic was called, and by which clock it went, until somebody changed it."""

    name: str
    time_zone: str
    changed_by: UUID
    changed_at: datetime


HOLD = """
select clinic_id, slug, name, time_zone
from clinic
where clinic_id = $1
for no key update
"""


async def hold(db: Db) -> Clinic:
    """The clinic; whoever does the same waits until this transaction ends."""
    return await db.get(Clinic, HOLD, db.clinic_id)


KEEP_FORMER = """
insert into clinic_former (clinic_id, clinic_former_id, name, time_zone, changed_by, changed_at)
values ($1, $2, $3, $4, $5, $6)
"""
CHANGE = """
update clinic
set name = $2,
    time_zone = $3
where clinic_id = $1
"""


async def change(db: Db, *, name: str, time_zone: str, by: UUID, now: datetime) -> Clinic | None:
    """Give the clinic another name or zone, and keep what held before; the clinic as it was, None where none changed.

    Raises Invalid. What a zone means for others is for `service.clinic_clock` to see to.
    """
    refuse_unnamed(name)
    refuse_unknown_zone(time_zone)
    before = await hold(db)
    if (before.name, before.time_zone) == (name, time_zone):
        return None
    await db.execute(KEEP_FORMER, db.clinic_id, ids.new(), before.name, before.time_zone, by, now)
    await db.execute(CHANGE, db.clinic_id, name, time_zone)
    return before


FORMER = """
select name, time_zone, changed_by, changed_at
from clinic_former
where clinic_id = $1
order by changed_at desc, clinic_former_id desc
limit 20
"""


async def former(db: Db) -> list[FormerClinic]:
    """What it was called and by which clock it went before, the newest change first."""
    return await db.rows(FormerClinic, FORMER, db.clinic_id)


ALL = """
select clinic_id, slug, name, time_zone
from clinic
order by slug
"""


async def all_clinics(connection: Connection) -> list[Clinic]:
    """Every clinic of the deployment, by slug."""
    return [msgspec.convert(record, Clinic) for record in await connection.fetch(ALL)]


async def chosen(connection: Connection, slug: str | None) -> list[Clinic]:
    """Every clinic, or the one that a command was given. Raises Invalid where there is none of that slug."""
    every = await all_clinics(connection)
    if slug is None:
        return every
    those = [each for each in every if each.slug == slug]
    if not those:
        raise errors.Invalid(f"There is no clinic {slug}.", fields=(errors.FieldFault("clinic", "a slug"),))
    return those


GET_SETTING = """
select notice_addition, crisis, hours, therapy_window_hours, tell_seen, fictional, updated_at
from clinic_setting
where clinic_id = $1
"""


async def get_setting(db: Db) -> ClinicSetting:
    """The clinic's settings. Raises NotFound."""
    return await db.get(ClinicSetting, GET_SETTING, db.clinic_id)


HOLD_SETTING = """
select clinic_id
from clinic_setting
where clinic_id = $1
for no key update
"""


async def hold_setting(db: Db) -> None:
    """Let whoever changes the clinic's settings wait until this transaction ends."""
    await db.execute(HOLD_SETTING, db.clinic_id)


TELL_SEEN = """
update clinic_setting
set tell_seen = $2,
    updated_at = $3
where clinic_id = $1
"""


async def tell_seen(db: Db, chosen: bool, *, now: datetime) -> None:
    """Choose whether clients read that their team has seen what their answers gave rise to."""
    await db.execute(TELL_SEEN, db.clinic_id, chosen, now)


class ClinicView(msgspec.Struct, frozen=True, kw_only=True):
    """What every answer to a phone needs of a clinic; small enough to keep in memory.

    `monitoring_notice` is what the client reads of who reads the answers: of the hours, and what the clinic adds.
    """

    clinic: Clinic
    zone: ZoneInfo
    hours: dict[str, tuple[str, str]]
    notice_addition: str
    monitoring_notice: str
    crisis: list[CrisisContact]
    tell_seen: bool
    fictional: bool


async def get_view(db: Db) -> ClinicView:
    """Read the clinic and its settings as one view. Raises NotFound."""
    clinic, setting = await get(db), await get_setting(db)
    zone = ZoneInfo(clinic.time_zone)
    return ClinicView(
        clinic=clinic,
        zone=zone,
        hours=setting.hours,
        notice_addition=setting.notice_addition,
        monitoring_notice=reading_hours.notice(setting.hours, zone, setting.notice_addition),
        crisis=setting.crisis,
        tell_seen=setting.tell_seen,
        fictional=setting.fictional,
    )


def new_id() -> UUID:
    """The id a new clinic's transaction is opened with."""
    return ids.new()
