"""Who decided and recorded what at a gate meanwhile, in people's words: told to whoever decides on an older page.

Why they did, and what was found, stands on the page alone: what is refused is told in an error, which holds no health
data.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from schemas.gate import ContraindicationCheck, Decision, DecisionForm, DrugScreen, VitalReading
from service import errors
from service.desk import gate_words, told
from service.gate import read
from service.gate.assessment import Records
from service.web.desk_session import Desk
from service.web.pages import clock, moment

WORDS: Mapping[Decision, str] = MappingProxyType(
    {
        Decision.CLEAR: "{who} cleared it at {at}",
        Decision.HOLD: "{who} put it on hold at {at}",
        Decision.RELEASE: "{who} took the hold back at {at}",
        Decision.OVERRIDE: "{who} let it go ahead all the same at {at}",
    }
)


Record = DrugScreen | VitalReading | ContraindicationCheck
WHAT: Mapping[type[Record], str] = MappingProxyType(
    {
        DrugScreen: "a drug screen",
        VitalReading: "a blood pressure",
        ContraindicationCheck: "the list of contraindications",
    }
)


@asynccontextmanager
async def in_words(desk: Desk, client_id: UUID, infusion_id: UUID, looked_at: DecisionForm) -> AsyncIterator[None]:
    """What is decided within is refused, where more was decided or recorded than what was looked at, with who did what
    and when. Raises Overtaken for that, and for whatever else the gate does not allow any more."""
    try:
        yield
    except errors.Conflict as refusal:
        came = await _since(desk, client_id, infusion_id, looked_at)
        said = f"Since you opened this page: {came}. Look at it before you decide." if came else refusal.message
        raise errors.Overtaken(said) from None


async def _since(desk: Desk, client_id: UUID, infusion_id: UUID, looked_at: DecisionForm) -> str:
    """What was decided and recorded since, in its order, what belongs to another infusion last; nothing where it is not
    known what was looked at."""
    gate = await read.of_infusion(desk.db, client_id, infusion_id, now=desk.now)
    decided = [] if looked_at.version is None else gate.decisions[looked_at.version :]
    fresh = set(gate.known if looked_at.known is not None else ()) - set(looked_at.known or ())
    recorded = [(record_id, each) for record_id, each in _each_of(gate.records) if record_id in fresh]
    did = [*(each.decided_by for each in decided), *(each.recorded_by for _, each in recorded)]
    names = await told.names_of(desk.db, did)
    came = [
        (
            each.decided_at,
            WORDS[each.decision].format(who=_who(desk, each.decided_by, names), at=_at(desk, each.decided_at)),
        )
        for each in decided
    ]
    came += [(each.recorded_at, _words(desk, each, names)) for _, each in recorded]
    elsewhere = fresh - {record_id for record_id, _ in recorded}
    return "; ".join(
        [*(words for _, words in sorted(came)), *(["something was recorded for another infusion"] if elsewhere else [])]
    )


def _each_of(records: Records) -> Iterator[tuple[UUID, Record]]:
    yield from ((each.drug_screen_id, each) for each in records.screens)
    yield from ((each.vital_reading_id, each) for each in records.vitals)
    yield from ((each.contraindication_check_id, each) for each in records.checklists)


def _words(desk: Desk, record: Record, names: Mapping[UUID, str]) -> str:
    did = "taken back" if record.entered_in_error else "corrected" if record.supersedes else "recorded"
    by = "" if record.recorded_by is None else f" by {_who(desk, record.recorded_by, names)}"
    return f"{WHAT[type(record)]} was {did} at {_at(desk, record.recorded_at)}{by}"


def _who(desk: Desk, staff_id: UUID | None, names: Mapping[UUID, str]) -> str:
    return "you" if staff_id == desk.who.staff_id else gate_words.by_whom(staff_id, names)


def _at(desk: Desk, instant: datetime) -> str:
    zone = desk.view.zone
    return (clock if instant.astimezone(zone).date() == desk.today else moment)(instant, zone)
