"""What is usual for one person: a Kalman filter shrunk to the population.

Model, per item: y(t) = baseline + infusion * kernel(t) + weekday * w(t) + x(t), with x an AR(1) of stationary
covariance diag(sd) C diag(sd). The twelve unknowns (four effects x three items) have a normal posterior `mean`,
`cov`; there is no observation noise beside x, so an answered item fixes the sum of its four unknowns. An item without
an answer gives no row to the observation: it is marginalised exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from service.detection.population import ITEM_COUNT, Array, Counts, Flags, Rules
from service.detection.state import EFFECTS, Rows

KERNEL_DAYS = 4.0
WEEKEND_SHARE = 2 / 7
LEVEL_WEIGHT = 0.3
"""Weight of one answered day in the shown level (exponentially weighted mean, about the last five answers)."""

_RESIDUAL = ITEM_COUNT * (len(EFFECTS) - 1)
_PHI_TOP = 0.85
_LEAST_SD = 0.4
"""Of the population's. Answers are whole numbers: who always gives the same one is not known to be steadier. With less,
somebody who always says 0 is an alert the day they say 1 (`docs/detection.md`)."""


class Constants(NamedTuple):
    """A rule version's numbers as arrays."""

    correlation: Array
    mean_square_correlation: float
    log_sd: Array
    log_sd_cov: Array
    phi: float
    phi_var: float
    inverse_degrees: float
    scale: float
    drift: float
    clip_sds: float
    log_sd_var: float


class Person(NamedTuple):
    """The noise of each person today: log sd (N, 3), sd (N, 3) in points, day-to-day correlation (N,)."""

    log_sd: Array
    sd: Array
    phi: Array


class Innovation(NamedTuple):
    """What today's answers said that was not expected; zero where an item was not answered."""

    seen: Flags  # (N, 3)
    error: Array  # (N, 3), points
    precision: Array  # (N, 3, 3)
    gain: Array  # (N, 12, 3)
    design: Array  # (N, 4)
    energy: Array  # (N,)
    inverse_degrees: Array  # (N,)


def constants(rules: Rules) -> Constants:
    """The numbers of `rules` in the form the filter wants."""
    correlation = np.array(rules.prior.correlation)
    log_sd_cov = np.array(rules.prior.log_sd_cov)
    return Constants(
        correlation=correlation,
        mean_square_correlation=float(np.mean(correlation[np.triu_indices(ITEM_COUNT, 1)] ** 2)),
        log_sd=np.array(rules.prior.log_sd),
        log_sd_cov=log_sd_cov,
        phi=rules.prior.phi,
        phi_var=rules.prior.phi_var,
        inverse_degrees=1 / rules.noise.degrees,
        scale=rules.noise.scale,
        drift=rules.noise.drift,
        clip_sds=rules.noise.clip_sds,
        log_sd_var=float(np.mean(log_sd_cov)),
    )


def design_of(days_since_infusion: Counts, weekend: Flags) -> Array:
    """Weights of the four effects today (N, 4); the infusion acts from the day after and wanes with KERNEL_DAYS."""
    design = np.ones((len(weekend), len(EFFECTS)))
    since = days_since_infusion.astype(np.float64)
    design[:, 1] = np.where(since >= 1, np.exp(-(since - 1) / KERNEL_DAYS), 0.0)
    design[:, 2] = weekend - WEEKEND_SHARE
    return design


def pass_by(rows: Rows, paused: Flags, heard: Flags) -> None:
    """A day on which the state does not move (N,): the infusion's clock goes on through a pause, and is set by one that
    is `heard` of."""
    since = rows["days_since_infusion"]
    rows["days_since_infusion"] = np.where(heard, 0, since + (paused & (since >= 0)))
    rows["answered_since_infusion"] &= ~heard


def person_of(rows: Rows, known: Constants) -> Person:
    """Each person's noise, from what was seen until yesterday, shrunk to the population."""
    answers = rows["item_answers"].astype(np.float64)
    counted = np.maximum(answers, 1.0)
    least = (_LEAST_SD * np.exp(known.log_sd)) ** 2
    own = 0.5 * np.log(np.maximum(rows["residual_squares"] / counted, least)) + 0.5 / counted - known.log_sd
    own = np.where(answers > 0, own, 0.0)
    sampling = known.correlation**2 / (2 * np.maximum(counted[:, :, None], counted[:, None, :]))
    unseen = (answers == 0) * 1e6
    both = known.log_sd_cov + sampling
    diagonal = np.arange(ITEM_COUNT)
    both[:, diagonal, diagonal] += unseen
    shrunk = known.log_sd_cov @ np.linalg.solve(both, own[:, :, None])
    log_sd = known.log_sd + shrunk[:, :, 0]
    trust = 1 - known.phi**2
    phi = (known.phi / known.phi_var + rows["lag_product"] / trust) / (1 / known.phi_var + rows["lag_square"] / trust)
    return Person(log_sd, np.exp(log_sd), np.clip(phi, 0.0, _PHI_TOP))


def predict(rows: Rows, person: Person, known: Constants) -> None:
    """Moves the posterior one day on: the residual decays by phi and is stirred, the baseline may drift."""
    phi = person.phi
    rows["mean"][:, -1] *= phi[:, None]
    cov = rows["cov"]
    cov[:, _RESIDUAL:, :] *= phi[:, None, None]
    cov[:, :, _RESIDUAL:] *= phi[:, None, None]
    stirred = known.correlation * person.sd[:, :, None] * person.sd[:, None, :]
    cov[:, _RESIDUAL:, _RESIDUAL:] += (1 - phi**2)[:, None, None] * stirred
    if known.drift:
        diagonal = np.arange(ITEM_COUNT)
        cov[:, diagonal, diagonal] += known.drift * person.sd**2
    rows["absorbed"][:, _RESIDUAL:] *= phi.astype(np.float32)[:, None, None, None]


def summed(by_effect: Array, design: Array) -> Array:
    """The four effects (axis 1) added up as they act today."""
    kernel, weekday = (design[:, effect].reshape(-1, *[1] * (by_effect.ndim - 2)) for effect in (1, 2))
    total: Array = by_effect[:, 0] + by_effect[:, 3] + kernel * by_effect[:, 1] + weekday * by_effect[:, 2]
    return total


def forecast_spread(rows: Rows, seen: Flags, design: Array) -> tuple[Array, Array]:
    """Covariance of the unknowns with today's answers (N, 12, 3), and of the answers (N, 3, 3); an item that was not
    answered has unit variance and nothing to do with the others."""
    n = len(rows)
    cross = summed(rows["cov"].reshape(n, -1, len(EFFECTS), ITEM_COUNT).swapaxes(1, 2), design) * seen[:, None, :]
    spread = summed(cross.reshape(n, len(EFFECTS), ITEM_COUNT, ITEM_COUNT), design) * seen[:, :, None]
    diagonal = np.arange(ITEM_COUNT)
    spread[:, diagonal, diagonal] += ~seen
    return cross, spread


def degrees_of(rows: Rows, seen: Flags, known: Constants) -> Array:
    """One over the degrees of freedom of today's forecast (N,): the noise's, and fewer while sd is known badly."""
    counted = (rows["item_answers"] * seen).sum(axis=1) / np.maximum(seen.sum(axis=1), 1)
    inverse: Array = known.inverse_degrees + 2 / (1 / known.log_sd_var + 3.6 * counted)
    return inverse


def observe(rows: Rows, worse: Array, expected: Array, design: Array, person: Person, known: Constants) -> Innovation:
    """Learns from today's answers `worse` (N, 3; nan = not answered), where `expected` (N, 3) was forecast."""
    seen = ~np.isnan(worse)
    error = np.where(seen, worse - expected, 0.0)
    cross, spread = forecast_spread(rows, seen, design)
    diagonal = np.arange(ITEM_COUNT)
    variance = spread[:, diagonal, diagonal]
    bound = known.clip_sds * np.sqrt(variance)
    error = np.clip(error, -bound, bound)
    precision: Array = np.where(seen[:, :, None] & seen[:, None, :], np.linalg.inv(spread), 0.0)
    gain = cross @ precision
    energy = (error * (precision @ error[:, :, None])[:, :, 0]).sum(axis=1)
    inverse_degrees = degrees_of(rows, seen, known)
    _learn(rows, gain, cross, error)
    rows["residual_squares"] += np.where(seen, np.minimum(error**2 / variance, 9.0), 0.0) * person.sd**2
    rows["item_answers"] += seen
    return Innovation(seen, error, precision, gain, design, energy, inverse_degrees)


def _learn(rows: Rows, gain: Array, cross: Array, error: Array) -> None:
    n = len(rows)
    rows["mean"] += (gain @ error[:, :, None])[:, :, 0].reshape(n, len(EFFECTS), ITEM_COUNT)
    cov = rows["cov"] - gain @ cross.transpose(0, 2, 1)
    rows["cov"] = (cov + cov.transpose(0, 2, 1)) / 2


def learn_correlation(rows: Rows, yesterday: Array, both: Flags, person: Person, known: Constants) -> None:
    """Learns the day-to-day correlation from items answered today and yesterday (`both`, N x 3).

    `yesterday` is yesterday's residual (N, 3). The term in (n + 10) makes up for the mean being estimated.
    """
    items = both.sum(axis=1)
    weight = np.where(items > 0, 1 / (1 + np.maximum(items - 1, 0) * known.mean_square_correlation), 0.0)
    before = np.where(both, np.clip(yesterday / person.sd, -3, 3), 0.0)
    today = np.where(both, np.clip(rows["mean"][:, -1] / person.sd, -3, 3), 0.0)
    lost = (1 + 3 * known.phi) / (rows["check_ins"] + 10)
    rows["lag_product"] += weight * ((before * today).sum(axis=1) + items * lost)
    rows["lag_square"] += weight * (before**2).sum(axis=1)


def adjusted(rows: Rows, worse: Array, design: Array) -> Array:
    """Today's answers without the effects of infusion and weekday (N, 3; nan = not answered)."""
    mean: Array = rows["mean"]
    return worse - design[:, 1:2] * mean[:, 1] - design[:, 2:3] * mean[:, 2]


def track_level(rows: Rows, plain: Array) -> None:
    """Moves the shown level towards today's adjusted answers `plain` (N, 3; nan leaves it)."""
    level = rows["level"]
    moved = np.where(np.isnan(level), plain, level + LEVEL_WEIGHT * (plain - level))
    rows["level"] = np.where(np.isnan(plain), level, moved)


def relearn(rows: Rows, chosen: Flags, known: Constants) -> None:
    """Re-opens learning of the baseline at the present level for the `chosen` ("this is the new usual")."""
    if not chosen.any():
        return
    some = rows[chosen]
    _, sd, _ = person_of(some, known)
    jump = np.where(np.isnan(some["level"]), 0.0, some["level"] - some["mean"][:, 0])
    some["mean"][:, 0] += jump
    some["mean"][:, -1] -= jump
    variance: npt.NDArray[np.float64] = 0.5 * known.correlation * sd[:, :, None] * sd[:, None, :]
    base, rest = slice(0, ITEM_COUNT), slice(_RESIDUAL, None)
    cov = some["cov"]
    for part in (base, rest):
        cov[:, part, :] = 0.0
        cov[:, :, part] = 0.0
    cov[:, base, base] = variance
    cov[:, rest, rest] = variance
    cov[:, base, rest] = -variance
    cov[:, rest, base] = -variance
    rows[chosen] = some
