"""Infusions: planned, given, held, missed or cancelled. Every state it went through stays in `infusion_event`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from schemas.course import ChangeReason, Infusion, InfusionState
from schemas.treatment import StateForm
from service import errors, ids
from service.database import Db
from service.facts import client_day, client_zone, fold_queue
from service.people import clients

# What is said of an infusion in one of these states corrects what was said before.
SETTLED = frozenset({InfusionState.GIVEN, InfusionState.MISSED, InfusionState.CANCELLED})


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """When an infusion was given, and what was recorded of it."""

    given_at: datetime
    dose_mg_per_kg: float | None = None
    duration_minutes: int | None = None


INSERT_INFUSION = """
insert into infusion (clinic_id, infusion_id, client_id, course_id, schedule_id, state, planned_at, version)
values ($1, $2, $3, $4, $5, 'planned', $6, 1)
"""
INSERT_FIRST_EVENT = """
insert into infusion_event
  (clinic_id, infusion_event_id, infusion_id, version, state, planned_at, recorded_by, recorded_at)
values ($1, $2, $3, 1, 'planned', $4, $5, $6)
"""


async def plan_many(
    db: Db,
    client_id: UUID,
    course_id: UUID,
    planned_at: Mapping[UUID, datetime],
    *,
    by: UUID | None,
    now: datetime,
    schedule_id: UUID | None = None,
) -> None:
    """Plan infusions under these ids."""
    await db.execute_many(
        INSERT_INFUSION,
        [(db.clinic_id, each, client_id, course_id, schedule_id, at) for each, at in planned_at.items()],
    )
    await db.execute_many(
        INSERT_FIRST_EVENT,
        [(db.clinic_id, ids.new(), each, at, by, now) for each, at in planned_at.items()],
    )


async def plan(
    db: Db,
    client_id: UUID,
    course_id: UUID,
    *,
    planned_at: datetime,
    by: UUID | None,
    now: datetime,
    infusion_id: UUID | None = None,
) -> UUID:
    """Plan an infusion; its id."""
    infusion_id = infusion_id or ids.new()
    await plan_many(db, client_id, course_id, {infusion_id: planned_at}, by=by, now=now)
    return infusion_id


GET_FOR_UPDATE = """
select infusion_id, client_id, course_id, schedule_id, state, planned_at, given_at, dose_mg_per_kg, duration_minutes,
  reason, version
from infusion
where clinic_id = $1
  and infusion_id = $2
for no key update
"""


async def hold_row(db: Db, infusion_id: UUID) -> Infusion:
    """The infusion, locked until the transaction ends. Raises NotFound."""
    return await db.get(Infusion, GET_FOR_UPDATE, db.clinic_id, infusion_id)


def stands_so(infusion: Infusion, form: StateForm) -> bool:
    """Whether it was said before, as by a caller who never got the answer."""
    said = ("state", "given_at", "dose_mg_per_kg", "duration_minutes", "reason")
    return all(getattr(infusion, name) == getattr(form, name) for name in said)


def refuse_changed(infusion: Infusion, version: int | None) -> None:
    """Raises Conflict where it is no longer the `version` that somebody looked at."""
    if version is not None and infusion.version != version:
        raise errors.Conflict("Somebody changed this infusion meanwhile. Look at it again.")


SET = """
update infusion
set state = $3,
    planned_at = $4,
    given_at = $5,
    dose_mg_per_kg = $6,
    duration_minutes = $7,
    reason = $8,
    version = version + 1
where clinic_id = $1
  and infusion_id = $2
returning infusion_id, client_id, course_id, schedule_id, state, planned_at, given_at, dose_mg_per_kg, duration_minutes,
  reason, version
"""
INSERT_EVENT = """
insert into infusion_event (
  clinic_id, infusion_event_id, infusion_id, version, state, planned_at, given_at, dose_mg_per_kg, duration_minutes,
  reason, supersedes, recorded_by, recorded_at
)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, (
    select infusion_event_id
    from infusion_event
    where clinic_id = $1
      and infusion_id = $3
      and $11
    order by version desc nulls last, recorded_at desc, infusion_event_id desc
    limit 1
  ), $12, $13
"""


async def _change(
    db: Db,
    before: Infusion,
    state: InfusionState,
    *,
    planned_at: datetime,
    given: Given | None,
    reason: ChangeReason | None,
    by: UUID | None,
    now: datetime,
) -> Infusion:
    """Make the infusion so, and append that it became so; the trend is due from the day it was or is given."""
    given_at, dose, minutes = (None, None, None) if given is None else msgspec.structs.astuple(given)
    infusion = await db.get(
        Infusion, SET, db.clinic_id, before.infusion_id, state, planned_at, given_at, dose, minutes, reason
    )
    await db.execute(
        INSERT_EVENT,
        db.clinic_id,
        ids.new(),
        infusion.infusion_id,
        infusion.version,
        state,
        planned_at,
        given_at,
        dose,
        minutes,
        reason,
        before.state in SETTLED,
        by,
        now,
    )
    times_given = [at for at in (before.given_at, infusion.given_at) if at is not None]
    if times_given:
        client = await clients.get(db, infusion.client_id)
        zone = await client_zone.of(db, client)
        first_day = client_day.of(min(times_given), zone)
        await fold_queue.mark_due(db, client.client_id, from_day=first_day, now=now)
    return infusion


HELD_SINCE = """
select min(recorded_at)
from infusion_event
where clinic_id = $1
  and infusion_id = $2
  and state = 'held'
  and version > coalesce((
    select max(version)
    from infusion_event
    where clinic_id = $1
      and infusion_id = $2
      and state <> 'held'
  ), 0)
"""


async def held_since(db: Db, infusion_id: UUID) -> datetime | None:
    """When it was put on the hold that it is on; None while it is on none."""
    return msgspec.convert(await db.value(HELD_SINCE, db.clinic_id, infusion_id), datetime | None)


async def record_state(
    db: Db,
    infusion_id: UUID,
    state: InfusionState,
    *,
    by: UUID | None,
    now: datetime,
    given_at: datetime | None = None,
    given: Given | None = None,
    reason: ChangeReason | None = None,
) -> Infusion:
    """Record that it was given (`given`, or only when), held, missed or cancelled, or is planned after all.

    Said of one that was given, missed or cancelled already, it supersedes that. Raises NotFound, and Invalid where the
    time is missing or is one too many.
    """
    given = given or (None if given_at is None else Given(given_at=given_at))
    if (state is InfusionState.GIVEN) != (given is not None):
        raise errors.Invalid(
            "A given infusion has a time, and only a given one.",
            fields=(errors.FieldFault("given_at", "needed when it was given"),),
        )
    before = await hold_row(db, infusion_id)
    return await _change(db, before, state, planned_at=before.planned_at, given=given, reason=reason, by=by, now=now)


async def restate(
    db: Db,
    infusion_id: UUID,
    state: InfusionState,
    *,
    planned_at: datetime,
    given: Given | None,
    reason: ChangeReason | None,
    now: datetime,
) -> Infusion:
    """Make everything about an infusion as an import tells it, in one event. Raises NotFound."""
    before = await hold_row(db, infusion_id)
    return await _change(db, before, state, planned_at=planned_at, given=given, reason=reason, by=None, now=now)


async def give(db: Db, infusion_id: UUID, *, given_at: datetime, by: UUID | None, now: datetime) -> Infusion:
    """Record that it was given. Raises NotFound."""
    return await record_state(db, infusion_id, InfusionState.GIVEN, by=by, now=now, given_at=given_at)


async def move(
    db: Db, infusion_id: UUID, planned_at: datetime, *, reason: ChangeReason, by: UUID | None, now: datetime
) -> Infusion:
    """Plan it for another time; a held one stays held.

    Raises NotFound, and Conflict for one that was given, missed or cancelled.
    """
    before = await hold_row(db, infusion_id)
    if before.state in SETTLED:
        raise errors.Conflict("Only an infusion that is still planned or held can be moved.")
    return await _change(db, before, before.state, planned_at=planned_at, given=None, reason=reason, by=by, now=now)


OPEN_FROM = """
select infusion_id
from infusion
where clinic_id = $1
  and course_id = $2
  and state in ('planned', 'held')
  and planned_at >= $3
order by planned_at, infusion_id
for no key update
"""


async def cancel_from(
    db: Db, course_id: UUID, *, since: datetime, reason: ChangeReason, by: UUID | None, now: datetime
) -> int:
    """Cancel whatever the course still has planned or held from that instant on; how many there were."""
    rest = await db.connection.fetch(OPEN_FROM, db.clinic_id, course_id, since)
    for record in rest:
        await record_state(db, record["infusion_id"], InfusionState.CANCELLED, by=by, now=now, reason=reason)
    return len(rest)


FIND = """
select infusion_id, client_id, course_id, schedule_id, state, planned_at, given_at, dose_mg_per_kg, duration_minutes,
  reason, version
from infusion
where clinic_id = $1
  and infusion_id = $2
"""


async def find(db: Db, infusion_id: UUID) -> Infusion | None:
    """One infusion by its id."""
    return await db.find(Infusion, FIND, db.clinic_id, infusion_id)


INFUSIONS_OF = """
select infusion_id, client_id, course_id, schedule_id, state, planned_at, given_at, dose_mg_per_kg, duration_minutes,
  reason, version
from infusion
where clinic_id = $1
  and client_id = $2
order by coalesce(given_at, planned_at), infusion_id
"""


async def of(db: Db, client_id: UUID) -> list[Infusion]:
    """The client's infusions by time."""
    return await db.rows(Infusion, INFUSIONS_OF, db.clinic_id, client_id)


NEXT_PLANNED = """
select infusion_id, client_id, course_id, schedule_id, state, planned_at, given_at, dose_mg_per_kg, duration_minutes,
  reason, version
from infusion
where clinic_id = $1
  and client_id = $2
  and state = 'planned'
  and planned_at > $3
order by planned_at
limit 1
"""


async def next_planned_of(db: Db, client_id: UUID, *, now: datetime) -> Infusion | None:
    """The client's next planned infusion, None where none is booked."""
    return await db.find(Infusion, NEXT_PLANNED, db.clinic_id, client_id, now)
