"""A population estimated from sums is that of the people together, however they are grouped."""

from __future__ import annotations

from functools import reduce
from operator import add

import numpy as np
import pytest
from msgspec.structs import replace

from service.detection import Days, State, fold, shipped_rules
from service.detection.calibrate import find_limit
from service.detection.estimate import fit_missingness, fit_prior
from service.detection.noise import fit_noise
from service.detection.population import Missingness, Prior
from service.detection.sums import SHIFTS, Answered, Guess, Held, Likelihoods, next_guess, population_of, sums_of
from service.detection.synthetic import Population, cohort

KNOWN = shipped_rules(60)


def fitted(groups: list[Days], passes: int = 10) -> tuple[Prior, Missingness]:
    told = reduce(add, [Answered.of(group) for group in groups]).told()
    guess = Guess.first(KNOWN, told)
    for _ in range(passes):
        total = reduce(add, [sums_of(group, guess, told) for group in groups])
        guess = next_guess(total, guess)
    return population_of(total, guess, told, KNOWN)


def in_groups(days: Days, *ends: int) -> list[Days]:
    return [days.part(slice(start, end)) for start, end in zip((0, *ends), (*ends, len(days.scores)), strict=True)]


def test_it_makes_no_difference_who_stands_with_whom() -> None:
    days = cohort(1, 60, length_days=80).days
    assert fitted(in_groups(days, 1, 20, 20, 45)) == fitted([days])


def test_it_is_the_population_that_all_answers_together_give() -> None:
    """People unlike the shipped ones, so that beginning from those is no help."""
    drawn_from = Population(means=(5.0, 3.0, 5.0), log_sd=0.5, phi=(0.1, 0.3), missing=(0.3, 0.4))
    days = cohort(2, 250, population=drawn_from).days
    prior, missingness = fitted(in_groups(days, 120))
    together = fit_prior(days)
    for name, tolerance in (("mean", 0.05), ("cov", 0.15), ("correlation", 0.02), ("log_sd", 0.02), ("phi", 0.02)):
        np.testing.assert_allclose(getattr(prior, name), getattr(together, name), atol=tolerance, err_msg=name)
    assert np.linalg.eigvalsh(np.array(prior.cov)).min() > 0
    of_all = fit_missingness(days, together)
    assert missingness.share == pytest.approx(of_all.share, abs=0.005)
    assert missingness.after_missed == pytest.approx(of_all.after_missed, abs=0.01)
    assert missingness.per_craving_sd == pytest.approx(of_all.per_craving_sd, abs=0.01)


def test_what_nobody_was_asked_is_kept() -> None:
    days = cohort(3, 60, population=Population(asked=(False, True, True))).days
    assert Answered.of(days).told() == ((1, 2), True)
    prior, _ = fitted([days])
    assert prior.mean[0] == KNOWN.prior.mean[0]
    assert prior.mean[1] != KNOWN.prior.mean[1]


def test_people_with_few_answers_add_nothing() -> None:
    days = cohort(4, 40, length_days=60).days
    few = cohort(5, 10, length_days=60).days
    few.scores[:, 10:] = np.nan
    assert fitted([days, few]) == fitted([days])


def test_the_noise_is_the_likeliest_of_all_together() -> None:
    days = cohort(6, 60, population=Population(noise_degrees=5.0), length_days=60).days
    parts = [Likelihoods.of(each, KNOWN) for each in in_groups(days, 25)]
    assert (parts[0] + parts[1]).likeliest() == fit_noise(days, KNOWN)


def test_how_rules_fare_is_counted_for_each_limit_that_is_tried() -> None:
    days = cohort(7, 60, length_days=90).days
    held = Held.of(days.part(slice(0, 20)), KNOWN) + Held.of(days.part(slice(20, 60)), KNOWN)
    assert held.watched_days == 60 * (90 - 21)
    for shift, crossed in zip(SHIFTS[::10], held.crossings[::10], strict=True):
        rules = replace(KNOWN, limit=KNOWN.limit + shift)
        assert crossed == fold(State.fresh(60, rules), days, rules)[1].crossing.sum()


@pytest.mark.slow
def test_a_limit_that_is_off_is_moved_back_within_bounds() -> None:
    days = cohort(8, 150).days
    exact = replace(KNOWN, limit=find_limit(KNOWN, days))
    for off, moved in ((0.3, -0.3), (-0.3, 0.3), (2.0, -0.5)):
        held = Held.of(days, replace(exact, limit=exact.limit + off))
        assert held.shift(60) == pytest.approx(moved, abs=0.08)
