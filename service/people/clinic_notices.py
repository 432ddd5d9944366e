"""What a clinic's clients are told, and when it is open: changed by an admin; what held before stays readable."""

from __future__ import annotations

from datetime import datetime, time
from uuid import UUID

import msgspec

from schemas.crisis import CrisisContact
from service import errors, ids
from service.database import Db

NOTICE_CHARACTERS = 300
CONTACT_CHARACTERS = 100
MOST_CONTACTS = 5
WEEKDAYS = "1234567"


class Notices(msgspec.Struct, frozen=True, kw_only=True):
    """What is added to the notice of who reads, the crisis contacts in their order, and opening hours as ClinicSetting
    has them."""

    notice_addition: str
    crisis: list[CrisisContact]
    hours: dict[str, tuple[str, str]]


class Former(Notices, frozen=True, kw_only=True):
    """What held until somebody changed it."""

    changed_by: UUID
    changed_at: datetime


CURRENT = """
select notice_addition, crisis, hours
from clinic_setting
where clinic_id = $1
for no key update
"""
KEEP = """
insert into clinic_setting_former
  (clinic_id, clinic_setting_former_id, notice_addition, crisis, hours, changed_by, changed_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""
CHANGE = """
update clinic_setting
set notice_addition = $2,
    crisis = $3,
    hours = $4,
    updated_at = $5
where clinic_id = $1
"""


async def change(db: Db, notices: Notices, *, by: UUID, now: datetime) -> bool:
    """Change them, all at once, and keep what held before; False where nothing changed. Raises Invalid."""
    refuse_unfit(notices)
    before = await db.get(Notices, CURRENT, db.clinic_id)
    if before == notices:
        return False
    clinic_id, crisis, hours = db.clinic_id, msgspec.to_builtins(before.crisis), before.hours
    await db.execute(KEEP, clinic_id, ids.new(), before.notice_addition, crisis, hours, by, now)
    crisis = msgspec.to_builtins(notices.crisis)
    await db.execute(CHANGE, clinic_id, notices.notice_addition, crisis, notices.hours, now)
    return True


def refuse_unfit(notices: Notices) -> None:
    """Raises Invalid naming every field that cannot be kept."""
    faults = []
    if len(notices.notice_addition) > NOTICE_CHARACTERS:
        faults.append(errors.FieldFault("notice_addition", f"up to {NOTICE_CHARACTERS} characters"))
    if not 1 <= len(notices.crisis) <= MOST_CONTACTS:
        faults.append(errors.FieldFault("crisis", f"1 to {MOST_CONTACTS} contacts"))
    for number, contact in enumerate(notices.crisis, 1):
        if not all(1 <= len(text) <= CONTACT_CHARACTERS for text in (contact.label, contact.contact)):
            faults.append(errors.FieldFault(f"crisis_{number}", "who, and how to reach them"))
    for day, hours in notices.hours.items():
        if day not in WEEKDAYS or not _in_order(*hours):
            faults.append(errors.FieldFault(f"hours_{day}", "opens before it closes"))
    if faults:
        raise errors.Invalid("Please look at what is marked.", fields=faults)


def _in_order(opens: str, closes: str) -> bool:
    try:
        return time.fromisoformat(opens) < time.fromisoformat(closes) and len(opens) == len(closes) == len("09:00")
    except ValueError:
        return False


FORMER = """
select notice_addition, crisis, hours, changed_by, changed_at
from clinic_setting_former
where clinic_id = $1
order by changed_at desc, clinic_setting_former_id desc
limit 20
"""


async def former(db: Db) -> list[Former]:
    """What held before, the newest change first."""
    return await db.rows(Former, FORMER, db.clinic_id)
