"""Choosing the noise of a history: tails, scale and drift, by how well each day is forecast from the days before.

One-step-ahead predictive likelihood of a multivariate t (Lange, Little & Taylor 1989). The filter is run once a drift;
degrees and scale do not move it, so they are compared on its innovations.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from msgspec.structs import replace

from service.detection import filter as kalman
from service.detection.limits import OWN_CHECK_INS
from service.detection.population import SCALE_TOP, Array, Counts, Flags, Noise, Rules
from service.detection.series import Days
from service.detection.state import State

INVERSE_DEGREES = (0.005, 0.02, 0.04, 0.07, 0.1, 0.14, 0.18, 0.22, 0.27, 0.33, 0.4)
SCALES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1)
DRIFTS = (0.0, 0.001, 0.003, 0.006, 0.01, 0.02, 0.03)
CLIP_SDS = 5.0
HEAVY_TAILED_DEGREES = 12.0
HEAVY_TAILED_CLIP_SDS = 2.5
MOST_CLIENT_DAYS = 60_000
"""Of a longer history every so-many-eth person is enough."""
CHUNK = 256


class Innovations(NamedTuple):
    """Every forecast answer of a history (M,): its energy e' S^-1 e, log det S, number of items, and one over the
    degrees of freedom that come from not knowing the sd."""

    energy: Array
    log_det: Array
    items: Array
    unsure: Array


def fit_noise(history: Days, rules: Rules) -> Noise:
    """The noise under which the history's answers were least surprising, given the population of `rules`."""
    every = max(round(history.active.sum() / MOST_CLIENT_DAYS), 1)
    some = history.part(slice(None, None, every))
    best, found = -math.inf, rules.noise
    for drift in DRIFTS:
        noise = replace(rules.noise, drift=drift, clip_sds=CLIP_SDS)
        seen = innovations(some, replace(rules, noise=noise))
        for inverse in INVERSE_DEGREES:
            for scale in SCALES:
                likelihood = log_likelihood(seen, inverse, scale)
                if likelihood > best:
                    best, found = likelihood, replace(noise, degrees=round(1 / inverse, 4), scale=scale)
    heavy = found.degrees < HEAVY_TAILED_DEGREES
    return replace(found, clip_sds=HEAVY_TAILED_CLIP_SDS if heavy else CLIP_SDS)


def innovations(history: Days, rules: Rules) -> Innovations:
    """The innovations of a history under `rules`, from each person's OWN_CHECK_INS-th answer on."""
    known = kalman.constants(rules)._replace(inverse_degrees=0.0)
    worse = history.scores.copy()
    worse[:, :, 1] = SCALE_TOP - worse[:, :, 1]
    found: list[tuple[Array, ...]] = []
    for start in range(0, len(worse), CHUNK):
        part = slice(start, start + CHUNK)
        _collect(worse[part], history.part(part), State.fresh(len(worse[part]), rules), known, found)
    columns = [np.concatenate(column) for column in zip(*found, strict=True)] if found else [np.zeros(0)] * 4
    return Innovations(*columns)


def _collect(worse: Array, days: Days, state: State, known: kalman.Constants, found: list[tuple[Array, ...]]) -> None:
    for each in forecasts(worse, days, state, known):
        energy = (each.error * np.linalg.solve(each.spread, each.error[:, :, None])[:, :, 0]).sum(axis=1)
        log_det = np.linalg.slogdet(each.spread)[1]
        counted = each.seen.any(axis=1) & (each.check_ins >= OWN_CHECK_INS)
        columns = energy, log_det, each.seen.sum(axis=1) + 0.0, each.unsure
        found.append(tuple(column[counted] for column in columns))


class Forecast(NamedTuple):
    """What one day's answers were expected to be: of the clients `acting` (n,), which items were `seen` (n, 3), by how
    many points they were missed (n, 3; 0 unseen), the covariance of that (n, 3, 3), the check-ins before (n,),
    and one over the degrees of freedom that come from not knowing the sd (n,)."""

    day: int
    acting: Counts
    seen: Flags
    error: Array
    spread: Array
    check_ins: Counts
    unsure: Array


def forecasts(worse: Array, days: Days, state: State, known: kalman.Constants) -> Iterator[Forecast]:
    """Runs the filter alone over answers `worse` (N, T, 3; nan = none), and says each day what it had not expected;
    `state` is moved on."""
    for day in range(worse.shape[1]):
        kalman.pass_by(state.rows, days.paused[:, day], ~days.active[:, day] & days.infusion[:, day])
        acting = np.flatnonzero(days.active[:, day])
        if not len(acting):
            continue
        rows = state.rows[acting]
        answers = worse[acting, day]
        seen = ~np.isnan(answers)
        both = seen & (rows["item_answers"] > 0) & (rows["item_silent_days"] == 0)
        rows["days_since_infusion"] += rows["days_since_infusion"] >= 0
        design = kalman.design_of(rows["days_since_infusion"], days.weekend[acting, day])
        person = kalman.person_of(rows, known)
        yesterday = rows["mean"][:, -1].copy()
        kalman.predict(rows, person, known)
        expected = kalman.summed(rows["mean"], design)
        _, spread = kalman.forecast_spread(rows, seen, design)
        error = np.where(seen, answers - expected, 0.0)
        unsure = kalman.degrees_of(rows, seen, known)
        yield Forecast(day, acting, seen, error, spread, rows["check_ins"].copy(), unsure)
        kalman.observe(rows, answers, expected, design, person, known)
        kalman.learn_correlation(rows, yesterday, both, person, known)
        rows["check_ins"] += seen.any(axis=1)
        rows["item_silent_days"] = np.where(seen, 0, rows["item_silent_days"] + 1)
        rows["days_since_infusion"] = np.where(days.infusion[acting, day], 0, rows["days_since_infusion"])
        rows["day"] += 1
        state.rows[acting] = rows


def log_likelihood(seen: Innovations, inverse_degrees: float, scale: float) -> float:
    """Log density of the innovations when the noise has 1/`inverse_degrees` degrees and `scale` times the variance."""
    inverse = seen.unsure + inverse_degrees
    degrees = 1 / inverse
    items = seen.items
    density = _log_gamma((degrees + items) / 2) - _log_gamma(degrees / 2)
    density -= 0.5 * items * np.log(np.pi * degrees * scale) + 0.5 * seen.log_det
    density -= 0.5 * (degrees + items) * np.log1p(seen.energy * inverse / scale)
    return float(density.sum())


def _log_gamma(values: Array) -> Array:
    """Stirling's series after three steps of the recurrence: 1e-6 off at 0.5, less above."""
    x = values + 3
    series = (x - 0.5) * np.log(x) - x + 0.5 * math.log(2 * math.pi) + 1 / (12 * x) - 1 / (360 * x**3)
    logarithm: Array = series - np.log(values * (values + 1) * (values + 2))
    return logarithm
