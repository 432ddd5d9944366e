"""Which findings a folded client day gives: pure on the day's numbers and on what was found before.

The live fold and the back-test ask the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date, timedelta
from enum import Enum
from typing import NamedTuple, Self

import msgspec
import numpy as np
import numpy.typing as npt

from schemas.alert import NewFinding, Rule, Tier
from schemas.client import RecordOrigin
from schemas.trend import Trend
from service import detection
from service.detection import Explanation
from service.detection.improving import LIMIT_SDS
from service.detection.limits import FIRST_ALERT_DAY, OWN_CHECK_INS
from service.detection.waning import share_left

SILENT_DAYS = 3
SILENT_DAYS_AFTER_INFUSION = 2
# Somebody who stays better than usual is told of once in four weeks; by then the baseline has followed.
IMPROVING_RESTS_DAYS = 28
# Where the next infusion comes while so much of the last one's benefit is left there is nothing to arrange.
LEFT_IN_TIME = 0.25

# What was found on which days, and with which tier.
Found = dict[tuple[Rule, date], Tier | None]
Scores = tuple[int | None, int | None, int | None]
UNANSWERED: Scores = (None, None, None)


class Waning(NamedTuple):
    """Days from an infusion to half of its benefit lost, with an 80 % interval."""

    days: float
    low_days: float
    high_days: float


class Learning(Enum):
    """Learning what is usual begins with a client's first day, and anew with each new usual."""

    FIRST = "first"
    ANEW = "anew"


class Improving(NamedTuple):
    """How far the level lies on the better side of usual, in its own sd, and each item's change and standard error in
    points (mood up is positive; None: never answered)."""

    statistic: float
    change: list[float | None]
    se: list[float | None]


class Onset(NamedTuple):
    """The day on which a worsening began, and the days between which it did with 80 % certainty."""

    first_on: date
    likely_on: date
    last_on: date


@dataclass(frozen=True)
class FoldedDay:
    """A client day as the fold left it: `explanation` and `onset` where it crosses, `waning` where a benefit wanes,
    `improving` where the level is better than usual, `begins` where learning what is usual begins.
    `days_after_infusion` counts from the last infusion before this day: in the trend the day of one is its own."""

    trend: Trend
    explanation: Explanation | None
    onset: Onset | None
    waning: Waning | None
    improving: Improving | None
    begins: Learning | None
    days_after_infusion: int | None


class Folded(NamedTuple):
    """What a fold gave, and what it says of improvement."""

    trends: detection.Trends
    better: detection.Better

    @classmethod
    def of(cls, trends: detection.Trends, rules: detection.Rules) -> Self:
        """With what is better than usual under the rules of the fold."""
        return cls(trends, detection.better_of(trends, rules))


def worth_a_look(folded: Folded, client: int) -> npt.NDArray[np.bool_]:
    """The days (T,) on which a rule may fire beside those on which learning begins."""
    trends = folded.trends
    silent = trends.silent_days[client] >= SILENT_DAYS_AFTER_INFUSION
    better = folded.better.statistic[client] > LIMIT_SDS
    looked_at: npt.NDArray[np.bool_] = silent | trends.crossing[client] | trends.waning[client] | better
    return looked_at


def folded_day(
    folded: Folded,
    client: int,
    column: int,
    *,
    day: date,
    scores: Scores,
    origin: RecordOrigin,
    rule_set_version: int,
    begins: Learning | None,
    active_before: Callable[[int], date],
) -> FoldedDay:
    """One active day out of what a fold gave.

    `active_before` says which day was so many active days before it: a fold counts no day of a pause.
    """
    at = client, column
    found, better = folded
    since_infusion, after_infusion = int(found.days_since_infusion[at]), int(found.days_after_infusion[at])
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
    explanation = found.explain(client, column) if found.crossing[at] else None
    half_lost = (found.half_lost_days, found.half_lost_low_days, found.half_lost_high_days)
    return FoldedDay(
        trend=trend,
        explanation=explanation,
        onset=None if explanation is None else _onset_of(explanation, active_before),
        waning=Waning(*(float(days[at]) for days in half_lost)) if found.waning[at] else None,
        improving=_improving_of(better, client, column),
        begins=begins,
        days_after_infusion=None if after_infusion < 0 else after_infusion,
    )


def _onset_of(explanation: Explanation, active_before: Callable[[int], date]) -> Onset:
    ago = explanation.onset_days_high, explanation.onset_days, explanation.onset_days_low
    return Onset(*(active_before(days) for days in ago))


def _improving_of(better: detection.Better, client: int, column: int) -> Improving | None:
    statistic = float(better.statistic[client, column])
    if not statistic > LIMIT_SDS:
        return None
    return Improving(statistic, _listed(better.change[client, column]), _listed(better.se[client, column]))


def _listed(numbers: npt.NDArray[np.float64]) -> list[float | None]:
    return [None if number != number else number for number in numbers.tolist()]


def findings_of_day(
    day: FoldedDay, known: Found, *, booked_days: Collection[date], silent_from: date | None
) -> list[NewFinding]:
    """The findings of one client day, worsening without the ids it rests on (see `fold`).

    `known` are the findings of the days before; silence counts from `silent_from` on, None: nobody is there to call.
    """
    findings = []
    if day.explanation is not None and day.onset is not None:
        findings.append(_worsening(day.trend, day.explanation, day.onset))
    if day.waning is not None:
        wanes = _waning(day.trend, day.waning, booked_days)
        findings += [wanes] if _is_news_since_infusion(wanes, day.trend, known) else []
    if day.begins is not None:
        findings.append(_learning(day.trend, day.begins))
    if day.improving is not None and _is_news(day.trend, known):
        findings.append(_better(day.trend, day.improving))
    if silent_from is not None and day.trend.silent_days >= SILENT_DAYS_AFTER_INFUSION:
        findings += _silence(day, known, silent_from=silent_from)
    return findings


def _worsening(trend: Trend, explanation: Explanation, onset: Onset) -> NewFinding:
    numbers: dict[str, object] = {
        **msgspec.to_builtins(explanation),
        "onset_on": onset.likely_on.isoformat(),
        "onset_first_on": onset.first_on.isoformat(),
        "onset_last_on": onset.last_on.isoformat(),
        "baseline": trend.baseline,
        "sd": trend.sd,
        "level": trend.level,
    }
    return NewFinding(client_day=trend.client_day, rule=Rule.WORSENING, tier=Tier.TODAY, numbers=numbers)


def _waning(trend: Trend, waning: Waning, booked_days: Collection[date]) -> NewFinding:
    # One of yesterday may be recorded a day late.
    from_day = trend.client_day - timedelta(days=1)
    booked_on = min((day for day in booked_days if day >= from_day), default=None)
    given_on = trend.client_day - timedelta(days=trend.days_since_infusion or 0)
    left = 0.0 if booked_on is None else share_left(waning.days, (booked_on - given_on).days)
    numbers: dict[str, object] = {
        "days_since_infusion": trend.days_since_infusion,
        "days_to_half": waning.days,
        "days_to_half_low": waning.low_days,
        "days_to_half_high": waning.high_days,
        "next_infusion_on": None if booked_on is None else booked_on.isoformat(),
        "left_at_next_infusion": None if booked_on is None else _six(left),
    }
    tier = Tier.REVIEW if left < LEFT_IN_TIME else None
    return NewFinding(client_day=trend.client_day, rule=Rule.WANING, tier=tier, numbers=numbers)


def _learning(trend: Trend, begins: Learning) -> NewFinding:
    # A new usual follows a worsening, and none is found in the first days.
    days = FIRST_ALERT_DAY if begins is Learning.FIRST else 0
    numbers: dict[str, object] = {"check_ins_needed": OWN_CHECK_INS, "days_needed": days}
    return NewFinding(client_day=trend.client_day, rule=Rule.LEARNING, tier=None, numbers=numbers)


def _is_news(trend: Trend, known: Found) -> bool:
    since = trend.client_day - timedelta(days=IMPROVING_RESTS_DAYS - 1)
    return not _is_known(Rule.IMPROVING, since, trend.client_day, known)


def _better(trend: Trend, improving: Improving) -> NewFinding:
    numbers: dict[str, object] = {
        "statistic": _six(improving.statistic),
        "limit": LIMIT_SDS,
        "items": [
            {"item": item, "change": _six(change), "se": _six(se)}
            for item, change, se in zip(detection.ITEMS, improving.change, improving.se, strict=True)
            if change is not None and se is not None
        ],
        "baseline": trend.baseline,
        "sd": trend.sd,
        "level": trend.level,
    }
    return NewFinding(client_day=trend.client_day, rule=Rule.IMPROVING, tier=None, numbers=numbers)


def _six(number: float) -> float:
    return float(f"{number:.6g}")


def _is_news_since_infusion(wanes: NewFinding, trend: Trend, known: Found) -> bool:
    """Once an infusion; and once more where nobody was told, for another one was booked, and that one comes no more."""
    since = trend.client_day - timedelta(days=trend.days_since_infusion or 0)
    tiers = [tier for (rule, day), tier in known.items() if rule is Rule.WANING and since <= day <= trend.client_day]
    return not tiers or (wanes.tier is not None and not any(tiers))


def _silence(day: FoldedDay, known: Found, *, silent_from: date) -> list[NewFinding]:
    """Once a silent stretch: no answer on the two days after an infusion, else none on three days."""
    trend, since = day.trend, day.days_after_infusion
    silent_days = min(trend.silent_days, (trend.client_day - silent_from).days + 1)
    if silent_days < SILENT_DAYS_AFTER_INFUSION:
        return []
    stretch_began = trend.client_day - timedelta(days=silent_days - 1)
    told_after_infusion = _is_known(Rule.SILENCE_AFTER_INFUSION, stretch_began, trend.client_day, known)
    if since == SILENT_DAYS_AFTER_INFUSION and not told_after_infusion:
        return [_silent(trend, Rule.SILENCE_AFTER_INFUSION, Tier.TODAY, since)]
    told = told_after_infusion or _is_known(Rule.SILENCE, stretch_began, trend.client_day, known)
    if silent_days >= SILENT_DAYS and not told:
        return [_silent(trend, Rule.SILENCE, Tier.REVIEW, since)]
    return []


def _is_known(rule: Rule, first: date, last: date, known: Found) -> bool:
    return any(each == rule and first <= day <= last for each, day in known)


def _silent(trend: Trend, rule: Rule, tier: Tier, since: int | None) -> NewFinding:
    numbers: dict[str, object] = {"silent_days": trend.silent_days, "days_since_infusion": since}
    return NewFinding(client_day=trend.client_day, rule=rule, tier=tier, numbers=numbers)
