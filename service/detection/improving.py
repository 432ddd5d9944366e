"""Better than usual: nothing to act on, and no claim that it lasts; but the baseline follows it.

Who got better in treatment is in danger of a relapse to where they began: judged by a baseline that still remembers
that beginning, it would look like nothing. So while somebody is better than usual beyond chance, their baseline counts
as drifting, and what is usual comes down within a week or two. What is worse than usual never moves it like that.

The shown level is an exponentially weighted mean, so by itself it moves around the baseline with a known sd: for AR(1)
answers of unit sd and weight w it is sqrt(w / (2 - w) * (1 + phi (1 - w)) / (1 - phi (1 - w))) (Lucas & Saccucci 1990,
with the autocorrelation counted).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from service.detection.filter import LEVEL_WEIGHT, Constants, Person
from service.detection.population import ITEMS, Array, Rules
from service.detection.series import Trends
from service.detection.state import Rows

LIMIT_SDS = 2.0
"""On stable made-up people one finding in about 225 days; a lasting relief of 1.5 sd is found after 9 days or so."""
RELIEF_DRIFT = 0.05
"""Daily variance of the baseline's random walk in relief, of the item that is most relieved, in units of the person's
variance; the others move with it, each as far as it is relieved itself."""
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
    by_itself = _level_sd(rules.prior.phi)
    change = trends.level - trends.baseline
    statistic = _in_own_sds(-_WORSE * change / trends.sd, np.array(rules.prior.correlation), by_itself)
    known = trends.answered & ~trends.learning
    return Better(np.where(known, statistic, np.nan), change, trends.sd * by_itself)


def follow(rows: Rows, person: Person, known: Constants) -> None:
    """Lets the baseline drift today for whoever answered yesterday and was better than usual beyond chance."""
    distance = (rows["mean"][:, 0] - rows["level"]) / person.sd
    better = _in_own_sds(distance, known.correlation, _level_sd(known.phi))
    relieved = (better > LIMIT_SDS) & (rows["silent_days"] == 0)
    if relieved.any():
        # As the items have moved, in one direction: an item that did not is known as well as before.
        moved = np.where(relieved[:, None], np.clip(np.nan_to_num(distance), 0.0, None), 0.0)
        drift = moved / np.maximum(moved.max(axis=1, keepdims=True), 1e-9) * person.sd
        base = slice(0, len(ITEMS))
        rows["cov"][:, base, base] += RELIEF_DRIFT * drift[:, :, None] * drift[:, None, :]


def _level_sd(phi: float) -> float:
    """The sd of the shown level around the baseline, in units of the person's sd."""
    kept = phi * (1 - LEVEL_WEIGHT)
    return float(np.sqrt(LEVEL_WEIGHT / (2 - LEVEL_WEIGHT) * (1 + kept) / (1 - kept)))


def _in_own_sds(distances: Array, correlation: Array, level_sd: float) -> Array:
    """The sum (...,) of the items' distances (..., 3; in sd, nan = not in use) in its own sd; nan without an item."""
    there = ~np.isnan(distances)
    used = there.astype(np.float64)
    spread = np.sqrt(((used @ correlation) * used).sum(axis=-1))
    total = np.where(there, distances, 0.0).sum(axis=-1)
    known = there.any(axis=-1)
    return np.where(known, total / np.where(known, level_sd * spread, 1.0), np.nan)
