"""The small craving chart of a caseload line: an SVG whose viewBox is the scale."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import groupby
from typing import NamedTuple

from service.desk.caseload import SPARK_DAYS, SparkDay

SCALE_TOP = 10.0
# Units of the picture a day across and a point up, so that a diamond is as wide as it is high.
ACROSS, UP = 3.0, 2.0


class Spark(NamedTuple):
    """What the template draws, in units of its viewBox; y counts down from the top of the scale."""

    width: float
    height: float
    band: list[tuple[float, float, float, float]]
    runs: list[str]
    alone: list[tuple[float, float]]
    outside: list[tuple[float, float]]
    last: tuple[float, float] | None
    words: str


def spark_of(every: Sequence[SparkDay], until: date) -> Spark:
    """The usual band, an unbroken run of answers a line, one alone a dot, the days above the band, the last answer.

    The right edge is the end of day `until`. Days that are not among them (nothing was asked) break line and band.
    """
    days = [day for day in every if (until - day.client_day).days < SPARK_DAYS]
    points = [(ACROSS * (SPARK_DAYS - (until - day.client_day).days - 0.5), day) for day in days]
    answered = [(x, _y(day.value), day) for x, day in points if day.value is not None]
    outside = [(x, y) for x, y, day in answered if day.high is not None and y < _y(day.high)]
    last = answered[-1][:2] if answered else None
    runs = _runs(points)
    return Spark(
        width=ACROSS * SPARK_DAYS,
        height=UP * SCALE_TOP,
        band=_band(points),
        runs=[" ".join(f"{x:g},{y:g}" for x, y in run) for run in runs if len(run) > 1],
        alone=[run[0] for run in runs if len(run) == 1],
        outside=outside,
        last=last,
        words=_words(days, len(outside)),
    )


def _y(value: float) -> float:
    return UP * (SCALE_TOP - min(max(value, 0.0), SCALE_TOP))


def _band(points: Sequence[tuple[float, SparkDay]]) -> list[tuple[float, float, float, float]]:
    """One rectangle for each stretch of days with the same band: x, y, width, height."""
    stretches: list[tuple[float, float, float, float]] = []
    numbered = enumerate(points)
    for (low, high, _), stretch in groupby(numbered, key=lambda each: (each[1][1].low, each[1][1].high, _start(*each))):
        if low is not None and high is not None:
            xs = [x for _, (x, _) in stretch]
            stretches.append((xs[0] - ACROSS / 2, _y(high), xs[-1] - xs[0] + ACROSS, _y(low) - _y(high)))
    return stretches


def _start(number: int, point: tuple[float, SparkDay]) -> float:
    """The same for all points of one stretch without a missing day."""
    return point[0] - ACROSS * number


def _runs(points: Sequence[tuple[float, SparkDay]]) -> list[list[tuple[float, float]]]:
    """Answers on days that follow one another."""
    runs: list[list[tuple[float, float]]] = [[]]
    for number, (x, day) in enumerate(points):
        if day.value is None or (number and x - points[number - 1][0] > ACROSS):
            runs.append([])
        if day.value is not None:
            runs[-1].append((x, _y(day.value)))
    return [run for run in runs if run]


def _words(days: Sequence[SparkDay], outside: int) -> str:
    answered = sum(day.value is not None for day in days)
    return f"Craving, {len(days)} days: {answered} answered, {outside} above the usual band"
