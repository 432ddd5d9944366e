"""Which findings of an alert give its reason, and in which order; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from schemas.alert import Finding, Rule
from schemas.trend import Status
from service.alerting import findings

SHOWN = 3
UNWEIGHED = 9
SETTLED_BY_PEOPLE = frozenset({Rule.GATE_PENDING, Rule.UNCOVERED_WINDOW, Rule.GIVEN_NOT_CLEAR})
# The rules whose finding says already why a client has the status.
SAID_BY: Mapping[Status, frozenset[Rule]] = {
    Status.NOT_ON_TRACK: frozenset({Rule.WORSENING}),
    Status.NO_DATA: frozenset({Rule.SILENCE, Rule.SILENCE_AFTER_INFUSION}),
    Status.WATCH: frozenset({Rule.WANING}),
}


def by_weight(found: Sequence[Finding]) -> list[Finding]:
    """What an alert rests on now: the worst tier first, within it the newest; nothing that was withdrawn."""
    newest_first = sorted(findings.standing(found), key=lambda each: (each.found_at, each.finding_id), reverse=True)
    return sorted(newest_first, key=lambda each: each.tier or UNWEIGHED)


def withdrawn(found: Sequence[Finding]) -> list[Finding]:
    """Those that a late answer took away or that people settled, newest first."""
    return [each for each in reversed(found) if each.withdrawn_at is not None]


def is_settled(finding: Finding) -> bool:
    """Whether people settled it by what they decided or booked; else it took a late answer."""
    return finding.withdrawn_at is not None and finding.rule in SETTLED_BY_PEOPLE


def in_short(found: Sequence[Finding]) -> list[Finding]:
    """The few that are shown where there is no room for all, a worsening always among them."""
    weighed = by_weight(found)
    shown = weighed[:SHOWN]
    worsening = next((each for each in weighed if each.rule is Rule.WORSENING), None)
    if worsening is not None and worsening not in shown:
        shown[-1] = worsening
    return shown


def explain(status: Status, found: Sequence[Finding]) -> bool:
    """Whether what stands says already why the client has this status."""
    return any(each.rule in SAID_BY.get(status, ()) for each in findings.standing(found))
