"""Staff: the people who work for the clinic."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from schemas.staff import CARE_TEAM_ROLES, Role, Staff
from service import errors, ids
from service.database import Db

EMAIL_CHARACTERS = 254

INSERT = """
insert into staff (clinic_id, staff_id, email, name, roles, created_at)
values ($1, $2, $3, $4, $5, $6)
"""


async def add(db: Db, *, email: str, name: str, roles: Sequence[Role], now: datetime) -> UUID:
    """Add a person, who signs in only after a one-time link; their id.

    Raises Invalid for an address, name or roles that cannot be, Conflict where the address works here already.
    """
    address = _fit(email, name, roles)
    staff_id = ids.new()
    await db.execute(INSERT, db.clinic_id, staff_id, address, name.strip(), sorted(set(roles)), now)
    return staff_id


def _fit(email: str, name: str, roles: Sequence[Role]) -> str:
    """The address as it is kept. Raises Invalid naming every field that cannot be."""
    faults = []
    address = email.strip().lower()
    local, _, domain = address.rpartition("@")
    if not local or not domain or len(address) > EMAIL_CHARACTERS or any(letter.isspace() for letter in address):
        faults.append(errors.FieldFault("email", "an e-mail address such as name@clinic.example"))
    if not name.strip():
        faults.append(errors.FieldFault("name", "who it is"))
    if not roles:
        faults.append(errors.FieldFault("roles", "at least one"))
    if faults:
        raise errors.Invalid("This person cannot be kept so.", fields=faults)
    return address


IN_USE = """
select
  array(
    select distinct role
    from care_team_member
    where clinic_id = $1
      and staff_id = $2
      and (until_at is null or until_at > $3)
  ) as on_teams_as,
  exists (select from shift where clinic_id = $1 and staff_id = $2 and until_at > $3)
    or exists (select from cover where clinic_id = $1 and covered_by = $2 and until_at > $3) as stands_in
"""
CHANGE = """
update staff
set email = $3,
    name = $4,
    roles = $5
where clinic_id = $1
  and staff_id = $2
"""


async def change(
    db: Db, staff_id: UUID, *, email: str, name: str, roles: Sequence[Role], by: UUID, now: datetime
) -> bool:
    """Correct a person's address, name or roles; False where nothing changes. What they may do changes at once.

    Raises NotFound; Invalid as `add` does; Conflict where a role goes by which they are on a care team, stand in for
    others, or are the admin who does this: alerts would reach somebody who may not open them, or nobody could undo it.
    """
    address, kept = _fit(email, name, roles), sorted(set(roles))
    await hold(db, staff_id)
    before = await get(db, staff_id)
    if (before.email, before.name, sorted(before.roles)) == (address, name.strip(), kept):
        return False
    gone = set(before.roles) - set(kept)
    if staff_id == by and Role.ADMIN in gone:
        raise errors.Conflict("Nobody takes the role of admin from themselves: ask another admin.")
    in_use = await db.connection.fetchrow(IN_USE, db.clinic_id, staff_id, now)
    assert in_use is not None
    if gone & set(in_use["on_teams_as"]):
        raise errors.Conflict("They are on care teams in this role. Take them off first, on each client's page.")
    if in_use["stands_in"] and not set(kept) & set(CARE_TEAM_ROLES):
        raise errors.Conflict("They are on call or cover somebody. Change the rota first.")
    await db.execute(CHANGE, db.clinic_id, staff_id, address, name.strip(), kept)
    return True


GET = """
select staff_id, email, name, roles, language, disabled_at
from staff
where clinic_id = $1
  and staff_id = $2
"""


async def get(db: Db, staff_id: UUID) -> Staff:
    """One person. Raises NotFound."""
    return await db.get(Staff, GET, db.clinic_id, staff_id)


HOLD = """
select staff_id
from staff
where clinic_id = $1
  and staff_id = $2
for no key update
"""


async def hold(db: Db, staff_id: UUID) -> None:
    """Let whoever does the same for this person wait until this transaction ends."""
    await db.execute(HOLD, db.clinic_id, staff_id)


ALL = """
select staff_id, email, name, roles, language, disabled_at
from staff
where clinic_id = $1
order by disabled_at nulls first, name, staff_id
"""


async def all_of(db: Db) -> list[Staff]:
    """Everybody of the clinic, whoever is disabled last."""
    return await db.rows(Staff, ALL, db.clinic_id)


async def gone(db: Db) -> set[UUID]:
    """Whoever is disabled: they hold nothing that is booked with them any more."""
    return {each.staff_id for each in await all_of(db) if each.disabled_at is not None}


async def at_work(db: Db, roles: Collection[Role] = tuple(Role)) -> list[Staff]:
    """Whoever works here, is not disabled, and has one of these roles."""
    return [each for each in await all_of(db) if each.disabled_at is None and not set(each.roles).isdisjoint(roles)]


SPEAK = """
update staff
set language = $3
where clinic_id = $1
  and staff_id = $2
"""


async def speak(db: Db, staff_id: UUID, language: str) -> None:
    """Write to the person in this language from now on. Raises NotFound."""
    if await db.execute(SPEAK, db.clinic_id, staff_id, language) == 0:
        raise errors.NotFound("Not found.")


DISABLE = """
update staff
set disabled_at = $3
where clinic_id = $1
  and staff_id = $2
  and disabled_at is null
"""
END_SESSIONS = """
delete from staff_session
where clinic_id = $1
  and staff_id = $2
"""
VOID_LINKS = """
update one_time_link
set used_at = $3
where clinic_id = $1
  and staff_id = $2
  and used_at is null
"""


async def disable(db: Db, staff_id: UUID, *, by: UUID, now: datetime) -> None:
    """Disable a person: their sessions end and their links are void at once.

    Raises NotFound where there is nobody to disable, Conflict where they would disable themselves.
    """
    if staff_id == by:
        raise errors.Conflict("Nobody disables themselves: ask another admin.")
    if await db.execute(DISABLE, db.clinic_id, staff_id, now) == 0:
        raise errors.NotFound("Not found.")
    await db.execute(END_SESSIONS, db.clinic_id, staff_id)
    await db.execute(VOID_LINKS, db.clinic_id, staff_id, now)


ENABLE = """
update staff
set disabled_at = null,
    enabled_at = $3
where clinic_id = $1
  and staff_id = $2
  and disabled_at is not null
"""


async def enable(db: Db, staff_id: UUID, *, now: datetime) -> None:
    """Let a disabled person sign in again. Raises NotFound."""
    if await db.execute(ENABLE, db.clinic_id, staff_id, now) == 0:
        raise errors.NotFound("Not found.")
