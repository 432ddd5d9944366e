"""The older charts against published run lengths."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.classic import cusum, cusum_run_length, ewma, ewma_run_length


@pytest.mark.parametrize(("shift", "published"), [(0.0, 930.89), (1.0, 10.38)])
def test_cusum_runs_as_long_as_published(shift: float, published: float) -> None:
    assert cusum_run_length(reference=0.5, limit=5.0, shift=shift) == pytest.approx(published, rel=0.001)


@pytest.mark.parametrize(("shift", "published"), [(0.0, 499.58), (1.0, 10.33)])
def test_ewma_runs_as_long_as_published(shift: float, published: float) -> None:
    assert ewma_run_length(weight=0.1, width=2.814, shift=shift) == pytest.approx(published, rel=0.001)


def first_passes(over: np.ndarray) -> np.ndarray:
    """Days until the first True in each row (1 = first day), the row's length where there is none."""
    passes: np.ndarray = np.where(over.any(axis=1), over.argmax(axis=1) + 1, over.shape[1])
    return passes


def ar1(seed: int, phi: float, runs: int, days: int) -> np.ndarray:
    """AR(1) of unit stationary sd."""
    rng = np.random.default_rng(seed)
    fresh = rng.standard_normal((runs, days))
    series = np.empty_like(fresh)
    series[:, 0] = fresh[:, 0]
    for day in range(1, days):
        series[:, day] = phi * series[:, day - 1] + np.sqrt(1 - phi**2) * fresh[:, day]
    return series


def test_simulated_charts_run_as_long_as_theory_says() -> None:
    noise = ar1(1, 0.0, 6000, 80) + 1.0
    assert first_passes(cusum(noise, reference=0.5) > 5).mean() == pytest.approx(10.38, rel=0.02)
    bound = 2.814 * np.sqrt(0.1 / 1.9)
    assert first_passes(np.abs(ewma(noise, weight=0.1)) > bound).mean() == pytest.approx(10.33, rel=0.02)


@pytest.mark.slow
@pytest.mark.parametrize(("phi", "days"), [(0.0, 931.0), (0.2, 297.0), (0.4, 140.0), (0.6, 86.0)])
def test_correlated_days_shorten_the_run_of_a_raw_cusum(phi: float, days: float) -> None:
    passes = first_passes(cusum(ar1(2, phi, 4000, 8000), reference=0.5) > 5)
    assert passes.mean() == pytest.approx(days, rel=0.05)


def test_an_unanswered_day_leaves_the_charts_as_they_were() -> None:
    values = np.array([[1.0, np.nan, 2.0]])
    assert cusum(values, reference=0.5)[0].tolist() == [0.5, 0.5, 2.0]
    assert ewma(values, weight=0.5)[0].tolist() == [0.5, 0.5, 1.25]
