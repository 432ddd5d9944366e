"""What is usual among people, and everything else a rule version fixes.

Item order everywhere: craving, mood, anxiety. Inside detection higher is worse, so mood counts as 10 - mood.
"""

from __future__ import annotations

from importlib import resources

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]

ITEMS = ("craving", "mood", "anxiety")
ITEM_COUNT = len(ITEMS)
SCALE_TOP = 10.0

Vector = tuple[float, ...]
Matrix = tuple[Vector, ...]


class Prior(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The population: means and covariances from which every person is shrunk (empirical Bayes, Efron & Morris 1975).

    `mean` and `cov` run over (baseline, infusion effect, weekday effect) x items, in points, worse is positive.
    """

    mean: Vector
    cov: Matrix
    correlation: Matrix
    log_sd: Vector
    log_sd_cov: Matrix
    phi: float
    phi_var: float


class Noise(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Multivariate-t noise (Lange, Little & Taylor 1989): degrees of freedom, scale, drift and the clip of one answer.

    `drift` is the daily variance of the baseline's random walk in units of the person's variance; `clip_sds` bounds
    what a single answer may teach.
    """

    degrees: float
    scale: float
    drift: float
    clip_sds: float


class Missingness(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How likely a day is missed: log-odds per sd of craving, pull of a missed yesterday, mean share missed."""

    per_craving_sd: float
    after_missed: float
    share: float


class Surface(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What moves the limit of one person away from the population's, so that the budget holds for odd people too.

    Coefficients of `limits.features`, fitted by Poisson regression of false alerts.
    """

    answered: float
    answered_distance: float
    log_sd: float
    small_sd: float
    floor: float
    floor_usual: float
    floor_small_sd: float
    relief: float
    one_item: float
    two_items: float


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One version of the rules: prior, noise, missingness, limit; what a fold needs beside the answers.

    `budget_days` is the number of stable client days for one false alert; `limit` is calibrated to it.
    `cap_step` is how much one crossing raises the person's limit (it decays by `cap_step / budget_days` a day).
    """

    version: str
    seed: int
    command: str
    numpy: str
    bit_generator: str
    budget_days: float
    limit: float
    cap_step: float
    prior: Prior
    noise: Noise
    missingness: Missingness
    surface: Surface


class Shipped(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The data file: one set of rules and its limits over a grid of budgets (days per false alert, ascending)."""

    budgets_days: Vector
    limits: Vector
    rules: Rules

    def at(self, budget_days: float) -> Rules:
        """The rules at one budget; raises ValueError outside the grid."""
        if not self.budgets_days[0] <= budget_days <= self.budgets_days[-1]:
            raise ValueError(f"budget_days must lie in {self.budgets_days[0]:g}-{self.budgets_days[-1]:g}")
        limit = float(np.interp(np.log(budget_days), np.log(self.budgets_days), self.limits))
        return msgspec.structs.replace(self.rules, budget_days=budget_days, limit=round(limit, 6))


def load_shipped() -> Shipped:
    """The data file beside this module, the package's only read of anything outside its arguments."""
    raw = resources.files("service.detection").joinpath("rules.json").read_bytes()
    return msgspec.json.decode(raw, type=Shipped)


def shipped_rules(budget_days: float = 60) -> Rules:
    """The shipped rules at a budget of one false alert per `budget_days` stable client days (20 to 365)."""
    return load_shipped().at(budget_days)
