"""What a nurse or prescriber reads before an infusion: gate, screen and pressure, use, alerts, missed days; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from schemas.alert import Tier
from schemas.brief import BriefSection, BriefSentence, Evidence
from schemas.gate import DrugScreen, Proposal, VitalReading
from service.desk import brief_words as words
from service.desk import gate_words
from service.desk.brief_facts import BriefFacts
from service.facts import gate_records
from service.gate.read import Gate


def sections_of(
    facts: BriefFacts, gate: Gate | None, screens: Sequence[DrugScreen], vital: VitalReading | None, *, sees_gates: bool
) -> list[BriefSection]:
    """The whole brief; the gate, the newest `screens` of the client and the pressure for whoever may see them."""
    since = words.since_on(facts, "infusion")
    clinical = [
        words.section(
            "gate", "May this go ahead", [_gate(facts, gate), *_waiting(facts, gate), *_elsewhere(facts, gate)]
        ),
        words.section("records", "Last screen and pressure", [*_screens(facts, gate, screens), _vital(facts, vital)]),
    ]
    return [
        *words.safety(facts),
        *(clinical if sees_gates else []),
        words.section("use", f"Use {since}", [words.use(facts, "since")]),
        words.section("alerts", "Open alerts", _open_alerts(facts)),
        words.section("answers", "Missed days", [words.away(facts), words.answers(facts)]),
        words.section("changed", f"How things were {since}", words.changed(facts, "since")),
    ]


def _gate(facts: BriefFacts, gate: Gate | None) -> BriefSentence:
    if gate is None:
        return words.say("No infusion is planned.", [])
    slot = gate.slot
    href = f"/infusions/{slot.infusion_id}/gate"
    evidence = [Evidence(kind="gate", id=slot.infusion_id, href=href)]
    return words.say(f"{words.at(facts, slot.planned_at)}. {gate_words.answer(gate.line())}", evidence)


def _waiting(facts: BriefFacts, gate: Gate | None) -> list[BriefSentence]:
    """That something urgent or of today's is open, beside what the gate says: it is no record of the gate."""
    waiting = [each for each in facts.open_alerts if each.tier <= Tier.TODAY]
    return [words.open_since(facts, each) for each in waiting] if gate is not None else []


def _elsewhere(facts: BriefFacts, gate: Gate | None) -> list[BriefSentence]:
    """What was found or decided for another infusion and speaks for a hold of this one."""
    if gate is None:
        return []
    told = []
    for each in gate.elsewhere:
        found = gate_words.found_elsewhere(each, gate.assessment.elsewhere)
        whose = gate_words.whose(each, words.at(facts, each.planned_at) if each.planned_at is not None else "")
        evidence = Evidence(kind=EVIDENCE_KINDS[each.proposal], id=each.id, href=_page_of(facts, each.infusion_id))
        told.append(words.say(f"{found}, {words.at(facts, each.at)}, {whose}.", [evidence]))
    return told


EVIDENCE_KINDS: Mapping[Proposal, str] = MappingProxyType(
    {
        Proposal.SCREEN_POSITIVE: "drug_screen",
        Proposal.PRESSURE_ABOVE_LIMIT: "vital_reading",
        Proposal.CONTRAINDICATION: "contraindication_check",
        Proposal.HELD_ELSEWHERE: "gate",
    }
)


def _screens(facts: BriefFacts, gate: Gate | None, screens: Sequence[DrugScreen]) -> list[BriefSentence]:
    """The newest screen, and each earlier one that found what none looked for since."""
    weighed = gate_records.by_weight(screens)
    if not weighed:
        return [words.say("No drug screen is recorded.", [])]
    told, looked_for = [_screen(facts, weighed[-1])], set(weighed[-1].panel)
    for earlier in reversed(weighed[:-1]):
        if set(earlier.positive) - looked_for:
            told.append(_screen(facts, earlier))
        looked_for |= set(earlier.panel)
    if gate is not None and gate.assessment.not_sought:
        told.append(words.say(gate_words.not_sought(gate.assessment.not_sought), told[0].evidence))
    return told


def _screen(facts: BriefFacts, screen: DrugScreen) -> BriefSentence:
    found = f" for {_named(screen.positive)}" if screen.positive else ""
    return words.say(
        f"Screen of {words.at(facts, screen.collected_at)}: {screen.result}{found}, {screen.confirmation} "
        f"(panel: {_named(screen.panel)}).",
        [Evidence(kind="drug_screen", id=screen.drug_screen_id, href=_page_of(facts, screen.infusion_id))],
    )


def _named(analytes: Sequence[str]) -> str:
    named = {str(key): name for key, name in gate_words.ANALYTES.items()}
    return ", ".join(named.get(str(each), str(each)) for each in analytes)


def _vital(facts: BriefFacts, vital: VitalReading | None) -> BriefSentence:
    if vital is None:
        return words.say("No blood pressure is recorded.", [])
    pulse = f", pulse {vital.pulse}" if vital.pulse is not None else ""
    return words.say(
        f"Pressure of {words.at(facts, vital.measured_at)}: {vital.systolic}/{vital.diastolic} mmHg{pulse}.",
        [Evidence(kind="vital_reading", id=vital.vital_reading_id, href=_page_of(facts, vital.infusion_id))],
    )


def _page_of(facts: BriefFacts, infusion_id: object) -> str:
    return f"/infusions/{infusion_id}/gate" if infusion_id is not None else f"/clients/{facts.client.client_id}"


def _open_alerts(facts: BriefFacts) -> list[BriefSentence]:
    told = words.alerts(facts._replace(alerts=[each for each in facts.alerts if each[0].closed_at is None]))
    return told or [words.say("No alert is open.", [])]
