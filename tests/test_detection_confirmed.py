"""What a confirmation takes back: an alert holds every crossing of the episode, and all of them were the relapse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.detection import Days, State, Trends, fold, limits, shipped_rules
from service.detection.population import Array, Flags
from service.detection.state import Rows

RULES = shipped_rules(60)
STEP, DAILY = RULES.cap_step, RULES.cap_step / RULES.budget_days
LASTING = slice(60, 130)


def answers(seed: int, *worse: slice) -> Days:
    """One client, 180 days around 3 (mood 7); on the `worse` days everything is 4 points worse and louder."""
    rng = np.random.default_rng(seed)
    scores = np.array([3.0, 7.0, 3.0]) + rng.integers(-1, 2, (1, 180, 3))
    for days in worse:
        # It climbs, so that the crossings do not end when the baseline has begun to follow.
        climb = np.linspace(2.5, 6.5, scores[:, days].shape[1])[:, None]
        scores[:, days] += climb * np.array([1, -1, 1])
    return Days.of(np.clip(scores, 0, 10))


def folded(days: Days, *, confirmed: tuple[int, ...] = ()) -> Trends:
    said = np.zeros(days.active.shape, dtype=np.bool_)
    said[:, list(confirmed)] = True
    return fold(State.fresh(len(days.scores), RULES), replace(days, confirmed=said), RULES)[1]


def crossings(trends: Trends) -> list[int]:
    return [int(day) for day in np.flatnonzero(trends.crossing[0])]


def moved(rows: Rows, crossing: Flags, limit: Array) -> None:
    """A day of the cap, and of the episode that a crossing begins."""
    limits.raise_and_decay(rows, crossing, limit, RULES)
    rows["not_on_track"] |= crossing
    rows["day"] += 1


@pytest.mark.parametrize("seed", [0, 3])
def test_one_confirmation_takes_back_all_crossings_of_the_episode(seed: int) -> None:
    days = answers(seed, LASTING)
    found = [day for day in crossings(folded(days)) if day >= LASTING.start]
    assert len(found) >= 3
    said = found[2] + 1
    trends = folded(days, confirmed=(said,))
    assert trends.raised[0, said] > 2 * STEP, "what is said of a day counts from the next on"
    until = next(day for day in crossings(trends) if day > said)
    since = np.arange(said + 1, until + 1) - found[0]
    left = np.maximum(trends.raised[0, found[0]] - since * DAILY, 0)
    np.testing.assert_allclose(trends.raised[0, said + 1 : until + 1], left, atol=1e-5)


def test_crossings_of_an_episode_that_was_not_confirmed_keep_their_rise() -> None:
    days = answers(1, slice(60, 70), slice(110, 180))
    unsaid = folded(days)
    found = crossings(unsaid)
    begins = [day for day in found if not unsaid.explanations[0, day].again]
    assert len(begins) == 2
    assert len(found) - found.index(begins[1]) >= 3, "the second episode has several"
    said = found[found.index(begins[1]) + 2] + 1
    first = begins[1]
    before = unsaid.raised[0, first]
    assert before > 0
    after = folded(days, confirmed=(said,)).raised[0, said + 1]
    assert after == pytest.approx(max(before - (said + 1 - first) * DAILY, 0), abs=1e-5)


def test_a_confirmation_is_heard_once_and_of_its_client_alone() -> None:
    rows = State.fresh(2, RULES).rows
    rows["raised"], rows["raised_without"] = 1.0, 0.4
    for _ in range(2):
        limits.lower_confirmed(rows, np.array([True, False]))
        np.testing.assert_allclose(rows["raised"], [0.4, 1.0])
        np.testing.assert_allclose(rows["raised_without"], 0.4)


def test_confirming_leaves_no_less_than_was_there_before() -> None:
    """A cap that stood under its top by less than a step was raised by less."""
    rows = State.fresh(3, RULES).rows
    rows["day"] = 60
    rows["raised"] = before = np.array([0.0, 1.0, 2.0 + DAILY - STEP / 4])
    moved(rows, np.ones(3, dtype=np.bool_), np.full(3, 4.0))
    np.testing.assert_allclose(rows["raised"], [STEP - DAILY, 1.0 + STEP - DAILY, 2.0])
    limits.lower_confirmed(rows, np.ones(3, dtype=np.bool_))
    np.testing.assert_allclose(rows["raised"], np.maximum(before - DAILY, 0.0))


@given(
    raised=st.floats(0, 1.5),
    days=st.lists(st.tuples(st.booleans(), st.booleans(), st.floats(0.5, 5)), min_size=1, max_size=60),
    day=st.integers(limits.FIRST_ALERT_DAY, 100),
)
def test_confirming_all_crossings_leaves_the_cap_where_it_would_be_without_them(
    raised: float, days: list[tuple[bool, bool, float]], day: int
) -> None:
    """Whenever they are confirmed: each, some together, or all of them at last."""
    without, heard = (State.fresh(1, RULES).rows for _ in range(2))
    for rows in (without, heard):
        rows["raised"] = rows["raised_without"] = raised
        rows["day"] = day
    for crosses, said, limit in days:
        moved(without, np.array([False]), np.array([limit]))
        moved(heard, np.array([crosses]), np.array([limit]))
        if said:
            limits.lower_confirmed(heard, np.array([True]))
            assert heard["raised"] == without["raised"]
    limits.lower_confirmed(heard, np.array([True]))
    assert heard["raised"] == without["raised"]


@settings(max_examples=4, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    said=st.sets(st.integers(60, 179), max_size=4),
    cuts=st.sets(st.integers(1, 179), max_size=4),
)
def test_a_fold_in_pieces_hears_confirmations_as_a_whole_one(seed: int, said: set[int], cuts: set[int]) -> None:
    days = answers(seed, slice(60, 75), slice(100, 150))
    days.confirmed[:, sorted(said)] = True
    state, raised = State.fresh(1, RULES), []
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 180], strict=True):
        state, trends = fold(State.from_rows(state.to_rows()), days.part(slice(None), slice(start, end)), RULES)
        raised.append(trends.raised)
    whole, trends = fold(State.fresh(1, RULES), days, RULES)
    np.testing.assert_array_equal(np.concatenate(raised, axis=1), trends.raised)
    assert state.to_rows() == whole.to_rows()
