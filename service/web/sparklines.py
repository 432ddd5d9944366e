"""The small craving chart of a caseload line: an SVG whose viewBox is the scale itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from service.caseload import SPARK_DAYS, SparkDay

SCALE_TOP = 10.0


class Spark(NamedTuple):
    """What the template draws, in days across and points up (y counts down from the top of the scale)."""

    width: int
    band: list[tuple[float, float, float, float]]
    runs: list[str]
    outside: list[tuple[float, float]]
    last: tuple[float, float] | None
    words: str


def spark_of(days: Sequence[SparkDay]) -> Spark:
    """The usual band, an unbroken run of answers a line, the days above the band, the last answer."""
    shift = SPARK_DAYS - len(days)
    points = [(shift + at + 0.5, day) for at, day in enumerate(days)]
    band = [
        (x - 0.5, SCALE_TOP - min(day.high, SCALE_TOP), 1.02, min(day.high, SCALE_TOP) - max(day.low, 0.0))
        for x, day in points
        if day.low is not None and day.high is not None
    ]
    answered = [(x, SCALE_TOP - day.value, day) for x, day in points if day.value is not None]
    outside = [
        (x, y) for x, y, day in answered if day.high is not None and day.value is not None and day.value > day.high
    ]
    last = answered[-1][:2] if answered else None
    return Spark(SPARK_DAYS, band, _runs(points), outside, last, _words(days, len(outside)))


def _runs(points: Sequence[tuple[float, SparkDay]]) -> list[str]:
    runs: list[list[str]] = [[]]
    for x, day in points:
        if day.value is None:
            runs.append([])
        else:
            runs[-1].append(f"{x:g},{SCALE_TOP - day.value:g}")
    return [" ".join(run) for run in runs if len(run) > 1]


def _words(days: Sequence[SparkDay], outside: int) -> str:
    answered = sum(day.value is not None for day in days)
    return f"Craving, {len(days)} days: {answered} answered, {outside} above the usual band"
