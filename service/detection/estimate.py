"""Estimating the population from stable people: the prior of every person, and how days are missed.

Empirical Bayes by EM: given the population each person has a normal posterior of the effects (three an item); given
the posteriors the population is their mean and spread. What a history cannot tell (an item that nobody was asked, the
infusion effect where nobody had one) is kept from a prior that is known already.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from service.detection.filter import design_of
from service.detection.population import ITEM_COUNT, SCALE_TOP, Array, Flags, Matrix, Missingness, Prior, Vector
from service.detection.series import Days

PASSES = 25
LEAST_LOG_SD_VARIANCE = 0.002
LEAST_PHI_VARIANCE = 0.0025
BASELINE_WIDENING = 1.5
"""The prior variance of the baseline as a multiple of the people's: somebody far outside them (always 10) is learned
in the first weeks instead of looking like a worsening."""
EFFECT_COUNT = 3
INFUSION = 1
LEAST_ANSWERS = 14
"""People with fewer check-ins say nothing about the population."""
LEAST_ASKED_SHARE = 0.25
"""An item counts as asked when it was answered on so many of the days with any answer."""
LEAST_VARIANCE = 0.02
"""Of somebody who always answers the same, points squared; the filter has the same floor."""


class People(NamedTuple):
    """Answers with what is known of the days: worse is higher; k items."""

    worse: Array  # (N, T, k)
    active: Flags  # (N, T)
    answered: Flags  # (N, T): all k items
    design: Array  # (N, T, 3): 1, infusion kernel, weekday weight
    gap: Array  # (N, T): days since the answer before, inf at the first


class Fit(NamedTuple):
    """The population as arrays; `effects` is the posterior mean of each person (N, 3 effects, k items)."""

    mean: Array
    cov: Array
    correlation: Array
    sd: Array
    phi: Array
    effects: Array


def asked_items(history: Days) -> tuple[int, ...]:
    """Indexes of the items that the history's people were asked."""
    answers = ~np.isnan(history.scores) & history.active[:, :, None]
    days = max(int(answers.any(axis=2).sum()), 1)
    return tuple(int(i) for i in np.flatnonzero(answers.sum(axis=(0, 1)) >= LEAST_ASKED_SHARE * days))


def people_count(history: Days) -> int:
    """How many people have answered enough to say something about the population."""
    return len(people_of(history, asked_items(history)).worse)


def fit_prior(stable: Days, known: Prior | None = None) -> Prior:
    """The population prior from stable people, from days on which every item asked was answered.

    Items that nobody was asked, and the infusion effect where nobody had an infusion, are taken from `known`; raises
    ValueError when there is something of the kind and nothing is known, or nobody has LEAST_ANSWERS check-ins.
    """
    items = asked_items(stable)
    people = people_of(stable, items)
    infused = bool(people.design[:, :, INFUSION].any())
    if not len(people.worse):
        raise ValueError(f"nobody has answered on {LEAST_ANSWERS} days")
    if known is None and not (infused and len(items) == ITEM_COUNT):
        raise ValueError("a history without infusions or without an item needs a prior to keep")
    n, k = len(people.worse), len(items)
    first = np.concatenate([np.nanmean(people.worse, axis=(0, 1)), np.zeros((EFFECT_COUNT - 1) * k)])
    fit = Fit(first, np.eye(len(first)), np.eye(k), np.ones((n, k)), np.full(n, 0.3), np.zeros((n, EFFECT_COUNT, k)))
    for _ in range(PASSES):
        fit = _pass(people, fit)
    return prior_of(
        (fit.mean, fit.cov),
        fit.correlation,
        _spread_of_log_sd(fit, people.answered.sum(axis=1)),
        _spread_of_phi(people, fit),
        Told(items, infused),
        known,
    )


class Told(NamedTuple):
    """What a history can tell of: the items asked, and whether anybody had an infusion."""

    items: tuple[int, ...]
    infused: bool

    @property
    def of_missed(self) -> tuple[int, ...]:
        """The items that missing a day may depend on: craving, or where it was not asked, all."""
        return self.items[:1] if 0 in self.items else self.items


def prior_of(
    effects: tuple[Array, Array],
    correlation: Array,
    log_sd: tuple[Array, Array],
    phi: tuple[float, float],
    told: Told,
    known: Prior | None,
) -> Prior:
    """The prior from estimates of the items told of (each a mean and a covariance), the rest as `known`."""
    mean, cov = effects[0], effects[1].copy()
    log_sd_mean, log_sd_cov = log_sd
    k = len(told.items)
    cov[:k, :k] *= BASELINE_WIDENING
    if known is not None:
        used = [e for e in range(EFFECT_COUNT) if told.infused or e != INFUSION]
        own = [e * k + i for e in used for i in range(k)]
        at = [e * ITEM_COUNT + i for e in used for i in told.items]
        mean, cov = _completed(mean[own], cov[np.ix_(own, own)], at, known.mean, known.cov)
        items = list(told.items)
        log_sd_mean, log_sd_cov = _completed(log_sd_mean, log_sd_cov, items, known.log_sd, known.log_sd_cov)
        zero = (0.0,) * ITEM_COUNT
        joint = _completed(np.zeros(k), correlation, items, zero, known.correlation)[1]
        correlation = joint / np.sqrt(np.outer(joint.diagonal(), joint.diagonal()))
    return Prior(
        mean=_vector(mean),
        cov=_matrix(cov),
        correlation=_matrix(correlation),
        log_sd=_vector(log_sd_mean),
        log_sd_cov=_matrix(log_sd_cov),
        phi=round(phi[0], 4),
        phi_var=round(phi[1], 4),
    )


def _completed(mean: Array, cov: Array, at: list[int], known_mean: Vector, known_cov: Matrix) -> tuple[Array, Array]:
    """Mean and covariance of all places, where those `at` were estimated and the others follow from them as known.

    The others keep their known mean, their regression on those estimated and their rest variance, so that the whole
    stays a covariance.
    """
    full_mean, full = np.array(known_mean), np.array(known_cov)
    rest = [i for i in range(len(full_mean)) if i not in at]
    slope = full[np.ix_(rest, at)] @ np.linalg.inv(full[np.ix_(at, at)])
    left = full[np.ix_(rest, rest)] - slope @ full[np.ix_(at, rest)]
    full_mean[at] = mean
    full[np.ix_(at, at)] = cov
    full[np.ix_(rest, at)] = slope @ cov
    full[np.ix_(at, rest)] = cov @ slope.T
    full[np.ix_(rest, rest)] = left + slope @ cov @ slope.T
    return full_mean, full


def fit_missingness(stable: Days, prior: Prior) -> Missingness:
    """How missing a day depends on yesterday's and on craving (without it: on the mean of the items asked), by
    logistic regression; the craving term is shrunk towards none by its uncertainty."""
    items = asked_items(stable)
    people = people_of(stable, items[:1] if 0 in items else items)
    design, missed = missed_days(people, prior.phi)
    slope, se = _logistic(design, missed)
    share = float((people.active & ~people.answered).sum() / np.maximum(people.active.sum(), 1))
    return missingness_of(slope, se, share)


def missed_days(people: People, phi: float) -> tuple[Array, Array]:
    """Of every day with a day before it: what its being missed may depend on (M, 4), and whether it was (M,)."""
    missed = people.active & ~people.answered
    days = people.active.sum(axis=1)
    share = (missed.sum(axis=1) + 1) / (days + 2)
    craving = people.worse.mean(axis=2)
    spread = np.sqrt(np.maximum(np.nanvar(craving, axis=1, keepdims=True), LEAST_VARIANCE))
    standard = (craving - np.nanmean(craving, axis=1, keepdims=True)) / spread
    last, faded = np.zeros(len(missed)), np.zeros(missed.shape)
    for day in range(1, missed.shape[1]):
        seen = people.answered[:, day - 1]
        last = phi * np.where(seen, np.nan_to_num(standard[:, day - 1]), last)
        faded[:, day] = last
    logit = np.log(share / (1 - share))[:, None] * np.ones_like(faded)
    counted = people.active[:, 1:] & people.active[:, :-1]
    columns = [np.ones_like(faded)[:, 1:], logit[:, 1:], missed[:, :-1], faded[:, 1:]]
    design = np.stack([c[counted] for c in columns], axis=1).astype(np.float64)
    return design, missed[:, 1:][counted].astype(np.float64)


def missingness_of(slope: Array, se: Array, share: float) -> Missingness:
    """From the slopes of `missed_days` and their standard errors; the craving term is shrunk by its uncertainty."""
    shrunk = float(np.clip(slope[3] * 0.04 / (0.04 + se[3] ** 2), 0.0, 0.5))
    return Missingness(
        per_craving_sd=round(shrunk, 4),
        after_missed=round(float(slope[2]), 4),
        share=round(float(np.clip(share, 0.005, 0.9)), 4),
    )


def people_of(days: Days, items: tuple[int, ...]) -> People:
    """Those of LEAST_ANSWERS check-ins or more, on days on which every one of `items` was answered."""
    worse = days.scores.copy()
    worse[:, :, 1] = SCALE_TOP - worse[:, :, 1]
    worse[~days.active] = np.nan
    worse = worse[:, :, list(items)]
    answered = np.asarray(~np.isnan(worse).any(axis=2)) & bool(items)
    n, length = answered.shape
    since = np.full(n, -1)
    design = np.empty((n, length, EFFECT_COUNT))
    gap, last = np.full((n, length), np.inf), np.full(n, -np.inf)
    for day in range(length):
        since = np.where(since >= 0, since + 1, since)
        design[:, day] = design_of(since, days.weekend[:, day])[:, :EFFECT_COUNT]
        gap[:, day] = day - last
        last = np.where(answered[:, day], day, last)
        since = np.where(days.infusion[:, day], 0, since)
    some = answered.sum(axis=1) >= LEAST_ANSWERS
    return People(worse[some], days.active[some], answered[some], design[some], gap[some])


def _before(values: Array, answered: Flags) -> Array:
    """The value of the answered day before each day (N, T, k), zero before the first."""
    carried, last = np.zeros_like(values), np.zeros_like(values[:, 0])
    for day in range(values.shape[1]):
        carried[:, day] = last
        last = np.where(answered[:, day, None], values[:, day], last)
    return carried


def _whitened(people: People, phi: Array) -> tuple[Array, Array]:
    """Answers and designs with the day-to-day correlation taken out, zero on days without an answer."""
    keep = np.where(np.isinf(people.gap), 0.0, phi[:, None] ** np.minimum(people.gap, 1000))[:, :, None]
    scale = people.answered[:, :, None] / np.sqrt(1 - keep**2)
    worse = np.nan_to_num(people.worse)
    left = (worse - keep * _before(worse, people.answered)) * scale
    right = (people.design - keep * _before(people.design, people.answered)) * scale
    return left, right


def _pass(people: People, fit: Fit) -> Fit:
    """One pass of EM."""
    learned = learn(people, fit)
    mean = learned.effects.mean(axis=0)
    spread = np.cov(learned.effects.T) + learned.cov.mean(axis=0)
    correlation = np.atleast_2d(np.corrcoef(learned.standard.T))
    return Fit(mean, spread, correlation, learned.sd, learned.phi, learned.by_item)


class Learned(NamedTuple):
    """What a population says of its people, given their answers: posterior of each person's effects, then noise."""

    effects: Array  # (N, 3k): mean
    cov: Array  # (N, 3k, 3k)
    by_item: Array  # (N, 3, k): the mean again
    standard: Array  # (M, k): whitened residuals of answered days in the person's sd
    sd: Array  # (N, k)
    phi: Array  # (N,)


def learn(people: People, fit: Fit) -> Learned:
    """The people as seen from the population and from what was known of their noise (`fit`)."""
    n, k = len(people.worse), people.worse.shape[2]
    size = EFFECT_COUNT * k
    left, right = _whitened(people, fit.phi)
    noise = np.linalg.inv(fit.correlation * fit.sd[:, :, None] * fit.sd[:, None, :])
    squares = right.transpose(0, 2, 1) @ right
    products = right.transpose(0, 2, 1) @ left
    prior_precision = np.linalg.inv(fit.cov)
    precision = prior_precision + np.einsum("nab,nij->naibj", squares, noise).reshape(n, size, size)
    pull = (products @ noise).reshape(n, size) + prior_precision @ fit.mean
    cov = np.linalg.inv(precision)
    effects = (cov @ pull[:, :, None])[:, :, 0]
    by_item = effects.reshape(n, EFFECT_COUNT, k)
    residual = left - right @ by_item
    counts = people.answered.sum(axis=1)
    sd = np.sqrt(np.maximum((residual**2).sum(axis=1) / np.maximum(counts - 2, 1)[:, None], LEAST_VARIANCE))
    standard = (residual / sd[:, None, :])[people.answered]
    phi = np.clip(_phi_of(people, by_item, sd), 0.0, 0.85)
    return Learned(effects, cov, by_item, standard, sd, phi)


def _phi_of(people: People, effects: Array, sd: Array) -> Array:
    """Each person's day-to-day correlation from days answered in a row, with the bias of the estimated mean undone."""
    residual = np.nan_to_num(people.worse - people.design @ effects) / sd[:, None, :]
    pairs = people.answered[:, 1:] & people.answered[:, :-1]
    today, before = residual[:, 1:] * pairs[:, :, None], residual[:, :-1] * pairs[:, :, None]
    raw = (today * before).sum(axis=(1, 2)) / np.maximum((before**2).sum(axis=(1, 2)), 1e-9)
    lost: Array = raw + 0.7 * (1 + 3 * raw) / people.answered.sum(axis=1)
    return lost


def _spread_of_log_sd(fit: Fit, counts: Array) -> tuple[Array, Array]:
    """Mean and between-person covariance of the log sd, less its sampling covariance C^2 / 2n."""
    own = np.log(fit.sd) + 0.5 / counts[:, None]
    sampling = fit.correlation**2 * np.mean(1 / (2 * counts))
    values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(own.T)) - sampling)
    return own.mean(axis=0), (vectors * np.maximum(values, LEAST_LOG_SD_VARIANCE)) @ vectors.T


def _spread_of_phi(people: People, fit: Fit) -> tuple[float, float]:
    """Mean and between-person variance of the day-to-day correlation, less its sampling variance."""
    pairs = (people.answered[:, 1:] & people.answered[:, :-1]).sum(axis=1)
    shared = float((fit.correlation**2).mean())  # the diagonal's ones counted: mean square = (1 + (k - 1) r^2) / k
    phi = float(fit.phi.mean())
    sampling = (1 - phi**2) * shared * float(np.mean(1 / np.maximum(pairs, 1)))
    return phi, max(float(fit.phi.var()) - sampling, LEAST_PHI_VARIANCE)


def _logistic(design: Array, happened: Array) -> tuple[Array, Array]:
    """Logistic regression by Newton's steps: slopes and their standard errors."""
    slope = np.zeros(design.shape[1])
    curvature = np.eye(design.shape[1])
    for _ in range(15):
        gradient, curvature = logistic_sums(design, happened, slope)
        curvature = curvature + 1e-6 * np.eye(len(slope))
        slope = slope + np.linalg.solve(curvature, gradient)
    return slope, np.sqrt(np.diag(np.linalg.inv(curvature)))


def logistic_sums(design: Array, happened: Array, slope: Array) -> tuple[Array, Array]:
    """Gradient and curvature of the log likelihood: what a step of Newton's rests on."""
    chance = 1 / (1 + np.exp(-(design @ slope)))
    return design.T @ (happened - chance), design.T @ (design * (chance * (1 - chance))[:, None])


def _vector(numbers: Array) -> Vector:
    return tuple(round(float(number), 4) for number in numbers)


def _matrix(numbers: Array) -> Matrix:
    symmetric = (numbers + numbers.T) / 2
    return tuple(_vector(row) for row in symmetric)
