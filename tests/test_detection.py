"""Folding days: invariances, rules of alerting, absent items."""

from __future__ import annotations

import numpy as np
import pytest

from service.detection import Days, State, StateLayoutError, Trends, fold, shipped_rules
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


def test_clients_do_not_depend_on_one_another() -> None:
    scores = answers(3)
    order = np.random.default_rng(0).permutation(len(scores))
    together = folded(scores)
    assert_same(folded(scores[order]), together_in(together, order))


def together_in(trends: Trends, order: np.ndarray) -> Trends:
    blank = Trends.blank(*trends.status.shape)
    for name in ("baseline", "level", "statistic", "limit", "crossing", "resting", "status"):
        getattr(blank, name)[:] = getattr(trends, name)[order]
    return blank


def test_state_of_another_layout_is_refused() -> None:
    row = State.fresh(1, RULES).to_rows()[0]
    assert len(row) <= 16_384
    with pytest.raises(StateLayoutError):
        State.from_rows([row[:-1]])
