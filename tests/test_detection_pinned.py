"""The numbers of one small cohort, pinned: whoever changes a constant of the detector does so on purpose.

They are no goal: those are the figures of `make bench-detection`. After a change that is wanted, `python -m
tests.test_detection_pinned` gives the new ones.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

from service.detection import State, Trends, better_of, fold, shipped_rules
from service.detection.synthetic import Cohort, Worsening, cohort

SEED, PEOPLE = 20261127, 60
RULES = shipped_rules(60)
PINNED = {
    "trend baseline": 126936.13,
    "trend sd": 35129.175,
    "trend level": 129682.52,
    "trend band_low": 80408.549,
    "trend band_high": 173569.07,
    "trend statistic": 12434.909,
    "trend limit": 30167.213,
    "trend raised": 1343.016,
    "days crossing": 205,
    "days resting": 1428,
    "days waning": 463,
    "days learning": 1260,
    "status 0": 2629,
    "status 1": 280,
    "status 2": 2264,
    "status 3": 1006,
    "status 4": 2821,
    "half of the benefit lost, days": 2349.1521,
    "and its interval": 2453.0826,
    "better": 1400.0901,
    "explained onset_days": 986,
    "explained onset_days_low": 254,
    "explained onset_days_high": 2039,
    "explained raised": 28.949333,
    "explained again": 55,
    "explained change": 385.48067,
    "explained se": 830.01435,
    "explained share": 543.80742,
    "explained baseline": 2858.2956,
    "explained mean_since_onset": 3271.8611,
}


def folded() -> tuple[Cohort, Trends]:
    """People of whom half worsen, some of them in a spike."""
    people = cohort(SEED, PEOPLE, worsening=Worsening("spike", 3.5))
    return people, fold(State.fresh(PEOPLE, RULES), people.days, RULES)[1]


def numbers() -> dict[str, float]:
    """Sums over all people and days of everything that is shown, told or stored."""
    _, trends = folded()
    better = better_of(trends, RULES)
    points = ("baseline", "sd", "level", "band_low", "band_high", "statistic", "limit", "raised")
    told = {f"trend {name}": float(np.nansum(getattr(trends, name))) for name in points}
    told |= {
        f"days {name}": float(getattr(trends, name).sum()) for name in ("crossing", "resting", "waning", "learning")
    }
    told |= {f"status {code}": float((trends.status == code).sum()) for code in range(5)}
    told["half of the benefit lost, days"] = float(np.nansum(trends.half_lost_days[trends.waning]))
    told["and its interval"] = float(np.nansum((trends.half_lost_high_days - trends.half_lost_low_days)[trends.waning]))
    told["better"] = float(np.nansum(np.maximum(better.statistic, 0)))
    explained = list(trends.explanations.values())
    for name in ("onset_days", "onset_days_low", "onset_days_high", "raised", "again"):
        told[f"explained {name}"] = float(sum(getattr(each, name) for each in explained))
    for name in ("change", "se", "share", "baseline", "mean_since_onset"):
        told[f"explained {name}"] = float(sum(getattr(item, name) or 0.0 for each in explained for item in each.items))
    return told


def test_the_numbers_of_the_detector_are_what_they_were() -> None:
    assert numbers() == pytest.approx(PINNED, rel=1e-4)


if __name__ == "__main__":
    sys.stdout.writelines(f'    "{name}": {number:.8g},\n' for name, number in numbers().items())
