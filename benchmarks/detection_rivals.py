"""What the detector is measured against: an oracle that knows everything, and rules in everyday use.

A rival is a function from a cohort to a chart: something that gives alerts at a limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt

from benchmarks import classic
from service.detection import Days, State, Trends, fold, noise, shipped_rules
from service.detection import filter as kalman
from service.detection.limits import FIRST_ALERT_DAY, REST_DAYS
from service.detection.population import SCALE_TOP, Array, Flags
from service.detection.state import AGES
from service.detection.synthetic import Cohort, Worsening, course

WARM_UP_ANSWERS = 7
CUSUM_REFERENCE = 0.5
EWMA_WEIGHT = 0.2
EWMA_TOP = 6.0
"""Sd: no budget asks for a limit above."""
TOGETHER = np.array((1.0, 0.75, 0.75))
"""How strongly craving, mood and anxiety count where they worsen together."""
BOCPD_HAZARD = 1 / 100
BOCPD_RECENT_DAYS = 14

Chart = Callable[[float], Flags]
"""Alerts (N, T) at a limit."""


@dataclass(frozen=True)
class Rival:
    """A detector: its name, its chart of a cohort, between which limits the calibration looks."""

    name: str
    chart: Callable[[Cohort], Chart]
    low: float
    high: float


def everyday(budget_days: float) -> list[Rival]:
    """The rules found in products and papers, from crude to better; the last is given our filter's residuals."""
    return [
        Rival("craving over a threshold", _threshold, 0, 12),
        Rival("jump against the answer before", lambda c: memoryless(_jump(c.days), c.days), 0, 11),
        Rival("7 days against the 7 before", lambda c: memoryless(_weeks(c.days), c.days), 0, 10),
        Rival("Shewhart on a personal baseline", lambda c: memoryless(personal(_together(c.days)), c.days), 0, 12),
        Rival("EWMA on a personal baseline", lambda c: ewma_chart(c.days), 0, EWMA_TOP),
        Rival(
            "CUSUM on a personal baseline", lambda c: restarting([personal(_together(c.days))], c.days, _cusum), 0, 40
        ),
        Rival("BOCPD", lambda c: memoryless(bocpd(_together(c.days)), c.days), 0, 1),
        Rival(
            "two CUSUM on the filter's residuals",
            lambda c: restarting(residuals(c, budget_days), c.days, _cusum),
            0,
            40,
        ),
    ]


def _threshold(cohort: Cohort) -> Chart:
    """Craving, and where it is the same the mean of all items."""
    return memoryless(_worse(cohort.days)[:, :, 0] + _together(cohort.days) / 100, cohort.days)


def ewma_chart(days: Days) -> Chart:
    """EWMA of the items' mean on a personal mean and sd; starts anew at each alert."""
    return restarting([personal(_together(days))], days, _ewma)


def oracle(worsening: Worsening) -> Rival:
    """The likelihood ratio of one who knows every parameter and the shape, all but the onset day."""
    return Rival(
        "oracle", lambda cohort: _oracle_chart(oracle_gains(cohort, worsening), _answered(cohort.days)), -2, 10
    )


def calibrated(rival: Rival, stable: Cohort, budget_days: float) -> float:
    """The limit at which stable people give one alert per `budget_days` days, by bisection."""
    chart = rival.chart(stable)
    low, high = rival.low, rival.high
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (middle, high) if false_alert_days(chart(middle)) < budget_days else (low, middle)
    return (low + high) / 2


def false_alert_days(alerts: Flags) -> float:
    """Stable client days an alert, from day 21."""
    return float(1 / max(alerts[:, FIRST_ALERT_DAY:].mean(), 1e-9))


def memoryless(statistic: Array, days: Days) -> Chart:
    """A chart whose statistic (N, T) does not mind its alerts; after each it rests."""

    def alerts(limit: float) -> Flags:
        over = (statistic > limit) & _answered(days)
        found = np.zeros_like(over)
        free_from = np.full(len(over), FIRST_ALERT_DAY)
        for day in range(FIRST_ALERT_DAY, over.shape[1]):
            now = over[:, day] & (day >= free_from)
            found[:, day] = now
            free_from[now] = day + REST_DAYS + 1
        return found

    return alerts


def restarting(standard: list[Array], days: Days, moved: Callable[[Array, Array], Array]) -> Chart:
    """A chart of one or more standardised series that starts anew at each alert; `moved` gives the next level."""

    def alerts(limit: float) -> Flags:
        answered = _answered(days)
        found = np.zeros_like(answered)
        free_from = np.full(len(answered), FIRST_ALERT_DAY)
        levels = np.zeros((len(standard), len(answered)))
        for day in range(answered.shape[1]):
            for level, series in zip(levels, standard, strict=True):
                level[:] = moved(level, series[:, day])
            now = (levels.max(axis=0) > limit) & answered[:, day] & (day >= free_from)
            found[:, day] = now
            free_from[now] = day + REST_DAYS + 1
            levels[:, now] = 0.0
        return found

    return alerts


def personal(values: Array) -> Array:
    """Values (N, T; nan = none) in sd from the mean of all answers before, nan until there are enough."""
    seen = ~np.isnan(values)
    filled = np.nan_to_num(values)
    count = np.cumsum(seen, axis=1) - seen
    total = np.cumsum(filled, axis=1) - filled
    squares = np.cumsum(filled**2, axis=1) - filled**2
    mean = total / np.maximum(count, 1)
    sd = np.sqrt(np.maximum(squares / np.maximum(count, 1) - mean**2, 0.1))
    standard: Array = np.where(count >= WARM_UP_ANSWERS, (values - mean) / sd, np.nan)
    return standard


@lru_cache(maxsize=16)
def folded(cohort: Cohort, budget_days: float) -> Trends:
    """The cohort's days under the shipped rules, folded once for all who ask."""
    rules = shipped_rules(budget_days)
    return fold(State.fresh(len(cohort.onset), rules), cohort.days, rules)[1]


def residuals(cohort: Cohort, budget_days: float) -> list[Array]:
    """What our filter had not expected, in its own sd: of all items as they worsen together, and of craving alone.

    Baseline, infusion, weekday and day-to-day correlation are taken out; nan until there are enough answers.
    """
    rules, worse = shipped_rules(budget_days), _worse(cohort.days)
    state, standard = State.fresh(len(worse), rules), np.full_like(worse, np.nan)
    for each in noise.forecasts(worse, cohort.days, state, kalman.constants(rules)):
        sd = np.sqrt(np.diagonal(each.spread, axis1=1, axis2=2))
        known = each.seen & (each.check_ins >= WARM_UP_ANSWERS)[:, None]
        standard[each.acting, each.day] = np.where(known, each.error / sd, np.nan)
    together = standard @ TOGETHER / math.sqrt(TOGETHER @ np.array(rules.prior.correlation) @ TOGETHER)
    return [together, standard[:, :, 0]]


def bocpd(values: Array) -> Array:
    """Bayesian online change point detection (Adams & MacKay 2007), normal with unknown mean and variance: the chance
    that the last change came within BOCPD_RECENT_DAYS answers, counted only where the mean since is higher."""
    n, length = values.shape
    chance = np.zeros((n, length + 1))
    chance[:, 0] = 1.0
    count, total, squares = (np.zeros((n, length + 1)) for _ in range(3))
    statistic = np.zeros((n, length))
    overall, seen_days = np.zeros(n), np.zeros(n)
    gammas = np.array([math.lgamma(2.5 + k / 2) - math.lgamma(2 + k / 2) for k in range(length + 2)])
    for day in range(length):
        seen = ~np.isnan(values[:, day])
        value = np.nan_to_num(values[:, day])[:, None]
        kappa, alpha = 0.5 + count, 2 + count / 2
        mean = (0.5 * 3.5 + total) / kappa
        beta = 2 + 0.5 * np.maximum(squares + 0.5 * 3.5**2 - kappa * mean**2, 0.0)
        scale = beta * (kappa + 1) / (alpha * kappa)
        density = np.exp(
            gammas[count.astype(int)] - (alpha + 0.5) * np.log1p((value - mean) ** 2 / (2 * alpha * scale))
        )
        density /= np.sqrt(2 * np.pi * alpha * scale)
        grown = chance * density
        moved = np.concatenate([BOCPD_HAZARD * grown.sum(axis=1, keepdims=True), (1 - BOCPD_HAZARD) * grown[:, :-1]], 1)
        moved /= np.maximum(moved.sum(axis=1, keepdims=True), 1e-300)
        chance = np.where(seen[:, None], moved, chance)
        fresh = [np.pad(part[:, :-1] + add, ((0, 0), (1, 0))) for part, add in _added(count, total, squares, value)]
        count, total, squares = (
            np.where(seen[:, None], new, old) for new, old in zip(fresh, (count, total, squares), strict=True)
        )
        overall, seen_days = overall + value[:, 0] * seen, seen_days + seen
        usual = overall / np.maximum(seen_days, 1)
        higher = total[:, 1:BOCPD_RECENT_DAYS] / np.maximum(count[:, 1:BOCPD_RECENT_DAYS], 1) > usual[:, None]
        statistic[:, day] = (chance[:, 1:BOCPD_RECENT_DAYS] * higher).sum(axis=1)
    return statistic


def oracle_gains(cohort: Cohort, worsening: Worsening) -> npt.NDArray[np.float32]:
    """Log likelihood ratio that each day adds to each onset (N, T, AGES; last axis: onset day mod AGES), all known."""
    noise = _worse(cohort.days) - cohort.usual
    n, length, items = noise.shape
    size = worsening.size * np.array(worsening.by_item) * cohort.sd
    precision = np.linalg.inv(cohort.correlation * cohort.sd[:, :, None] * cohort.sd[:, None, :])
    gains = np.zeros((n, length, AGES), dtype=np.float32)
    last, last_day = np.zeros((n, items)), np.full(n, -1000)
    for day in range(length):
        seen = ~np.isnan(noise[:, day, 0])
        gap = day - last_day
        keep = cohort.phi**gap
        error = np.nan_to_num(noise[:, day]) - keep[:, None] * last
        ages = ((day - np.arange(AGES)) % AGES).astype(np.float64)
        before = course(worsening.shape, ages[None, :] - gap[:, None])
        change = (course(worsening.shape, ages) - keep[:, None] * before)[:, :, None] * size[:, None, :]
        scaled = (change @ precision) / (1 - keep**2)[:, None, None]
        gain = (scaled @ error[:, :, None])[:, :, 0] - 0.5 * (scaled * change).sum(axis=2)
        gains[:, day] = np.where(seen[:, None], gain, 0.0)
        last = np.where(seen[:, None], np.nan_to_num(noise[:, day]), last)
        last_day = np.where(seen, day, last_day)
    return gains


def _oracle_chart(gains: npt.NDArray[np.float32], answered: Flags) -> Chart:
    def alerts(limit: float) -> Flags:
        n, length, _ = gains.shape
        ratio = np.full((n, AGES), -np.inf, dtype=np.float32)
        found = np.zeros((n, length), dtype=np.bool_)
        free_from = np.full(n, FIRST_ALERT_DAY)
        for day in range(length):
            ratio[:, day % AGES] = 0.0
            ratio += gains[:, day]
            over = np.exp(ratio).sum(axis=1) > math.exp(limit)
            now = over & answered[:, day] & (day >= free_from)
            found[:, day] = now
            free_from[now] = day + REST_DAYS + 1
            ratio[now] = -np.inf
        return found

    return alerts


def _added(count: Array, total: Array, squares: Array, value: Array) -> list[tuple[Array, Array]]:
    return [(count, np.ones_like(value)), (total, value), (squares, value**2)]


def _answered(days: Days) -> Flags:
    return np.asarray(~np.isnan(days.scores).all(axis=2))


def _worse(days: Days) -> Array:
    worse = days.scores.copy()
    worse[:, :, 1] = SCALE_TOP - worse[:, :, 1]
    return worse


def _together(days: Days) -> Array:
    """The mean of the items that were answered (N, T), nan where none was."""
    worse = _worse(days)
    seen = ~np.isnan(worse)
    count = seen.sum(axis=2)
    together: Array = np.where(count > 0, np.where(seen, worse, 0.0).sum(axis=2) / np.maximum(count, 1), np.nan)
    return together


def _jump(days: Days) -> Array:
    craving = _worse(days)[:, :, 0]
    before, last = np.full_like(craving, np.nan), np.full(len(craving), np.nan)
    for day in range(craving.shape[1]):
        before[:, day] = last
        last = np.where(np.isnan(craving[:, day]), last, craving[:, day])
    return np.nan_to_num(craving - before, nan=-99.0) + np.nan_to_num(_together(days)) / 100


def _weeks(days: Days) -> Array:
    values = _together(days)
    change = np.full_like(values, -99.0)
    for day in range(14, values.shape[1]):
        now, before = values[:, day - 6 : day + 1], values[:, day - 13 : day - 6]
        enough = ((~np.isnan(now)).sum(axis=1) >= 2) & ((~np.isnan(before)).sum(axis=1) >= 2)
        means = [np.nansum(week, axis=1) / np.maximum((~np.isnan(week)).sum(axis=1), 1) for week in (now, before)]
        change[:, day] = np.where(enough, means[0] - means[1], -99.0)
    return change


_cusum = partial(classic.cusum_moved, reference=CUSUM_REFERENCE)
_ewma = partial(classic.ewma_moved, weight=EWMA_WEIGHT)
