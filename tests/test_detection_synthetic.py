"""Made-up people are as documented, and what is said of an infusion's waning holds on them."""

from __future__ import annotations

import numpy as np
import pytest

from service.detection import Days, State, fold, shipped_rules
from service.detection.synthetic import INDUCTION_DAYS, WORSENINGS, Population, cohort, course, only

RULES = shipped_rules(60)


def test_the_same_seed_draws_the_same_people() -> None:
    first, second = (cohort(1, 5, worsening=WORSENINGS[0]) for _ in range(2))
    np.testing.assert_array_equal(first.days.scores, second.days.scores)
    np.testing.assert_array_equal(first.onset, second.onset)


def test_answers_are_whole_numbers_from_0_to_10_and_some_days_are_missed() -> None:
    scores = cohort(2, 200).days.scores
    seen = scores[~np.isnan(scores)]
    assert set(np.unique(seen)) <= set(range(11))
    assert 0.17 < np.isnan(scores[:, 1:, 0]).mean() < 0.27


def test_missed_days_come_in_clusters_and_when_craving_is_high() -> None:
    made = cohort(3, 400)
    missed = np.isnan(made.days.scores[:, :, 0])
    assert missed[:, 2:][missed[:, 1:-1]].mean() > 1.3 * missed[:, 2:][~missed[:, 1:-1]].mean()
    worse = cohort(3, 400, worsening=WORSENINGS[2])
    after = np.arange(150) >= worse.onset[:, None]
    missed = np.isnan(worse.days.scores[:, :, 0])
    assert missed[after].mean() > 1.2 * missed[~after].mean()


def test_infusions_come_in_an_induction_and_as_boosters_for_some() -> None:
    infusion = cohort(4, 400).days.infusion
    assert infusion[:, list(INDUCTION_DAYS)].all()
    boosted = infusion[:, 13:].any(axis=1)
    assert boosted.mean() == pytest.approx(0.6, abs=0.07)
    gaps = [np.diff(np.flatnonzero(row)) for row in infusion[boosted][:, 12:]]
    assert all(21 <= gap <= 35 for gaps_of_one in gaps for gap in gaps_of_one)


def test_a_worsening_begins_on_its_day_in_the_stated_size_and_items() -> None:
    made = cohort(5, 50, worsening=WORSENINGS[1])
    for client, onset in enumerate(made.onset):
        assert 45 <= onset <= 99
        assert (made.shift[client, :onset] == 0).all()
        np.testing.assert_allclose(made.shift[client, onset], 1.5 * np.array([1.0, 0.7, 0.6]) * made.sd[client])
    alone = cohort(5, 50, worsening=only(WORSENINGS[1], craving=True))
    assert (alone.shift[:, :, 1:] == 0).all()


def test_courses_of_worsening_are_as_named() -> None:
    days = np.array([-1.0, 0.0, 6.0, 13.0, 30.0])
    assert course("step", days).tolist() == [0, 1, 1, 1, 1]
    assert course("ramp", days).tolist() == [0, 1 / 14, 0.5, 1, 1]
    np.testing.assert_allclose(course("spike", days), [0, 1, *(0.15 + 0.85 * np.exp([-2, -13 / 3, -10]))])


def test_heavy_tails_keep_the_sd() -> None:
    made = cohort(
        6, 400, population=Population(noise_degrees=5.0, missing=(0.01, 0.02), infusion_points=0, infusion_sd=0)
    )
    residual = made.days.scores[:, 60:, 2] - made.usual[:, 60:, 2]
    standard = residual / made.sd[:, None, 2]
    assert np.nanstd(standard) == pytest.approx(1, abs=0.08)


@pytest.mark.slow
def test_the_waning_interval_holds_most_half_lives() -> None:
    slow, fast = (
        cohort(7, 200, population=Population(half_life_days=days, half_life_log_sd=0.01, infusion_points=2.5))
        for days in (6.0, 2.5)
    )
    medians = []
    for made, half_life in ((slow, 6.0), (fast, 2.5)):
        trends = fold(State.fresh(200, RULES), made.days, RULES)[1]
        told = ~np.isnan(trends.half_lost_days[:, -1])
        low, high = trends.half_lost_low_days[told, -1], trends.half_lost_high_days[told, -1]
        assert ((low <= 1 + half_life) & (1 + half_life <= high)).mean() > 0.6
        medians.append(float(np.median(trends.half_lost_days[told, -1])))
    assert medians[0] > medians[1]


def test_waning_is_told_between_half_and_three_quarters_lost_and_never_without_benefit() -> None:
    made = cohort(8, 100)
    trends = fold(State.fresh(100, RULES), made.days, RULES)[1]
    days = trends.days_since_infusion[trends.waning]
    half = trends.half_lost_days[trends.waning]
    assert ((days >= half - 1e-3) & (days <= 2 * half - 1 + 1e-3)).all()
    without = Days.of(made.days.scores)
    assert not fold(State.fresh(100, RULES), without, RULES)[1].waning.any()
