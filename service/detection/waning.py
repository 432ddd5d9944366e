"""The waning of an infusion's benefit towards the personal baseline: expected, and not worsening.

For each of a few half-lives the answers of the weeks after infusions are regressed on 0.5^((d - 1) / half-life) with a
level of their own (the filter's baseline was learned with one half-life for all). The posterior over half-lives starts
at the population's (median 4 days); running sums are all it needs.

That infusions help most people is no news of this one: nothing is told before the person's own answers speak for a
benefit (Bayes factor against none by the ratio of densities at 0, Dickey 1971), some of them since the last infusion.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from service.detection.population import ITEM_COUNT, Array, Flags, Rules
from service.detection.state import AGES, HALF_LIFE_COUNT, Rows

HALF_LIVES_DAYS = np.geomspace(1.0, 16.0, HALF_LIFE_COUNT)
_STEP = HALF_LIVES_DAYS[1] / HALF_LIVES_DAYS[0]
PRIOR_MEDIAN_DAYS = 4.0
PRIOR_LOG_SD = 0.5
INTERVAL = np.array([0.1, 0.5, 0.9])
LEAST_BENEFIT_SDS = 0.5
CERTAINTY_SDS = 1.645
LEAST_BAYES_FACTOR = 3.0
"""Own answers for a benefit against none; from 3 on "positive" in the words of Kass & Raftery (1995)."""

_EFFECT = slice(ITEM_COUNT, 2 * ITEM_COUNT)


class Waning(NamedTuple):
    """Per client: days from an infusion to half of its benefit lost (N,), its 80 % interval, and whether the benefit
    lies today between half and three quarters lost; nan while no benefit has been seen that one can be sure of."""

    half_lost_days: Array
    low_days: Array
    high_days: Array
    waning: Flags


class Expectation(NamedTuple):
    """What the population says: mean and variance of the first day's benefit in points, and by how much the noise of
    the items' mean exceeds one item's variance, counting day-to-day correlation."""

    benefit: float
    benefit_var: float
    noise: float


class _Benefit(NamedTuple):
    """Mean and variance (N,) of the benefit in sds, averaged over the items that the person uses."""

    mean: Array
    var: Array

    def log_density_of_none(self) -> Array:
        density: Array = -0.5 * (np.log(self.var) + self.mean**2 / self.var)
        return density


def expectation_of(rules: Rules) -> Expectation:
    """The population's benefit, averaged over the items."""
    prior = rules.prior
    effect, effect_cov = np.array(prior.mean)[_EFFECT], np.array(prior.cov)[_EFFECT, _EFFECT]
    correlated = (1 + prior.phi) / (1 - prior.phi)
    return Expectation(
        benefit=float(effect.mean()),
        benefit_var=float(effect_cov.mean()),
        noise=float(np.array(prior.correlation).mean()) * correlated,
    )


def learn(rows: Rows, worse: Array, weekday: Array) -> None:
    """Adds today's answers `worse` (N, 3; nan = not answered) to the sums, within the window after an infusion."""
    since = rows["days_since_infusion"]
    seen = ~np.isnan(worse)
    counted = (since >= 1) & (since <= AGES) & seen.any(axis=1)
    # Against the filter's baseline, so that a day on which an item is missing does not move the mean of the rest.
    plain = worse - weekday[:, None] * rows["mean"][:, 2] - rows["mean"][:, 0]
    usual = rows["mean"][:, 0].mean(axis=1)
    mean = usual + np.where(seen, plain, 0.0).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    mean = np.where(counted, mean, 0.0)
    left = 0.5 ** ((np.maximum(since, 1) - 1)[:, None] / HALF_LIVES_DAYS) * counted[:, None]
    rows["since_days"] += counted
    rows["since_sum"] += mean
    rows["kernel_sum"] += left
    rows["kernel_square"] += left**2
    rows["kernel_product"] += left * mean[:, None]


def waning_of(rows: Rows, sd: Array, known: Expectation) -> Waning:
    """Where each client's benefit stands today."""
    days = np.maximum(rows["since_days"], 1)[:, None]
    noise = known.noise * (sd**2).mean(axis=1, keepdims=True)
    square = rows["kernel_square"] - rows["kernel_sum"] ** 2 / days
    product = rows["kernel_product"] - rows["kernel_sum"] * rows["since_sum"][:, None] / days
    precision = square / noise + 1 / known.benefit_var
    pull = product / noise + known.benefit / known.benefit_var
    fit = 0.5 * pull**2 / precision - 0.5 * np.log(precision)
    fit = fit - 0.5 * (np.log(HALF_LIVES_DAYS / PRIOR_MEDIAN_DAYS) / PRIOR_LOG_SD) ** 2
    weight = np.exp(fit - fit.max(axis=1, keepdims=True))
    cumulative = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
    low, middle, high = _quantiles(cumulative).T
    since = rows["days_since_infusion"]
    sure = (since > 0) & rows["answered_since_infusion"] & _is_sure(rows, sd)
    between = (since >= 1 + middle) & (since < 1 + 2 * middle)
    half_lost, earliest, latest = (np.where(sure, 1 + days, np.nan) for days in (middle, low, high))
    return Waning(half_lost, earliest, latest, sure & between)


def share_left(half_lost_days: float, days: float) -> float:
    """The share of the first day's benefit that is left so many days (1 or more) after an infusion of which half is
    lost after `half_lost_days`."""
    left: float = 0.5 ** (max(days - 1, 0.0) / (half_lost_days - 1))
    return left


def _is_sure(rows: Rows, sd: Array) -> Flags:
    """Whether there is a benefit beyond doubt, and by the person's own answers."""
    used = (rows["item_answers"] > 0) / np.maximum((rows["item_answers"] > 0).sum(axis=1, keepdims=True), 1)
    scaled = used / sd
    # Against what was believed at first, whatever a refit of the population says by now.
    before = _benefit(rows["effect_before"], rows["effect_before_cov"], scaled)
    now = _benefit(rows["mean"][:, 1], rows["cov"][:, _EFFECT, _EFFECT], scaled)
    told = before.log_density_of_none() - now.log_density_of_none()
    beyond_doubt = now.mean > np.maximum(LEAST_BENEFIT_SDS, CERTAINTY_SDS * np.sqrt(now.var))
    sure: Flags = beyond_doubt & (told > np.log(LEAST_BAYES_FACTOR))
    return sure


def _benefit(effect: Array, cov: Array, scaled: Array) -> _Benefit:
    """Of effects (N, 3) in points with their covariance (..., 3, 3), by weights (N, 3) in 1 / points."""
    var = (scaled * (cov @ scaled[:, :, None])[:, :, 0]).sum(axis=1)
    return _Benefit(-(effect * scaled).sum(axis=1), np.maximum(var, 1e-12))


def _quantiles(cumulative: Array) -> Array:
    """Half-lives (N, 3) below which the shares of INTERVAL lie, interpolated in log days."""
    index = np.minimum((cumulative[:, None, :] < INTERVAL[:, None]).sum(axis=2), HALF_LIFE_COUNT - 1)
    at = np.arange(len(cumulative))[:, None]
    below = np.where(index > 0, cumulative[at, index - 1], 0.0)
    part = (INTERVAL - below) / np.maximum(cumulative[at, index] - below, 1e-12)
    days: Array = HALF_LIVES_DAYS[index] * _STEP ** (np.clip(part, 0.0, 1.0) - 0.5)
    return days
