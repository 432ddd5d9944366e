"""Therapy sessions: talk-therapy appointments. Every change stays in `therapy_session_event`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import msgspec

from schemas.course import Modality, SessionState, TherapySession
from schemas.session import SessionEvent
from service import errors, ids
from service.database import Db

DEFAULT_MINUTES = 50
# Further away a time was mistyped; the bound also keeps what is computed from it inside the calendar.
FURTHEST = timedelta(days=800)

_ATTENDED, _MISSED, _CANCELLED, _PLANNED = (
    SessionState.ATTENDED,
    SessionState.MISSED,
    SessionState.CANCELLED,
    SessionState.PLANNED,
)
TRANSITIONS: Mapping[SessionState, frozenset[SessionState]] = MappingProxyType(
    {
        _PLANNED: frozenset({_ATTENDED, _MISSED, _CANCELLED}),
        # Whoever pressed the wrong button corrects it; the history keeps both.
        _ATTENDED: frozenset({_MISSED, _PLANNED}),
        _MISSED: frozenset({_ATTENDED, _PLANNED}),
        _CANCELLED: frozenset({_PLANNED}),
    }
)
"""State → the states that may follow."""


async def plan(
    db: Db,
    client_id: UUID,
    *,
    staff_id: UUID | None,
    planned_at: datetime,
    modality: Modality = Modality.OTHER,
    minutes: int = DEFAULT_MINUTES,
    by: UUID | None,
    now: datetime,
    therapy_session_id: UUID | None = None,
) -> UUID:
    """Book a session; its id. Raises Invalid where `staff_id` may hold none."""
    _refuse_far(planned_at, now)
    await _refuse_other_than_therapists(db, staff_id)
    session = TherapySession(
        therapy_session_id=therapy_session_id or ids.new(),
        client_id=client_id,
        staff_id=staff_id,
        state=SessionState.PLANNED,
        planned_at=planned_at,
        modality=modality,
        minutes=minutes,
        version=1,
    )
    await _add(db, session, by=by, now=now)
    return session.therapy_session_id


INSERT = """
insert into therapy_session (clinic_id, therapy_session_id, client_id, staff_id, state, planned_at, modality, minutes)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""


async def _add(db: Db, session: TherapySession, *, by: UUID | None, now: datetime) -> None:
    await db.execute(
        INSERT,
        db.clinic_id,
        session.therapy_session_id,
        session.client_id,
        session.staff_id,
        session.state,
        session.planned_at,
        session.modality,
        session.minutes,
    )
    await _record_event(db, session, by=by, now=now)


async def restate(db: Db, session: TherapySession, *, now: datetime) -> None:
    """Make a session as an import tells it, new or changed, in one event."""
    if await find(db, session.therapy_session_id) is None:
        await _add(db, session, by=None, now=now)
    else:
        await _write(db, session, by=None, now=now)


def _refuse_far(planned_at: datetime, now: datetime) -> None:
    if abs(planned_at - now) > FURTHEST:
        fault = errors.FieldFault("planned_at", f"within {FURTHEST.days} days")
        raise errors.Invalid("That is too far away.", fields=(fault,))


MAY_HOLD_SESSIONS = """
select true
from staff
where clinic_id = $1
  and staff_id = $2
  and disabled_at is null
  and roles && array['therapist', 'prescriber', 'nurse']
"""


async def _refuse_other_than_therapists(db: Db, staff_id: UUID | None) -> None:
    if staff_id is not None and await db.value(MAY_HOLD_SESSIONS, db.clinic_id, staff_id) is None:
        fault = errors.FieldFault("staff_id", "somebody of the clinical staff who works here")
        raise errors.Invalid("This person cannot hold the session.", fields=(fault,))


INSERT_EVENT = """
insert into therapy_session_event (
  clinic_id, therapy_session_event_id, therapy_session_id, state, planned_at, staff_id, modality, minutes, recorded_by,
  recorded_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def _record_event(db: Db, as_it_stands: TherapySession, *, by: UUID | None, now: datetime) -> None:
    await db.execute(
        INSERT_EVENT,
        db.clinic_id,
        ids.new(),
        as_it_stands.therapy_session_id,
        as_it_stands.state,
        as_it_stands.planned_at,
        as_it_stands.staff_id,
        as_it_stands.modality,
        as_it_stands.minutes,
        by,
        now,
    )


HOLD = """
select therapy_session_id, client_id, staff_id, state, planned_at, modality, minutes, version
from therapy_session
where clinic_id = $1
  and therapy_session_id = $2
for no key update
"""


async def change(
    db: Db,
    therapy_session_id: UUID,
    *,
    state: SessionState | None = None,
    planned_at: datetime | None = None,
    staff_id: UUID | None = None,
    modality: Modality | None = None,
    minutes: int | None = None,
    version: int | None = None,
    by: UUID | None,
    now: datetime,
) -> TherapySession:
    """Change what is given and keep the rest; what it was stays in its events. Nothing new is no event.

    Raises NotFound, Conflict where its state does not allow that or it is no longer the `version` that somebody looked
    at, Invalid where a session that has not begun should have been attended or missed, or for somebody who may hold
    none.
    """
    before = await db.get(TherapySession, HOLD, db.clinic_id, therapy_session_id)
    after = msgspec.structs.replace(
        before,
        state=state or before.state,
        planned_at=planned_at or before.planned_at,
        staff_id=staff_id or before.staff_id,
        modality=modality or before.modality,
        minutes=minutes or before.minutes,
    )
    # Before the version is looked at: a caller who never got the answer says it again.
    if after == before:
        return before
    if version is not None and before.version != version:
        raise errors.Conflict("Somebody else has changed it meanwhile. Look at it again.")
    _refuse_impossible(before, after, now=now)
    if after.staff_id != before.staff_id:
        await _refuse_other_than_therapists(db, after.staff_id)
    await _write(db, after, by=by, now=now)
    return msgspec.structs.replace(after, version=before.version + 1)


WRITE = """
update therapy_session
set staff_id = $3,
    state = $4,
    planned_at = $5,
    modality = $6,
    minutes = $7,
    version = version + 1
where clinic_id = $1
  and therapy_session_id = $2
"""


async def _write(db: Db, after: TherapySession, *, by: UUID | None, now: datetime) -> None:
    await db.execute(
        WRITE,
        db.clinic_id,
        after.therapy_session_id,
        after.staff_id,
        after.state,
        after.planned_at,
        after.modality,
        after.minutes,
    )
    await _record_event(db, after, by=by, now=now)


def _refuse_impossible(before: TherapySession, after: TherapySession, *, now: datetime) -> None:
    if after.planned_at != before.planned_at:
        _refuse_far(after.planned_at, now)
    if after.state is not before.state and after.state not in TRANSITIONS[before.state]:
        raise errors.Conflict(f"The session is {before.state}; it cannot become {after.state}.")
    if after.planned_at != before.planned_at and before.state is SessionState.CANCELLED and after.state is before.state:
        raise errors.Conflict("The session is cancelled; book it again or take the cancellation back first.")
    if after.state in (SessionState.ATTENDED, SessionState.MISSED) and after.planned_at > now:
        fault = errors.FieldFault("state", "attended or missed only once it has begun")
        raise errors.Invalid("This session has not begun yet.", fields=(fault,))


async def record_state(
    db: Db, therapy_session_id: UUID, state: SessionState, *, by: UUID | None, now: datetime
) -> TherapySession:
    """Record that it was attended, missed or cancelled. Raises like `change`."""
    return await change(db, therapy_session_id, state=state, by=by, now=now)


PLANNED_FROM = """
select therapy_session_id
from therapy_session
where clinic_id = $1
  and client_id = $2
  and state = 'planned'
  and planned_at >= $3
order by planned_at, therapy_session_id
for no key update
"""


async def cancel_from(db: Db, client_id: UUID, *, since: datetime, by: UUID | None, now: datetime) -> int:
    """Cancel whatever the client has booked from that instant on; how many there were."""
    rest = await db.connection.fetch(PLANNED_FROM, db.clinic_id, client_id, since)
    for record in rest:
        await record_state(db, record["therapy_session_id"], SessionState.CANCELLED, by=by, now=now)
    return len(rest)


GET = """
select therapy_session_id, client_id, staff_id, state, planned_at, modality, minutes, version
from therapy_session
where clinic_id = $1
  and therapy_session_id = $2
"""


async def find(db: Db, therapy_session_id: UUID) -> TherapySession | None:
    """One session by its id."""
    return await db.find(TherapySession, GET, db.clinic_id, therapy_session_id)


async def get(db: Db, therapy_session_id: UUID) -> TherapySession:
    """One session. Raises NotFound."""
    found = await find(db, therapy_session_id)
    if found is None:
        raise errors.NotFound("Not found.")
    return found


SESSIONS_OF = """
select therapy_session_id, client_id, staff_id, state, planned_at, modality, minutes, version
from therapy_session
where clinic_id = $1
  and client_id = $2
order by planned_at, therapy_session_id
"""


async def of(db: Db, client_id: UUID) -> list[TherapySession]:
    """The client's sessions by time."""
    return await db.rows(TherapySession, SESSIONS_OF, db.clinic_id, client_id)


AT_THAT_TIME = """
select therapy_session_id, client_id, staff_id, state, planned_at, modality, minutes, version
from therapy_session
where clinic_id = $1
  and (client_id = $2 or staff_id = $3)
  and therapy_session_id <> $4
  and state in ('planned', 'attended')
  and planned_at > $5::timestamptz - interval '1 day'
  and planned_at < $6
  and planned_at + make_interval(mins => minutes) > $5
order by planned_at, therapy_session_id
"""


async def at_that_time(db: Db, session: TherapySession) -> list[TherapySession]:
    """Other sessions of its client or its therapist that overlap with it, planned or attended, by time."""
    return await db.rows(
        TherapySession,
        AT_THAT_TIME,
        db.clinic_id,
        session.client_id,
        session.staff_id,
        session.therapy_session_id,
        session.planned_at,
        session.planned_at + timedelta(minutes=session.minutes),
    )


class _Booked(msgspec.Struct, frozen=True):
    cover_id: UUID
    sessions: int


BOOKED_WHILE_AWAY = """
select c.cover_id, count(*) as sessions
from cover c
join therapy_session s
  on s.clinic_id = $1
  and s.staff_id = c.staff_id
  and s.state = 'planned'
  and s.planned_at >= greatest(c.from_at, $2)
  and s.planned_at < c.until_at
where c.clinic_id = $1
  and c.until_at > $2
group by c.cover_id
"""


async def booked_while_away(db: Db, *, now: datetime) -> Mapping[UUID, int]:
    """Cover → how many sessions are still booked with whoever is away then; covers without any are left out."""
    found = await db.rows(_Booked, BOOKED_WHILE_AWAY, db.clinic_id, now)
    return {each.cover_id: each.sessions for each in found}


EVENTS_OF = """
select
  therapy_session_event_id, therapy_session_id, state, planned_at, staff_id, modality, minutes, recorded_by, recorded_at
from therapy_session_event
where clinic_id = $1
  and therapy_session_id = any ($2::uuid[])
order by recorded_at, therapy_session_event_id
"""


async def events_of(db: Db, therapy_session_ids: Sequence[UUID]) -> list[SessionEvent]:
    """Everything that happened to some sessions, in order."""
    return await db.rows(SessionEvent, EVENTS_OF, db.clinic_id, list(therapy_session_ids))
