"""What people decided at the gate, the clinic's numbers for it, and the slots it is about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from schemas.course import InfusionState, Substance
from schemas.gate import GateCheck, GateSetting
from service import errors
from service.database import Db

SETTING = """
select
  gate_opens_hours, gate_clear_hours, gate_warning_hours, systolic_limit, diastolic_limit, therapy_window_hours
from clinic_setting
where clinic_id = $1
"""


async def setting_of(db: Db) -> GateSetting:
    """The clinic's numbers. Raises NotFound."""
    return await db.get(GateSetting, SETTING, db.clinic_id)


CHOOSE = """
update clinic_setting
set gate_opens_hours = $2,
    gate_clear_hours = $3,
    gate_warning_hours = $4,
    systolic_limit = $5,
    diastolic_limit = $6,
    therapy_window_hours = $7,
    updated_at = $8
where clinic_id = $1
"""


async def choose(db: Db, setting: GateSetting, *, now: datetime) -> None:
    """Set the clinic's numbers; from now on they hold for every slot. Raises Invalid where they contradict."""
    if setting.gate_warning_hours > setting.gate_opens_hours:
        fault = errors.FieldFault("gate_warning_hours", "not more than gate_opens_hours")
        raise errors.Invalid("Nobody can be warned before the gate opens.", fields=(fault,))
    await db.execute(
        CHOOSE,
        db.clinic_id,
        setting.gate_opens_hours,
        setting.gate_clear_hours,
        setting.gate_warning_hours,
        setting.systolic_limit,
        setting.diastolic_limit,
        setting.therapy_window_hours,
        now,
    )


class Slot(msgspec.Struct, frozen=True, kw_only=True):
    """An infusion as the gate sees it; `moved_at`: when its slot was changed last, null where it never was; `treated`:
    the substances of the course on the slot's day, of the clinic's calendar."""

    infusion_id: UUID
    client_id: UUID
    course_id: UUID
    client: str
    state: InfusionState
    planned_at: datetime
    given_at: datetime | None
    moved_at: datetime | None
    treated: list[Substance]


SLOTS = """
select
  i.infusion_id, i.client_id, i.course_id, trim(c.given_name || ' ' || c.family_name) as client, i.state,
  i.planned_at, i.given_at,
  (
    select max(changed.recorded_at)
    from (
      select
        e.recorded_at, e.planned_at,
        lag(e.planned_at) over (order by e.recorded_at, e.infusion_event_id) as planned_before
      from infusion_event e
      where e.clinic_id = $1
        and e.infusion_id = i.infusion_id
    ) changed
    where changed.planned_at <> changed.planned_before
  ) as moved_at,
  array(
    select cs.substance
    from course_substance cs
    join course owner
      on owner.clinic_id = cs.clinic_id
      and owner.course_id = cs.course_id
    where cs.clinic_id = $1
      and owner.client_id = i.client_id
      and cs.from_on <= (i.planned_at at time zone cl.time_zone)::date
      and (i.planned_at at time zone cl.time_zone)::date <= coalesce(least(cs.until_on, owner.ended_on), 'infinity')
    order by cs.is_primary desc, cs.substance
  ) as treated
from infusion i
join clinic cl on cl.clinic_id = i.clinic_id
join client c
  on c.clinic_id = i.clinic_id
  and c.client_id = i.client_id
where i.clinic_id = $1
  and i.client_id = any ($2::uuid[])
  and (
    i.infusion_id = $3
    or ($3::uuid is null and i.planned_at >= $4 and i.planned_at < $5 and i.state <> 'cancelled')
  )
order by i.planned_at, i.infusion_id
"""


async def _slots(
    db: Db,
    client_ids: Sequence[UUID],
    *,
    infusion_id: UUID | None = None,
    first: datetime | None = None,
    end: datetime | None = None,
) -> list[Slot]:
    return await db.rows(Slot, SLOTS, db.clinic_id, list(client_ids), infusion_id, first, end)


async def slots_between(db: Db, client_ids: Sequence[UUID], first: datetime, end: datetime) -> list[Slot]:
    """The infusions of some clients whose slot begins from `first` on and before `end`, none that was cancelled."""
    return await _slots(db, client_ids, first=first, end=end)


async def slot_of(db: Db, client_id: UUID, infusion_id: UUID) -> Slot:
    """One infusion of a client. Raises NotFound."""
    found = await _slots(db, [client_id], infusion_id=infusion_id)
    if not found:
        raise errors.NotFound("Not found.")
    return found[0]


HOLD_COURSE = """
select course_id
from course
where clinic_id = $1
  and course_id = (
    select course_id
    from infusion
    where clinic_id = $1
      and infusion_id = $2
  )
for no key update
"""
HOLD_INFUSION = """
select infusion_id
from infusion
where clinic_id = $1
  and infusion_id = $2
for no key update
"""


async def hold_infusion(db: Db, infusion_id: UUID) -> None:
    """Lock it with its course, so that of two who record or decide at once the second sees what the first did.

    The course first, as whoever changes a plan does: what is recorded for one infusion says something about the others.
    """
    await db.execute(HOLD_COURSE, db.clinic_id, infusion_id)
    await db.execute(HOLD_INFUSION, db.clinic_id, infusion_id)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The infusion that a record was made for, as a gate elsewhere names it."""

    infusion_id: UUID
    planned_at: datetime
    state: InfusionState
    given_at: datetime | None


SOURCES = """
select infusion_id, planned_at, state, given_at
from infusion
where clinic_id = $1
  and infusion_id = any ($2::uuid[])
"""


async def sources_of(db: Db, infusion_ids: Iterable[UUID]) -> dict[UUID, Source]:
    """Some infusions by their ids."""
    return {each.infusion_id: each for each in await db.rows(Source, SOURCES, db.clinic_id, list(infusion_ids))}


INSERT = """
insert into gate_check (
  clinic_id, gate_check_id, infusion_id, client_id, decision, reason_sealed, planned_at, decided_by, decided_at,
  expires_at, missing, proposals, record_ids
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
"""


async def add(db: Db, check: GateCheck) -> None:
    """Append a decision."""
    await db.execute(
        INSERT,
        db.clinic_id,
        check.gate_check_id,
        check.infusion_id,
        check.client_id,
        check.decision,
        check.reason_sealed,
        check.planned_at,
        check.decided_by,
        check.decided_at,
        check.expires_at,
        check.missing,
        check.proposals,
        check.record_ids,
    )


OF_INFUSIONS = """
select
  gate_check_id, infusion_id, client_id, decision, reason_sealed, planned_at, decided_by, decided_at, expires_at,
  missing, proposals, record_ids
from gate_check
where clinic_id = $1
  and infusion_id = any ($2::uuid[])
order by decided_at, gate_check_id
"""


async def of_infusions(db: Db, infusion_ids: Sequence[UUID]) -> list[GateCheck]:
    """Everything that was decided about some infusions, in order."""
    return await db.rows(GateCheck, OF_INFUSIONS, db.clinic_id, list(infusion_ids))
