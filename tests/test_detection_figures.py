"""The figures that the detector is for, on people it has not seen: wide enough for the chance of 300 people a shape.

`make bench-detection` measures them on more people, with every rival; docs/detection.md says what they are.
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection import VARIANTS, delays, ratio_to, resting
from benchmarks.detection_rivals import calibrated, oracle
from benchmarks.detection_told import odd, told
from service.detection import State, fold, shipped_rules
from service.detection.population import Array, Flags
from service.detection.synthetic import Cohort, cohort

PEOPLE, SEED = 300, 4242
RULES = shipped_rules(60)


def crossings(people: Cohort) -> Flags:
    return fold(State.fresh(len(people.onset), RULES), people.days, RULES)[1].crossing


def found(alerts: Flags, people: Cohort) -> Array:
    """Delays in days of those whose chart does not rest at the onset."""
    return delays(alerts, people)[~resting(alerts, people)]


def test_a_step_of_one_and_a_half_is_found_in_days() -> None:
    people = cohort(SEED, PEOPLE, worsening=VARIANTS[1])
    waited = found(crossings(people), people)
    assert waited.mean() < 5
    assert np.mean(waited <= 7) > 0.76


@pytest.mark.slow
def test_the_detector_is_near_to_one_who_knows_everything() -> None:
    stable = cohort(SEED + 100, 1500)
    ours, best = [], []
    for place, worsening in enumerate(VARIANTS):
        people = cohort(SEED + place, 600, worsening=worsening)
        rival = oracle(worsening)
        ours.append(float(found(crossings(people), people).mean()))
        best.append(float(found(rival.chart(people)(calibrated(rival, stable, 60)), people).mean()))
    assert ratio_to(tuple(ours), tuple(best)) < 1.3
    craving_only, mood_and_anxiety = ours[-2:]
    assert craving_only < 5.7
    assert mood_and_anxiety < 6.2


def test_what_is_told_of_a_change_holds_the_truth_more_often_than_not_and_odd_people_are_days_like_any() -> None:
    said = told(cohort(SEED, 60, worsening=VARIANTS[1]), RULES)
    assert said.found > 50
    assert said.onset_held > 0.7
    assert said.change_held > 0.8
    assert said.change_told == pytest.approx(said.change_true, rel=0.3)
    kinds = list(odd(SEED, 10))
    assert len({name for name, _ in kinds}) == len(kinds)
    for _, days in kinds:
        days.check()
