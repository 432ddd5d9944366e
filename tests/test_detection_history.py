"""Rules fitted to a history: the population and the noise it was drawn from come back, what it cannot tell is kept."""

from __future__ import annotations

import numpy as np
import pytest
from msgspec.structs import replace

from service.detection import Days, shipped_rules
from service.detection.calibrate import Fitted, make_from
from service.detection.estimate import asked_items, fit_missingness, fit_prior
from service.detection.noise import fit_noise
from service.detection.population import Noise, Rules
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
    assert prior.phi == pytest.approx(KNOWN.prior.phi, abs=0.06)


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
    made = fitted(history)
    assert made.kept == (
        "craving (never asked)",
        "infusion effect (no infusion in the history)",
        "limit surface",
    )
    assert made.simulated_limit > 0
    assert abs(made.shipped.rules.limit - made.simulated_limit) < 1.5
