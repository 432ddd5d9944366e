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
from service.detection.population import Missingness, Noise, Prior
from service.detection.sums import SHIFTS, Answered, Guess, Held, Likelihoods, next_guess, population_of, sums_of
from service.detection.synthetic import Population, cohort, drawn_like

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
    drawn_from = Population(means=(5.0, 3.0, 5.0), log_sd=0.5, phi=(0.0, 0.5), missing=(0.3, 0.4))
    days = cohort(2, 250, population=drawn_from).days
    prior, missingness = fitted(in_groups(days, 120))
    together = fit_prior(days)
    near = {"mean": 0.02, "cov": 0.1, "correlation": 0.002, "log_sd": 0.003, "log_sd_cov": 0.001}
    for name, tolerance in (near | {"phi": 0.001, "phi_var": 0.0003}).items():
        np.testing.assert_allclose(getattr(prior, name), getattr(together, name), atol=tolerance, err_msg=name)
    assert np.linalg.eigvalsh(np.array(prior.cov)).min() > 0
    of_all = fit_missingness(days, together)
    assert missingness.share == pytest.approx(of_all.share, abs=0.005)
    assert missingness.after_missed == pytest.approx(of_all.after_missed, abs=0.01)
    assert missingness.per_craving_sd == pytest.approx(of_all.per_craving_sd, abs=0.01)


def test_what_nobody_was_asked_is_kept() -> None:
    days = cohort(3, 60, population=Population(asked=(False, True, True))).days
    assert Answered.of(days).told() == ((1, 2), True)
    days.infusion[1:] = False
    assert Answered.of(days).told().infused, "one person's infusions"
    assert not Answered.of(days.part(slice(1, None))).told().infused
    days = cohort(3, 60, population=Population(asked=(False, True, True))).days
    prior, _ = fitted([days])
    assert prior.mean[0] == KNOWN.prior.mean[0]
    assert prior.mean[1] != KNOWN.prior.mean[1]


def test_people_with_few_answers_add_nothing() -> None:
    days = cohort(4, 40, length_days=60).days
    few = cohort(5, 10, length_days=60).days
    few.scores[:, 10:] = np.nan
    assert fitted([days, few]) == fitted([days])


DRIFTING = Noise(degrees=5.0, scale=0.6, drift=0.02, clip_sds=2.5)


@pytest.mark.parametrize(("noise", "clip_sds"), [(DRIFTING, 2.5), (KNOWN.noise, 5.0)])
def test_the_noise_is_the_likeliest_of_all_together(noise: Noise, clip_sds: float) -> None:
    days = drawn_like(cohort(6, 30, length_days=60).days, replace(KNOWN, noise=noise), 8, 60)
    parts = [Likelihoods.of(each, KNOWN) for each in in_groups(days, 25)]
    likeliest = (parts[0] + parts[1]).likeliest()
    assert likeliest == fit_noise(days, KNOWN)
    assert likeliest.clip_sds == clip_sds
    assert (likeliest.drift > 0) == (noise.drift > 0)


def test_how_rules_fare_is_counted_for_each_limit_that_is_tried() -> None:
    days = cohort(7, 60, length_days=90).days
    held = Held.of(days.part(slice(0, 20)), KNOWN) + Held.of(days.part(slice(20, 60)), KNOWN)
    assert held.watched_days == 60 * (90 - 21)
    for shift, crossed in zip(SHIFTS[::10], held.crossings[::10], strict=True):
        rules = replace(KNOWN, limit=KNOWN.limit + shift)
        assert crossed == fold(State.fresh(60, rules), days, rules)[1].crossing.sum()


def test_a_limit_is_moved_to_where_the_budget_held_and_no_further_than_was_tried() -> None:
    """A crossing in 60 days at the limit as it is, and by each tenth of a limit as many fewer as the law has it."""
    held = Held(6_000.0, 100 * np.exp(-SHIFTS))
    for budget_days, moved in ((60, 0), (60 * np.exp(0.3), 0.3), (60 * np.exp(-0.3), -0.3), (20, -0.5), (365, 0.5)):
        assert held.shift(budget_days) == pytest.approx(moved)
    # Where nobody crossed, half a crossing is taken to have come; the limit moves as far as it may.
    assert Held(40.0, np.zeros(len(SHIFTS))).shift(60) == -0.5
    assert Held(20.0, np.zeros(len(SHIFTS))).shift(60) == 0.5
    # A higher limit under which more crossed, by a chance of the rests, is no worse than the lower one.
    uneven = np.where(np.arange(len(SHIFTS)) == 10, 400.0, 100 * np.exp(-SHIFTS))
    assert Held(6_000.0, uneven).shift(60 * np.exp(0.2)) == pytest.approx(0.2)


@pytest.mark.slow
def test_a_limit_that_is_off_is_moved_back_within_bounds() -> None:
    days = cohort(8, 150).days
    exact = replace(KNOWN, limit=find_limit(KNOWN, days))
    for off, moved in ((0.3, -0.3), (-0.3, 0.3), (2.0, -0.5)):
        held = Held.of(days, replace(exact, limit=exact.limit + off))
        assert held.shift(60) == pytest.approx(moved, abs=0.08)
