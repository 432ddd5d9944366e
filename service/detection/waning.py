"""The waning of an infusion's benefit towards the personal baseline: expected, and not worsening.

For each of a few half-lives the benefit since the infusion is regressed on 0.5^((d - 1) / half-life); the person's
posterior over half-lives starts at the population's (median 4 days) and needs two running sums a half-life.
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


class Waning(NamedTuple):
    """Per client: days from an infusion to half of its benefit lost (N,), its 80 % interval, and whether the benefit
    lies today between half and three quarters lost; nan while no benefit has been seen that one can be sure of."""

    half_lost_days: Array
    low_days: Array
    high_days: Array
    waning: Flags


class Expectation(NamedTuple):
    """What the population says: mean and variance of the first day's benefit in sd, variance of a day's noise."""

    benefit: float
    benefit_var: float
    noise_var: float


def expectation_of(rules: Rules) -> Expectation:
    """The population's benefit, averaged over the items in units of each item's sd."""
    prior = rules.prior
    sd = np.exp(np.array(prior.log_sd))
    effect = slice(ITEM_COUNT, 2 * ITEM_COUNT)
    spread = np.array(prior.cov)[effect, effect] / np.outer(sd, sd)
    correlated = (1 + prior.phi) / (1 - prior.phi)
    return Expectation(
        benefit=float(np.mean(np.array(prior.mean)[effect] / sd)),
        benefit_var=float(spread.mean()),
        noise_var=float(np.array(prior.correlation).mean()) * correlated,
    )


def learn(rows: Rows, worse: Array, weekday: Array, sd: Array) -> None:
    """Adds today's answers `worse` (N, 3; nan = not answered) to the sums, within the window after an infusion."""
    since = rows["days_since_infusion"]
    counted = (since >= 1) & (since <= AGES) & ~np.isnan(worse).all(axis=1)
    standard = (worse - rows["mean"][:, 0] - weekday[:, None] * rows["mean"][:, 2]) / sd
    items = np.maximum((~np.isnan(worse)).sum(axis=1), 1)
    mean = np.nan_to_num(standard).sum(axis=1) / items
    left = 0.5 ** ((np.maximum(since, 1) - 1)[:, None] / HALF_LIVES_DAYS) * counted[:, None]
    rows["benefit_product"] += left * mean[:, None]
    rows["benefit_square"] += left**2


def waning_of(rows: Rows, sd: Array, known: Expectation) -> Waning:
    """Where each client's benefit stands today."""
    precision = rows["benefit_square"] / known.noise_var + 1 / known.benefit_var
    pull = rows["benefit_product"] / known.noise_var + known.benefit / known.benefit_var
    fit = 0.5 * pull**2 / precision - 0.5 * np.log(precision)
    fit = fit - 0.5 * (np.log(HALF_LIVES_DAYS / PRIOR_MEDIAN_DAYS) / PRIOR_LOG_SD) ** 2
    weight = np.exp(fit - fit.max(axis=1, keepdims=True))
    cumulative = np.cumsum(weight / weight.sum(axis=1, keepdims=True), axis=1)
    low, middle, high = _quantiles(cumulative).T
    effect = slice(ITEM_COUNT, 2 * ITEM_COUNT)
    used = (rows["item_answers"] > 0) / np.maximum((rows["item_answers"] > 0).sum(axis=1, keepdims=True), 1)
    scaled = used / sd
    benefit = -(rows["mean"][:, 1] * scaled).sum(axis=1)
    variance = (scaled * (rows["cov"][:, effect, effect] @ scaled[:, :, None])[:, :, 0]).sum(axis=1)
    sure = (benefit > LEAST_BENEFIT_SDS) & (benefit > CERTAINTY_SDS * np.sqrt(np.maximum(variance, 0.0)))
    sure &= rows["days_since_infusion"] >= 0
    since = rows["days_since_infusion"]
    between = (since >= 1 + middle) & (since < 1 + 2 * middle)
    half_lost, earliest, latest = (np.where(sure, 1 + days, np.nan) for days in (middle, low, high))
    return Waning(half_lost, earliest, latest, sure & between)


def _quantiles(cumulative: Array) -> Array:
    """Half-lives (N, 3) below which the shares of INTERVAL lie, interpolated in log days."""
    index = np.minimum((cumulative[:, None, :] < INTERVAL[:, None]).sum(axis=2), HALF_LIFE_COUNT - 1)
    at = np.arange(len(cumulative))[:, None]
    below = np.where(index > 0, cumulative[at, index - 1], 0.0)
    part = (INTERVAL - below) / np.maximum(cumulative[at, index] - below, 1e-12)
    days: Array = HALF_LIVES_DAYS[index] * _STEP ** (np.clip(part, 0.0, 1.0) - 0.5)
    return days
