"""How far a new clinic is: each step is done when its facts are there, or when somebody says that it is right as it is;
so it can be left and resumed anywhere."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from service import errors
from service.database import Db
from service.people import access
from service.people.access import Permission


class Step(StrEnum):
    """In the order in which they are offered."""

    NAME = "name"
    HOURS = "hours"
    CRISIS = "crisis"
    STAFF = "staff"
    ON_CALL = "on_call"
    CLIENT = "client"
    SHEET = "sheet"
    RULES = "rules"


# What every clinic begins with, or may do without: it may be right as it is. Without the others nobody is treated.
MAY_STAY = frozenset({Step.NAME, Step.HOURS, Step.CRISIS, Step.ON_CALL, Step.RULES})
# Whoever adds clients does them; an admin alone does not.
OF_COLLEAGUES = frozenset({Step.CLIENT, Step.SHEET})


def of(parties: Iterable[str]) -> list[Step]:
    """What whoever comes as these parties can do, in its order; nothing for whoever does not run the clinic."""
    held = list(parties)
    if not access.may(held, Permission.MANAGE_SETTINGS):
        return []
    adds_clients = access.may(held, Permission.MANAGE_CLIENTS)
    return [step for step in Step if adds_clients or step not in OF_COLLEAGUES]


class FirstSteps(msgspec.Struct, frozen=True, kw_only=True):
    """Which steps of a clinic's first hour are done by their facts, and which were left as they are; nothing of any
    client."""

    facts: frozenset[Step]
    left: frozenset[Step]

    def done(self, step: Step) -> bool:
        return step in self.facts or step in self.left

    @property
    def open(self) -> list[Step]:
        """Those still to be done, in their order."""
        return [step for step in Step if not self.done(step)]


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    name: bool
    hours: bool
    crisis: bool
    staff: bool
    on_call: bool
    client: bool
    sheet: bool
    rules: bool


# Of what a clinic begins with: that it is not what it was.
FACTS = """
select
  exists (select from clinic_former where clinic_id = $1) as name,
  exists (
    select
    from clinic_setting_former f
    join clinic_setting s
      on s.clinic_id = f.clinic_id
    where f.clinic_id = $1
      and f.hours <> s.hours
  ) as hours,
  exists (
    select
    from clinic_setting_former f
    join clinic_setting s
      on s.clinic_id = f.clinic_id
    where f.clinic_id = $1
      and f.crisis <> s.crisis
  ) as crisis,
  (select count(*) from staff where clinic_id = $1 and disabled_at is null) > 1 as staff,
  exists (select from shift where clinic_id = $1) as on_call,
  exists (select from client where clinic_id = $1) as client,
  exists (select from enrolment_code where clinic_id = $1)
    or exists (select from device where clinic_id = $1) as sheet,
  exists (select from rule_set where clinic_id = $1 and version > 1) as rules
"""
LEFT = """
select step
from first_step
where clinic_id = $1
"""


async def read(db: Db) -> FirstSteps:
    """How far the clinic is."""
    facts = await db.get(_Facts, FACTS, db.clinic_id)
    left = [record["step"] for record in await db.connection.fetch(LEFT, db.clinic_id)]
    return FirstSteps(
        facts=frozenset(step for step in Step if getattr(facts, step)),
        left=frozenset(step for step in Step if step in left),
    )


LEAVE = """
insert into first_step (clinic_id, step, left_by, left_at)
values ($1, $2, $3, $4)
on conflict on constraint first_step_pkey do nothing
"""


async def leave(db: Db, step: Step, *, by: UUID, now: datetime) -> None:
    """Say that it is right as it is. Raises Invalid for a step without which nobody can be treated."""
    if step not in MAY_STAY:
        raise errors.Invalid("This step cannot be left out.", fields=(errors.FieldFault("step", "one that may stay"),))
    await db.execute(LEAVE, db.clinic_id, step, by, now)


TAKE_UP = """
delete from first_step
where clinic_id = $1
  and step = $2
"""


async def take_up(db: Db, step: Step) -> None:
    """Have it open again."""
    await db.execute(TAKE_UP, db.clinic_id, step)
