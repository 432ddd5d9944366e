"""What is still open at a gate and what its records propose; pure. A proposal is never a decision."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from schemas.course import Substance
from schemas.gate import (
    Analyte,
    ContraindicationCheck,
    DrugScreen,
    GateSetting,
    Missing,
    Presence,
    Proposal,
    ScreenResult,
    VitalReading,
)
from service.facts import gate_records
from service.gate.agreement import SUBSTANCE_OF
from service.gate.states import Seen


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was recorded for one infusion, superseded records too, in any order."""

    screens: Sequence[DrugScreen] = ()
    vitals: Sequence[VitalReading] = ()
    checklists: Sequence[ContraindicationCheck] = ()

    def seen(self) -> list[Seen]:
        """Each record with whether it speaks against going ahead by itself."""
        return [
            *(Seen(each.drug_screen_id, each.supersedes, bool(of_screen(each))) for each in self.screens),
            *(Seen(each.vital_reading_id, each.supersedes, bool(of_vital(each))) for each in self.vitals),
            *(
                Seen(each.contraindication_check_id, each.supersedes, bool(of_checklist(each)) or leaves_open(each))
                for each in self.checklists
            ),
        ]


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """The newest record of each kind that counts for the slot, on what results of one sample differ, which treated
    substances no screen looked for although one is there, what is missing, and what is proposed.
    """

    screen: DrugScreen | None
    vital: VitalReading | None
    checklist: ContraindicationCheck | None
    contradicted: list[Analyte]
    not_sought: list[Substance]
    missing: list[Missing]
    proposals: list[Proposal]


def of(
    records: Records, setting: GateSetting, *, planned_at: datetime, treated: Collection[Substance] = ()
) -> Assessment:
    """Judge what stands. A record counts for a slot when it was made after the slot's gate opened, else it is too old.

    Of several of a kind the newest counts: a second reading of the pressure after a rest replaces the first. What a
    screen found stands until a later sample was looked at for the same, or a laboratory looked at that one. A screen
    that looked for none of the `treated` substances is not the screen that each infusion begins with.
    """
    since = planned_at - timedelta(hours=setting.gate_opens_hours)
    screens = [each for each in gate_records.standing_screens(records.screens) if each.collected_at >= since]
    vitals = [each for each in gate_records.standing_vitals(records.vitals) if each.measured_at >= since]
    lists = [each for each in gate_records.standing_checklists(records.checklists) if each.checked_at >= since]
    readable = [each for each in screens if each.result is not ScreenResult.INVALID]
    screen = next(reversed(gate_records.by_weight(readable)), None)
    vital = max(vitals, key=lambda each: (each.measured_at, each.vital_reading_id), default=None)
    checklist = max(lists, key=lambda each: (each.checked_at, each.contraindication_check_id), default=None)
    missing = []
    sought = {SUBSTANCE_OF[analyte] for each in readable for analyte in each.panel}
    if not readable or (treated and not sought & set(treated)):
        missing.append(Missing.SCREEN)
    if vital is None:
        missing.append(Missing.PRESSURE)
    if checklist is None or leaves_open(checklist):
        missing.append(Missing.CHECKLIST)
    proposed: frozenset[Proposal] = frozenset()
    proposed |= {Proposal.SCREEN_POSITIVE} if any(gate_records.found_in(readable).values()) else proposed
    proposed |= of_vital(vital) if vital is not None else proposed
    proposed |= of_checklist(checklist) if checklist is not None else proposed
    return Assessment(
        screen=screen,
        vital=vital,
        checklist=checklist,
        contradicted=gate_records.contradicted(readable),
        not_sought=[] if Missing.SCREEN in missing else [each for each in treated if each not in sought],
        missing=missing,
        proposals=[each for each in Proposal if each in proposed],
    )


def of_screen(screen: DrugScreen) -> frozenset[Proposal]:
    """What a screen proposes, whether it was confirmed or not."""
    found = screen.result is ScreenResult.POSITIVE and not screen.entered_in_error
    return frozenset({Proposal.SCREEN_POSITIVE}) if found else frozenset()


def of_vital(vital: VitalReading) -> frozenset[Proposal]:
    """What a pressure proposes: either number above the clinic's limit when it was recorded."""
    above = vital.systolic > vital.systolic_limit or vital.diastolic > vital.diastolic_limit
    return frozenset({Proposal.PRESSURE_ABOVE_LIMIT}) if above and not vital.entered_in_error else frozenset()


def of_checklist(checklist: ContraindicationCheck) -> frozenset[Proposal]:
    """What the list proposes: any contraindication that is present."""
    present = Presence.PRESENT in answers_of(checklist).values() and not checklist.entered_in_error
    return frozenset({Proposal.CONTRAINDICATION}) if present else frozenset()


def leaves_open(checklist: ContraindicationCheck) -> bool:
    """Whether something on the list is not known."""
    return Presence.UNKNOWN in answers_of(checklist).values() and not checklist.entered_in_error


def answers_of(checklist: ContraindicationCheck) -> dict[str, Presence]:
    """The answers by what was asked, in the order of the list."""
    return {
        "unstable_cardiovascular_disease": checklist.unstable_cardiovascular_disease,
        "hypertension": checklist.hypertension,
        "pregnancy": checklist.pregnancy,
        "ketamine_allergy": checklist.ketamine_allergy,
        "raised_intracranial_pressure": checklist.raised_intracranial_pressure,
    }
