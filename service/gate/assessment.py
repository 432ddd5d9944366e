"""What is still open at a gate and what its records propose; pure. A proposal is never a decision."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

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
    """Screens, readings and lists, superseded ones too, in any order."""

    screens: Sequence[DrugScreen] = ()
    vitals: Sequence[VitalReading] = ()
    checklists: Sequence[ContraindicationCheck] = ()

    def only(self, counts: Callable[[DrugScreen | VitalReading | ContraindicationCheck], bool]) -> Records:
        """Those that count."""
        return Records(
            screens=[each for each in self.screens if counts(each)],
            vitals=[each for each in self.vitals if counts(each)],
            checklists=[each for each in self.checklists if counts(each)],
        )

    def infusion_ids(self) -> set[UUID]:
        """The infusions that they were made for."""
        said = {
            *(each.infusion_id for each in self.screens),
            *(each.infusion_id for each in self.vitals),
            *(each.infusion_id for each in self.checklists),
        }
        return {each for each in said if each is not None}

    def beside(self, others: Records) -> Records:
        """These and the others."""
        return Records(
            screens=[*self.screens, *others.screens],
            vitals=[*self.vitals, *others.vitals],
            checklists=[*self.checklists, *others.checklists],
        )

    def standing_since(self, since: datetime) -> Records:
        """What stands and was taken, measured or asked from `since` on, each kind in the order of that."""
        screens = gate_records.by_weight(gate_records.standing_screens(self.screens))
        vitals = gate_records.standing_vitals(self.vitals)
        lists = gate_records.standing_checklists(self.checklists)
        return Records(
            screens=[each for each in screens if each.collected_at >= since],
            vitals=sorted(
                (each for each in vitals if each.measured_at >= since),
                key=lambda each: (each.measured_at, each.vital_reading_id),
            ),
            checklists=sorted(
                (each for each in lists if each.checked_at >= since),
                key=lambda each: (each.checked_at, each.contraindication_check_id),
            ),
        )

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
    substances no screen looked for although one is there, what is missing, and what is proposed. `elsewhere`: what was
    recorded for other infusions, or for none, and speaks for a hold of this one.
    """

    screen: DrugScreen | None
    vital: VitalReading | None
    checklist: ContraindicationCheck | None
    contradicted: list[Analyte]
    not_sought: list[Substance]
    missing: list[Missing]
    proposals: list[Proposal]
    elsewhere: Records


def of(
    records: Records,
    setting: GateSetting,
    *,
    planned_at: datetime,
    treated: Collection[Substance] = (),
    elsewhere: Records | None = None,
    held_elsewhere: bool = False,
) -> Assessment:
    """Judge what stands. A record counts for a slot when it was made after the slot's gate opened, else it is too old.

    Of several of a kind the newest counts: a second reading of the pressure after a rest replaces the first. What a
    screen found stands until a later sample was looked at for the same, or a laboratory looked at that one; what a list
    says is present, until a later one knows otherwise. A screen that looked for none of the `treated` substances is not
    the screen that each infusion begins with.

    What is missing and what was found is told by `records`, those of the slot; `elsewhere` only ever adds a proposal,
    which a later record takes back wherever it was made. `held_elsewhere`: whether somebody put another infusion on a
    hold that nobody has answered.
    """
    since = planned_at - timedelta(hours=setting.gate_opens_hours)
    own = records.standing_since(since)
    every = records.beside(elsewhere or Records()).standing_since(since)
    readable = [each for each in own.screens if each.result is not ScreenResult.INVALID]
    checklist = next(reversed(own.checklists), None)
    sought = {SUBSTANCE_OF[analyte] for each in readable for analyte in each.panel}
    missing = []
    if not readable or (treated and not sought & set(treated)):
        missing.append(Missing.SCREEN)
    if not own.vitals:
        missing.append(Missing.PRESSURE)
    if checklist is None or leaves_open(checklist):
        missing.append(Missing.CHECKLIST)
    proposed = _proposed(own) | _proposed(every) | ({Proposal.HELD_ELSEWHERE} if held_elsewhere else set())
    own_records = {each.record_id for each in own.seen()}
    return Assessment(
        screen=next(reversed(readable), None),
        vital=next(reversed(own.vitals), None),
        checklist=checklist,
        contradicted=gate_records.contradicted(readable),
        not_sought=[] if Missing.SCREEN in missing else [each for each in treated if each not in sought],
        missing=missing,
        proposals=[each for each in Proposal if each in proposed],
        elsewhere=_speaking(every).only(lambda each: _id_of(each) not in own_records),
    )


def _proposed(standing: Records) -> set[Proposal]:
    speaking = _speaking(standing)
    said = {
        Proposal.SCREEN_POSITIVE: speaking.screens,
        Proposal.PRESSURE_ABOVE_LIMIT: speaking.vitals,
        Proposal.CONTRAINDICATION: speaking.checklists,
    }
    return {proposal for proposal, records in said.items() if records}


def _speaking(standing: Records) -> Records:
    """Of records that stand, in their order, those that speak for a hold and that no later one took back."""
    last_of: dict[Analyte, DrugScreen] = {}
    for screen in standing.screens:
        if screen.result is not ScreenResult.INVALID:
            last_of |= dict.fromkeys(screen.panel, screen)
    known: dict[str, ContraindicationCheck] = {}
    for checklist in standing.checklists:
        answers = answers_of(checklist).items()
        known |= {name: checklist for name, said in answers if said is not Presence.UNKNOWN}
    finding = {each.drug_screen_id for analyte, each in last_of.items() if analyte in each.positive}
    present = {
        each.contraindication_check_id for name, each in known.items() if answers_of(each)[name] is Presence.PRESENT
    }
    return Records(
        screens=[each for each in standing.screens if each.drug_screen_id in finding],
        vitals=[each for each in standing.vitals[-1:] if of_vital(each)],
        checklists=[each for each in standing.checklists if each.contraindication_check_id in present],
    )


def _id_of(record: DrugScreen | VitalReading | ContraindicationCheck) -> UUID:
    match record:
        case DrugScreen():
            return record.drug_screen_id
        case VitalReading():
            return record.vital_reading_id
        case ContraindicationCheck():
            return record.contraindication_check_id


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
