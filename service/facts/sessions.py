"""Therapy sessions: talk-therapy appointments."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.course import SessionState, TherapySession
from service import errors, ids
from service.database import Db

INSERT = """
insert into therapy_session (clinic_id, therapy_session_id, client_id, staff_id, state, planned_at)
values ($1, $2, $3, $4, 'planned', $5)
"""


async def plan(db: Db, client_id: UUID, *, staff_id: UUID | None, planned_at: datetime) -> UUID:
    """Plan a session; its id."""
    therapy_session_id = ids.new()
    await db.execute(INSERT, db.clinic_id, therapy_session_id, client_id, staff_id, planned_at)
    return therapy_session_id


SET_STATE = """
update therapy_session
set state = $3
where clinic_id = $1
  and therapy_session_id = $2
"""


async def record_state(db: Db, therapy_session_id: UUID, state: SessionState) -> None:
    """Record that it was attended, missed or cancelled. Raises NotFound."""
    if await db.execute(SET_STATE, db.clinic_id, therapy_session_id, state) == 0:
        raise errors.NotFound("Not found.")


SESSIONS_OF = """
select therapy_session_id, client_id, staff_id, state, planned_at
from therapy_session
where clinic_id = $1
  and client_id = $2
order by planned_at, therapy_session_id
"""


async def of(db: Db, client_id: UUID) -> list[TherapySession]:
    """The client's sessions by time."""
    return await db.rows(TherapySession, SESSIONS_OF, db.clinic_id, client_id)
