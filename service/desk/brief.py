"""The brief: one page before an appointment, written from what is stored, never generated freely."""

from __future__ import annotations

from datetime import datetime, time
from textwrap import shorten
from typing import NamedTuple
from uuid import UUID

import msgspec

from schemas.brief import Brief, BriefFor, BriefSection, BriefSentence
from schemas.gate import DrugScreen
from service.database import Db
from service.desk import brief_facts, brief_infusion, brief_therapy
from service.desk.brief_facts import BriefFacts
from service.facts import gate_records
from service.gate import read as gates
from service.keys.sealing import Sealer


async def write(
    db: Db, client_id: UUID, brief_for: BriefFor, *, sealer: Sealer | None, sees_gates: bool, now: datetime
) -> Brief:
    """The brief of one client; notes where the reader's `sealer` opens them. Raises NotFound."""
    facts = await brief_facts.read(db, client_id, brief_for, sealer=sealer, now=now)
    if brief_for is BriefFor.THERAPY:
        session = facts.next_session
        appointment_at = None if session is None else session.planned_at
        sections = brief_therapy.sections_of(facts)
    else:
        infusion = facts.next_infusion
        appointment_at = None if infusion is None else infusion.planned_at
        sections = await _before_infusion(db, facts, sees_gates=sees_gates, now=now)
    return Brief(
        client_id=client_id,
        client=f"{facts.client.given_name} {facts.client.family_name}".strip(),
        brief_for=brief_for,
        written_at=now,
        since=facts.since,
        since_appointment=facts.since_appointment,
        appointment_at=appointment_at,
        sections=[each for each in sections if each.sentences],
    )


class InShort(NamedTuple):
    """The few sentences for the top of a client's page."""

    title: str
    sentences: list[BriefSentence]


# Of each section so many sentences: what was said about safety, what changed, the worst day, the silent days.
SHORT = {"safety": 1, "changed": 5, "days": 1, "use": 1, "answers": 1}
SHORT_QUOTE = 160


async def in_short(db: Db, client_id: UUID, *, sealer: Sealer | None, now: datetime) -> InShort:
    """What a therapist reads first, of the brief before a session. Raises NotFound where there is no course."""
    facts = await brief_facts.read(db, client_id, BriefFor.THERAPY, sealer=sealer, now=now)
    by_code = {each.code: each for each in brief_therapy.sections_of(facts)}
    told = [each for code, most in SHORT.items() if code in by_code for each in by_code[code].sentences[:most]]
    return InShort(by_code["changed"].title, [_shortened(each) for each in told])


def _shortened(sentence: BriefSentence) -> BriefSentence:
    if sentence.quote is None:
        return sentence
    return msgspec.structs.replace(sentence, quote=shorten(sentence.quote, SHORT_QUOTE, placeholder=" …"))


async def _before_infusion(db: Db, facts: BriefFacts, *, sees_gates: bool, now: datetime) -> list[BriefSection]:
    if not sees_gates:
        return brief_infusion.sections_of(facts, None, [], None, sees_gates=False)
    client_id = facts.client.client_id
    upcoming = facts.next_infusion
    gate = None if upcoming is None else await gates.of_infusion(db, client_id, upcoming.infusion_id, now=now)
    every = gate_records.standing_screens(await gate_records.screens_of(db, client_id))
    began = datetime.combine(facts.course.started_on, time(0), facts.zone)
    infusion_ids = [each.infusion_id for each in facts.infusions]
    vitals = gate_records.standing_vitals(await gate_records.vitals_around(db, [client_id], infusion_ids, since=began))
    newest = next(reversed(gate_records.by_weight(every)), None)
    opened_at = None if gate is None else gate.opens_at
    screens = [each for each in every if newest is not None and _belongs(each, newest, opened_at)]
    vital = max(vitals, key=lambda each: each.measured_at, default=None)
    return brief_infusion.sections_of(facts, gate, screens, vital, sees_gates=True)


def _belongs(screen: DrugScreen, newest: DrugScreen, opened_at: datetime | None) -> bool:
    """Whether a screen is told with the newest: of the same infusion, or since the gate opened, whosever it is."""
    same = screen.infusion_id is not None and screen.infusion_id == newest.infusion_id
    return same or screen is newest or (opened_at is not None and screen.collected_at >= opened_at)
