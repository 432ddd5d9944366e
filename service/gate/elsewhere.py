"""What was recorded for a client's other infusions, or for none, and speaks against this one; pure.

Towards going ahead only what was recorded for the slot counts. Against it counts whatever is known of the client: a
plan that was made anew does not undo what a nurse found an hour before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schemas.gate import ContraindicationCheck, DrugScreen, Elsewhere, Proposal, VitalReading
from service.facts.gate_checks import Slot, Source
from service.facts.gate_holds import Hold
from service.gate.assessment import Records, of_checklist, of_screen, of_vital
from service.gate.states import Seen

# The most hours before a slot that a clinic may let a gate open: what takes a clearance away must not depend on what a
# clinic chooses afterwards.
REACH = timedelta(hours=336)
# What is older than a decision by more was there to be seen when it was made.
A_MOMENT = timedelta(minutes=10)

AnyRecord = DrugScreen | VitalReading | ContraindicationCheck


def counting(every: Records, slot: Slot, sources: Mapping[UUID, Source], *, at: datetime) -> Records:
    """What counts against the slot at `at`: recorded by then, and not known already when an infusion was given."""

    def counts(record: AnyRecord) -> bool:
        given_at = _given_at(record, sources)
        open_still = given_at is None or given_at > at or record.recorded_at > given_at
        return _is_elsewhere(record, slot, at) and open_still and not _is_monitoring(record, given_at)

    return every.only(counts)


class Against(msgspec.Struct, frozen=True):
    """A record or a hold elsewhere that speaks against a slot, and since when it has been known."""

    id: UUID
    known_at: datetime


def against(
    every: Records, holds: Iterable[Hold], slot: Slot, sources: Mapping[UUID, Source], *, at: datetime
) -> list[Against]:
    """All that takes a clearance of the slot away, unless the clearance knew of it: what speaks against it, and what
    corrects another record, for that may have been what spoke for it.

    That an infusion is given takes away what was recorded for it before, but brings no clearance back: it stays here.
    """

    def counts(record: AnyRecord) -> bool:
        given_at = _given_at(record, sources)
        in_reach = _time_of(record) >= slot.planned_at - REACH
        return in_reach and _is_elsewhere(record, slot, at) and not _is_monitoring(record, given_at)

    found = every.only(counts)
    return [
        *(
            Against(each.drug_screen_id, each.recorded_at)
            for each in found.screens
            if of_screen(each) or each.supersedes
        ),
        *(
            Against(each.vital_reading_id, each.recorded_at)
            for each in found.vitals
            if of_vital(each) or each.supersedes
        ),
        *(
            Against(each.contraindication_check_id, each.recorded_at)
            for each in found.checklists
            if of_checklist(each) or each.supersedes
        ),
        *(Against(each.gate_check_id, each.decided_at) for each in holds),
    ]


def seen_since(known: Iterable[Against], decided_at: datetime) -> list[Seen]:
    """What a decision of then may not have known of, as it may lapse by it."""
    return [Seen(each.id, None, speaks_against=True) for each in known if each.known_at >= decided_at - A_MOMENT]


def holds_for(holds: Iterable[Hold], slot: Slot, *, at: datetime) -> list[Hold]:
    """The holds that people put on other infusions of the client by then: another course undoes none."""
    return [
        each
        for each in holds
        if each.client_id == slot.client_id and each.infusion_id != slot.infusion_id and each.decided_at <= at
    ]


def _is_elsewhere(record: AnyRecord, slot: Slot, at: datetime) -> bool:
    return record.client_id == slot.client_id and record.infusion_id != slot.infusion_id and record.recorded_at <= at


def _is_monitoring(record: AnyRecord, given_at: datetime | None) -> bool:
    """Whether it is a pressure taken during or after an infusion: it rises then, and the next slot takes its own."""
    return isinstance(record, VitalReading) and given_at is not None and record.measured_at >= given_at


def _given_at(record: AnyRecord, sources: Mapping[UUID, Source]) -> datetime | None:
    source = None if record.infusion_id is None else sources.get(record.infusion_id)
    return None if source is None else source.given_at


def _time_of(record: AnyRecord) -> datetime:
    match record:
        case DrugScreen():
            return record.collected_at
        case VitalReading():
            return record.measured_at
        case ContraindicationCheck():
            return record.checked_at


def named(records: Records, holds: Iterable[Hold], sources: Mapping[UUID, Source]) -> list[Elsewhere]:
    """What speaks for a hold elsewhere with the infusion it belongs to: holds first, of each kind in order of time."""
    said: list[tuple[Proposal, UUID, AnyRecord]] = [
        *((Proposal.SCREEN_POSITIVE, each.drug_screen_id, each) for each in records.screens),
        *((Proposal.PRESSURE_ABOVE_LIMIT, each.vital_reading_id, each) for each in records.vitals),
        *((Proposal.CONTRAINDICATION, each.contraindication_check_id, each) for each in records.checklists),
    ]
    told = [
        Elsewhere(
            proposal=Proposal.HELD_ELSEWHERE,
            id=each.gate_check_id,
            at=each.decided_at,
            infusion_id=each.infusion_id,
            planned_at=each.planned_at,
            infusion_state=each.infusion_state,
        )
        for each in holds
    ]
    for proposal, record_id, record in said:
        source = None if record.infusion_id is None else sources.get(record.infusion_id)
        told.append(
            Elsewhere(
                proposal=proposal,
                id=record_id,
                at=_time_of(record),
                infusion_id=record.infusion_id,
                planned_at=None if source is None else source.planned_at,
                infusion_state=None if source is None else source.state,
            )
        )
    return told
