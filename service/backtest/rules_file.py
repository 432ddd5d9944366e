"""The rules of a back-test: those that are shipped, or those of a file that `calibrate` made."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np

from service import errors, plain_words
from service.detection import Rules
from service.detection.population import ITEM_COUNT, SCALE_TOP, Shipped, load_shipped

EFFECTS = 3 * ITEM_COUNT
LEAST_NUMBER = 1e-6
ROUNDING = 1e-3
# Rounding to four digits may leave an eigenvalue a little below nothing.
LEAST_EIGENVALUE = -1e-3
MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`")


def load(path: Path | None, *, budget_days: float | None) -> Rules:
    """The rules of a file (None: the shipped ones) at a budget (None: the file's own).

    Raises Invalid, in one line, for a file that is no rules file and for a budget outside of its grid.
    """
    made = load_shipped() if path is None else _read(path)
    try:
        return made.at(made.rules.budget_days if budget_days is None else budget_days)
    except ValueError as error:
        raise errors.Invalid(f"--budget-days: {error}".replace("budget_days ", "")) from error


def _read(path: Path) -> Shipped:
    try:
        made = msgspec.json.decode(path.read_bytes(), type=Shipped)
    except OSError as error:
        raise errors.Invalid(f"{path}: cannot be read ({error.strerror})") from error
    except msgspec.ValidationError as error:
        where = plain_words.place_of(error)
        missing = MISSING.match(str(error))
        where += f".{missing['name']}" if missing and where else missing["name"] if missing else ""
        raise _refused(
            path, "$" + ("." if where[:1].isidentifier() else "") + where, plain_words.why_refused(error)
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(path, "$", "not JSON") from error
    check(path, made)
    return made


def _refused(path: Path, where: str, why: str) -> errors.Invalid:
    return errors.Invalid(f"{path}: no rules file: {where}: {why}")


def check(path: Path, made: Shipped) -> None:
    """Raises Invalid where numbers have the wrong shape or cannot be what they stand for."""
    grid, prior = made.budgets_days, made.rules.prior
    if not grid or list(grid) != sorted(set(grid)) or grid[0] <= 0 or len(grid) != len(made.limits):
        raise _refused(path, "$.budgets_days", "must ascend, and have a limit each")
    if not grid[0] <= made.rules.budget_days <= grid[-1]:
        raise _refused(path, "$.rules.budget_days", "lies outside of $.budgets_days")
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
            raise _refused(path, where, f"must have the shape {shape}") from error
        if found.shape != shape:
            raise _refused(path, where, f"must have the shape {shape}")
        if not np.isfinite(found).all():
            raise _refused(path, where, "must be numbers")
        if len(shape) == 2 and not _is_covariance(found):
            raise _refused(path, where, "must be a covariance")
    _check_ranges(path, made)


def _check_ranges(path: Path, made: Shipped) -> None:
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
            raise _refused(path, where, f"must lie between {least:g} and {most:g}")
    if list(made.limits) != sorted(made.limits):
        raise _refused(path, "$.limits", "must not descend where the budget grows")
    if not np.allclose(np.diag(np.array(prior.correlation)), 1, atol=ROUNDING):
        raise _refused(path, "$.rules.prior.correlation", "must have ones on its diagonal")


def _is_covariance(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    symmetric = bool(np.allclose(matrix, matrix.T, atol=1e-6))
    return symmetric and bool(np.linalg.eigvalsh(matrix).min() > LEAST_EIGENVALUE) and bool((np.diag(matrix) > 0).all())
