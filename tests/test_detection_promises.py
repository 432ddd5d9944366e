"""Small promises of the detector, each held by numbers that can be reckoned by hand."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from service.detection import Days, State, Trends, fold, hypotheses, limits, shipped_rules
from service.detection import filter as kalman
from service.detection.population import Array, Rules, load_shipped
from service.detection.waning import LEAST_BENEFIT_SDS, expectation_of, waning_of

RULES = shipped_rules(60)


def answers(days: int, seed: int = 0, clients: int = 1) -> Array:
    """Whole numbers around 4, every day answered."""
    rng = np.random.default_rng(seed)
    return np.clip(np.round(4 + 1.3 * rng.standard_normal((clients, days, 3))), 0, 10)


def folded(days: Days, rules: Rules = RULES) -> Trends:
    return fold(State.fresh(len(days.scores), rules), days, rules)[1]


def test_where_missed_days_mean_nothing_a_missed_day_moves_no_statistic() -> None:
    speaks_not = replace(RULES, missingness=replace(RULES.missingness, per_craving_sd=0.0))
    scores = answers(40)
    scores[0, 30:32] = np.nan
    silent, usual = folded(Days.of(scores), speaks_not).statistic[0], folded(Days.of(scores)).statistic[0]
    # Only today's onset is new, and with it the mean of one more ratio of 1.
    state = fold(State.fresh(1, speaks_not), Days.of(scores[:, :30]), speaks_not)[0]
    before = state.rows["log_ratio"].copy()
    after = fold(state, Days.of(scores[:, 30:31]), speaks_not)[0].rows["log_ratio"]
    there = np.isfinite(before) & np.isfinite(after)
    there[:, :, 30 % 28] = False
    np.testing.assert_allclose(after[there], before[there], atol=1e-6)
    assert silent[30] != usual[30]


def test_days_of_different_lengths_are_refused() -> None:
    days = Days.of(answers(10))
    other = Days(days.scores, days.active, days.paused, days.infusion[:, :9], *[days.weekend] * 3)
    with pytest.raises(ValueError, match=r"^every array of days must have the shape \(clients, days\)$"):
        other.check()


def test_the_shapes_of_a_worsening_are_what_they_are_called() -> None:
    ages = np.array([0.0, 6.0, 13.0, 27.0])
    np.testing.assert_allclose(hypotheses.course("step", ages), [1, 1, 1, 1])
    np.testing.assert_allclose(hypotheses.course("ramp", ages), [1 / 14, 0.5, 1, 1])
    np.testing.assert_allclose(hypotheses.course("spike", ages), 0.85 * np.exp(-ages / 3) + 0.15)


def test_the_tables_are_the_templates_as_numbers() -> None:
    tables = hypotheses._tables()
    for left, right in zip(tables, hypotheses.TABLES, strict=True):
        np.testing.assert_array_equal(left, right)
    assert sum(template.weight for template in hypotheses.TEMPLATES) == pytest.approx(1)
    for row, template in enumerate(hypotheses.TEMPLATES):
        shape = hypotheses.SHAPES.index(template.shape)
        a, b = template.craving, template.others
        linear, quadratic = np.zeros((3, 2)), np.zeros((3, 3))
        linear[shape], quadratic[:, shape] = (-2 * a, -2 * b), (a**2, 2 * a * b, b**2)
        np.testing.assert_allclose(tables.to_ratio[row], [*linear.ravel(), *quadratic.ravel()], rtol=1e-6)
        np.testing.assert_allclose(tables.sizes[row], [a, b, b])
        np.testing.assert_allclose(tables.craving[row], a * tables.courses[shape], rtol=1e-6)
        assert tables.weights[row] == template.weight
    np.testing.assert_array_equal(tables.patterns, [[1, 0], [0, 1], [0, 1]])
    narrow = (tables.courses, tables.patterns, tables.to_ratio, tables.craving, tables.sizes)
    assert {part.dtype for part in narrow} == {np.dtype(np.float32)}, "what meets the ratios is no wider than they are"


def test_the_limit_between_two_budgets_lies_between_theirs_in_the_days_logarithm() -> None:
    shipped = load_shipped()
    for budget, limit in zip(shipped.budgets_days, shipped.limits, strict=True):
        assert shipped.at(budget).limit == round(limit, 6)
    left, right = shipped.budgets_days[:2]
    between = shipped.at(float(np.sqrt(left * right)))
    assert between.limit == pytest.approx(sum(shipped.limits[:2]) / 2, abs=1e-6)
    assert between.budget_days == pytest.approx(np.sqrt(left * right))
    for outside in (shipped.budgets_days[0] - 0.1, shipped.budgets_days[-1] + 0.1):
        with pytest.raises(ValueError, match="budget_days must lie in 20-365"):
            shipped.at(outside)


def test_the_new_usual_opens_the_baseline_by_half_of_the_person_s_own_variance() -> None:
    """What the level has moved is the baseline's now, and baseline and residual still add up to what was answered."""
    known = kalman.constants(RULES)
    scores = answers(60, clients=2)
    scores[:, 50:] = np.clip(scores[:, 50:] + 3, 0, 10)
    rows = fold(State.fresh(2, RULES), Days.of(scores), RULES)[0].rows
    before, sd = rows.copy(), kalman.person_of(rows, known).sd
    kalman.relearn(rows, np.array([True, False]), known)
    np.testing.assert_array_equal(rows[1], before[1])
    own = 0.5 * known.correlation * np.outer(sd[0], sd[0])
    base, residual = slice(0, 3), slice(9, 12)
    for part, other, sign in ((base, base, 1), (residual, residual, 1), (base, residual, -1), (residual, base, -1)):
        np.testing.assert_allclose(rows["cov"][0][part, other], sign * own)
    np.testing.assert_array_equal(rows["cov"][0][base, 3:9], 0)
    np.testing.assert_array_equal(rows["cov"][0][3:9, 3:9], before["cov"][0][3:9, 3:9])
    np.testing.assert_allclose(rows["mean"][0, 0], before["level"][0])
    np.testing.assert_allclose(rows["mean"][0].sum(axis=0), before["mean"][0].sum(axis=0))


def test_a_day_s_ratio_is_the_formula_s_also_where_the_noise_has_another_scale() -> None:
    """-(1/iv + d)/2 ln[(1 + (E - 2 q1 + q2) iv/a) / (1 + E iv/a)], of an onset today, of which nothing is absorbed."""
    known, scale = kalman.constants(RULES), 0.7
    rows = fold(State.fresh(1, RULES), Days.of(answers(30)), RULES)[0].rows
    person = kalman.person_of(rows, known)
    hypotheses.open_today(rows, np.array([True]), np.array([True]))
    kalman.predict(rows, person, known)
    design = kalman.design_of(rows["days_since_infusion"], np.array([False]))
    expected = kalman.summed(rows["mean"], design)
    innovation = kalman.observe(rows, expected + 2 * person.sd, expected, design, person, known)
    hypotheses.update(rows, innovation, person, scale)
    error, precision = innovation.error[0], innovation.precision[0]
    inverse = float(innovation.inverse_degrees[0])
    for row, template in enumerate(hypotheses.TEMPLATES):
        share = hypotheses.course(template.shape, np.zeros(1))[0]
        shift = share * np.array([template.craving, template.others, template.others]) * person.sd[0]
        energy, pull, own = error @ precision @ error, shift @ precision @ error, shift @ precision @ shift
        odds = (1 + (energy - 2 * pull + own) * inverse / scale) / (1 + energy * inverse / scale)
        told = rows["log_ratio"][0, row, 30 % 28]
        assert told == pytest.approx(-0.5 * (1 / inverse + 3) * np.log(odds), rel=1e-3), template


@pytest.mark.parametrize("items", [1, 2, 3])
def test_the_benefit_of_an_infusion_is_the_mean_over_the_items_that_the_person_answers(items: int) -> None:
    rows = State.fresh(1, RULES).rows
    rows["item_answers"][0, :items] = 30
    rows["days_since_infusion"], rows["since_days"] = 1, 28
    rows["answered_since_infusion"] = True
    rows["cov"] = 0.0
    sd = np.full((1, 3), 1.5)
    rows["mean"][0, 1, :items] = -sd[0, :items] * (LEAST_BENEFIT_SDS + 0.05)
    assert np.isfinite(waning_of(rows, sd, expectation_of(RULES)).half_lost_days[0])
    rows["mean"][0, 1, :items] = -sd[0, :items] * (LEAST_BENEFIT_SDS - 0.05)
    assert np.isnan(waning_of(rows, sd, expectation_of(RULES)).half_lost_days[0])


def test_a_pause_of_one_touches_nobody_beside_them() -> None:
    days = Days.of(answers(40, clients=3))
    days.active[1, 10:20] = False
    together = fold(State.fresh(3, RULES), days, RULES)[0].to_rows()
    for client in range(3):
        alone = fold(State.fresh(1, RULES), days.part(slice(client, client + 1)), RULES)[0]
        np.testing.assert_allclose(alone.rows["mean"][0], State.from_rows(together).rows["mean"][client], rtol=1e-9)
        assert alone.rows["day"][0] == State.from_rows(together).rows["day"][client] == (30 if client == 1 else 40)


def test_a_forecast_below_the_scale_is_no_further_from_the_worst_than_its_floor() -> None:
    """The share of the scale that is left below somebody ends at one and a half of their sd."""
    rows = State.fresh(1, RULES).rows
    rows["item_answers"] = 30
    person = kalman.person_of(rows, kalman.constants(RULES))
    floor = limits.FEATURES.index("floor")
    for expected, told in ((-2.0, 1.5), (0.0, 1.5), (0.5, 1.0), (1.5, 0.0), (4.0, 0.0)):
        seen = limits.features(rows, person, expected * person.sd)
        assert seen[0, floor] == pytest.approx(told)


def test_nobody_s_days_are_taken_for_one_long_day() -> None:
    """However alike the days of somebody are, a part of each is new."""
    rows = State.fresh(3, RULES).rows
    rows["lag_square"] = 1_000.0
    rows["lag_product"] = [-1_000.0, 400.0, 1_000.0]
    low, middle, high = kalman.person_of(rows, kalman.constants(RULES)).phi
    assert (low, high) == (0.0, 0.85)
    assert 0.3 < middle < 0.5


def test_a_baseline_that_may_drift_is_less_certain_by_its_drift_each_day() -> None:
    still = kalman.constants(RULES)
    drifting = still._replace(drift=0.02)
    one, other = State.fresh(1, RULES).rows, State.fresh(1, RULES).rows
    person = kalman.person_of(one, still)
    kalman.predict(one, person, still)
    kalman.predict(other, person, drifting)
    grown = other["cov"][0] - one["cov"][0]
    np.testing.assert_allclose(np.diagonal(grown)[:3], 0.02 * person.sd[0] ** 2, rtol=1e-9)
    np.testing.assert_allclose(grown - np.diag(np.diagonal(grown)), 0, atol=1e-12)
    np.testing.assert_allclose(np.diagonal(grown)[3:], 0, atol=1e-12)
