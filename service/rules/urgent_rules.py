"""Which findings a check-in or a response to an instrument gives by itself, before any trend: pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

from schemas.alert import NewFinding, Rule, Tier
from schemas.course import Substance
from schemas.instrument import Instrument
from service.instruments.scoring import UrgentAnswer

# After days of abstinence tolerance is lower and the same dose can kill: a return to use is urgent, continued use less.
ABSTINENCE_DAYS = 7


def may_give_findings(safety: bool | None, used: Collection[Substance] | None) -> bool:
    """Whether a check-in needs looking at at all; most do not, and take the short way."""
    return bool(safety) or bool(used)


def findings_of_check_in(
    *,
    check_in_id: UUID,
    client_day: date,
    safety: bool | None,
    used: Collection[Substance] | None,
    treated: Sequence[Substance],
    used_before: Collection[Substance],
    opioid_screened: bool,
    late_days: int,
) -> list[NewFinding]:
    """The findings of one check-in.

    `treated`: the substances of the course on that client day; `used_before`: every substance reported as used in the
    seven days before; `opioid_screened`: whether a sample of those days was positive for opioids; `late_days`: client
    days between the answer and its arrival, 0 = none.
    """
    findings = []
    if safety:
        findings.append(_finding(Rule.SAFETY, Tier.URGENT, check_in_id, client_day, {"late_days": late_days}))
    if used:
        rule, tier = _rule_of_use(used, treated, used_before, opioid_screened=opioid_screened)
        numbers: dict[str, object] = {
            "used": sorted(used),
            "used_in_the_days_before": sorted(used_before),
            "opioid_screened_in_the_days_before": opioid_screened,
            "days_looked_back": ABSTINENCE_DAYS,
            "late_days": late_days,
        }
        findings.append(_finding(rule, tier, check_in_id, client_day, numbers))
    return findings


def _rule_of_use(
    used: Collection[Substance],
    treated: Sequence[Substance],
    used_before: Collection[Substance],
    *,
    opioid_screened: bool,
) -> tuple[Rule, Tier]:
    if opioid_screened:
        return Rule.OTHER_USE, Tier.TODAY
    # Somebody in treatment for an opioid who reports use may mean the opioid, whatever was ticked: better asked about.
    named = Substance.OPIOID in used
    if named and Substance.OPIOID not in used_before:
        return Rule.OPIOID_USE, Tier.URGENT
    if not named and Substance.OPIOID in treated and not used_before:
        return Rule.OPIOID_USE, Tier.URGENT
    return Rule.OTHER_USE, Tier.TODAY


def _finding(rule: Rule, tier: Tier, check_in_id: UUID, client_day: date, numbers: dict[str, object]) -> NewFinding:
    return NewFinding(client_day=client_day, rule=rule, tier=tier, numbers=numbers, check_in_id=check_in_id)


def findings_of_response(
    *,
    instrument_response_id: UUID,
    client_day: date,
    instrument: Instrument,
    urgent: Sequence[UrgentAnswer],
    late_days: int,
) -> list[NewFinding]:
    """The finding of a response with urgent answers: one, however many of them there are.

    `late_days`: client days between the answer and its arrival, 0 = none.
    """
    if not urgent:
        return []
    numbers: dict[str, object] = {
        "instrument": instrument.title,
        "version": instrument.version,
        "items": [each.item.code for each in urgent],
        "questions": [instrument.items.index(each.item) + 1 for each in urgent],
        "answers": [each.option.text for each in urgent],
        "values": {each.item.code: each.option.value for each in urgent},
        "above": {each.item.code: each.above for each in urgent},
        "late_days": late_days,
    }
    return [
        NewFinding(
            client_day=client_day,
            rule=Rule.INSTRUMENT_SAFETY,
            tier=Tier.URGENT,
            numbers=numbers,
            instrument_response_id=instrument_response_id,
        )
    ]
