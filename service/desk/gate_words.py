"""The words of the gate and of sessions, as pages say them: what is so, and never what it says about a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from schemas.course import InfusionState, Modality, Substance
from schemas.gate import (
    Agreement,
    Analyte,
    Decision,
    Elsewhere,
    GateLine,
    GateState,
    Lapse,
    Missing,
    Presence,
    Proposal,
    SubstanceAgreement,
)
from schemas.session import CoverageState
from service.gate import assessment
from service.gate.assessment import Records

STATES: Mapping[GateState, str] = MappingProxyType(
    {
        GateState.NOT_DUE: "Not due yet",
        GateState.PENDING: "Not decided",
        GateState.CLEAR: "Clear",
        GateState.HOLD: "On hold",
        GateState.OVERRIDDEN: "Overridden",
    }
)
MISSING: Mapping[Missing, str] = MappingProxyType(
    {
        Missing.SCREEN: "drug screen",
        Missing.PRESSURE: "blood pressure",
        Missing.CHECKLIST: "complete list of contraindications",
    }
)
PROPOSALS: Mapping[Proposal, str] = MappingProxyType(
    {
        Proposal.SCREEN_POSITIVE: "the screen found something",
        Proposal.PRESSURE_ABOVE_LIMIT: "the pressure is above the clinic's limit",
        Proposal.CONTRAINDICATION: "a contraindication is present",
        Proposal.HELD_ELSEWHERE: "the hold of another infusion is not answered yet",
    }
)
LAPSES: Mapping[Lapse, str] = MappingProxyType(
    {
        Lapse.EXPIRED: "The last decision has run out.",
        Lapse.MOVED: "The infusion has moved since the last decision.",
        Lapse.NEW_RECORD: "Something was recorded or corrected since the last decision.",
    }
)
DECISIONS: Mapping[Decision, str] = MappingProxyType(
    {
        Decision.CLEAR: "Cleared",
        Decision.HOLD: "Put on hold",
        Decision.RELEASE: "Hold taken back",
        Decision.OVERRIDE: "Overridden",
    }
)
ANALYTES: Mapping[Analyte, str] = MappingProxyType(
    {
        Analyte.ALCOHOL: "alcohol",
        Analyte.ALCOHOL_MARKER: "alcohol marker (EtG, EtS)",
        Analyte.COCAINE: "cocaine",
        Analyte.OPIOID: "opioids",
        Analyte.BENZODIAZEPINE: "benzodiazepines",
        Analyte.AMPHETAMINE: "amphetamines",
        Analyte.CANNABIS: "cannabis",
        Analyte.OTHER: "other",
    }
)
CONDITIONS: Mapping[str, str] = MappingProxyType(
    {
        "unstable_cardiovascular_disease": "Unstable cardiovascular disease",
        "hypertension": "Hypertension",
        "pregnancy": "Pregnancy",
        "ketamine_allergy": "Ketamine allergy",
        "raised_intracranial_pressure": "Raised intracranial pressure",
    }
)
PRESENCE: Mapping[Presence, str] = MappingProxyType(
    {
        Presence.ABSENT: "no",
        Presence.PRESENT: "yes",
        Presence.UNKNOWN: "not known",
        Presence.NOT_APPLICABLE: "does not apply",
    }
)
MODALITIES: Mapping[Modality, str] = MappingProxyType(
    {
        Modality.INTEGRATION: "integration",
        Modality.COGNITIVE_BEHAVIOURAL: "cognitive behavioural",
        Modality.MOTIVATIONAL: "motivational",
        Modality.RELAPSE_PREVENTION: "relapse prevention",
        Modality.GROUP: "group",
        Modality.FAMILY: "family",
        Modality.OTHER: "other",
    }
)
COVERAGE: Mapping[CoverageState, str] = MappingProxyType(
    {
        CoverageState.COVERED: "followed by a session",
        CoverageState.BOOKED: "a session is booked",
        CoverageState.OPEN: "nothing booked yet",
        CoverageState.UNRECORDED: "session not recorded yet",
        CoverageState.UNCOVERED: "no session in the window",
    }
)


def answer(line: GateLine) -> str:
    """May this go ahead, and what is open? In one sentence."""
    match line.infusion_state:
        case InfusionState.GIVEN:
            if line.state in (GateState.PENDING, GateState.NOT_DUE):
                return "Given, and nobody had decided at the gate."
            return f"Given. The gate was {STATES[line.state].lower()}."
        case InfusionState.MISSED | InfusionState.CANCELLED:
            return f"The infusion is {line.infusion_state}."
        case InfusionState.PLANNED | InfusionState.HELD:
            return _answer_to_come(line)


def _answer_to_come(line: GateLine) -> str:
    match line.state:
        case GateState.CLEAR | GateState.OVERRIDDEN if line.infusion_state is InfusionState.HELD:
            return "Not yet: the gate is settled, and the infusion is on hold in the plan."
        case GateState.CLEAR:
            return "May go ahead: everything is recorded, and nothing recorded for the gate speaks for a hold."
        case GateState.OVERRIDDEN:
            return "May go ahead: a prescriber decided so, with a reason."
        case GateState.HOLD:
            return "Not now: somebody put it on hold."
        case GateState.NOT_DUE:
            return "Not decided yet; the gate opens later."
        case GateState.PENDING:
            lapsed = f"{LAPSES[line.lapse]} " if line.lapse is not None else ""
            return f"Not decided yet. {lapsed}{still_open(line.missing, line.proposals)}".strip()


def by_whom(staff_id: UUID | None, names: Mapping[UUID, str]) -> str:
    """Who recorded or decided something: nobody of the clinic, where it came by an import."""
    return "the import" if staff_id is None else names.get(staff_id, "somebody")


def still_open(missing: Sequence[Missing], proposals: Sequence[Proposal]) -> str:
    """What is missing and what is proposed, as sentences; that a person decides where neither is."""
    parts = []
    if missing:
        parts.append(f"Still to be recorded: {', '.join(MISSING[each] for each in missing)}.")
    if proposals:
        *told, last = (PROPOSALS[each] for each in proposals)
        parts.append(f"A hold is proposed: {', '.join(told)}{' and ' if told else ''}{last}.")
    return " ".join(parts) or "Everything is recorded; somebody decides."


def found_elsewhere(each: Elsewhere, records: Records) -> str:
    """What speaks for a hold and belongs to another infusion, as its gate says it."""
    match each.proposal:
        case Proposal.SCREEN_POSITIVE:
            screen = next(one for one in records.screens if one.drug_screen_id == each.id)
            return f"Screen: {', '.join(ANALYTES[one] for one in screen.positive)} found ({screen.confirmation})"
        case Proposal.PRESSURE_ABOVE_LIMIT:
            vital = next(one for one in records.vitals if one.vital_reading_id == each.id)
            return f"Pressure: {vital.systolic}/{vital.diastolic} mmHg"
        case Proposal.CONTRAINDICATION:
            checklist = next(one for one in records.checklists if one.contraindication_check_id == each.id)
            present = [name for name, said in assessment.answers_of(checklist).items() if said is Presence.PRESENT]
            return f"{', '.join(CONDITIONS[name] for name in present)}: yes"
        case Proposal.HELD_ELSEWHERE:
            return "Put on hold"


def whose(each: Elsewhere, planned: str) -> str:
    """To which infusion belongs what speaks for a hold elsewhere; `planned`: its slot in words."""
    if each.planned_at is None:
        return "recorded for no infusion"
    match each.infusion_state:
        case InfusionState.CANCELLED | InfusionState.MISSED:
            return f"for the infusion of {planned}, which was {each.infusion_state}"
        case _:
            return f"for the infusion of {planned}"


def not_sought(substances: Sequence[Substance]) -> str:
    """That a screen is there which did not look for everything that is treated."""
    return f"No screen for this infusion looked for {' or '.join(substances)}, which is treated." if substances else ""


def contradicted(analytes: Sequence[Analyte]) -> str:
    """What to know of two results of one sample."""
    differing = ", ".join(ANALYTES[each] for each in analytes)
    return f"Two results of one sample differ on {differing}: what a laboratory confirmed counts, else the newer one."


def agreement(found: SubstanceAgreement) -> str:
    """How the answers and a screen go together; a difference may have many reasons."""
    match found.agreement:
        case Agreement.AGREE:
            return f"{found.substance}: the answers and the screen say the same"
        case Agreement.UNDER_REPORTED:
            return f"{found.substance}: the screen found it, the answers do not mention it"
        case Agreement.OVER_REPORTED:
            return f"{found.substance}: the answers mention it, the screen did not find it"
        case Agreement.NO_DATA if found.positive is None:
            return f"{found.substance}: not on the panel, or the screen could not be read"
        case Agreement.NO_DATA if found.positive and found.reported is not None:
            return f"{found.substance}: the screen found it, no answers speak of all its {found.window_hours} hours"
        case Agreement.NO_DATA if found.reported:
            return f"{found.substance}: what the answers mention may lie before the screen's {found.window_hours} hours"
        case Agreement.NO_DATA:
            return f"{found.substance}: no answer within the screen's {found.window_hours} hours"
