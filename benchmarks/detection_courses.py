"""Courses that a clinic sees every week and no cohort of the other benchmarks has: a silence, and a relapse of somebody
who had got better.

    python -m benchmarks.detection_courses [--people N] [--seed N]
"""

from __future__ import annotations

import argparse
import dataclasses
import sys

import numpy as np

from service.detection import Days, State, Trends, fold, shipped_rules
from service.detection.population import SCALE_TOP, Array
from service.detection.synthetic import Cohort, cohort

LENGTH = 150
SILENT_FROM = 70
RELAPSE_ON = 100
REST_DAYS = 7
UNDETECTED_DAYS = 31
BY_ITEM = np.array((1.0, 0.7, 0.6))
RULES = shipped_rules(60)


def moved(people: Cohort, sds: Array) -> Array:
    """Their answers, worse by so many of their own sd on each day (T,), in whole points."""
    worse: Array = people.days.scores.copy()
    worse[:, :, 1] = SCALE_TOP - worse[:, :, 1]
    change = sds[None, :, None] * BY_ITEM * people.sd[:, None, :]
    worse = np.clip(worse + np.floor(change + np.random.default_rng(5).random(worse.shape)), 0.0, SCALE_TOP)
    worse[:, :, 1] = SCALE_TOP - worse[:, :, 1]
    return worse


def silent(scores: Array, gap: int) -> Array:
    """The answers without those of `gap` days from SILENT_FROM on."""
    blanked: Array = scores.copy()
    blanked[:, SILENT_FROM : SILENT_FROM + gap] = np.nan
    return blanked


def folded(people: Cohort, scores: Array) -> Trends:
    """The trends of these answers under the shipped rules."""
    days: Days = dataclasses.replace(people.days, scores=scores)
    return fold(State.fresh(len(scores), RULES), days, RULES)[1]


def crossing_soon_after(trends: Trends, day: int, within: int) -> Array:
    """Who crossed within so many days of their first answer from this day on (N,); nan for who rested then."""
    crossed = np.full(len(trends.answered), np.nan)
    for client in range(len(crossed)):
        first = day + int(np.flatnonzero(trends.answered[client, day:])[0])
        if not trends.resting[client, first]:
            crossed[client] = trends.crossing[client, first : first + within].any()
    return crossed


def delays(trends: Trends, onset: int) -> Array:
    """Days to the first crossing, UNDETECTED_DAYS without one, of whoever did not rest at the onset."""
    free = ~trends.crossing[:, onset - REST_DAYS : onset].any(axis=1)
    after = trends.crossing[free, onset : onset + UNDETECTED_DAYS]
    return np.where(after.any(axis=1), after.argmax(axis=1), UNDETECTED_DAYS).astype(np.float64)


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection_courses", description=__doc__)
    parser.add_argument("--people", type=int, default=500)
    parser.add_argument("--seed", type=int, default=909_001)
    chosen = parser.parse_args(arguments)
    people, day = cohort(chosen.seed, chosen.people, length_days=LENGTH), np.arange(LENGTH)
    for gap in (0, 7, 14, 28, 60):
        for name, sds in (("stable", 0.0), ("2.5 sd worse in its middle", 2.5)):
            scores = moved(people, np.where(day >= SILENT_FROM + gap // 2, sds, 0.0))
            trends = folded(people, silent(scores, gap))
            first, week = (np.nanmean(crossing_soon_after(trends, SILENT_FROM + gap, within)) for within in (1, 7))
            print(
                f"silence of {gap} days, {name}: {first:.1%} at the first answer, {week:.1%} within a week", flush=True
            )
    for size in (1.5, 2.5):
        for improved_on in (0, 14, 30, 60):
            scores = moved(people, np.where((day < improved_on) | (day >= RELAPSE_ON), size, 0.0))
            waited = delays(folded(people, scores), RELAPSE_ON)
            found = f"{waited.mean():.2f} d, {np.mean(waited <= 7):.0%} within 7, {np.mean(waited > 30):.0%} not in 30"
            print(f"relapse of {size} sd, {size} sd better since day {improved_on}: {found}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
