"""The rules of a back-test: those that are shipped, or those of a file that `calibrate` made."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np

from service import errors, plain_words
from service.detection import Rules
from service.detection.population import ITEM_COUNT, Shipped, load_shipped

EFFECTS = 3 * ITEM_COUNT
# Rounding to four digits may leave an eigenvalue a little below nothing.
LEAST_EIGENVALUE = -1e-3


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
    grid, prior, noise = made.budgets_days, made.rules.prior, made.rules.noise
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
        if len(shape) == 2 and not _is_covariance(found):
            raise _refused(path, where, "must be a covariance")
    if not -1 < prior.phi < 1 or prior.phi_var <= 0:
        raise _refused(path, "$.rules.prior.phi", "must lie within -1 and 1, and its variance above 0")
    if noise.degrees <= 0 or noise.scale <= 0 or noise.drift < 0 or noise.clip_sds <= 0:
        raise _refused(path, "$.rules.noise", "must be positive")
    if not 0 < made.rules.missingness.share < 1:
        raise _refused(path, "$.rules.missingness.share", "must lie between 0 and 1")


def _is_covariance(matrix: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> bool:
    symmetric = bool(np.allclose(matrix, matrix.T, atol=1e-6))
    return symmetric and bool(np.linalg.eigvalsh(matrix).min() > LEAST_EIGENVALUE) and bool((np.diag(matrix) > 0).all())
