"""Instruments as stored facts: a clinic's own definitions, the rhythms it chose, and what clients answered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec

from schemas.course import Phase
from schemas.instrument import Instrument, Rhythm
from schemas.instrument_response import ChosenRhythm
from service import ids
from service.database import Db
from service.instruments.catalogue import Catalogue, Own

OWN = """
select definition as instrument, added_on
from instrument
where clinic_id = $1
order by code, version
"""


async def catalogue_of(db: Db) -> Catalogue:
    """The instruments of the clinic: those that ship, and its own."""
    return Catalogue(await db.rows(Own, OWN, db.clinic_id))


INSERT_OWN = """
insert into instrument (clinic_id, code, version, definition, added_on, added_by, added_at)
values ($1, $2, $3, $4, $5, $6, $7)
"""


async def add(db: Db, instrument: Instrument, *, added_on: date, by: UUID | None, now: datetime) -> None:
    """Keep a version of the clinic's own. Raises Conflict where it is there already."""
    definition = msgspec.to_builtins(instrument)
    await db.execute(INSERT_OWN, db.clinic_id, instrument.code, instrument.version, definition, added_on, by, now)


INSERT_CHOICE = """
insert into instrument_schedule (
  clinic_id, instrument_schedule_id, code, phase, every_days, open_days, from_on, recorded_by, recorded_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


async def choose(
    db: Db,
    code: str,
    phase: Phase,
    *,
    every_days: int | None,
    open_days: int | None,
    from_on: date,
    by: UUID | None,
    now: datetime,
) -> ChosenRhythm:
    """Append a choice of rhythm; neither days: never."""
    await db.execute(INSERT_CHOICE, db.clinic_id, ids.new(), code, phase, every_days, open_days, from_on, by, now)
    return ChosenRhythm(
        code=code, phase=phase, every_days=every_days, open_days=open_days, from_on=from_on, recorded_at=now
    )


CHOICES = """
select code, phase, every_days, open_days, from_on, recorded_at
from instrument_schedule
where clinic_id = $1
order by from_on, recorded_at, instrument_schedule_id
"""


async def choices_of(db: Db) -> list[ChosenRhythm]:
    """Every rhythm that the clinic ever chose; for a phase and day the last one that had begun holds."""
    return await db.rows(ChosenRhythm, CHOICES, db.clinic_id)


def rhythm_on(instrument: Instrument, choices: Sequence[ChosenRhythm], phase: Phase, day: date) -> Rhythm | None:
    """How an instrument is asked in a phase on a day: as the clinic chose last until then, else as its file says.

    `choices`: as `choices_of` gives them. None: it is not asked.
    """
    chosen = [each for each in choices if (each.code, each.phase) == (instrument.code, phase) and each.from_on <= day]
    if not chosen:
        return next((each for each in instrument.schedule if each.phase is phase), None)
    every, opened = chosen[-1].every_days, chosen[-1].open_days
    return None if every is None or opened is None else Rhythm(phase=phase, every_days=every, open_days=opened)


class ResponseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A response as its table holds it."""

    instrument_response_id: UUID
    client_id: UUID
    code: str
    version: int
    answers: dict[str, int]
    total: float | None
    missing: list[str]
    answered_at: datetime
    sent_at: datetime
    received_at: datetime
    counted_at: datetime
    time_zone: str
    zone_known: bool
    client_day: date
    device_id: UUID | None
    content_hash: bytes
    language: str | None = None


INSERT_RESPONSE = """
insert into instrument_response (
  clinic_id, instrument_response_id, client_id, code, version, answers, total, missing, answered_at, sent_at,
  received_at, counted_at, time_zone, zone_known, client_day, device_id, content_hash, language
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
on conflict on constraint instrument_response_pkey do nothing
"""


async def store(db: Db, row: ResponseRow) -> bool:
    """Store a response; False where its id is in use already."""
    return await db.execute(INSERT_RESPONSE, db.clinic_id, *msgspec.structs.astuple(row)) > 0


FIND_RESPONSE = """
select instrument_response_id, client_id, code, version, answers, total, missing, answered_at, sent_at, received_at,
  counted_at, time_zone, zone_known, client_day, device_id, content_hash, language
from instrument_response
where clinic_id = $1
  and instrument_response_id = $2
"""


async def find_response(db: Db, instrument_response_id: UUID) -> ResponseRow | None:
    """One response by its id."""
    return await db.find(ResponseRow, FIND_RESPONSE, db.clinic_id, instrument_response_id)


RESPONSES_OF = """
select instrument_response_id, client_id, code, version, answers, total, missing, answered_at, sent_at, received_at,
  counted_at, time_zone, zone_known, client_day, device_id, content_hash, language
from instrument_response
where clinic_id = $1
  and client_id = $2
order by counted_at, instrument_response_id
"""


async def responses_of(db: Db, client_id: UUID) -> list[ResponseRow]:
    """Everything that a client answered, the oldest first."""
    return await db.rows(ResponseRow, RESPONSES_OF, db.clinic_id, client_id)


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """On which client day an instrument was answered."""

    instrument_response_id: UUID
    code: str
    client_day: date


ANSWERED = """
select instrument_response_id, code, client_day
from instrument_response
where clinic_id = $1
  and client_id = $2
order by client_day, counted_at, instrument_response_id
"""


async def answered_of(db: Db, client_id: UUID) -> list[Answered]:
    """When a client answered what, the oldest first."""
    return await db.rows(Answered, ANSWERED, db.clinic_id, client_id)
