"""Infusions: planned, given, held, missed or cancelled. Every state it went through stays in `infusion_event`."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.course import Infusion, InfusionState
from service import errors, ids
from service.database import Db
from service.facts import client_day, fold_queue
from service.people import clients

INSERT_INFUSION = """
insert into infusion (clinic_id, infusion_id, client_id, course_id, state, planned_at)
values ($1, $2, $3, $4, 'planned', $5)
"""


async def plan(
    db: Db, client_id: UUID, course_id: UUID, *, planned_at: datetime, by: UUID | None, now: datetime
) -> UUID:
    """Plan an infusion; its id."""
    infusion_id = ids.new()
    await db.execute(INSERT_INFUSION, db.clinic_id, infusion_id, client_id, course_id, planned_at)
    planned = Infusion(
        infusion_id=infusion_id,
        client_id=client_id,
        course_id=course_id,
        state=InfusionState.PLANNED,
        planned_at=planned_at,
        given_at=None,
    )
    await _record_event(db, planned, by=by, now=now)
    return infusion_id


INSERT_EVENT = """
insert into infusion_event
  (clinic_id, infusion_event_id, infusion_id, state, planned_at, given_at, recorded_by, recorded_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def _record_event(db: Db, as_it_stands: Infusion, *, by: UUID | None, now: datetime) -> None:
    await db.execute(
        INSERT_EVENT,
        db.clinic_id,
        ids.new(),
        as_it_stands.infusion_id,
        as_it_stands.state,
        as_it_stands.planned_at,
        as_it_stands.given_at,
        by,
        now,
    )


GET_FOR_UPDATE = """
select infusion_id, client_id, course_id, state, planned_at, given_at
from infusion
where clinic_id = $1
  and infusion_id = $2
for update
"""
SET_STATE = """
update infusion
set state = $3,
    given_at = $4
where clinic_id = $1
  and infusion_id = $2
returning infusion_id, client_id, course_id, state, planned_at, given_at
"""


async def record_state(
    db: Db,
    infusion_id: UUID,
    state: InfusionState,
    *,
    by: UUID | None,
    now: datetime,
    given_at: datetime | None = None,
) -> Infusion:
    """Record that it was given (with its time), held, missed or cancelled; the client's trend is due from that day.

    Raises NotFound, and Invalid where the time is missing or is one too many.
    """
    if (state is InfusionState.GIVEN) != (given_at is not None):
        raise errors.Invalid(
            "A given infusion has a time, and only a given one.",
            fields=(errors.FieldFault("given_at", "needed when it was given"),),
        )
    before = await db.get(Infusion, GET_FOR_UPDATE, db.clinic_id, infusion_id)
    infusion = await db.get(Infusion, SET_STATE, db.clinic_id, infusion_id, state, given_at)
    times_given = [at for at in (before.given_at, given_at) if at is not None]
    if times_given:
        client = await clients.get(db, infusion.client_id)
        first_day = client_day.of(min(times_given), ZoneInfo(client.time_zone))
        await fold_queue.mark_due(db, client.client_id, from_day=first_day, now=now)
    await _record_event(db, infusion, by=by, now=now)
    return infusion


async def give(db: Db, infusion_id: UUID, *, given_at: datetime, by: UUID | None, now: datetime) -> Infusion:
    """Record that it was given. Raises NotFound."""
    return await record_state(db, infusion_id, InfusionState.GIVEN, by=by, now=now, given_at=given_at)


INFUSIONS_OF = """
select infusion_id, client_id, course_id, state, planned_at, given_at
from infusion
where clinic_id = $1
  and client_id = $2
order by coalesce(given_at, planned_at), infusion_id
"""


async def of(db: Db, client_id: UUID) -> list[Infusion]:
    """The client's infusions by time."""
    return await db.rows(Infusion, INFUSIONS_OF, db.clinic_id, client_id)


NEXT_PLANNED = """
select infusion_id, client_id, course_id, state, planned_at, given_at
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
