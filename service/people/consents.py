"""Consent of clients to recipients outside the clinic. Append-only: the newest word counts, none is not given.

It binds nobody inside: the client's own care team is told whatever was said here.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.consent import Consent
from service import ids
from service.database import Db

NOT_GIVEN = "the client has not consented to recipients outside the clinic"

INSERT = """
insert into consent (clinic_id, consent_id, client_id, given, recorded_at, recorded_by)
values ($1, $2, $3, $4, $5, $6)
"""


async def record(db: Db, client_id: UUID, *, given: bool, by: UUID, now: datetime) -> UUID:
    """Keep what the client says now; its id. What was said before stays."""
    consent_id = ids.new()
    await db.execute(INSERT, db.clinic_id, consent_id, client_id, given, now, by)
    return consent_id


GIVEN_NOW = """
select given
from consent
where clinic_id = $1
  and client_id = $2
order by recorded_at desc, consent_id desc
limit 1
"""


async def given_now(db: Db, client_id: UUID) -> bool:
    """Whether the client's newest word is that recipients outside the clinic may be told."""
    return await db.value(GIVEN_NOW, db.clinic_id, client_id) is True


HISTORY = """
select c.consent_id, c.client_id, c.given, c.recorded_at, c.recorded_by, s.name as recorded_by_name
from consent c
join staff s
  on s.clinic_id = $1
  and s.staff_id = c.recorded_by
where c.clinic_id = $1
  and c.client_id = $2
order by c.recorded_at desc, c.consent_id desc
"""


async def history(db: Db, client_id: UUID) -> list[Consent]:
    """Everything that the client ever said about it, the newest first."""
    return await db.rows(Consent, HISTORY, db.clinic_id, client_id)
