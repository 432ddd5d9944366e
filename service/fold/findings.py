"""Which findings a client's folded days give: pure on the trend rows and on what was found before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

import msgspec

from schemas.alert import NewFinding, Rule, Tier
from schemas.client import RecordOrigin
from schemas.trend import Trend
from service.detection import Explanation
from service.facts import pauses
from service.fold.days import FoldedClient, Waning

SILENT_DAYS = 3
SILENT_DAYS_AFTER_INFUSION = 2
# Older than this, what is found is no longer news: it is shown for review, not as something of today.
FRESH_DAYS = 2

Found = set[tuple[Rule, date]]


def of(folded: FoldedClient, *, from_day: date, today: date) -> list[NewFinding]:
    """The findings of the client days from `from_day` on, worsening without the ids it rests on (see `fold`)."""
    live = folded.facts.due.origin is RecordOrigin.LIVE
    # What stands from before the days in question keeps its place; what stands later is judged anew.
    known: Found = {(each.rule, each.client_day) for each in folded.facts.standing if each.client_day < from_day}
    findings = []
    for trend in folded.trends:
        if trend.client_day < from_day:
            continue
        for finding in _of_day(trend, folded, known, live=live):
            known.add((finding.rule, finding.client_day))
            late = live and (today - finding.client_day).days > FRESH_DAYS
            findings.append(msgspec.structs.replace(finding, tier=Tier.REVIEW, found_late=True) if late else finding)
    return findings


def _of_day(trend: Trend, folded: FoldedClient, known: Found, *, live: bool) -> list[NewFinding]:
    findings = []
    explanation = folded.explanations.get(trend.client_day)
    if explanation is not None:
        findings.append(_worsening(trend, explanation))
    waning = folded.waning.get(trend.client_day)
    if waning is not None and _is_first_since_infusion(trend, known):
        findings.append(_waning(trend, waning, folded.facts.booked_days))
    if live and trend.silent_days >= SILENT_DAYS_AFTER_INFUSION:
        findings += _silence(trend, known, since=_asked_since(trend.client_day, folded))
    return findings


def _worsening(trend: Trend, explanation: Explanation) -> NewFinding:
    onset_on = trend.client_day - timedelta(days=explanation.onset_days)
    numbers: dict[str, object] = {
        **msgspec.to_builtins(explanation),
        "onset_on": onset_on.isoformat(),
        "baseline": trend.baseline,
        "sd": trend.sd,
        "level": trend.level,
    }
    return NewFinding(client_day=trend.client_day, rule=Rule.WORSENING, tier=Tier.TODAY, numbers=numbers)


def _waning(trend: Trend, waning: Waning, booked_days: set[date]) -> NewFinding:
    booked_on = min((day for day in booked_days if day >= trend.client_day), default=None)
    numbers: dict[str, object] = {
        "days_since_infusion": trend.days_since_infusion,
        "days_to_half": waning.days,
        "days_to_half_low": waning.low_days,
        "days_to_half_high": waning.high_days,
        "next_infusion_on": None if booked_on is None else booked_on.isoformat(),
    }
    return NewFinding(client_day=trend.client_day, rule=Rule.WANING, tier=Tier.REVIEW, numbers=numbers)


def _is_first_since_infusion(trend: Trend, known: Found) -> bool:
    since = trend.client_day - timedelta(days=trend.days_since_infusion or 0)
    return not _is_known(Rule.WANING, since, trend.client_day, known)


def _asked_since(day: date, folded: FoldedClient) -> date:
    """The first of the days up to `day` on which an answer was waited for: enrolment, or the end of the last pause."""
    paused_until = pauses.last_day_before(folded.facts.pauses, day)
    enrolled_on = folded.facts.due.enrolled_on
    return enrolled_on if paused_until is None else max(enrolled_on, paused_until + timedelta(days=1))


def _silence(trend: Trend, known: Found, *, since: date) -> list[NewFinding]:
    """Once a silent stretch from `since` on: no answer on the two days after an infusion, else none on three days."""
    silent_days = min(trend.silent_days, (trend.client_day - since).days + 1)
    if silent_days < SILENT_DAYS_AFTER_INFUSION:
        return []
    stretch_began = trend.client_day - timedelta(days=silent_days - 1)
    told_after_infusion = _is_known(Rule.SILENCE_AFTER_INFUSION, stretch_began, trend.client_day, known)
    if trend.days_since_infusion == SILENT_DAYS_AFTER_INFUSION and not told_after_infusion:
        return [_finding(trend, Rule.SILENCE_AFTER_INFUSION, Tier.TODAY)]
    told = told_after_infusion or _is_known(Rule.SILENCE, stretch_began, trend.client_day, known)
    if silent_days >= SILENT_DAYS and not told:
        return [_finding(trend, Rule.SILENCE, Tier.REVIEW)]
    return []


def _is_known(rule: Rule, first: date, last: date, known: Found) -> bool:
    return any(each == rule and first <= day <= last for each, day in known)


def _finding(trend: Trend, rule: Rule, tier: Tier) -> NewFinding:
    numbers: dict[str, object] = {"silent_days": trend.silent_days, "days_since_infusion": trend.days_since_infusion}
    return NewFinding(client_day=trend.client_day, rule=rule, tier=tier, numbers=numbers)


def lost(folded: FoldedClient, findings: Sequence[NewFinding], *, from_day: date) -> list[int]:
    """The places, in what stands, of findings from `from_day` on that are no longer found."""
    found = {(each.rule, each.client_day) for each in findings}
    return [
        place
        for place, each in enumerate(folded.facts.standing)
        if each.client_day >= from_day and (each.rule, each.client_day) not in found
    ]
