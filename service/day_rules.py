"""Which findings a folded client day gives: pure on the day's numbers and on what was found before.

The live fold and the back-test ask the same.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.alert import NewFinding, Rule, Tier
from schemas.client import RecordOrigin
from schemas.trend import Trend
from service import detection
from service.detection import Explanation

SILENT_DAYS = 3
SILENT_DAYS_AFTER_INFUSION = 2

Found = set[tuple[Rule, date]]
Scores = tuple[int | None, int | None, int | None]
UNANSWERED: Scores = (None, None, None)


class Waning(NamedTuple):
    """Days from an infusion to half of its benefit lost, with an 80 % interval."""

    days: float
    low_days: float
    high_days: float


@dataclass(frozen=True)
class FoldedDay:
    """A client day as the fold left it: `explanation` where it crosses, `waning` where a benefit wanes."""

    trend: Trend
    explanation: Explanation | None
    waning: Waning | None


def folded_day(
    found: detection.Trends,
    client: int,
    column: int,
    *,
    day: date,
    scores: Scores,
    origin: RecordOrigin,
    rule_set_version: int,
) -> FoldedDay:
    """One active day out of what a fold gave."""
    at = client, column
    since_infusion = int(found.days_since_infusion[at])
    trend = Trend(
        client_day=day,
        status=found.status_of(client, column),
        answered=bool(found.answered[at]),
        partly=bool(found.partly[at]),
        craving=scores[0],
        mood=scores[1],
        anxiety=scores[2],
        baseline=_listed(found.baseline[at]),
        sd=_listed(found.sd[at]),
        level=_listed(found.level[at]),
        band_low=_listed(found.band_low[at]),
        band_high=_listed(found.band_high[at]),
        statistic=float(found.statistic[at]),
        limit_value=float(found.limit[at]),
        crossing=bool(found.crossing[at]),
        resting=bool(found.resting[at]),
        silent_days=int(found.silent_days[at]),
        days_since_infusion=None if since_infusion < 0 else since_infusion,
        origin=origin,
        rule_set_version=rule_set_version,
    )
    half_lost = (found.half_lost_days, found.half_lost_low_days, found.half_lost_high_days)
    return FoldedDay(
        trend=trend,
        explanation=found.explain(client, column) if found.crossing[at] else None,
        waning=Waning(*(float(days[at]) for days in half_lost)) if found.waning[at] else None,
    )


def _listed(numbers: npt.NDArray[np.float64]) -> list[float | None]:
    return [None if number != number else number for number in numbers.tolist()]


def findings_of_day(
    day: FoldedDay, known: Found, *, booked_days: Collection[date], silent_from: date | None
) -> list[NewFinding]:
    """The findings of one client day, worsening without the ids it rests on (see `fold`).

    `known` are the findings of the days before; silence counts from `silent_from` on, None: nobody is there to call.
    """
    findings = []
    if day.explanation is not None:
        findings.append(_worsening(day.trend, day.explanation))
    if day.waning is not None and _is_first_since_infusion(day.trend, known):
        findings.append(_waning(day.trend, day.waning, booked_days))
    if silent_from is not None and day.trend.silent_days >= SILENT_DAYS_AFTER_INFUSION:
        findings += _silence(day.trend, known, silent_from=silent_from)
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


def _waning(trend: Trend, waning: Waning, booked_days: Collection[date]) -> NewFinding:
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


def _silence(trend: Trend, known: Found, *, silent_from: date) -> list[NewFinding]:
    """Once a silent stretch: no answer on the two days after an infusion, else none on three days."""
    silent_days = min(trend.silent_days, (trend.client_day - silent_from).days + 1)
    if silent_days < SILENT_DAYS_AFTER_INFUSION:
        return []
    stretch_began = trend.client_day - timedelta(days=silent_days - 1)
    told_after_infusion = _is_known(Rule.SILENCE_AFTER_INFUSION, stretch_began, trend.client_day, known)
    if trend.days_since_infusion == SILENT_DAYS_AFTER_INFUSION and not told_after_infusion:
        return [_silent(trend, Rule.SILENCE_AFTER_INFUSION, Tier.TODAY)]
    told = told_after_infusion or _is_known(Rule.SILENCE, stretch_began, trend.client_day, known)
    if silent_days >= SILENT_DAYS and not told:
        return [_silent(trend, Rule.SILENCE, Tier.REVIEW)]
    return []


def _is_known(rule: Rule, first: date, last: date, known: Found) -> bool:
    return any(each == rule and first <= day <= last for each, day in known)


def _silent(trend: Trend, rule: Rule, tier: Tier) -> NewFinding:
    numbers: dict[str, object] = {"silent_days": trend.silent_days, "days_since_infusion": trend.days_since_infusion}
    return NewFinding(client_day=trend.client_day, rule=rule, tier=tier, numbers=numbers)
