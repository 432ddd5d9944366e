"""Crossings at any limit from one fold: what the search for a limit and for the surface needs, a hundred times cheaper.

The evidence does not depend on the limit: a crossing only gives up the onsets up to it. So one fold that never crosses
keeps, for every client day, the weighed likelihood ratio of every onset day, and any limit is tried on those.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from service.detection import limits
from service.detection.fold import Sight, fold
from service.detection.population import Array, Counts, Flags, Rules
from service.detection.series import Days
from service.detection.state import AGES, State

NEVER = 1e9


class Evidence(NamedTuple):
    """What a fold saw (N, T): `by_age` the weighed likelihood ratio of onsets 0 to 27 days ago (N, T, AGES), `seen` the
    features of the limit's surface (N, T, FEATURES), `own_day` each client's day (-1: not active), `may_cross` whether
    the day was answered and there were answers enough."""

    by_age: npt.NDArray[np.float32]
    seen: npt.NDArray[np.float32]
    own_day: Counts
    may_cross: Flags


def gather(days: Days, rules: Rules) -> Evidence:
    """The evidence of stable people under `rules`, whatever their limit and surface."""
    shape = days.active.shape
    by_age = np.zeros((*shape, AGES), dtype=np.float32)
    seen = np.zeros((*shape, len(limits.FEATURES)), dtype=np.float32)
    may_cross = np.zeros(shape, dtype=np.bool_)

    def observe(clients: Counts, day: int, sight: Sight) -> None:
        by_age[clients, day] = sight.by_age
        seen[clients, day] = sight.features
        may_cross[clients, day] = sight.may_cross

    fold(State.fresh(len(days.scores), rules), days, replace(rules, limit=NEVER), observer=observe)
    own_day = np.where(days.active, np.cumsum(days.active, axis=1) - 1, -1)
    return Evidence(by_age, seen, own_day, may_cross)


def crossings(evidence: Evidence, rules: Rules) -> tuple[Flags, Flags]:
    """Where the charts cross under the limit, surface and cap of `rules`, and where they rest (both N, T)."""
    n, length = evidence.own_day.shape
    crossing, resting = (np.zeros((n, length), dtype=np.bool_) for _ in range(2))
    base = limits.base_limit(evidence.seen.astype(np.float64), rules)
    rest, raised = np.zeros(n, dtype=np.int64), np.zeros(n)
    last = np.full(n, -1)
    ages = np.arange(AGES)
    for column in range(length):
        day = evidence.own_day[:, column]
        acting = day >= 0
        rest[day == limits.FIRST_ALERT_DAY] = 0
        counted = ages < (day - last)[:, None]
        ratios = np.where(counted, evidence.by_age[:, column], np.float32(0))
        odds = ratios.sum(axis=1, dtype=np.float64)
        most = np.maximum(base[:, column] / 2, 0.0)
        over = np.log(np.maximum(odds, 1.0)) > base[:, column] + np.minimum(raised, most)
        over &= (
            (ratios.max(axis=1) > 1)
            & acting
            & evidence.may_cross[:, column]
            & (rest == 0)
            & (day >= limits.RESTART_DAY)
        )
        resting[:, column] = acting & (rest > 0)
        crossing[:, column] = over & (day >= limits.FIRST_ALERT_DAY)
        rest = np.where(over, limits.REST_DAYS, np.where(acting, np.maximum(rest - 1, 0), rest))
        last = np.where(over, day, last)
        step = rules.cap_step * (crossing[:, column] - 1 / rules.budget_days)
        moved = np.where(acting & (day >= limits.FIRST_ALERT_DAY), raised + step, raised)
        raised = np.where(acting, np.clip(moved, 0.0, most), raised)
    return crossing, resting


def alert_days(evidence: Evidence, crossing: Flags) -> float:
    """Client days a crossing, from the first day on which one can come; inf when there is none."""
    days = evidence.own_day >= limits.FIRST_ALERT_DAY
    found = crossing.sum()
    return float(days.sum() / found) if found else float("inf")


def above_twice(evidence: Evidence, crossing: Flags, budget_days: float) -> float:
    """Share of people with more than twice the crossings that the budget allows over their days."""
    days: Array = (evidence.own_day >= limits.FIRST_ALERT_DAY).sum(axis=1)
    some = days > 0
    return float((crossing.sum(axis=1) > 2 * days / budget_days)[some].mean()) if some.any() else 0.0
