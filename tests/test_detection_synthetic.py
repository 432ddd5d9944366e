"""Made-up people are as documented, and what is said of an infusion's waning holds on them."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from service.detection import Days, State, fold, shipped_rules
from service.detection.population import Array
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
    missed = np.isnan(scores[:, :, 0]).mean(axis=0)
    assert missed[0] == 0, "everybody answers on their first day"
    assert 0.17 < missed[1:].mean() < 0.27
    assert missed[1] > 0.1


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
    shorter = cohort(4, 5, length_days=INDUCTION_DAYS[-1]).days.infusion
    np.testing.assert_array_equal(np.flatnonzero(shorter.all(axis=0)), INDUCTION_DAYS[:-1])
    boosted = infusion[:, 13:].any(axis=1)
    assert boosted.mean() == pytest.approx(0.6, abs=0.07)
    gaps = [np.diff(np.flatnonzero(row)) for row in infusion[boosted][:, 12:]]
    assert all(21 <= gap <= 35 for gaps_of_one in gaps for gap in gaps_of_one)
    assert {int(gaps_of_one[0]) for gaps_of_one in gaps} == set(range(21, 36)), "each has a rhythm of their own"


def test_an_infusion_helps_some_and_makes_nobody_worse() -> None:
    def usual(population: Population) -> Array:
        return cohort(10, 200, population=population).usual

    without, none = usual(Population(infused=False)), usual(Population(infusion_points=0.0, infusion_sd=0.0))
    np.testing.assert_array_equal(none, without)
    helped = without - usual(Population(infusion_points=0.5))
    assert (helped >= 0).all()
    most = helped.max(axis=(1, 2))
    assert 0.1 < (most == 0).mean() < 0.4
    np.testing.assert_array_equal(cohort(10, 3).onset, -1)


def test_people_are_spread_as_their_population_says() -> None:
    drawn_from = Population(infused=False, means=(4.5, 4.5, 4.5))
    made = cohort(11, 2_000, population=drawn_from, length_days=14)
    mean = made.usual[:, :7].mean(axis=1)
    np.testing.assert_allclose(mean.mean(axis=0), drawn_from.means, atol=0.1)
    np.testing.assert_allclose(mean.std(axis=0), drawn_from.mean_sds, rtol=0.06)
    np.testing.assert_allclose(np.corrcoef(mean.T)[np.triu_indices(3, 1)], drawn_from.mean_correlation, atol=0.06)
    log_sd = np.log(made.sd)
    assert log_sd.mean() == pytest.approx(drawn_from.log_sd, abs=0.02)
    assert log_sd.mean(axis=1).std() == pytest.approx(np.hypot(drawn_from.log_sd_sd, 0.1 / np.sqrt(3)), rel=0.06)
    assert (log_sd - log_sd.mean(axis=1, keepdims=True)).std() == pytest.approx(0.1 * np.sqrt(2 / 3), rel=0.06)
    assert (made.phi.min(), made.phi.max()) == pytest.approx(drawn_from.phi, abs=0.01)
    at_weekends = np.array([part[days].mean(axis=0) for part, days in zip(made.usual, made.days.weekend, strict=True)])
    weekday = at_weekends - made.usual[~made.days.weekend].reshape(2_000, -1, 3).mean(axis=1)
    assert weekday.mean() == pytest.approx(drawn_from.weekday, abs=0.03)
    assert weekday.std() == pytest.approx(np.hypot(drawn_from.weekday_sd, 0.08), rel=0.06)


def test_whoever_is_at_the_bottom_of_the_scale_stays_on_it() -> None:
    low = cohort(12, 500, population=Population(infused=False, means=(0.5, 0.5, 9.5), mean_sds=(0.3, 0.3, 2.0)))
    mean = low.usual[:, :7].mean(axis=1)
    assert mean[:, 0].mean() == pytest.approx(0.5, abs=0.05)
    assert (mean.min(), mean.max()) == pytest.approx((0, 9), abs=0.2)


def test_a_week_has_a_weekend_and_begins_on_any_of_its_days() -> None:
    weekend = cohort(9, 1_400, length_days=28).days.weekend
    assert (weekend[:, :21] == weekend[:, 7:]).all()
    assert (weekend[:, :7].sum(axis=1) == 2).all()
    sundays = (weekend[:, :7] & ~weekend[:, 1:8]).argmax(axis=1)
    np.testing.assert_allclose(np.bincount(sundays, minlength=7) / 1_400, 1 / 7, atol=0.03)


def test_a_worsening_begins_on_its_day_in_the_stated_size_and_items() -> None:
    made = cohort(5, 50, worsening=WORSENINGS[1])
    for client, onset in enumerate(made.onset):
        assert 45 <= onset <= 99
        assert (made.shift[client, :onset] == 0).all()
        np.testing.assert_allclose(made.shift[client, onset], 1.5 * np.array([1.0, 0.7, 0.6]) * made.sd[client])
    alone = cohort(5, 50, worsening=only(WORSENINGS[1], craving=True))
    assert (alone.shift[:, :, 1:] == 0).all()
    others = cohort(5, 50, worsening=only(WORSENINGS[1], craving=False))
    assert (others.shift[:, :, 0] == 0).all()
    np.testing.assert_array_equal(alone.shift + others.shift, made.shift)


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


def test_waning_is_told_between_half_and_three_quarters_lost() -> None:
    made = cohort(8, 100)
    trends = fold(State.fresh(100, RULES), made.days, RULES)[1]
    days = trends.days_since_infusion[trends.waning]
    half = trends.half_lost_days[trends.waning]
    assert ((days >= half - 1e-3) & (days <= 2 * half - 1 + 1e-3)).all()
    assert trends.waning.any(axis=1).mean() > 0.6
    without = Days.of(made.days.scores)
    assert not fold(State.fresh(100, RULES), without, RULES)[1].waning.any()


def test_waning_is_told_of_few_whom_infusions_do_not_help() -> None:
    """Under none the Bayes factor passes its threshold of 3 for at most a third of people at any one time."""
    made = cohort(9, 120, population=Population(infusion_points=0.0, infusion_sd=0.0))
    trends = fold(State.fresh(120, RULES), made.days, RULES)[1]
    assert trends.waning.any(axis=1).mean() < 0.25


def test_waning_is_told_of_nobody_who_has_not_answered_since_the_infusion() -> None:
    """Who is known from many answers falls silent at an infusion; who is not known answered once, and never again."""
    made = cohort(8, 60)
    known = made.days.scores.copy()
    infusion = made.days.infusion.copy()
    infusion[:, 100:] = False
    infusion[:, 100] = True
    known[:, 101:] = np.nan
    once = np.full_like(known, np.nan)
    once[:, 0] = made.days.scores[:, 0]
    for scores in (known, once):
        trends = fold(State.fresh(60, RULES), Days.of(scores, infusion=infusion), RULES)[1]
        assert not trends.waning[:, 101:].any()
        assert np.isnan(trends.half_lost_days[:, 101:]).all()
    known[:, 101:103] = made.days.scores[:, 101:103]
    trends = fold(State.fresh(60, RULES), Days.of(known, infusion=infusion), RULES)[1]
    assert trends.waning[:, 103:].any()


def test_a_pause_after_an_infusion_is_no_answer_since() -> None:
    made = cohort(8, 60)
    active, infusion, scores = made.days.active.copy(), made.days.infusion.copy(), made.days.scores.copy()
    infusion[:, 100:] = False
    infusion[:, 100] = True
    active[:, 101:105] = False
    scores[:, 101:] = np.nan
    days = dataclasses.replace(made.days, scores=scores, active=active, paused=~active, infusion=infusion)
    assert not fold(State.fresh(60, RULES), days, RULES)[1].waning[:, 101:].any()


def test_a_refit_is_no_evidence_of_a_benefit() -> None:
    """Somebody who has hardly answered, under a population that infusions help less than was believed at first."""
    prior = RULES.prior
    less = [each * 0.25 if 3 <= at < 6 else each for at, each in enumerate(prior.mean)]
    surer = [
        [each * (0.3 if 3 <= at < 6 and 3 <= beside < 6 else 1.0) for beside, each in enumerate(row)]
        for at, row in enumerate(prior.cov)
    ]
    refitted = msgspec.structs.replace(
        RULES, prior=msgspec.structs.replace(prior, mean=tuple(less), cov=tuple(map(tuple, surer)))
    )
    scores = np.full((1, 30, 3), np.nan)
    scores[0, [0, 21]] = (5, 5, 5)
    infusion = np.zeros((1, 30), dtype=np.bool_)
    infusion[0, 20] = True
    before, after = (Days.of(scores[:, part], infusion=infusion[:, part]) for part in (slice(0, 20), slice(20, 30)))
    state, _ = fold(State.fresh(1, RULES), before, RULES)
    assert not fold(state, after, refitted)[1].waning.any()
