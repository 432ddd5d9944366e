"""Whether rules can be what they stand for, wherever they come from: a file, a history, a deployment's own clients."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec
import numpy as np

from service.detection.population import ITEM_COUNT, SCALE_TOP, Array, Shipped

EFFECTS = 3 * ITEM_COUNT
VERSION_CHARACTERS = 100
LEAST_NUMBER = 1e-6
ROUNDING = 1e-3
# Rounding to four digits may leave an eigenvalue a little below nothing.
LEAST_EIGENVALUE = -1e-3


class NoPopulationError(ValueError):
    """There are answers, and no population can be estimated from them; it says why, and nothing of the answers."""


class ImplausibleError(NoPopulationError):
    """Rules that cannot be used: `where` among them ("$.limits"), and `why`."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


@contextmanager
def estimating() -> Iterator[None]:
    """Raises NoPopulationError where the arithmetic of an estimate has no answer, instead of a number that is none."""
    try:
        with np.errstate(invalid="raise", divide="raise"):
            yield
    except (np.linalg.LinAlgError, FloatingPointError) as error:
        raise NoPopulationError("most people hardly vary from day to day, or one item follows from another") from error


def check(made: Shipped) -> None:
    """Raises ImplausibleError where numbers have the wrong shape or cannot be what they stand for."""
    version, grid, prior = made.rules.version, made.budgets_days, made.rules.prior
    if not (version.isprintable() and 0 < len(version) <= VERSION_CHARACTERS):
        raise ImplausibleError("$.rules.version", f"must be 1 to {VERSION_CHARACTERS} printable characters")
    if not grid or list(grid) != sorted(set(grid)) or grid[0] <= 0 or len(grid) != len(made.limits):
        raise ImplausibleError("$.budgets_days", "must ascend, and have a limit each")
    if not grid[0] <= made.rules.budget_days <= grid[-1]:
        raise ImplausibleError("$.rules.budget_days", "lies outside of $.budgets_days")
    shapes = (
        ("mean", prior.mean, (EFFECTS,)),
        ("cov", prior.cov, (EFFECTS, EFFECTS)),
        ("correlation", prior.correlation, (ITEM_COUNT, ITEM_COUNT)),
        ("log_sd", prior.log_sd, (ITEM_COUNT,)),
        ("log_sd_cov", prior.log_sd_cov, (ITEM_COUNT, ITEM_COUNT)),
    )
    for name, numbers, shape in shapes:
        where = f"$.rules.prior.{name}"
        try:
            found = np.array(numbers, dtype=np.float64)
        except ValueError as error:
            raise ImplausibleError(where, f"must have the shape {shape}") from error
        if found.shape != shape:
            raise ImplausibleError(where, f"must have the shape {shape}")
        if not np.isfinite(found).all():
            raise ImplausibleError(where, "must be numbers")
        if len(shape) == 2 and not _is_covariance(found):
            raise ImplausibleError(where, "must be a covariance")
    _check_ranges(made)


def _check_ranges(made: Shipped) -> None:
    """Numbers with which the arithmetic would run over, or the result mean nothing."""
    rules, prior, noise = made.rules, made.rules.prior, made.rules.noise
    ranges: tuple[tuple[str, Sequence[float], float, float], ...] = (
        ("$.limits", made.limits, LEAST_NUMBER, 100),
        ("$.rules.limit", (rules.limit,), LEAST_NUMBER, 100),
        ("$.rules.cap_step", (rules.cap_step,), 0, 1),
        ("$.rules.prior.mean", prior.mean, -SCALE_TOP, SCALE_TOP),
        ("$.rules.prior.log_sd", prior.log_sd, -5, 3),
        ("$.rules.prior.cov", np.ravel(prior.cov).tolist(), -(SCALE_TOP**2), SCALE_TOP**2),
        ("$.rules.prior.log_sd_cov", np.ravel(prior.log_sd_cov).tolist(), -10, 10),
        ("$.rules.prior.correlation", np.ravel(prior.correlation).tolist(), -1 - ROUNDING, 1 + ROUNDING),
        ("$.rules.prior.phi", (prior.phi,), -1 + ROUNDING, 1 - ROUNDING),
        ("$.rules.prior.phi_var", (prior.phi_var,), LEAST_NUMBER, 1),
        ("$.rules.noise.degrees", (noise.degrees,), 1, 1e6),
        ("$.rules.noise.scale", (noise.scale,), LEAST_NUMBER, 100),
        ("$.rules.noise.drift", (noise.drift,), 0, 1),
        ("$.rules.noise.clip_sds", (noise.clip_sds,), LEAST_NUMBER, 100),
        ("$.rules.missingness.share", (rules.missingness.share,), LEAST_NUMBER, 1 - ROUNDING),
        ("$.rules.missingness.per_craving_sd", (rules.missingness.per_craving_sd,), -10, 10),
        ("$.rules.missingness.after_missed", (rules.missingness.after_missed,), -20, 20),
        ("$.rules.surface", msgspec.structs.astuple(rules.surface), -100, 100),
    )
    for where, numbers, least, most in ranges:
        if not all(least <= number <= most for number in numbers):
            raise ImplausibleError(where, f"must lie between {least:g} and {most:g}")
    if list(made.limits) != sorted(made.limits):
        raise ImplausibleError("$.limits", "must not descend where the budget grows")
    if abs(rules.limit - made.at(rules.budget_days).limit) > ROUNDING:
        raise ImplausibleError("$.rules.limit", "must be that of $.limits for its budget")
    if not np.allclose(np.diag(np.array(prior.correlation)), 1, atol=ROUNDING):
        raise ImplausibleError("$.rules.prior.correlation", "must have ones on its diagonal")


def _is_covariance(matrix: Array) -> bool:
    symmetric = bool(np.allclose(matrix, matrix.T, atol=1e-6))
    return symmetric and bool(np.linalg.eigvalsh(matrix).min() > LEAST_EIGENVALUE) and bool((np.diag(matrix) > 0).all())
