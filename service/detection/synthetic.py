"""Made-up clients with known truth: for the calibration of limits, for tests and for the benchmark.

Parameters: missing about 15-30 % in clusters (Jones et al. 2019 find 70 % of prompts answered in dependence);
craving falls after ketamine and comes back within days to weeks (Dakwar et al. 2017, 2019); day-to-day correlation of
daily self-report 0.2-0.6 (Schat et al. 2021; Smit & Snippe 2023); two to three infusions a week, then boosters.
Nobody here exists.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from service.detection.estimate import BASELINE_WIDENING
from service.detection.filter import design_of
from service.detection.population import ITEM_COUNT, SCALE_TOP, Array, Flags, Rules
from service.detection.series import Days

INDUCTION_DAYS = (0, 2, 5, 7, 9, 12)
BOOSTER_GAP_DAYS = (21, 35)
EARLIEST_ONSET_DAY, LATEST_ONSET_DAY = 45, 99
RAMP_DAYS = 14
SPIKE_DAYS = 3.0
SPIKE_PLATEAU = 0.15
MISSING_CORRECTION = 0.25


@dataclass(frozen=True)
class Population:
    """From whom clients are drawn; points on the 0-10 scale, worse is higher, items craving, mood, anxiety."""

    means: tuple[float, ...] = (3.9, 3.95, 3.85)
    mean_sds: tuple[float, ...] = (1.5, 1.0, 1.0)
    mean_correlation: float = 0.5
    log_sd: float = 0.2
    log_sd_sd: float = 0.27
    log_sd_item_sd: float = 0.1
    # craving-mood, craving-anxiety, mood-anxiety; rounding to whole numbers leaves 0.40, 0.40, 0.50
    noise_correlation: tuple[float, ...] = (0.45, 0.45, 0.55)
    phi: tuple[float, float] = (0.2, 0.6)
    weekday: float = 0.26
    weekday_sd: float = 0.3
    infusion_points: float = 1.4
    infusion_sd: float = 0.7
    infusion_by_item: tuple[float, ...] = (1.0, 0.8, 0.65)
    half_life_days: float = 4.0
    half_life_log_sd: float = 0.4
    booster_share: float = 0.6
    infused: bool = True
    missing: tuple[float, float] = (0.15, 0.30)
    missing_after_missed: float = 1.0
    missing_per_craving_sd: float = 0.3
    noise_degrees: float | None = None  # None: normal; else t with so many degrees, same sd
    asked: tuple[bool, ...] = (True, True, True)


@dataclass(frozen=True)
class Worsening:
    """A change at a random day: `size` sd of the person's noise, times `by_item`, in the course of `shape`."""

    shape: str
    size: float
    by_item: tuple[float, ...] = (1.0, 0.7, 0.6)


WORSENINGS = (
    Worsening("step", 1.0),
    Worsening("step", 1.5),
    Worsening("step", 2.5),
    Worsening("ramp", 2.5),
    Worsening("spike", 3.5),
)

# Populations on which the shipped rules must hold their budget without a refit.
SHIFTED = {
    "no infusion effect, few gaps": Population(infusion_points=0.0, infusion_sd=0.0, missing=(0.02, 0.08)),
    "no infusions": Population(infused=False),
    "sds x 0.6": Population(log_sd=0.2 + float(np.log(0.6))),
    "sds x 1.3": Population(log_sd=0.2 + float(np.log(1.3))),
    "means 0-1": Population(means=(0.5, 0.5, 0.5), mean_sds=(0.3, 0.3, 0.3)),
    "t5 noise": Population(noise_degrees=5.0),
    "30-50 % gaps": Population(missing=(0.30, 0.50)),
}


@dataclass(frozen=True, eq=False)
class Cohort:
    """Clients with their truth: (N,) or (N, 3) per person, `onset` the first changed day (-1: none), `shift` the
    change put in (N, T, 3), `usual` everything but the noise and the change (N, T, 3); worse is higher."""

    days: Days
    onset: npt.NDArray[np.int64]
    shift: Array
    usual: Array
    sd: Array
    phi: Array
    correlation: Array


def course(shape: str, age_days: Array) -> Array:
    """Share of the change that is present `age_days` after the onset; nothing before it."""
    after = age_days >= 0
    if shape == "step":
        return after.astype(np.float64)
    if shape == "ramp":
        return np.clip((age_days + 1) / RAMP_DAYS, 0.0, 1.0)
    faded = np.exp(-np.maximum(age_days, 0) / SPIKE_DAYS)
    return np.where(after, SPIKE_PLATEAU + (1 - SPIKE_PLATEAU) * faded, 0.0)


def cohort(
    seed: int,
    clients: int,
    *,
    population: Population | None = None,
    worsening: Worsening | None = None,
    length_days: int = 150,
) -> Cohort:
    """Draws `clients` people over `length_days` from `population`; stable throughout without a `worsening`."""
    drawn_from = population or Population()
    rng = np.random.Generator(np.random.PCG64(seed))
    infusion, since, half_life = _infusions(rng, clients, length_days, drawn_from)
    weekend = (np.arange(length_days) + rng.integers(0, 7, (clients, 1))) % 7 >= 5
    mean, sd, phi, weekday = _people(rng, clients, drawn_from)
    relief = np.maximum(drawn_from.infusion_points + drawn_from.infusion_sd * rng.standard_normal(clients), 0.0)
    left = np.where(since >= 1, 0.5 ** ((since - 1) / half_life[:, None]), 0.0)
    usual = mean[:, None, :] + weekday[:, None, :] * (weekend - 2 / 7)[:, :, None]
    usual -= (relief[:, None] * left)[:, :, None] * np.array(drawn_from.infusion_by_item)
    onset = rng.integers(EARLIEST_ONSET_DAY, LATEST_ONSET_DAY + 1, clients)
    shift = np.zeros((clients, length_days, ITEM_COUNT))
    if worsening is None:
        onset = np.full(clients, -1)
    else:
        size = worsening.size * np.array(worsening.by_item) * sd
        shift = (
            course(worsening.shape, np.arange(length_days, dtype=np.float64) - onset[:, None])[:, :, None]
            * size[:, None, :]
        )
    noise = _noise(rng, clients, length_days, drawn_from, phi) * sd[:, None, :]
    craving = (noise[:, :, 0] + shift[:, :, 0]) / sd[:, :1]
    missed = _missed(rng, craving, drawn_from)
    scores = np.clip(np.round(usual + noise + shift), 0.0, SCALE_TOP)
    scores[:, :, 1] = SCALE_TOP - scores[:, :, 1]
    scores[missed] = np.nan
    scores[:, :, ~np.array(drawn_from.asked)] = np.nan
    days = Days.of(scores, infusion=infusion, weekend=weekend)
    return Cohort(days, onset, shift, usual, sd, phi, _noise_correlation(drawn_from))


def drawn_like(history: Days, rules: Rules, seed: int, clients: int) -> Days:
    """Stable people as `rules` describe them, each on the days (calendar, infusions, gaps) of somebody in `history`."""
    rng = np.random.Generator(np.random.PCG64(seed))
    like = history.part(rng.integers(0, len(history.scores), clients))
    prior, noise = rules.prior, rules.noise
    cov = np.array(prior.cov)
    cov[:ITEM_COUNT, :ITEM_COUNT] /= BASELINE_WIDENING
    effects = _normal(rng, prior.mean, cov, clients).reshape(clients, 3, ITEM_COUNT)
    sd = np.exp(_normal(rng, prior.log_sd, np.array(prior.log_sd_cov), clients))
    phi = np.clip(prior.phi + np.sqrt(prior.phi_var) * rng.standard_normal(clients), 0.0, 0.85)
    length = history.active.shape[1]
    fresh = rng.standard_normal((clients, length, ITEM_COUNT)) @ np.linalg.cholesky(np.array(prior.correlation)).T
    fresh *= np.sqrt(noise.scale * noise.degrees / rng.chisquare(noise.degrees, (clients, length, 1)))
    drift = np.sqrt(noise.drift) * rng.standard_normal((clients, length, ITEM_COUNT)).cumsum(axis=1)
    since = np.full(clients, -1)
    worse = (_correlated(fresh, phi) + drift) * sd[:, None, :]
    for day in range(length):
        since = np.where(since >= 0, since + 1, since)
        worse[:, day] += (design_of(since, like.weekend[:, day])[:, :3, None] * effects).sum(axis=1)
        since = np.where(like.infusion[:, day], 0, since)
    scores = np.clip(np.round(worse), 0.0, SCALE_TOP)
    scores[:, :, 1] = SCALE_TOP - scores[:, :, 1]
    scores[np.isnan(like.scores)] = np.nan
    return replace(like, scores=scores, new_usual=like.new_usual & False, confirmed=like.confirmed & False)


def _normal(rng: np.random.Generator, mean: tuple[float, ...], cov: Array, clients: int) -> Array:
    """Draws (clients, k); a covariance that rounding or a kept part has left not quite one is taken as the nearest."""
    values, vectors = np.linalg.eigh(cov)
    drawn: Array = (
        np.array(mean) + rng.standard_normal((clients, len(mean))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
    )
    return drawn


def zeros(clients: int, length_days: int = 150) -> Days:
    """People who answer 0 to everything (mood 10), always."""
    scores = np.zeros((clients, length_days, ITEM_COUNT))
    scores[:, :, 1] = SCALE_TOP
    return Days.of(scores)


def only(worsening: Worsening, *, craving: bool) -> Worsening:
    """The same worsening in craving alone, or in mood and anxiety alone."""
    first, mood, anxiety = worsening.by_item
    return replace(worsening, by_item=(first, 0.0, 0.0) if craving else (0.0, mood, anxiety))


def _people(rng: np.random.Generator, n: int, population: Population) -> tuple[Array, Array, Array, Array]:
    shared = np.sqrt(population.mean_correlation) * rng.standard_normal((n, 1))
    own = np.sqrt(1 - population.mean_correlation) * rng.standard_normal((n, ITEM_COUNT))
    mean = np.array(population.means) + np.array(population.mean_sds) * (shared + own)
    log_sd = population.log_sd + population.log_sd_sd * rng.standard_normal((n, 1))
    log_sd = log_sd + population.log_sd_item_sd * rng.standard_normal((n, ITEM_COUNT))
    phi = rng.uniform(*population.phi, n)
    weekday = population.weekday + population.weekday_sd * rng.standard_normal((n, 1))
    weekday = weekday + 0.08 * rng.standard_normal((n, ITEM_COUNT))
    return np.clip(mean, 0.0, SCALE_TOP - 1), np.exp(log_sd), phi, weekday


def _infusions(
    rng: np.random.Generator, n: int, length_days: int, population: Population
) -> tuple[Flags, Array, Array]:
    """Infusion days (N, T), days since the last one before today (N, T; 0 = none), half-life (N,)."""
    infusion = np.zeros((n, length_days), dtype=np.bool_)
    infusion[:, [day for day in INDUCTION_DAYS if day < length_days]] = population.infused
    boosted = (rng.random(n) < population.booster_share) & population.infused
    at = np.full(n, INDUCTION_DAYS[-1])
    while (at < length_days).any():
        at = at + rng.integers(BOOSTER_GAP_DAYS[0], BOOSTER_GAP_DAYS[1] + 1, n)
        due = np.flatnonzero(boosted & (at < length_days))
        infusion[due, at[due]] = True
    since = np.zeros((n, length_days))
    for day in range(1, length_days):
        since[:, day] = np.where(infusion[:, day - 1], 1, np.where(since[:, day - 1] > 0, since[:, day - 1] + 1, 0))
    half_life = population.half_life_days * np.exp(population.half_life_log_sd * rng.standard_normal(n))
    return infusion, since, half_life


def _noise_correlation(population: Population) -> Array:
    between = np.eye(ITEM_COUNT)
    for (i, j), value in zip(((0, 1), (0, 2), (1, 2)), population.noise_correlation, strict=True):
        between[i, j] = between[j, i] = value
    return between


def _noise(rng: np.random.Generator, n: int, length_days: int, population: Population, phi: Array) -> Array:
    """AR(1) noise of unit stationary sd (N, T, 3)."""
    fresh = rng.standard_normal((n, length_days, ITEM_COUNT)) @ np.linalg.cholesky(_noise_correlation(population)).T
    degrees = population.noise_degrees
    if degrees is not None:
        fresh *= np.sqrt((degrees - 2) / rng.chisquare(degrees, (n, length_days, 1)))
    return _correlated(fresh, phi)


def _correlated(fresh: Array, phi: Array) -> Array:
    """AR(1) from independent days (N, T, k), with their stationary sd."""
    noise = np.empty_like(fresh)
    noise[:, 0] = fresh[:, 0]
    keep, stir = phi[:, None], np.sqrt(1 - phi**2)[:, None]
    for day in range(1, fresh.shape[1]):
        noise[:, day] = keep * noise[:, day - 1] + stir * fresh[:, day]
    return noise


def _missed(rng: np.random.Generator, craving: Array, population: Population) -> Flags:
    """Missed days (N, T): clustered, and likelier when craving (N, T; sd of the person's noise) is high."""
    n, length_days = craving.shape
    share = rng.uniform(*population.missing, n)
    pull = population.missing_after_missed
    # Clusters and craving would raise a person's share of missed days above `share`; this brings it back.
    start = np.log(share / (1 - share)) - (1 + MISSING_CORRECTION) * pull * share
    start -= 0.5 * population.missing_per_craving_sd**2 * (0.5 - share)
    chance = rng.random((n, length_days))
    missed = np.zeros((n, length_days), dtype=np.bool_)
    for day in range(1, length_days):
        logit = start + pull * missed[:, day - 1] + population.missing_per_craving_sd * craving[:, day]
        missed[:, day] = chance[:, day] < 1 / (1 + np.exp(-logit))
    return missed
