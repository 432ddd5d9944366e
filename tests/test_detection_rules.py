"""When the chart may cross, rests, restarts; statuses and episodes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from service.detection import STATUSES, Days, State, Status, Trends, fold, shipped_rules
from service.detection.population import Array, Flags, Rules
from service.detection.status import code_of
from service.detection.synthetic import WORSENINGS, cohort, zeros

RULES = shipped_rules(60)


def steady(days: int, seed: int = 0, clients: int = 1) -> Array:
    """Answers around 3 (mood 7), a little noise, every day answered."""
    rng = np.random.default_rng(seed)
    scores = np.array([3.0, 7.0, 3.0]) + rng.integers(-1, 2, (clients, days, 3))
    return np.clip(scores, 0, 10)


def worsened(scores: Array, since: int, points: float = 4.0) -> Array:
    """The same answers with everything worse from one day on."""
    worse = scores.copy()
    worse[:, since:] = np.clip(worse[:, since:] + np.array([points, -points, points]), 0, 10)
    return worse


def folded(days: Days, rules: Rules = RULES) -> Trends:
    return fold(State.fresh(len(days.scores), rules), days, rules)[1]


def flags(days: Days, *at: int) -> Flags:
    marked = np.zeros(days.active.shape, dtype=np.bool_)
    marked[:, list(at)] = True
    return marked


def test_a_clear_worsening_crosses_within_days() -> None:
    trends = folded(Days.of(worsened(steady(60), 40)))
    assert not trends.crossing[0, :40].any()
    assert trends.crossing[0, 40:44].any()


def test_improvement_never_crosses() -> None:
    better = steady(80)
    better[:, 40:] = [0, 10, 0]
    assert not folded(Days.of(better)).crossing.any()


def test_nothing_crosses_before_day_21() -> None:
    for since in range(8, 21):
        assert not folded(Days.of(worsened(steady(30), since))).crossing[0, :21].any()


def test_nothing_crosses_before_seven_own_check_ins() -> None:
    scores = np.full((1, 40, 3), np.nan)
    scores[0, 22:28] = [2, 8, 2]
    scores[0, 28] = [10, 0, 10]
    assert not folded(Days.of(scores)).crossing.any()


def test_a_crossing_on_days_14_to_20_only_restarts_the_statistic() -> None:
    trends = folded(Days.of(worsened(steady(40), 15)))
    over = trends.statistic[0, 14:21] > trends.limit[0, 14:21]
    assert over.any()
    assert not trends.crossing[0, :21].any()
    restarted = 14 + int(over.argmax())
    assert trends.statistic[0, restarted + 1] < trends.statistic[0, restarted]
    assert not trends.resting[0, 21]


def test_the_chart_rests_seven_days_after_a_crossing() -> None:
    trends = folded(cohort(3, 60, worsening=WORSENINGS[2]).days)
    found = 0
    for client, day in zip(*np.nonzero(trends.crossing), strict=True):
        rest = slice(day + 1, day + 8)
        assert trends.resting[client, rest].all()
        assert not trends.crossing[client, rest].any()
        if day + 8 < trends.resting.shape[1]:
            assert not trends.resting[client, day + 8]
        found += 1
    assert found > 30


def test_crossings_fall_on_answered_days_only() -> None:
    trends = folded(cohort(4, 60, worsening=WORSENINGS[1]).days)
    assert trends.answered[trends.crossing].all()


def test_people_who_always_answer_zero_never_cross() -> None:
    trends = folded(zeros(2, 200))
    assert not trends.crossing.any()
    assert np.isfinite(trends.statistic).all()
    assert set(trends.status[:, 25:].ravel().tolist()) <= {STATUSES.index(Status.ON_TRACK)}


def test_a_slip_of_somebody_who_always_answered_zero_is_found() -> None:
    days = zeros(1, 60)
    days.scores[0, 50:] = [4, 6, 4]
    assert folded(days).crossing[0, 50:53].any()


def test_the_cap_never_exceeds_half_the_limit_and_decays() -> None:
    noisy = np.random.default_rng(5).integers(0, 11, (20, 300, 3)).astype(np.float64)
    trends = folded(Days.of(noisy), RULES)
    assert (trends.raised <= trends.limit / 3 + 1e-4).all()
    quiet = np.concatenate([worsened(steady(60), 40), steady(200)], axis=1)
    raised = folded(Days.of(quiet)).raised[0]
    assert raised.max() > 0
    assert raised[-1] == 0


def test_a_confirmed_crossing_does_not_raise_the_limit() -> None:
    days = Days.of(worsened(steady(60), 40))
    crossed = int(folded(days).crossing[0].argmax())
    confirmed = folded(replace(days, confirmed=flags(days, crossed + 2)))
    assert confirmed.raised[0, crossed + 1] > 0
    assert confirmed.raised[0, crossed + 3] == 0


def test_not_on_track_lasts_until_the_fifth_answered_day_back_near_the_usual() -> None:
    back = worsened(steady(100), 40)
    back[:, 50:] = steady(100)[:, 50:]
    trends = folded(Days.of(back))
    crossed = int(trends.crossing[0].argmax())
    off = trends.status[0] == STATUSES.index(Status.NOT_ON_TRACK)
    assert off[crossed : 50 + 4].all()
    assert not off[65:].any()


def test_an_item_that_is_never_asked_does_not_end_an_episode() -> None:
    scores = worsened(steady(100), 40)
    scores[:, :, 0] = np.nan
    trends = folded(Days.of(scores))
    assert trends.crossing[0, 40:46].any()
    assert (trends.status[0, 46:60] == STATUSES.index(Status.NOT_ON_TRACK)).all()


def test_days_that_leave_out_what_worsened_do_not_end_an_episode() -> None:
    scores = steady(120)
    scores[:, 40:50, 0] = 9.0
    scores[:, 50:53, 0] = 0.0
    scores[:, 53:80, 0] = np.nan
    trends = folded(Days.of(scores))
    crossed = int(trends.crossing[0].argmax())
    off = trends.status[0] == STATUSES.index(Status.NOT_ON_TRACK)
    assert 40 <= crossed < 50
    assert off[crossed:80].all(), "of craving nothing was heard but three answers"
    assert not off[90:].any()


def test_silence_never_ends_an_episode() -> None:
    scores = worsened(steady(100), 40)
    scores[:, 50:] = np.nan
    trends = folded(Days.of(scores))
    assert trends.status_of(0, 99) is Status.NOT_ON_TRACK
    assert trends.silent_days[0, 99] == 50


def test_the_new_usual_ends_the_episode_and_learns_anew() -> None:
    days = Days.of(worsened(steady(120), 40))
    told = replace(days, new_usual=flags(days, 50))
    trends = folded(told)
    assert trends.status_of(0, 49) is Status.NOT_ON_TRACK
    assert trends.status_of(0, 51) is Status.LEARNING
    assert trends.baseline[0, 60, 0] == pytest.approx(7, abs=1)
    assert trends.baseline[0, 60, 1] == pytest.approx(3, abs=1)
    assert not trends.crossing[0, 51:].any()
    # A day that is watched by chance comes with any steady answers; most are plainly on track again.
    after = [trends.status_of(0, day) for day in range(60, 120)]
    assert set(after) == {Status.ON_TRACK, Status.WATCH}
    assert after.count(Status.ON_TRACK) > 0.75 * len(after)


def test_while_not_on_track_the_baseline_is_the_usual_before_the_onset() -> None:
    trends = folded(Days.of(worsened(steady(90), 40)))
    off = trends.status[0, 40:] == STATUSES.index(Status.NOT_ON_TRACK)
    held = trends.baseline[0, 40:][off]
    assert np.ptp(held, axis=0).max() == 0
    np.testing.assert_allclose(held[0], [3, 7, 3], atol=0.7)


@pytest.mark.parametrize(
    ("off_track", "silent", "statistic", "waning", "day", "check_ins", "status"),
    [
        (True, 5, 9.0, True, 5, 2, Status.NOT_ON_TRACK),
        (False, 3, 9.0, True, 5, 2, Status.NO_DATA),
        (False, 2, 2.9, False, 5, 2, Status.WATCH),
        (False, 0, 0.0, True, 50, 40, Status.WATCH),
        (False, 0, 0.0, False, 20, 18, Status.LEARNING),
        (False, 0, 0.0, False, 40, 6, Status.LEARNING),
        (False, 2, 1.6, False, 21, 7, Status.WATCH),
        (False, 2, 1.4, False, 21, 7, Status.ON_TRACK),
    ],
)
def test_the_first_status_that_applies_wins(
    off_track: bool, silent: int, statistic: float, waning: bool, day: int, check_ins: int, status: Status
) -> None:
    rows = State.fresh(1, RULES).rows
    rows["not_on_track"], rows["silent_days"], rows["day"] = off_track, silent, day
    rows["check_ins_since_restart"] = check_ins
    code = code_of(rows, np.array([statistic]), np.array([3.0]), np.array([waning]))
    assert STATUSES[int(code[0])] is status


def test_no_evidence_is_no_watch_however_low_the_limit() -> None:
    rows = State.fresh(1, RULES).rows
    rows["day"] = rows["check_ins_since_restart"] = 50
    code = code_of(rows, np.zeros(1), np.array([0.5]), np.array([False]))
    assert STATUSES[int(code[0])] is Status.ON_TRACK


def test_three_silent_days_are_no_data_and_never_on_track() -> None:
    scores = steady(60)
    scores[:, 50:] = np.nan
    trends = folded(Days.of(scores))
    assert trends.status_of(0, 51) is not Status.NO_DATA
    assert [trends.status_of(0, day) for day in (52, 59)] == [Status.NO_DATA, Status.NO_DATA]
    assert trends.level[0, 59].tolist() == trends.level[0, 49].tolist()


def test_an_infusion_is_counted_from_its_day_and_acts_from_the_next() -> None:
    days = Days.of(steady(10), infusion=flags(Days.of(steady(10)), 3))
    trends = folded(days)
    assert trends.days_since_infusion[0].tolist() == [-1, -1, -1, 0, 1, 2, 3, 4, 5, 6]
    again = folded(replace(days, infusion=flags(days, 3, 5)))
    assert again.days_since_infusion[0].tolist() == [-1, -1, -1, 0, 1, 0, 1, 2, 3, 4]
    assert again.days_after_infusion[0].tolist() == [-1, -1, -1, -1, 1, 2, 1, 2, 3, 4]


def test_what_staff_say_during_a_pause_counts_as_on_the_day_before_it() -> None:
    days = Days.of(worsened(steady(110, clients=20), 90))
    days.active[:, 100:104] = False
    days.paused[:, 100:104] = True
    days.scores[:, 100:104] = np.nan

    def state(**said: Flags) -> Array:
        none = {"new_usual": flags(days), "confirmed": flags(days)}
        told = none | said
        heard = replace(days, new_usual=told["new_usual"], confirmed=told["confirmed"])
        rows = fold(State.fresh(20, RULES), heard, RULES)[0].rows
        return np.stack([rows["raised"], rows["check_ins_since_restart"].astype(np.float64)])

    unsaid = state()
    for fact in ("new_usual", "confirmed"):
        before, during = state(**{fact: flags(days, 99)}), state(**{fact: flags(days, 101)})
        assert (before != unsaid).any(), fact
        np.testing.assert_allclose(during, before, err_msg=fact)


@pytest.mark.parametrize(
    ("infusions", "paused", "since"),
    [
        # Given the day before the pause: its days count.
        ([4], True, 4),
        ([3], True, 5),
        # Heard of within it, and from then on.
        ([3, 6], True, 2),
        # Days that are none of this person's pass for nothing; what is heard on one is heard.
        ([4], False, 1),
        ([4, 6], False, 1),
        ([], True, -1),
    ],
)
def test_the_clock_of_an_infusion_goes_on_through_a_pause(infusions: list[int], paused: bool, since: int) -> None:
    days = Days.of(steady(9, clients=2))
    days.active[0, 5:8] = False
    days.paused[0, 5:8] = paused
    days.infusion[0, infusions] = True
    trends = folded(days)
    assert trends.days_since_infusion[0, 8] == since
    assert (trends.days_since_infusion[1] == -1).all(), "nobody else's"
    alone = folded(days.part(slice(0, 1)))
    np.testing.assert_array_equal(alone.days_since_infusion[0], trends.days_since_infusion[0])


@pytest.mark.parametrize("always", [6.0, 8.0, 10.0])
def test_people_who_always_answer_the_same_bad_number_never_cross(always: float) -> None:
    scores = np.broadcast_to([always, 10 - always, always], (1, 120, 3)).copy()
    assert not folded(Days.of(scores)).crossing.any()


def test_a_long_silence_alone_is_no_worsening() -> None:
    scores = np.full((1, 300, 3), 4.0)
    scores[:, 60:200] = np.nan
    trends = folded(Days.of(scores))
    assert not trends.crossing.any()
    assert trends.status_of(0, 150) is Status.NO_DATA
