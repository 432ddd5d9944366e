"""The older charts: what they say of a series, and how long they run in theory.

One-sided CUSUM (Page 1954; optimal for a known step, Moustakides 1986) and EWMA (Lucas & Saccucci 1990) on independent
normal residuals of unit sd. They are rivals in the benchmark and the yardstick of the tests.
"""

from __future__ import annotations

import math

import numpy as np

from service.detection.population import Array

NODES = 120


def cusum(standard: Array, *, reference: float) -> Array:
    """The CUSUM of standardised values (N, T), in sd; nan leaves it as it was."""
    path, level = np.empty_like(standard), np.zeros(len(standard))
    for day in range(standard.shape[1]):
        level = cusum_moved(level, standard[:, day], reference=reference)
        path[:, day] = level
    return path


def ewma(standard: Array, *, weight: float) -> Array:
    """The exponentially weighted mean of standardised values (N, T), from 0; nan leaves it as it was."""
    path, level = np.empty_like(standard), np.zeros(len(standard))
    for day in range(standard.shape[1]):
        level = ewma_moved(level, standard[:, day], weight=weight)
        path[:, day] = level
    return path


def cusum_moved(level: Array, value: Array, *, reference: float) -> Array:
    """The CUSUM after one more standardised value, in sd; nan leaves it as it was."""
    moved: Array = np.where(np.isnan(value), level, np.maximum(level + value - reference, 0.0))
    return moved


def ewma_moved(level: Array, value: Array, *, weight: float) -> Array:
    """The exponentially weighted mean after one more standardised value; nan leaves it as it was."""
    moved: Array = np.where(np.isnan(value), level, level + weight * (value - level))
    return moved


def cusum_run_length(*, reference: float, limit: float, shift: float = 0.0) -> float:
    """Mean days until a one-sided CUSUM passes `limit`, from 0, when the mean lies `shift` sd up.

    Page's integral equation L(u) = 1 + L(0) P(k - u) + int_0^h L(x) p(x + k - u) dx by Gauss-Legendre quadrature.
    """
    nodes, weights = _nodes(0.0, limit)
    starts = np.concatenate([[0.0], nodes])
    system = np.eye(len(starts))
    system[:, 0] -= [_below(reference - start - shift) for start in starts]
    system[:, 1:] -= weights * _density(nodes[None, :] + reference - starts[:, None] - shift)
    return float(np.linalg.solve(system, np.ones(len(starts)))[0])


def ewma_run_length(*, weight: float, width: float, shift: float = 0.0) -> float:
    """Mean days until a two-sided EWMA leaves +-`width` of its asymptotic sd, from 0 (Lucas & Saccucci 1990)."""
    limit = width * math.sqrt(weight / (2 - weight))
    nodes, weights = _nodes(-limit, limit)

    def kernel(starts: Array) -> Array:
        return weights / weight * _density((nodes[None, :] - (1 - weight) * starts[:, None]) / weight - shift)

    lengths = np.linalg.solve(np.eye(len(nodes)) - kernel(nodes), np.ones(len(nodes)))
    return float(1 + (kernel(np.zeros(1)) @ lengths)[0])


def _nodes(low: float, high: float) -> tuple[Array, Array]:
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    half = (high - low) / 2
    return low + half * (nodes + 1), half * weights


def _density(z: Array) -> Array:
    density: Array = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return density


def _below(z: float) -> float:
    return 0.5 * math.erfc(-z / math.sqrt(2))
