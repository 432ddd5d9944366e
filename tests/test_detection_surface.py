"""The surface of limits: which way of answering brings how many false alerts more, told from crossings made for it."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import asdict, replace

from service.detection import shipped_rules
from service.detection.calibrate import FIRST_LIMIT, HALVED, _log_hazard, _surface_step, find_limit, fit_surface
from service.detection.limits import FEATURES
from service.detection.population import Array, Rules, Surface
from service.detection.replay import Evidence, alert_days, crossings
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


def test_people_whose_statistic_is_higher_have_a_limit_higher_by_as_much() -> None:
    fitted = stepped(FLAT, [evidence(of_odd_noise=0.7)], "log_sd", "relief")
    assert fitted.surface.log_sd == pytest.approx(0.7, abs=0.1)
    assert fitted.surface.relief == pytest.approx(0, abs=0.15)
    assert fitted.limit == pytest.approx(np.log(20), abs=0.1)
    assert replace(fitted, surface=FLAT.surface, limit=FLAT.limit) == FLAT


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


def test_half_of_what_the_floor_and_missed_days_say_is_kept_and_the_cap_as_it_was() -> None:
    heard: list[str] = []
    rules = replace(FLAT, surface=Surface(**{name: 0.1 * (i + 1) for i, name in enumerate(FEATURES)}), cap_step=0.3)
    kept = fit_surface(rules, 1, clients=2, rounds=0, tell=heard.append)
    for i, name in enumerate(FEATURES):
        share = 0.5 if name in HALVED else 1.0
        assert getattr(kept.surface, name) == pytest.approx(share * 0.1 * (i + 1)), name
    assert replace(kept, surface=rules.surface) == rules
    assert heard == ["people of other populations folded"]


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
