"""Folding days: invariances, rules of alerting, absent items."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.detection import Days, State, StateLayoutError, Trends, fold, shipped_rules
from service.detection.fold import CHUNK
from service.detection.population import Array, Rules

RULES = shipped_rules(60)


def answers(seed: int, clients: int = 8, days: int = 60, missing: float = 0.2) -> Array:
    """Whole numbers around 4 with missed days."""
    rng = np.random.default_rng(seed)
    scores = np.clip(np.round(4 + 1.3 * rng.standard_normal((clients, days, 3))), 0, 10)
    scores[rng.random((clients, days)) < missing] = np.nan
    return scores


def folded(scores: Array, rules: Rules = RULES) -> Trends:
    return fold(State.fresh(len(scores), rules), Days.of(scores), rules)[1]


def assert_same(left: Trends, right: Trends, days: slice = slice(None)) -> None:
    for name in ("baseline", "level", "statistic", "limit", "crossing", "resting", "status"):
        np.testing.assert_allclose(getattr(left, name)[:, days], getattr(right, name)[:, days], rtol=2e-6)


def test_folding_in_pieces_through_stored_rows_changes_nothing() -> None:
    days = Days.of(answers(1))
    whole_state, whole = fold(State.fresh(8, RULES), days, RULES)
    state = State.fresh(8, RULES)
    for start in range(0, 60, 7):
        state, piece = fold(State.from_rows(state.to_rows()), days.part(slice(None), slice(start, start + 7)), RULES)
        np.testing.assert_array_equal(piece.statistic, whole.statistic[:, start : start + 7])
        np.testing.assert_array_equal(piece.status, whole.status[:, start : start + 7])
    assert state.to_rows() == whole_state.to_rows()


def test_a_day_never_depends_on_later_days() -> None:
    scores = answers(2)
    other = scores.copy()
    other[:, 40:] = 10
    assert_same(folded(scores), folded(other), slice(0, 40))


@settings(max_examples=20)
@given(data=st.data())
def test_cuts_order_and_padding_change_nothing(data: st.DataObject) -> None:
    """Any cut into pieces, any order of clients, any padding before and after, through stored rows."""
    scores = answers(data.draw(st.integers(0, 99)), clients=4, days=40)
    whole_state, whole = fold(State.fresh(4, RULES), Days.of(scores), RULES)
    order = np.array(data.draw(st.permutations(range(4))))
    before, after = data.draw(st.integers(0, 5)), data.draw(st.integers(0, 5))
    days = padded(scores[order], before, after)
    cuts = sorted(data.draw(st.sets(st.integers(1, 39), max_size=4)))
    state, statistic = State.fresh(4, RULES), []
    for start, end in itertools.pairwise([0, *cuts, 40 + before + after]):
        state, piece = fold(State.from_rows(state.to_rows()), days.part(slice(None), slice(start, end)), RULES)
        statistic.append(piece.statistic)
    joined = np.concatenate(statistic, axis=1)[:, before : before + 40]
    np.testing.assert_allclose(joined, whole.statistic[order], rtol=2e-6)
    for name in ("mean", "cov", "absorbed", "level"):
        np.testing.assert_allclose(state.rows[name], whole_state.rows[name][order], rtol=1e-5, atol=1e-6)


def padded(scores: Array, before: int, after: int) -> Days:
    """The same days with inactive ones around them, on which the phone's answers do not count."""
    around = np.pad(scores, ((0, 0), (before, after), (0, 0)), constant_values=10.0)
    days = Days.of(around)
    days.active[:, :before] = False
    days.active[:, scores.shape[1] + before :] = False
    return days


def test_a_pause_leaves_the_state_as_it_was_and_has_no_status() -> None:
    days = padded(answers(5), 0, 6)
    state, trends = fold(State.fresh(8, RULES), days, RULES)
    assert state.to_rows() == fold(State.fresh(8, RULES), Days.of(answers(5)), RULES)[0].to_rows()
    assert (trends.status[:, -6:] == -1).all()
    with pytest.raises(IndexError, match=r"^no status on an inactive day$"):
        trends.status_of(0, 65)
    for counts, narrow in (
        (trends.status, np.int8),
        (trends.silent_days, np.int32),
        (trends.days_since_infusion, np.int32),
    ):
        assert (counts[:, -6:] == -1).all()
        assert counts.dtype == narrow


def test_folding_changes_neither_the_state_nor_the_days_it_is_given() -> None:
    state, scores = State.fresh(8, RULES), answers(6)
    kept, given = state.to_rows(), scores.copy()
    fold(state, Days.of(scores), RULES)
    assert state.to_rows() == kept
    np.testing.assert_array_equal(scores, given)


def test_wrong_shapes_and_answers_outside_the_scale_are_refused() -> None:
    for outside in (-0.5, 10.5):
        scores = answers(1)
        scores[3, 7, 1] = outside
        with pytest.raises(ValueError, match=r"^answers lie between 0 and 10$"):
            folded(scores)
    whole = np.full((1, 3, 3), 4)
    assert Days.of(whole.astype(np.float64)).scores.dtype == Days.of(whole).scores.dtype == np.float64
    with pytest.raises(ValueError, match="same clients"):
        fold(State.fresh(3, RULES), Days.of(answers(1)), RULES)
    with pytest.raises(ValueError, match=r"^scores must have the shape \(clients, days, 3\)$"):
        fold(State.fresh(8, RULES), Days.of(answers(1)[:, :, :2]), RULES)


def test_clients_do_not_depend_on_one_another() -> None:
    scores = answers(3)
    order = np.random.default_rng(0).permutation(len(scores))
    together = folded(scores)
    assert_same(folded(scores[order]), together_in(together, order))


def test_it_makes_no_difference_how_many_are_folded_at_once() -> None:
    scores = answers(4, clients=CHUNK + 2, days=30)
    together = folded(scores)
    for part in (slice(0, 2), slice(CHUNK - 1, CHUNK + 2)):
        assert_same(folded(scores[part]), together_in(together, np.arange(len(scores))[part]))


def together_in(trends: Trends, order: np.ndarray) -> Trends:
    blank = Trends.blank(len(order), trends.status.shape[1])
    for name in ("baseline", "level", "statistic", "limit", "crossing", "resting", "status"):
        getattr(blank, name)[:] = getattr(trends, name)[order]
    return blank


def test_state_of_another_layout_is_refused() -> None:
    row = State.fresh(1, RULES).to_rows()[0]
    assert len(row) <= 16_384
    older = row[:4] + bytes([row[4] - 1]) + row[5:]
    for other in (row[:-1], b"PAEN" + row[4:], older):
        with pytest.raises(StateLayoutError, match="not a detector state of layout 3"):
            State.from_rows([row, other])
