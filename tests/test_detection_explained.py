"""What is said of a crossing, and clients who are asked less."""

from __future__ import annotations

import numpy as np
import pytest

from service.detection import Days, State, Trends, fold, shipped_rules
from service.detection.population import Array
from service.detection.synthetic import WORSENINGS, Population, cohort

RULES = shipped_rules(60)


def folded(days: Days) -> Trends:
    return fold(State.fresh(len(days.scores), RULES), days, RULES)[1]


def stepped(points: tuple[float, float, float], since: int = 60, seed: int = 8) -> Array:
    """Noise of sd 1 around 4 (mood 6), moved by `points` (stored orientation) from a day on."""
    rng = np.random.default_rng(seed)
    scores = np.array([4.0, 6.0, 4.0]) + rng.standard_normal((1, since + 20, 3))
    scores[:, since:] += points
    return np.clip(np.round(scores), 0, 10)


def test_an_injected_step_is_explained_by_its_day_items_and_size() -> None:
    trends = folded(Days.of(stepped((2.5, 0.0, 0.0))))
    day = int(trends.crossing[0].argmax())
    assert 60 <= day <= 66
    told = trends.explain(0, day)
    assert told.onset_days_low <= day - 60 <= told.onset_days_high
    craving, mood, anxiety = told.items
    assert [item.item for item in told.items] == ["craving", "mood", "anxiety"]
    assert craving.share > 0.9
    assert mood.share < craving.share
    assert craving.change == pytest.approx(2.5, abs=2 * craving.se)
    assert craving.change > 1
    assert craving.baseline == pytest.approx(4, abs=0.6)
    assert mood.baseline == pytest.approx(6, abs=0.6)
    assert abs(mood.change) < 1
    assert told.statistic > told.limit
    assert told.answered_of_last_7 == 7
    assert anxiety.sd == pytest.approx(1.05, abs=0.3)


def test_falling_mood_is_worsening_with_a_negative_change() -> None:
    trends = folded(Days.of(stepped((0.0, -3.0, 2.5))))
    told = trends.explain(0, int(trends.crossing[0].argmax()))
    _, mood, anxiety = told.items
    assert mood.change < -1
    assert anxiety.change > 1


def test_answered_of_the_last_seven_counts_answers_only() -> None:
    scores = stepped((3.0, -3.0, 3.0))
    scores[0, 57:60] = np.nan
    trends = folded(Days.of(scores))
    day = int(trends.crossing[0].argmax())
    assert trends.explain(0, day).answered_of_last_7 == 7 - sum(day - 6 <= missed <= day for missed in (57, 58, 59))


def test_no_explanation_without_a_crossing() -> None:
    with pytest.raises(KeyError):
        folded(Days.of(stepped((0.0, 0.0, 0.0)))).explain(0, 30)


@pytest.mark.parametrize("absent", [(0,), (1,), (2,), (0, 1), (1, 2)])
def test_a_client_who_is_never_asked_an_item_is_still_charted(absent: tuple[int, ...]) -> None:
    scores = stepped((3.0, -3.0, 3.0))
    scores[:, :, list(absent)] = np.nan
    trends = folded(Days.of(scores))
    asked = [item for item in range(3) if item not in absent]
    assert trends.crossing[0, 60:68].any()
    assert np.isnan(trends.baseline[:, :, list(absent)]).all()
    assert np.isfinite(trends.baseline[:, 5:, asked]).all()
    told = trends.explain(0, int(trends.crossing[0].argmax()))
    assert len(told.items) == len(asked)
    assert trends.partly.all()


def test_an_absent_item_is_not_imputed() -> None:
    """What the answered items say is the same, whatever would have been answered to the absent one."""
    high, low = stepped((0.0, 0.0, 0.0)), stepped((0.0, 0.0, 0.0))
    high[:, 30:40, 0] = low[:, 30:40, 0] = np.nan
    trends = [folded(Days.of(scores)) for scores in (high, low)]
    np.testing.assert_array_equal(trends[0].statistic, trends[1].statistic)
    assert trends[0].partly[0, 30:40].all()
    assert trends[0].level[0, 39, 0] == trends[0].level[0, 29, 0]


def test_partly_answered_days_still_teach_the_answered_items() -> None:
    scores = stepped((0.0, 0.0, 0.0))
    partly = scores.copy()
    partly[:, ::2, 0] = np.nan
    whole_days, partly_days = folded(Days.of(scores)), folded(Days.of(partly))
    np.testing.assert_allclose(partly_days.baseline[0, -1, 1:], whole_days.baseline[0, -1, 1:], atol=0.25)


@pytest.mark.slow
def test_most_onset_intervals_hold_the_onset() -> None:
    made = cohort(31, 400, worsening=WORSENINGS[2])
    trends = folded(made.days)
    held, told = 0, 0
    for client, onset in enumerate(made.onset):
        found = np.flatnonzero(trends.crossing[client, onset : onset + 15])
        if len(found):
            day = int(onset + found[0])
            explanation = trends.explain(client, day)
            told += 1
            held += explanation.onset_days_low <= day - onset <= explanation.onset_days_high
    assert told > 300
    assert held / told > 0.75


def test_two_items_only_are_charted_for_a_whole_cohort() -> None:
    made = cohort(32, 100, worsening=WORSENINGS[2], population=Population(asked=(False, True, True)))
    crossing = folded(made.days).crossing
    found = sum(crossing[i, onset : onset + 15].any() for i, onset in enumerate(made.onset))
    assert found > 70


@pytest.mark.parametrize(("sd", "points"), [(0.35, 2), (0.35, 6), (0.6, 4), (1.2, 2), (1.2, 6)])
def test_the_size_told_holds_what_was_done_also_to_people_of_small_spread(sd: float, points: int) -> None:
    """Four of five intervals of 80 %, or more: they are a little wide."""
    rng = np.random.default_rng(8)
    scores = np.clip(np.round(2 + rng.normal(0, sd, (80, 110, 3))), 0, 10)
    scores[:, 80:, 0] = np.clip(scores[:, 80:, 0] + points, 0, 10)
    trends = folded(Days.of(scores))
    first: dict[int, bool] = {}
    for (client, day), told in sorted(trends.explanations.items()):
        craving = told.items[0]
        if 80 <= day <= 88:
            first.setdefault(client, abs(craving.change - points) <= 1.2816 * craving.se)
    assert len(first) > 60
    assert np.mean(list(first.values())) >= 0.75


def test_what_is_told_is_what_the_numbers_say() -> None:
    scores = np.tile([0.0, 10.0, 0.0], (1, 110, 1))
    scores[0, 80:] = [8, 2, 8]
    trends = folded(Days.of(scores))
    day = max(day for _, day in trends.explanations if day < 92)
    for item, true in zip(trends.explain(0, day).items, (8, -8, 8), strict=True):
        assert item.change == pytest.approx(true, abs=0.8)
        assert item.mean_since_onset is not None
        assert item.mean_since_onset - item.baseline == pytest.approx(item.change, abs=0.8)
        assert 0 <= item.mean_since_onset <= 10


def test_what_is_told_of_a_crossing_are_the_numbers_of_its_day() -> None:
    """Where a crossing before it has raised the limit, too: all three differ."""
    trends = folded(Days.of(stepped((4.0, -3.0, 3.0))))
    for day, told in trends.explanations.items():
        numbers = (trends.statistic[day], trends.limit[day], trends.raised[day])
        assert (told.statistic, told.limit, told.raised) == numbers
    assert told.statistic > told.limit > told.raised > 0


def test_a_crossing_within_an_episode_says_that_it_does_not_know_since_when() -> None:
    trends = folded(Days.of(stepped((4.0, -3.0, 3.0))))
    assert [told.again for _, told in sorted(trends.explanations.items())][:2] == [False, True]


@pytest.mark.parametrize(
    ("usual", "chance"), [((0.0, 10.0, 0.0), 0.01), ((0.0, 10.0, 0.0), 0.05), ((5.0, 5.0, 5.0), 0.03)]
)
def test_whoever_always_says_the_same_is_no_alert_the_day_they_say_one_more(
    usual: tuple[float, float, float], chance: float
) -> None:
    rng = np.random.default_rng(11)
    scores = np.tile(usual, (100, 150, 1))
    scores[:, :, 0] += rng.random((100, 150)) < chance
    crossings = folded(Days.of(scores)).crossing[:, 21:].sum()
    assert crossings * 60 <= 0.5 * 100 * 129, "half of the budget at most"
