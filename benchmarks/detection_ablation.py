"""What each part of the detector buys: the same figures with one part taken out and the limit found anew.

python -m benchmarks.detection_ablation [--clients N] [--seed N]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from msgspec.structs import replace
from tqdm import tqdm

from benchmarks.detection import ALL_AT_ONCE, COLUMNS, VARIANTS, above_twice, delays, ours, resting
from benchmarks.detection_rivals import false_alert_days
from service.detection import hypotheses, shipped_rules
from service.detection.calibrate import find_limit
from service.detection.limits import FEATURES
from service.detection.population import Flags, Matrix, Prior, Rules, Surface
from service.detection.synthetic import SHIFTED, Cohort, cohort

NONE = 1e-6
TOGETHER = "all items together only"


def without(rules: Rules) -> dict[str, Rules]:
    """The rules, and the rules less one part each."""
    prior = rules.prior
    flat = Surface(**dict.fromkeys(FEATURES, 0.0))
    return {
        "everything": rules,
        "no surface": replace(rules, surface=flat),
        "no cap": replace(rules, cap_step=0.0),
        "no missing-day term": replace(rules, missingness=replace(rules.missingness, per_craving_sd=0.0)),
        "no infusion effect": replace(rules, prior=_known(prior, 3)),
        "no weekday effect": replace(rules, prior=_known(prior, 6)),
        "one sd for all": replace(rules, prior=replace(prior, log_sd_cov=_scaled(prior.log_sd_cov, NONE))),
        "one correlation for all": replace(rules, prior=replace(prior, phi_var=NONE)),
        "answers clipped at 3 sd": replace(rules, noise=replace(rules.noise, clip_sds=3.0)),
        "nearly normal noise": replace(rules, noise=replace(rules.noise, degrees=200.0)),
        TOGETHER: rules,
    }


def main(arguments: list[str]) -> None:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection_ablation", description=__doc__)
    parser.add_argument("--clients", type=int, default=800)
    parser.add_argument("--seed", type=int, default=171)
    chosen = parser.parse_args(arguments)
    stable = cohort(chosen.seed, 2 * chosen.clients).days
    worse = [cohort(chosen.seed + 10 + i, chosen.clients, worsening=w) for i, w in enumerate(VARIANTS)]
    others = [cohort(chosen.seed + 30, chosen.clients // 2, population=p) for p in SHIFTED.values()]
    held_out = cohort(chosen.seed + 1, chosen.clients)
    head = ["five shapes", *COLUMNS, "> 2 x", "days/false, shifted"]
    print(f"{'':26}" + "".join(f"{title:>14}" for title in head), flush=True)
    for name, rules in tqdm(without(shipped_rules()).items(), disable=None, file=sys.stderr):
        with _templates(hypotheses.TABLES.sizes.min(axis=1) > 0 if name == TOGETHER else None):
            fitted = replace(rules, limit=find_limit(rules, stable))
            waited = [_mean_delay(people, fitted) for people in worse]
            cells = [f"{np.exp(np.log(waited[:ALL_AT_ONCE]).mean()):.2f}", *(f"{days:.2f}" for days in waited)]
            cells.append(f"{above_twice(ours(held_out, fitted), fitted.budget_days):.1%}")
            rates = [false_alert_days(ours(people, fitted)) for people in others]
            cells.append(f"{min(rates):.0f}-{max(rates):.0f}")
        print(f"{name:26}" + "".join(f"{cell:>14}" for cell in cells), flush=True)


@contextmanager
def _templates(chosen: Flags | None) -> Iterator[None]:
    """The detector with some of its templates only (all where None)."""
    tables = hypotheses.TABLES
    if chosen is not None:
        hypotheses.TABLES = tables._replace(weights=tables.weights * chosen)
    try:
        yield
    finally:
        hypotheses.TABLES = tables


def _mean_delay(people: Cohort, rules: Rules) -> float:
    alerts = ours(people, rules)
    return float(delays(alerts, people)[~resting(alerts, people)].mean())


def _known(prior: Prior, start: int) -> Prior:
    """The prior that an effect (three places from `start`) is nothing."""
    mean, cov = np.array(prior.mean), np.array(prior.cov)
    gone = slice(start, start + 3)
    mean[gone], cov[gone, :], cov[:, gone] = 0.0, 0.0, 0.0
    cov[gone, gone] = NONE * np.eye(3)
    return replace(prior, mean=tuple(mean.tolist()), cov=tuple(map(tuple, cov.tolist())))


def _scaled(matrix: Matrix, factor: float) -> Matrix:
    return tuple(tuple(value * factor for value in row) for row in matrix)


if __name__ == "__main__":
    main(sys.argv[1:])
