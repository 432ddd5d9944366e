"""The surface of limits: which way of answering brings how many false alerts more, told from crossings made for it."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import asdict, replace

from service.detection import shipped_rules
from service.detection.calibrate import (
    CAP_STEPS,
    FIRST_LIMIT,
    KEPT_SHARES,
    _capped,
    _log_hazard,
    _surface_step,
    find_limit,
    fit_surface,
)
from service.detection.limits import FEATURES
from service.detection.population import Array, Rules, Surface
from service.detection.replay import Evidence, above_twice, alert_days, crossings
from service.detection.state import AGES

FLAT = replace(
    shipped_rules(60),
    surface=Surface(**dict.fromkeys(FEATURES, 0.0)),
    limit=FIRST_LIMIT,
    cap_step=0.0,
    budget_days=20.0,
)
PEOPLE, DAYS = 250, 200
SHARE = 0.8


def evidence(*, of_odd_noise: float) -> Evidence:
    """Everybody's statistic passes any height with the chance exp(-height) a day, that of half of them, whose feature
    `log_sd` says so, by `of_odd_noise` more; the feature `relief` says nothing."""
    rng = np.random.default_rng(1)
    seen = np.zeros((PEOPLE, DAYS, len(FEATURES)), dtype=np.float32)
    seen[::2, :, FEATURES.index("log_sd")] = 1.0
    seen[:, :, FEATURES.index("relief")] = rng.random((PEOPLE, DAYS)) < SHARE
    statistic = rng.exponential(1.0, (PEOPLE, DAYS)) + of_odd_noise * seen[:, :, FEATURES.index("log_sd")]
    by_age = np.zeros((PEOPLE, DAYS, AGES), dtype=np.float32)
    by_age[:, :, 0] = np.exp(statistic)
    own_day = np.broadcast_to(np.arange(DAYS), (PEOPLE, DAYS))
    return Evidence(by_age, seen, own_day, np.ones((PEOPLE, DAYS), dtype=np.bool_))


def stepped(rules: Rules, drawn: list[Evidence], *moving: str, steps: int = 12) -> Rules:
    for _ in range(steps):
        rules = _surface_step(rules, drawn, moving, lambda _: None)
    return rules


def test_a_limit_is_where_such_people_give_one_false_alert_in_the_budget() -> None:
    stable = evidence(of_odd_noise=0.0)
    for budget_days in (30.0, 60.0):
        rules = replace(FLAT, budget_days=budget_days)
        found = find_limit(rules, stable)
        crossing, _ = crossings(stable, replace(rules, limit=found))
        assert alert_days(stable, crossing) == pytest.approx(budget_days, rel=0.01)
        # Of the days on which a chart does not rest one in so many crosses.
        assert found == pytest.approx(np.log(budget_days - 7), abs=0.06)


def test_a_limit_that_nobody_crosses_comes_down_until_somebody_does() -> None:
    stable = evidence(of_odd_noise=0.0)
    assert alert_days(stable, crossings(stable, replace(FLAT, limit=50.0))[0]) == np.inf
    found = find_limit(replace(FLAT, limit=9.0), stable)
    assert alert_days(stable, crossings(stable, replace(FLAT, limit=found))[0]) == pytest.approx(20, rel=0.01)


def test_above_twice_the_budget_are_those_with_more_than_two_crossings_in_its_days() -> None:
    """Whoever could be watched on one day counts; whoever could on none does not."""
    watched, crossed = (0, 1, 1, 60, 60, 120), (0, 0, 1, 2, 3, 5)
    own_day = np.full((len(watched), 21 + 120), -1)
    crossing = np.zeros(own_day.shape, dtype=np.bool_)
    for person, (days, found) in enumerate(zip(watched, crossed, strict=True)):
        own_day[person, : 21 + days] = np.arange(21 + days)
        crossing[person, 21 : 21 + found] = True
    seen = evidence(of_odd_noise=0.0)._replace(own_day=own_day)
    assert above_twice(seen, crossing, 60) == 3 / 5
    assert alert_days(seen, crossing) == sum(watched) / sum(crossed)
    assert above_twice(seen._replace(own_day=own_day[:1]), crossing[:1], 60) == 0


def capped(own: Evidence) -> tuple[Rules, list[str]]:
    heard: list[str] = []
    return _capped(FLAT, own, heard.append), heard


def test_a_cap_s_step_is_the_least_that_is_fair_to_people_of_odd_noise() -> None:
    for odd, step in ((0.0, CAP_STEPS[0]), (4.9, CAP_STEPS[1])):
        own = evidence(of_odd_noise=odd)
        rules, heard = capped(own)
        crossing, _ = crossings(own, rules)
        assert rules.cap_step == step
        assert alert_days(own, crossing) == pytest.approx(20, rel=0.01)
        share = above_twice(own, crossing, 20)
        assert share <= 0.1
        assert heard[-1] == f"cap step {step:g}: {share:.1%} of people above twice the budget"
        assert len(heard) == CAP_STEPS.index(step) + 1


def test_where_no_step_is_fair_enough_it_is_the_fairest() -> None:
    own = evidence(of_odd_noise=8.0)
    rules, heard = capped(own)
    tried, shares = FLAT, []
    for step in CAP_STEPS:
        tried = replace(tried, cap_step=step)
        tried = replace(tried, limit=find_limit(tried, own))
        shares.append(above_twice(own, crossings(own, tried)[0], 20))
    assert len(heard) == len(CAP_STEPS)
    assert min(shares) > 0.1
    assert rules.cap_step == CAP_STEPS[int(np.argmin(shares))]


def test_people_whose_statistic_is_higher_have_a_limit_higher_by_as_much() -> None:
    flat = replace(FLAT, budget_days=30.0)
    fitted = stepped(flat, [evidence(of_odd_noise=0.7)], "log_sd", "relief")
    assert fitted.surface.log_sd == pytest.approx(0.7, abs=0.1)
    assert fitted.surface.relief == pytest.approx(0, abs=0.15)
    assert fitted.limit == pytest.approx(np.log(30), abs=0.15)
    assert replace(fitted, surface=flat.surface, limit=flat.limit) == flat


def test_only_the_terms_that_are_named_are_moved_and_all_people_are_asked() -> None:
    alike, unlike = evidence(of_odd_noise=0.0), evidence(of_odd_noise=0.7)
    fitted = stepped(FLAT, [alike, unlike], "log_sd")
    assert 0.2 < fitted.surface.log_sd < 0.5, "between those of whom it is so and those of whom it is not"
    assert {name for name, term in asdict(fitted.surface).items() if term} == {"log_sd"}


def test_a_step_goes_most_of_the_way_and_says_where_to() -> None:
    heard: list[str] = []
    drawn = [evidence(of_odd_noise=0.7)]
    once = _surface_step(FLAT, drawn, ("log_sd",), heard.append)
    whole = stepped(FLAT, drawn, "log_sd").surface.log_sd
    assert once.surface.log_sd == pytest.approx(0.6 * whole, abs=0.06)
    assert heard == [f"surface: {{'log_sd': {once.surface.log_sd}}}"]
    assert (once.limit, once.surface.log_sd) == (round(once.limit, 4), round(once.surface.log_sd, 4))


def test_of_what_the_floor_and_missed_days_say_a_part_is_kept_and_the_cap_as_it_was() -> None:
    assert KEPT_SHARES.keys() < set(FEATURES)
    assert all(0 < share < 1 for share in KEPT_SHARES.values())
    heard: list[str] = []
    rules = replace(FLAT, surface=Surface(**{name: 0.1 * (i + 1) for i, name in enumerate(FEATURES)}), cap_step=0.3)
    kept = fit_surface(rules, 1, clients=2, rounds=0, tell=heard.append)
    for i, name in enumerate(FEATURES):
        share = KEPT_SHARES.get(name, 1.0)
        assert getattr(kept.surface, name) == pytest.approx(share * 0.1 * (i + 1)), name
    assert replace(kept, surface=rules.surface) == rules
    assert heard == ["people of other populations folded"]


def test_a_surface_is_fitted_as_if_crossings_raised_nobody_s_limit() -> None:
    one, other = (fit_surface(replace(FLAT, cap_step=step), 1, clients=4, rounds=1) for step in (0.0, 3.0))
    assert one.surface == other.surface != FLAT.surface
    assert one.limit == other.limit


def hazards(beta: Array, rows: int = 20_000) -> tuple[Array, Array]:
    """Features, and what happened at a rate of exp(beta[0] + features @ beta[1:])."""
    rng = np.random.default_rng(2)
    seen = rng.normal(0, 1, (rows, len(beta) - 1))
    return seen, (rng.random(rows) < np.exp(beta[0] + seen @ beta[1:])).astype(np.float64)


def test_a_hazard_is_told_from_what_happened_at_it() -> None:
    made = np.array([-3.0, 0.5, -0.3, 0.0])
    seen, crossed = hazards(made)
    told = _log_hazard(seen, crossed)
    np.testing.assert_allclose(told, made, atol=0.1)
    # As often as it happened, and each slope a little short of what is likeliest: a ridge of 2 but for the intercept.
    design = np.concatenate([np.ones((len(seen), 1)), seen], axis=1)
    missed = design.T @ (crossed - np.exp(design @ told))
    np.testing.assert_allclose(missed, np.array([0, 2, 2, 2]) * told, atol=1e-6)
    assert np.isfinite(_log_hazard(seen, np.zeros(len(seen)))).all(), "also where nothing happened"
