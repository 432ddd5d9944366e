"""Estimating the population from stable people: the prior of every person, and how days are missed.

Empirical Bayes by EM: given the population each person has a normal posterior of the nine effects; given the
posteriors the population is their mean and spread.
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
BASELINE_WIDENING = 2.0
"""The prior variance of the baseline as a multiple of the people's: somebody far outside them (always 10) is learned
in the first weeks instead of looking like a worsening."""
EFFECT_COUNT = 3


class People(NamedTuple):
    """Answers with what is known of the days: worse is higher."""

    worse: Array  # (N, T, 3)
    answered: Flags  # (N, T)
    design: Array  # (N, T, 3): 1, infusion kernel, weekday weight
    gap: Array  # (N, T): days since the answer before, inf at the first


class Fit(NamedTuple):
    """The population as arrays; `effects` is the posterior mean of each person (N, 3 effects, 3 items)."""

    mean: Array
    cov: Array
    correlation: Array
    sd: Array
    phi: Array
    effects: Array


def fit_prior(stable: Days) -> Prior:
    """The population prior from stable people who answer all three items or none on a day."""
    people = _people(stable)
    n = len(people.worse)
    first = np.concatenate([np.array([4.0, 4.0, 4.0]), np.zeros(6)])
    fit = Fit(first, np.eye(9), np.eye(ITEM_COUNT), np.ones((n, ITEM_COUNT)), np.full(n, 0.3), np.zeros((n, 3, 3)))
    for _ in range(PASSES):
        fit = _pass(people, fit)
    counts = people.answered.sum(axis=1)
    cov = fit.cov.copy()
    cov[:ITEM_COUNT, :ITEM_COUNT] *= BASELINE_WIDENING
    log_sd, log_sd_cov = _spread_of_log_sd(fit, counts)
    phi, phi_var = _spread_of_phi(people, fit)
    return Prior(
        mean=_vector(fit.mean),
        cov=_matrix(cov),
        correlation=_matrix(fit.correlation),
        log_sd=_vector(log_sd),
        log_sd_cov=_matrix(log_sd_cov),
        phi=round(phi, 4),
        phi_var=round(phi_var, 4),
    )


def fit_missingness(stable: Days, prior: Prior) -> Missingness:
    """How missing a day depends on yesterday's and on craving, by logistic regression; the craving term is shrunk
    towards none by its uncertainty."""
    people = _people(stable)
    missed = ~people.answered
    share = (missed.mean(axis=1) * missed.shape[1] + 1) / (missed.shape[1] + 2)
    craving = people.worse[:, :, 0]
    standard = (craving - np.nanmean(craving, axis=1, keepdims=True)) / np.nanstd(craving, axis=1, keepdims=True)
    last, faded = np.zeros(len(missed)), np.zeros(missed.shape)
    for day in range(1, missed.shape[1]):
        seen = people.answered[:, day - 1]
        last = prior.phi * np.where(seen, np.nan_to_num(standard[:, day - 1]), last)
        faded[:, day] = last
    logit = np.log(share / (1 - share))[:, None] * np.ones_like(faded)
    columns = [np.ones_like(faded), logit, missed[:, :-1], faded]
    design = np.stack([c[:, -(missed.shape[1] - 1) :].ravel() for c in columns], axis=1).astype(np.float64)
    slope, se = _logistic(design, missed[:, 1:].ravel().astype(np.float64))
    shrunk = float(np.clip(slope[3] * 0.04 / (0.04 + se[3] ** 2), 0.0, 0.5))
    return Missingness(
        per_craving_sd=round(shrunk, 4), after_missed=round(float(slope[2]), 4), share=round(float(missed.mean()), 4)
    )


def _people(days: Days) -> People:
    worse = days.scores.copy()
    worse[:, :, 1] = SCALE_TOP - worse[:, :, 1]
    answered = np.asarray(~np.isnan(worse).any(axis=2))
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
    return People(worse, answered, design, gap)


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
    n = len(people.worse)
    left, right = _whitened(people, fit.phi)
    noise = np.linalg.inv(fit.correlation * fit.sd[:, :, None] * fit.sd[:, None, :])
    squares = right.transpose(0, 2, 1) @ right
    products = right.transpose(0, 2, 1) @ left
    prior_precision = np.linalg.inv(fit.cov)
    precision = prior_precision + np.einsum("nab,nij->naibj", squares, noise).reshape(n, 9, 9)
    pull = (products @ noise).reshape(n, 9) + prior_precision @ fit.mean
    cov = np.linalg.inv(precision)
    effects = (cov @ pull[:, :, None])[:, :, 0]
    mean = effects.mean(axis=0)
    spread = np.cov(effects.T) + cov.mean(axis=0)
    by_item = effects.reshape(n, EFFECT_COUNT, ITEM_COUNT)
    residual = left - right @ by_item
    counts = people.answered.sum(axis=1)
    sd = np.sqrt((residual**2).sum(axis=1) / np.maximum(counts - 2, 1)[:, None])
    standard = (residual / sd[:, None, :])[people.answered]
    correlation = np.corrcoef(standard.T)
    phi = _phi_of(people, by_item, sd)
    return Fit(mean, spread, correlation, sd, np.clip(phi, 0.0, 0.85), by_item)


def _phi_of(people: People, effects: Array, sd: Array) -> Array:
    """Each person's day-to-day correlation from days answered in a row, with the bias of the estimated mean undone."""
    residual = np.nan_to_num(people.worse - people.design @ effects) / sd[:, None, :]
    pairs = people.answered[:, 1:] & people.answered[:, :-1]
    today, before = residual[:, 1:] * pairs[:, :, None], residual[:, :-1] * pairs[:, :, None]
    raw = (today * before).sum(axis=(1, 2)) / np.maximum((before**2).sum(axis=(1, 2)), 1e-9)
    lost: Array = raw + 0.7 * (1 + 3 * raw) / np.maximum(people.answered.sum(axis=1), 10)
    return lost


def _spread_of_log_sd(fit: Fit, counts: Array) -> tuple[Array, Array]:
    """Mean and between-person covariance of the log sd, less its sampling covariance C^2 / 2n."""
    own = np.log(fit.sd) + 0.5 / counts[:, None]
    sampling = fit.correlation**2 * np.mean(1 / (2 * counts))
    values, vectors = np.linalg.eigh(np.cov(own.T) - sampling)
    return own.mean(axis=0), (vectors * np.maximum(values, LEAST_LOG_SD_VARIANCE)) @ vectors.T


def _spread_of_phi(people: People, fit: Fit) -> tuple[float, float]:
    """Mean and between-person variance of the day-to-day correlation, less its sampling variance."""
    pairs = (people.answered[:, 1:] & people.answered[:, :-1]).sum(axis=1)
    shared = float(np.mean(fit.correlation[np.triu_indices(ITEM_COUNT, 1)] ** 2))
    phi = float(fit.phi.mean())
    sampling = (1 - phi**2) * (1 + 2 * shared) / ITEM_COUNT * float(np.mean(1 / np.maximum(pairs, 1)))
    return phi, max(float(fit.phi.var()) - sampling, LEAST_PHI_VARIANCE)


def _logistic(design: Array, happened: Array) -> tuple[Array, Array]:
    """Logistic regression by Newton's steps: slopes and their standard errors."""
    slope = np.zeros(design.shape[1])
    curvature = np.eye(design.shape[1])
    for _ in range(15):
        chance = 1 / (1 + np.exp(-(design @ slope)))
        curvature = design.T @ (design * (chance * (1 - chance))[:, None]) + 1e-6 * np.eye(len(slope))
        slope = slope + np.linalg.solve(curvature, design.T @ (happened - chance))
    return slope, np.sqrt(np.diag(np.linalg.inv(curvature)))


def _vector(numbers: Array) -> Vector:
    return tuple(round(float(number), 4) for number in numbers)


def _matrix(numbers: Array) -> Matrix:
    symmetric = (numbers + numbers.T) / 2
    return tuple(_vector(row) for row in symmetric)
