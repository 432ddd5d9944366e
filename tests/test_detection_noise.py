"""What of a history was foreseen, how surprising the rest was, how days were missed: the formulas, a second time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from service.detection import Days, State, fold, limits, noise, shipped_rules
from service.detection import filter as kalman
from service.detection.estimate import logistic_sums, missed_days, missingness_of, people_of
from service.detection.noise import Innovations, forecasts, innovations, log_likelihood
from service.detection.synthetic import cohort

RULES = shipped_rules(60)


def test_a_pause_of_everybody_forecasts_nothing() -> None:
    days = Days.of(cohort(15, 3, length_days=40).days.scores)
    days.active[:, 20:25] = False
    around = Days.of(np.delete(days.scores, slice(20, 25), axis=1))
    for left, right in zip(innovations(days, RULES), innovations(around, RULES), strict=True):
        np.testing.assert_allclose(left, right)


def test_the_forecasts_of_a_history_are_those_of_a_fold() -> None:
    """Whether or not the hypotheses look on; through missed items, a pause with an infusion in it, and padding."""
    days = cohort(14, 6, length_days=60).days
    days.scores[::2, 20:24, 0] = np.nan
    days.active[1, 30:40], days.paused[1, 30:40], days.infusion[1, 33] = False, True, True
    days.active[2, :5] = days.active[3, 50:] = False
    worse = days.scores.copy()
    worse[:, :, 1] = 10 - worse[:, :, 1]
    state, known = State.fresh(6, RULES), kalman.constants(RULES)
    told = list(forecasts(worse, days, state, known))
    folded = fold(State.fresh(6, RULES), days, RULES)[0].rows
    for name in ("mean", "cov", "residual_squares", "lag_product", "lag_square", "item_answers", "item_silent_days"):
        np.testing.assert_allclose(state.rows[name], folded[name], rtol=1e-9, atol=1e-12, err_msg=name)
    for name in ("day", "check_ins", "days_since_infusion"):
        np.testing.assert_array_equal(state.rows[name], folded[name], err_msg=name)
    found = innovations(days, RULES)
    known_well = [each.seen.any(axis=1) & (each.check_ins >= limits.OWN_CHECK_INS) for each in told]
    energies = [np.einsum("ni,nij,nj->n", each.error, np.linalg.inv(each.spread), each.error) for each in told]
    picked = [energy[some] for energy, some in zip(energies, known_well, strict=True)]
    np.testing.assert_allclose(found.energy, np.concatenate(picked))
    np.testing.assert_array_equal(
        found.items, np.concatenate([e.seen[s].sum(axis=1) for e, s in zip(told, known_well, strict=True)])
    )


def test_a_history_in_which_nobody_was_there_has_no_forecast() -> None:
    days = cohort(15, 1, length_days=10).days
    days.active[:] = False
    assert [len(column) for column in innovations(days, RULES)] == [0, 0, 0, 0]


@pytest.mark.parametrize("value", [0.5, 1.0, 1.5, 2.5, 10.0, 100.5])
def test_the_logarithm_of_the_gamma_function_is_that_of_the_library(value: float) -> None:
    assert noise._log_gamma(np.array([value]))[0] == pytest.approx(math.lgamma(value), abs=2e-6)


@pytest.mark.parametrize(("degrees", "scale", "unsure"), [(5.0, 0.7, 0.0), (40.0, 1.0, 0.0), (20.0, 1.1, 0.02)])
def test_a_forecast_is_as_likely_as_the_multivariate_t_has_it(degrees: float, scale: float, unsure: float) -> None:
    """Gamma((v + d) / 2) / (Gamma(v / 2) (v pi)^(d / 2) |scale S|^(1 / 2)) (1 + e' S^-1 e / (v scale))^(-(v + d) / 2);
    not knowing the sd takes degrees away."""
    told = [(0.3, 0.5, 3), (9.0, -0.4, 1), (2.0, 0.0, 2)]
    v = 1 / (1 / degrees + unsure)
    expected = sum(
        math.lgamma((v + d) / 2)
        - math.lgamma(v / 2)
        - d / 2 * math.log(v * math.pi)
        - (log_det + d * math.log(scale)) / 2
        - (v + d) / 2 * math.log(1 + energy / (v * scale))
        for energy, log_det, d in told
    )
    energy, log_det, items = (np.array(column, dtype=np.float64) for column in zip(*told, strict=True))
    seen = Innovations(energy, log_det, items, np.full(len(told), unsure))
    assert log_likelihood(seen, 1 / degrees, scale) == pytest.approx(expected, abs=1e-5)


def test_a_day_was_missed_after_the_day_before_it_or_not_at_all() -> None:
    """The first day of somebody, and the first after a pause, have no day before them."""
    days = Days.of(np.full((2, 30, 3), 5.0))
    days.scores[0, 10:12] = days.scores[1, 20] = np.nan
    days.active[1, 22:25] = False
    design, missed = missed_days(people_of(days, (0,)), 0.4)
    assert len(design) == len(missed) == 29 + 21 + 4
    assert missed.sum() == 3
    assert design[missed == 1, 2].tolist() == [0, 1, 0], "whether the day before was missed, too"
    share = np.log([3 / 29, 2 / 27])
    np.testing.assert_allclose(design[:29, 1], share[0])
    np.testing.assert_allclose(design[29:, 1], share[1])
    assert (design[:, 0] == 1).all()


def test_what_craving_has_to_do_with_a_missed_day_fades_with_the_days_since_it_was_told() -> None:
    scores = np.full((1, 40, 3), 4.0)
    scores[0, ::2, 0] = 6.0
    days = Days.of(scores)
    days.scores[0, 20:23] = np.nan
    design, _ = missed_days(people_of(days, (0,)), 0.5)
    mean, sd = np.nanmean(days.scores[0, :, 0]), np.nanstd(days.scores[0, :, 0])
    high, low = (6 - mean) / sd, (4 - mean) / sd
    told = design[:, 3]
    np.testing.assert_allclose(told[:2], 0.5 * np.array([high, low]))
    np.testing.assert_allclose(told[18:24], [0.5 * high, 0.5 * low, *(low * 0.5 ** np.array([2, 3, 4])), 0.5 * low])


def test_a_slope_counts_by_how_sure_it_is_and_within_bounds() -> None:
    def told(slope: float, se: float, share: float = 0.3) -> tuple[float, float, float]:
        of = missingness_of(np.array([9.0, 9.0, 1.23456, slope]), np.array([9.0, 9.0, 9.0, se]), share)
        return of.per_craving_sd, of.after_missed, of.share

    assert told(0.2, 0.2) == (0.1, 1.2346, 0.3)
    assert told(0.2, 0.1) == (0.16, 1.2346, 0.3)
    assert told(0.12345, 0.0) == (0.1235, 1.2346, 0.3)
    assert [told(slope, 0.1)[0] for slope in (-0.3, 3.0)] == [0.0, 0.5]
    assert [told(0.2, 0.2, share)[2] for share in (0.0, 0.12345, 1.0)] == [0.005, 0.1235, 0.9]


def test_newton_s_steps_rest_on_gradient_and_curvature_of_the_likelihood() -> None:
    rng = np.random.default_rng(3)
    design, happened = rng.normal(0, 1, (200, 3)), (rng.random(200) < 0.3).astype(np.float64)
    slope, by = np.array([0.2, -0.4, 0.1]), 1e-5

    def likelihood(at: np.ndarray) -> float:
        logit = design @ at
        return float((happened * logit - np.logaddexp(0, logit)).sum())

    gradient, curvature = logistic_sums(design, happened, slope)
    for i, step in enumerate(np.eye(3) * by):
        assert gradient[i] == pytest.approx((likelihood(slope + step) - likelihood(slope - step)) / (2 * by), abs=1e-4)
        moved = (
            logistic_sums(design, happened, slope - step)[0] - logistic_sums(design, happened, slope + step)[0]
        ) / (2 * by)
        np.testing.assert_allclose(curvature[i], moved, atol=1e-4)
