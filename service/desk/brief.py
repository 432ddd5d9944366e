"""The brief: one page before an appointment, written from what is stored, never generated freely."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.brief import Brief, BriefFor, BriefSection
from service.database import Db
from service.desk import brief_facts, brief_infusion, brief_therapy
from service.desk.brief_facts import BriefFacts
from service.facts import gate_records
from service.gate import read as gates
from service.sealing import Sealer


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


async def _before_infusion(db: Db, facts: BriefFacts, *, sees_gates: bool, now: datetime) -> list[BriefSection]:
    if not sees_gates:
        return brief_infusion.sections_of(facts, None, [], None, sees_gates=False)
    client_id = facts.client.client_id
    upcoming = facts.next_infusion
    gate = None if upcoming is None else await gates.of_infusion(db, client_id, upcoming.infusion_id, now=now)
    screens = gate_records.standing_screens(await gate_records.screens_of(db, client_id))
    vitals = gate_records.standing_vitals(
        await gate_records.vitals_of_infusions(db, [each.infusion_id for each in facts.infusions])
    )
    newest = next(reversed(gate_records.by_weight(screens)), None)
    of_newest = [] if newest is None else [each for each in screens if each.infusion_id == newest.infusion_id]
    vital = max(vitals, key=lambda each: each.measured_at, default=None)
    return brief_infusion.sections_of(facts, gate, of_newest, vital, sees_gates=True)
