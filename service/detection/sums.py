"""Estimating the population from sums alone, so that nobody's answers leave the place where they lie.

The same empirical Bayes as `estimate.fit_prior`, by passes: every place adds up, for its own people, what they say
given the population so far; the sums of all places give the next population. Nothing about a person is kept between
passes, so each pass learns their noise anew. Missed days are a logistic regression, whose Newton steps are sums too;
the noise is chosen by a log likelihood, which is one by nature.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from msgspec.structs import replace

from service.detection import estimate, noise
from service.detection.estimate import EFFECT_COUNT, Fit, Told
from service.detection.limits import FIRST_ALERT_DAY
from service.detection.population import ITEM_COUNT, SCALE_TOP, Array, Counts, Missingness, Noise, Prior, Rules
from service.detection.replay import crossings, gather
from service.detection.series import Days

SCORES = range(int(SCALE_TOP) + 1)
SHIFTS = np.linspace(-0.5, 0.5, 21)
"""Moves of a limit that are tried: real worsening is among days taken as stable, and more must not be made of it."""
LEARNING_PASSES = 6
"""A person's noise and effects settle within so many turns, given the population."""
MISSED_TERMS = 4
MOST_SLIPS = 0.01
"""Of an item's answers: what so few say differently is no spread among people."""
MANY_ANSWERED_DAYS = 60
"""Of somebody who says much about the population."""


@dataclass(frozen=True)
class Answered:
    """How much there is: client days, those with any answer, of each item the answers of each score (3, 11), people who
    had an infusion."""

    days: int
    answered: int
    by_score: Counts
    infused: int

    @classmethod
    def of(cls, days: Days) -> Self:
        """What some people answered."""
        answers = ~np.isnan(days.scores) & days.active[:, :, None]
        return cls(
            days=int(days.active.sum()),
            answered=int(answers.any(axis=2).sum()),
            by_score=np.stack([(answers & (days.scores == score)).sum(axis=(0, 1)) for score in SCORES], axis=1),
            infused=int(days.infusion.any(axis=1).sum()),
        )

    def __add__(self, other: Self) -> Self:
        return type(self)(
            self.days + other.days,
            self.answered + other.answered,
            self.by_score + other.by_score,
            self.infused + other.infused,
        )

    @property
    def by_item(self) -> Counts:
        """Answers an item (3,)."""
        by_item: Counts = self.by_score.sum(axis=1)
        return by_item

    @property
    def flat(self) -> tuple[int, ...]:
        """The items that everybody always answers alike, but for slips: nothing can be learned from them."""
        others = self.by_item - self.by_score.max(axis=1)
        return tuple(int(i) for i in np.flatnonzero((self.by_item > 0) & (others <= MOST_SLIPS * self.by_item)))

    def told(self) -> Told:
        """What these people can tell of."""
        asked = self.by_item >= estimate.LEAST_ASKED_SHARE * max(self.answered, 1)
        return Told(tuple(int(i) for i in np.flatnonzero(asked)), self.infused > 0)


@dataclass(frozen=True)
class Guess:
    """The population so far, of the k items told of: effects (3k), their covariance, the items' correlation (k, k),
    day-to-day correlation, slopes of missed days (4)."""

    mean: Array
    cov: Array
    correlation: Array
    phi: float
    missed: Array

    @classmethod
    def first(cls, known: Rules, told: Told) -> Self:
        """To begin from: the known population."""
        at = [e * ITEM_COUNT + i for e in range(EFFECT_COUNT) for i in told.items]
        items = list(told.items)
        return cls(
            mean=np.array(known.prior.mean)[at],
            cov=np.array(known.prior.cov)[np.ix_(at, at)],
            correlation=np.array(known.prior.correlation)[np.ix_(items, items)],
            phi=known.prior.phi,
            missed=np.zeros(MISSED_TERMS),
        )


@dataclass(frozen=True)
class Sums:
    """What some people add to a pass; every field may be added up over people, in any order and grouping.

    `people` are those it rests on, `well_known` those of them with MANY_ANSWERED_DAYS.
    """

    people: Array
    well_known: Array
    effects: Array
    effect_squares: Array
    effect_cov: Array
    residuals: Array
    residual_days: Array
    residual_squares: Array
    log_sd: Array
    log_sd_squares: Array
    half_inverse_answers: Array
    phi: Array
    phi_square: Array
    inverse_pairs: Array
    missed: Array
    active: Array
    missed_gradient: Array
    missed_curvature: Array

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


def sums_of(days: Days, guess: Guess, told: Told) -> Sums:
    """One pass over some people."""
    people = estimate.people_of(days, told.items)
    n, k = len(people.worse), len(told.items)
    fit = Fit(
        guess.mean, guess.cov, guess.correlation, np.ones((n, k)), np.full(n, guess.phi), np.zeros((n, EFFECT_COUNT, k))
    )
    learned = estimate.learn(people, fit)
    for _ in range(LEARNING_PASSES - 1):
        learned = estimate.learn(people, fit._replace(sd=learned.sd, phi=learned.phi))
    counts = people.answered.sum(axis=1)
    pairs = (people.answered[:, 1:] & people.answered[:, :-1]).sum(axis=1)
    own = np.log(learned.sd) + 0.5 / counts[:, None]
    design, happened = estimate.missed_days(estimate.people_of(days, told.of_missed), guess.phi)
    gradient, curvature = estimate.logistic_sums(design, happened, guess.missed)
    return Sums(
        people=np.array(float(n)),
        well_known=np.array(float((counts >= MANY_ANSWERED_DAYS).sum())),
        effects=learned.effects.sum(axis=0),
        effect_squares=learned.effects.T @ learned.effects,
        effect_cov=learned.cov.sum(axis=0),
        residuals=learned.standard.sum(axis=0),
        residual_days=np.array(float(len(learned.standard))),
        residual_squares=learned.standard.T @ learned.standard,
        log_sd=own.sum(axis=0),
        log_sd_squares=own.T @ own,
        half_inverse_answers=np.array((0.5 / counts).sum()),
        phi=np.array(learned.phi.sum()),
        phi_square=np.array((learned.phi**2).sum()),
        inverse_pairs=np.array((1 / np.maximum(pairs, 1)).sum()),
        missed=np.array(happened.sum()),
        active=np.array(float(len(happened))),
        missed_gradient=gradient,
        missed_curvature=curvature,
    )


def next_guess(sums: Sums, guess: Guess) -> Guess:
    """The population that the sums of a pass give."""
    mean, spread = _moments(sums.effects, sums.effect_squares, float(sums.people))
    _, residual = _moments(sums.residuals, sums.residual_squares, float(sums.residual_days))
    step = np.linalg.solve(_ridged(sums.missed_curvature), sums.missed_gradient)
    return Guess(
        mean=mean,
        cov=spread + sums.effect_cov / sums.people,
        correlation=residual / np.sqrt(np.outer(residual.diagonal(), residual.diagonal())),
        phi=float(sums.phi / sums.people),
        missed=guess.missed + step,
    )


def population_of(sums: Sums, guess: Guess, told: Told, known: Rules) -> tuple[Prior, Missingness]:
    """The prior and the missed days of the last pass (`guess` came of its `sums`)."""
    n = float(sums.people)
    log_sd, spread = _moments(sums.log_sd, sums.log_sd_squares, n)
    values, vectors = np.linalg.eigh(spread - guess.correlation**2 * float(sums.half_inverse_answers) / n)
    log_sd_cov = (vectors * np.maximum(values, estimate.LEAST_LOG_SD_VARIANCE)) @ vectors.T
    sampling = (1 - guess.phi**2) * float((guess.correlation**2).mean()) * float(sums.inverse_pairs) / n
    phi_var = max(float(sums.phi_square) / n - guess.phi**2 - sampling, estimate.LEAST_PHI_VARIANCE)
    prior = estimate.prior_of(
        (guess.mean, guess.cov), guess.correlation, (log_sd, log_sd_cov), (guess.phi, phi_var), told, known.prior
    )
    if not sums.missed:
        return prior, known.missingness
    se = np.sqrt(np.diag(np.linalg.inv(_ridged(sums.missed_curvature))))
    return prior, estimate.missingness_of(guess.missed, se, float(sums.missed / sums.active))


def _moments(total: Array, squares: Array, count: float) -> tuple[Array, Array]:
    """Mean and covariance from sums."""
    mean = total / count
    return mean, (squares - count * np.outer(mean, mean)) / max(count - 1, 1)


def _ridged(curvature: Array) -> Array:
    return curvature + 1e-6 * np.eye(len(curvature))


@dataclass(frozen=True)
class Likelihoods:
    """Log likelihood of every noise of the grid: (drifts, degrees, scales)."""

    grid: Array

    @classmethod
    def of(cls, days: Days, rules: Rules) -> Self:
        """What some people add to it."""
        grid = np.zeros((len(noise.DRIFTS), len(noise.INVERSE_DEGREES), len(noise.SCALES)))
        for d, drift in enumerate(noise.DRIFTS):
            drifting = replace(rules.noise, drift=drift, clip_sds=noise.CLIP_SDS)
            seen = noise.innovations(days, replace(rules, noise=drifting))
            for i, inverse in enumerate(noise.INVERSE_DEGREES):
                for s, scale in enumerate(noise.SCALES):
                    grid[d, i, s] = noise.log_likelihood(seen, inverse, scale)
        return cls(grid)

    def __add__(self, other: Self) -> Self:
        return type(self)(self.grid + other.grid)

    def likeliest(self) -> Noise:
        """The noise under which the answers were least surprising."""
        drift, inverse, scale = np.unravel_index(int(np.argmax(self.grid)), self.grid.shape)
        degrees = round(1 / noise.INVERSE_DEGREES[inverse], 4)
        heavy = degrees < noise.HEAVY_TAILED_DEGREES
        return Noise(
            degrees=degrees,
            scale=noise.SCALES[scale],
            drift=noise.DRIFTS[drift],
            clip_sds=noise.HEAVY_TAILED_CLIP_SDS if heavy else noise.CLIP_SDS,
        )


@dataclass(frozen=True)
class Held:
    """How rules fare on some people: days on which a crossing could come, and crossings were the limit moved by each of
    SHIFTS (S,)."""

    watched_days: float
    crossings: Array

    @classmethod
    def of(cls, days: Days, rules: Rules) -> Self:
        """Folds them once under `rules`."""
        evidence = gather(days, rules)
        found = [
            float(crossings(evidence, replace(rules, limit=rules.limit + shift))[0].sum()) for shift in SHIFTS.tolist()
        ]
        return cls(float((evidence.own_day >= FIRST_ALERT_DAY).sum()), np.array(found))

    def __add__(self, other: Self) -> Self:
        return type(self)(self.watched_days + other.watched_days, self.crossings + other.crossings)

    def shift(self, budget_days: float) -> float:
        """By how much the limit would move, within SHIFTS, to give these people one crossing per `budget_days`."""
        days = self.watched_days / np.maximum(self.crossings, 0.5)
        return float(np.interp(np.log(budget_days), np.log(np.maximum.accumulate(days)), SHIFTS))
