"""Rules fitted to a history: the population and the noise it was drawn from come back, what it cannot tell is kept."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from service.detection import Days, shipped_rules
from service.detection.calibrate import Fitted, find_limit, make_from
from service.detection.estimate import asked_items, fit_missingness, fit_prior
from service.detection.noise import fit_noise
from service.detection.population import Noise, Rules
from service.detection.replay import above_twice, alert_days, crossings, gather
from service.detection.synthetic import Population, cohort, drawn_like

KNOWN = shipped_rules(60)
HEAVY = Noise(degrees=5.0, scale=0.6, drift=0.01, clip_sds=2.5)


def fitted(history: Days) -> Fitted:
    return make_from(history, KNOWN, seed=3, command="calibrate --from HISTORY.csv", simulated_clients=40)


def without_infusions(days: Days) -> Days:
    return Days.of(days.scores, weekend=days.weekend)


def test_people_drawn_from_rules_give_the_rules_back() -> None:
    drawn = drawn_like(cohort(1, 50).days, KNOWN, 2, 400)
    prior = fit_prior(drawn, KNOWN.prior)
    np.testing.assert_allclose(prior.mean, KNOWN.prior.mean, atol=0.3)
    np.testing.assert_allclose(prior.log_sd, KNOWN.prior.log_sd, atol=0.08)
    np.testing.assert_allclose(prior.correlation, KNOWN.prior.correlation, atol=0.08)
    spread, known = (np.diag(np.array(each.cov))[:3] for each in (prior, KNOWN.prior))
    np.testing.assert_allclose(spread, known, rtol=0.2)
    np.testing.assert_allclose(prior.log_sd_cov, KNOWN.prior.log_sd_cov, atol=0.015)
    assert prior.phi == pytest.approx(KNOWN.prior.phi, abs=0.06)
    assert prior.phi_var == pytest.approx(KNOWN.prior.phi_var, abs=0.004)
    for part in (prior.mean, prior.log_sd, *prior.cov):
        assert [round(number, 4) for number in part] == list(part)


def test_people_of_few_days_do_not_look_less_alike_from_day_to_day() -> None:
    """A mean that is estimated from the same days takes away from their correlation; it is given back."""
    few = fit_prior(cohort(6, 400, length_days=25).days)
    assert few.phi == pytest.approx(np.mean(Population().phi), abs=0.06)


def test_an_item_never_asked_and_an_infusion_never_given_are_kept() -> None:
    days = without_infusions(cohort(4, 120, population=Population(asked=(False, True, True))).days)
    assert asked_items(days) == (1, 2)
    prior = fit_prior(days, KNOWN.prior)
    assert prior.mean[0] == KNOWN.prior.mean[0]
    assert prior.mean[3] == KNOWN.prior.mean[3]
    assert prior.log_sd[0] == KNOWN.prior.log_sd[0]
    for part in (prior.cov, prior.correlation, prior.log_sd_cov):
        assert np.linalg.eigvalsh(np.array(part)).min() > 0
    assert np.diag(np.array(prior.correlation)) == pytest.approx(1, abs=1e-3)


def test_a_history_that_cannot_tell_everything_needs_a_prior_to_keep() -> None:
    days = without_infusions(cohort(4, 20).days)
    with pytest.raises(ValueError, match="needs a prior"):
        fit_prior(days)
    with pytest.raises(ValueError, match="nobody"):
        fit_prior(days.part(slice(None), slice(0, 10)), KNOWN.prior)


def test_days_before_the_first_and_after_the_last_say_nothing() -> None:
    days = cohort(5, 80, length_days=100).days
    longer = [np.concatenate([part, part[:, :40]], axis=1) for part in (days.scores, days.infusion, days.weekend)]
    padded = Days.of(longer[0], infusion=longer[1], weekend=longer[2])
    padded.active[:, 100:] = False
    padded.infusion[:, 100:] = False
    assert fit_prior(padded) == fit_prior(days)
    prior = fit_prior(days)
    assert fit_missingness(padded, prior) == fit_missingness(days, prior)


def test_people_who_always_answer_the_same_do_not_spoil_the_fit() -> None:
    days = cohort(6, 120).days
    days.scores[:40] = np.where(np.isnan(days.scores[:40]), np.nan, np.array([0.0, 10.0, 0.0]))
    prior = fit_prior(days)
    assert np.isfinite(np.array([*prior.mean, *prior.log_sd, prior.phi])).all()
    assert np.linalg.eigvalsh(np.array(prior.cov)).min() > 0


@pytest.mark.slow
@pytest.mark.parametrize(("noise", "heavy"), [(KNOWN.noise, False), (HEAVY, True)])
def test_the_noise_is_told_from_its_forecasts(noise: Noise, heavy: bool) -> None:
    rules = replace(KNOWN, noise=noise)
    history = drawn_like(cohort(7, 30).days, rules, 8, 150)
    found = fit_noise(history, replace(KNOWN, prior=fit_prior(history, KNOWN.prior)))
    assert (found.degrees < 12) == heavy
    assert found.clip_sds == (2.5 if heavy else 5.0)
    assert (found.drift > 0) == heavy


@pytest.mark.slow
def test_rules_from_a_history_keep_its_budget_and_say_what_was_kept() -> None:
    history = drawn_like(cohort(9, 40).days, replace(KNOWN, noise=HEAVY), 10, 80)
    made = fitted(history)
    rules: Rules = made.shipped.at(60)
    assert made.people == 80
    assert made.client_days == history.active.sum()
    assert made.kept == ("limit surface",)
    assert made.false_alert_days == pytest.approx(60, rel=0.2)
    assert made.above_twice <= 0.12
    assert rules.command == "calibrate --from HISTORY.csv"
    assert rules.seed == 3


def test_a_small_history_leans_on_people_simulated_from_it() -> None:
    history = without_infusions(cohort(11, 12, population=Population(asked=(False, True, True))).days)
    heard: list[str] = []
    made = make_from(
        history, KNOWN, seed=3, command="…", budgets_days=(30.0, 60.0), simulated_clients=40, tell=heard.append
    )
    assert made.kept == (
        "craving (never asked)",
        "infusion effect (no infusion in the history)",
        "limit surface",
    )
    rules, limits = made.shipped.rules, made.shipped.limits
    assert rules.prior == fit_prior(history, KNOWN.prior)
    assert rules.missingness == fit_missingness(history, rules.prior)
    assert rules.noise == fit_noise(history, rules)
    assert rules.surface == KNOWN.surface
    assert rules.version.startswith("history-3-")
    assert (rules.seed, rules.command, rules.numpy) == (3, "…", np.__version__)
    assert (made.people, made.client_days) == (12, 12 * 150)
    # Both limits at once: its own people have given 26 false alerts in their 1,548 days, and the simulated weigh 20.
    assert limits == (made.shipped.at(30).limit, rules.limit)
    assert rules.budget_days == 60
    own, simulated = gather(history, rules), gather(drawn_like(history, rules, 3, 40), rules)
    drawn = find_limit(rules, simulated)
    assert made.simulated_limit == pytest.approx(drawn, abs=0.1)
    weight = 1_548 / 60 / (1_548 / 60 + 20)
    assert rules.limit == pytest.approx(weight * find_limit(rules, own) + (1 - weight) * drawn, abs=0.1)
    assert made.false_alert_days == alert_days(own, crossings(own, rules)[0])
    assert made.above_twice == above_twice(own, crossings(own, rules)[0], 60)
    assert heard[0] == f"population fitted: {rules.noise}"
    assert heard[-1] == f"budget 60 days: limit {rules.limit:.4f}, simulated {made.simulated_limit:.4f}"


def test_a_history_of_a_few_days_is_judged_by_people_simulated_from_it_alone() -> None:
    """Twenty days each: no false alert can have been seen."""
    history = cohort(13, 30, length_days=20).days
    made = make_from(history, KNOWN, seed=3, command="…", simulated_clients=40)
    assert made.shipped.rules.limit == made.simulated_limit
    assert (made.false_alert_days, made.above_twice) == (np.inf, 0.0)


@pytest.mark.parametrize("phi", [0.05, 0.8])
def test_the_days_of_whoever_is_drawn_are_as_alike_as_days_may_be(phi: float) -> None:
    """Day-to-day correlation lies between none and the filter's most, however wide the population's."""
    wide = replace(KNOWN, prior=replace(KNOWN.prior, phi=phi, phi_var=0.25))
    craving = drawn_like(cohort(12, 20).days, wide, 4, 60).scores[:, 20:, 0]
    off = craving - np.nanmean(craving, axis=1, keepdims=True)
    alike = np.nanmean(off[:, 1:] * off[:, :-1], axis=1) / np.nanvar(craving, axis=1)
    assert alike.min() > -0.4
    assert alike.max() < 0.97


def test_what_staff_said_of_somebody_is_not_said_of_whoever_is_drawn_like_them() -> None:
    days = cohort(12, 20).days
    days.new_usual[:, 50] = days.confirmed[:, 60] = True
    drawn = drawn_like(days, KNOWN, 4, 10)
    assert not drawn.new_usual.any()
    assert not drawn.confirmed.any()
    assert days.new_usual.any(), "and stays said of them"
