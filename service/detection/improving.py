"""Better than usual: nothing to act on, and no claim that it lasts.

The shown level is an exponentially weighted mean, so by itself it moves around the baseline with a known sd: for AR(1)
answers of unit sd and weight w it is sqrt(w / (2 - w) * (1 + phi (1 - w)) / (1 - phi (1 - w))) (Lucas & Saccucci 1990,
with the autocorrelation counted).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from service.detection.filter import LEVEL_WEIGHT
from service.detection.population import ITEMS, Array, Rules
from service.detection.series import Trends

LIMIT_SDS = 2.0
"""On stable made-up people one finding in about 225 days; a lasting relief of 1.5 sd is found after 9 days or so."""
_WORSE = np.array([-1.0 if item == "mood" else 1.0 for item in ITEMS])


class Better(NamedTuple):
    """By how much the level lies on the better side of the baseline.

    `statistic` (N, T) in the level's own sd, over the items in use, nan on days without an answer or while the baseline
    is learned; `change` (N, T, 3) in points as stored (mood up is positive), and its standard error `se` (N, T, 3).
    """

    statistic: Array
    change: Array
    se: Array


def better_of(trends: Trends, rules: Rules) -> Better:
    """How much better than usual each day's level is."""
    kept = rules.prior.phi * (1 - LEVEL_WEIGHT)
    by_itself = np.sqrt(LEVEL_WEIGHT / (2 - LEVEL_WEIGHT) * (1 + kept) / (1 - kept))
    change = trends.level - trends.baseline
    there = ~np.isnan(change)
    standard = np.where(there, -_WORSE * np.nan_to_num(change) / np.where(there, trends.sd, 1.0), 0.0)
    used = there.astype(np.float64)
    spread = np.sqrt(((used @ np.array(rules.prior.correlation)) * used).sum(axis=2))
    known = trends.answered & ~trends.learning & there.any(axis=2)
    statistic = np.where(known, standard.sum(axis=2) / np.where(known, by_itself * spread, 1.0), np.nan)
    return Better(statistic, change, trends.sd * by_itself)
