"""Reading gates: of a day's infusions or of one, in a constant number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from schemas.course import InfusionState
from schemas.gate import Elsewhere, GateCheck, GateLine, GateSetting
from service.database import Db
from service.facts import gate_checks, gate_holds, gate_records
from service.facts.gate_checks import Slot, Source
from service.facts.gate_holds import Hold
from service.gate import assessment, elsewhere, states
from service.gate.assessment import Assessment, Records
from service.gate.states import Standing

SETTLED = frozenset({InfusionState.GIVEN, InfusionState.MISSED, InfusionState.CANCELLED})


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """One infusion's gate with all it rests on.

    `records` were made for the infusion; what is `elsewhere` speaks for a hold and belongs to another infusion of the
    client, or to none. `known`: the ids of all that a decision made now would know of.
    """

    slot: Slot
    setting: GateSetting
    records: Records
    decisions: list[GateCheck]
    assessment: Assessment
    standing: Standing
    elsewhere: list[Elsewhere]
    known: list[UUID]

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
            elsewhere=self.elsewhere,
        )


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    """What was read for some gates: records and holds of their clients, decisions by infusion."""

    setting: GateSetting
    records: Records
    sources: Mapping[UUID, Source]
    holds: list[Hold]
    decisions: Mapping[UUID, list[GateCheck]]


async def of_slots(db: Db, slots: Sequence[Slot], *, now: datetime) -> list[Gate]:
    """The gates of some infusions, in their order; of one that was given as it was then."""
    if not slots:
        return []
    infusion_ids, client_ids = [slot.infusion_id for slot in slots], sorted({slot.client_id for slot in slots})
    since = min(slot.planned_at for slot in slots) - elsewhere.REACH
    records = Records(
        screens=await gate_records.screens_around(db, client_ids, infusion_ids, since=since),
        vitals=await gate_records.vitals_around(db, client_ids, infusion_ids, since=since),
        checklists=await gate_records.checklists_around(db, client_ids, infusion_ids, since=since),
    )
    decisions: defaultdict[UUID, list[GateCheck]] = defaultdict(list)
    for decision in await gate_checks.of_infusions(db, infusion_ids):
        decisions[decision.infusion_id].append(decision)
    read = _Read(
        setting=await gate_checks.setting_of(db),
        records=records,
        sources=await gate_checks.sources_of(db, records.infusion_ids()),
        holds=await gate_holds.of_clients(db, client_ids),
        decisions=decisions,
    )
    return [_gate(slot, read, now=now) for slot in slots]


def _gate(slot: Slot, read: _Read, *, now: datetime) -> Gate:
    # What was recorded or said after an infusion was given says nothing about the gate it went through.
    decisions = read.decisions.get(slot.infusion_id, [])
    at = slot.given_at or _latest(now, slot, decisions)
    moved_at = None if slot.moved_at is None or slot.moved_at > at else slot.moved_at
    records = read.records.only(lambda each: each.infusion_id == slot.infusion_id)
    decided_at = max((each.decided_at for each in decisions if each.decided_at <= at), default=None)
    holds = elsewhere.holds_for(read.holds, slot, at=at)
    others, unanswered = _others(slot, read, holds, at=at)
    judged = assessment.of(
        records,
        read.setting,
        planned_at=slot.planned_at,
        treated=slot.treated,
        elsewhere=others,
        held_elsewhere=bool(unanswered),
    )
    seen = (records if slot.given_at is None else records.only(lambda each: each.recorded_at <= at)).seen()
    against = elsewhere.against(read.records, holds, slot, read.sources, at=at)
    fresh = [] if decided_at is None else elsewhere.seen_since(against, decided_at)
    return Gate(
        slot=slot,
        setting=read.setting,
        records=records,
        decisions=decisions,
        assessment=judged,
        standing=states.at(
            decisions,
            [*seen, *fresh],
            planned_at=slot.planned_at,
            moved_at=moved_at,
            opens_hours=read.setting.gate_opens_hours,
            proposals=judged.proposals if slot.given_at is None else (),
            now=at,
        ),
        elsewhere=elsewhere.named(judged.elsewhere, unanswered, read.sources),
        known=[*(each.record_id for each in seen), *(each.id for each in against)],
    )


def _latest(now: datetime, slot: Slot, decisions: Sequence[GateCheck]) -> datetime:
    """Now, or what somebody did meanwhile: whoever waited for a lock took their time before it."""
    return max([now, *(each.decided_at for each in decisions), *([slot.moved_at] if slot.moved_at else [])])


def _others(slot: Slot, read: _Read, holds: Sequence[Hold], *, at: datetime) -> tuple[Records, list[Hold]]:
    """What counts against a slot elsewhere; nothing does where there is nothing to go ahead any more."""
    if slot.state in (InfusionState.MISSED, InfusionState.CANCELLED):
        return Records(), []
    unanswered = [each for each in holds if each.is_open_for(slot.infusion_id)]
    return elsewhere.counting(read.records, slot, read.sources, at=at), unanswered


async def of_infusion(db: Db, client_id: UUID, infusion_id: UUID, *, now: datetime) -> Gate:
    """The gate of one infusion. Raises NotFound."""
    slot = await gate_checks.slot_of(db, client_id, infusion_id)
    return (await of_slots(db, [slot], now=now))[0]
