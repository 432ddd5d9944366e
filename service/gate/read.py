"""Reading gates: of a day's infusions or of one, in a constant number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from schemas.course import InfusionState
from schemas.gate import (
    ContraindicationCheck,
    DrugScreen,
    GateCheck,
    GateLine,
    GateSetting,
    VitalReading,
)
from service.database import Db
from service.facts import gate_checks, gate_records
from service.facts.gate_checks import Slot
from service.gate import assessment, states
from service.gate.assessment import Assessment, Records
from service.gate.states import Standing

SETTLED = frozenset({InfusionState.GIVEN, InfusionState.MISSED, InfusionState.CANCELLED})


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One infusion's gate with all it rests on."""

    slot: Slot
    setting: GateSetting
    records: Records
    decisions: list[GateCheck]
    assessment: Assessment
    standing: Standing

    @property
    def settled(self) -> bool:
        """Whether nothing is to be decided any more: given, missed or cancelled."""
        return self.slot.state in SETTLED

    @property
    def opens_at(self) -> datetime:
        """When the gate becomes due."""
        return states.opens_at(self.slot.planned_at, opens_hours=self.setting.gate_opens_hours)

    def line(self) -> GateLine:
        """The gate as a day's list gives it."""
        slot, standing = self.slot, self.standing
        going_ahead = standing.decision is not None and standing.lapse is None
        return GateLine(
            infusion_id=slot.infusion_id,
            client_id=slot.client_id,
            client=slot.client,
            infusion_state=slot.state,
            planned_at=slot.planned_at,
            given_at=slot.given_at,
            state=standing.state,
            version=len(self.decisions),
            lapse=standing.lapse,
            expires_at=standing.decision.expires_at if standing.decision is not None and going_ahead else None,
            missing=self.assessment.missing,
            not_sought=self.assessment.not_sought,
            proposals=self.assessment.proposals,
        )


async def of_slots(db: Db, slots: Sequence[Slot], *, now: datetime) -> list[Gate]:
    """The gates of some infusions, in their order; of one that was given as it was then."""
    setting = await gate_checks.setting_of(db)
    infusion_ids = [slot.infusion_id for slot in slots]
    screens: defaultdict[UUID | None, list[DrugScreen]] = defaultdict(list)
    for screen in await gate_records.screens_of_infusions(db, infusion_ids):
        screens[screen.infusion_id].append(screen)
    vitals: defaultdict[UUID | None, list[VitalReading]] = defaultdict(list)
    for vital in await gate_records.vitals_of_infusions(db, infusion_ids):
        vitals[vital.infusion_id].append(vital)
    lists: defaultdict[UUID | None, list[ContraindicationCheck]] = defaultdict(list)
    for checklist in await gate_records.checklists_of_infusions(db, infusion_ids):
        lists[checklist.infusion_id].append(checklist)
    decisions: defaultdict[UUID, list[GateCheck]] = defaultdict(list)
    for decision in await gate_checks.of_infusions(db, infusion_ids):
        decisions[decision.infusion_id].append(decision)
    gates = []
    for slot in slots:
        key = slot.infusion_id
        records = Records(screens=screens[key], vitals=vitals[key], checklists=lists[key])
        gates.append(_gate(slot, setting, records, decisions[key], now=now))
    return gates


def _gate(slot: Slot, setting: GateSetting, records: Records, decisions: list[GateCheck], *, now: datetime) -> Gate:
    # What was recorded or said after an infusion was given says nothing about the gate it went through.
    at = slot.given_at or now
    moved_at = None if slot.moved_at is None or slot.moved_at > at else slot.moved_at
    seen = records.seen() if slot.given_at is None else _seen_before(records, slot.given_at)
    return Gate(
        slot=slot,
        setting=setting,
        records=records,
        decisions=decisions,
        assessment=assessment.of(records, setting, planned_at=slot.planned_at, treated=slot.treated),
        standing=states.at(
            decisions,
            seen,
            planned_at=slot.planned_at,
            moved_at=moved_at,
            opens_hours=setting.gate_opens_hours,
            now=at,
        ),
    )


def _seen_before(records: Records, at: datetime) -> list[states.Seen]:
    early = Records(
        screens=[each for each in records.screens if each.recorded_at <= at],
        vitals=[each for each in records.vitals if each.recorded_at <= at],
        checklists=[each for each in records.checklists if each.recorded_at <= at],
    )
    return early.seen()


async def of_infusion(db: Db, client_id: UUID, infusion_id: UUID, *, now: datetime) -> Gate:
    """The gate of one infusion. Raises NotFound."""
    slot = await gate_checks.slot_of(db, client_id, infusion_id)
    return (await of_slots(db, [slot], now=now))[0]
