"""Which findings a client's folded days give, and which of those that stand are no longer found; pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta

import msgspec

from schemas.alert import NewFinding, Rule, Tier
from schemas.client import RecordOrigin
from service.facts import pauses
from service.fold.days import FoldedClient
from service.rules import day_rules
from service.rules.day_rules import Found

# Older than this, what is found is no longer news: it is shown for review, not as something of today.
FRESH_DAYS = 2


def of(folded: FoldedClient, *, from_day: date, today: date) -> list[NewFinding]:
    """The findings of the client days from `from_day` on, worsening without the ids it rests on (see `fold`)."""
    facts = folded.facts
    live = facts.due.origin is RecordOrigin.LIVE
    # What stands from before the days in question keeps its place; what stands later is judged anew.
    stood: Found = {(each.rule, each.client_day): each.tier for each in facts.standing}
    known: Found = {place: tier for place, tier in stood.items() if place[1] < from_day}
    findings = []
    for day in folded.days:
        if day.trend.client_day < from_day:
            continue
        silent_from = _asked_since(day.trend.client_day, folded) if live else None
        for finding in day_rules.findings_of_day(day, known, booked_days=facts.booked_days, silent_from=silent_from):
            place = finding.rule, finding.client_day
            if place not in stood and _stands_later(finding, stood, facts.infusion_days):
                continue
            # As it was told, whatever is booked by now.
            known[place] = stood.get(place, finding.tier)
            late = live and finding.tier is not None and (today - finding.client_day).days > FRESH_DAYS
            findings.append(msgspec.structs.replace(finding, tier=Tier.REVIEW, found_late=True) if late else finding)
    return findings


def _stands_later(finding: NewFinding, stood: Found, infusion_days: Collection[date]) -> bool:
    """Whether it was told on a later day that the same infusion's benefit wanes, for until then another was booked."""
    if finding.rule is not Rule.WANING or finding.tier is None:
        return False
    later = [day for (rule, day), tier in stood.items() if rule is Rule.WANING and tier is not None]
    return any(
        finding.client_day < day and not any(finding.client_day < each <= day for each in infusion_days)
        for day in later
    )


def _asked_since(day: date, folded: FoldedClient) -> date:
    """The first of the days up to `day` on which an answer was waited for: enrolment, or the end of the last pause."""
    paused_until = pauses.last_day_before(folded.facts.pauses, day)
    enrolled_on = folded.facts.due.enrolled_on
    return enrolled_on if paused_until is None else max(enrolled_on, paused_until + timedelta(days=1))


def lost(folded: FoldedClient, findings: Sequence[NewFinding], *, from_day: date) -> list[int]:
    """The places, in what stands, of findings from `from_day` on that are no longer found."""
    found = {(each.rule, each.client_day) for each in findings}
    return [
        place
        for place, each in enumerate(folded.facts.standing)
        if each.client_day >= from_day and (each.rule, each.client_day) not in found
    ]
