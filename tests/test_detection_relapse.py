"""Courses that a clinic sees every week: somebody falls silent and comes back, or gets better and relapses."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from benchmarks.detection_courses import RULES, SILENT_FROM, crossing_soon_after, delays, folded, moved, silent
from service.detection import State, Trends, fold
from service.detection.population import Array
from service.detection.synthetic import Cohort, cohort

PEOPLE = 160
LENGTH = 150
AHEAD_DAYS = 14
"""Days after the end of a silence within which everybody has answered and a week more has passed."""

ALL = slice(None)


@pytest.fixture(scope="module")
def stable() -> Cohort:
    return cohort(909_001, PEOPLE, length_days=LENGTH)


@pytest.fixture(scope="module")
def fewer() -> Cohort:
    """Enough people where a share far from its bound is asked for, or a few findings of each."""
    return cohort(909_001, 64, length_days=LENGTH)


@pytest.fixture(scope="module")
def before_the_silence(stable: Cohort) -> State:
    return fold(State.fresh(PEOPLE, RULES), stable.days.part(ALL, slice(0, SILENT_FROM)), RULES)[0]


def went_on(people: Cohort, before: State, scores: Array, gap: int) -> Trends:
    """The trends from SILENT_FROM on, as far as they are asked about after a silence of `gap` days."""
    days = dataclasses.replace(people.days, scores=scores)
    return fold(before, days.part(ALL, slice(SILENT_FROM, SILENT_FROM + gap + AHEAD_DAYS)), RULES)[1]


def test_who_comes_back_as_they_were_is_no_likelier_an_alert_than_on_any_other_day(
    stable: Cohort, before_the_silence: State
) -> None:
    stayed = went_on(stable, before_the_silence, stable.days.scores, 0)
    every_day = np.nanmean(crossing_soon_after(stayed, 0, 7))
    for gap in (7, 28):
        came_back = went_on(stable, before_the_silence, silent(stable.days.scores, gap), gap)
        assert np.nanmean(crossing_soon_after(came_back, gap, 1)) < 0.1, gap
        assert np.nanmean(crossing_soon_after(came_back, gap, 7)) < every_day + 0.08, gap


def test_a_relapse_in_a_silence_is_found_within_a_week_of_the_first_answer(
    stable: Cohort, before_the_silence: State
) -> None:
    for gap in (7, 28):
        sds = np.where(np.arange(LENGTH) >= SILENT_FROM + gap // 2, 2.5, 0.0)
        relapsed = went_on(stable, before_the_silence, silent(moved(stable, sds), gap), gap)
        assert np.nanmean(crossing_soon_after(relapsed, gap, 7)) > 0.92, gap


@pytest.mark.parametrize("improved_on", [14, 30, 60])
def test_a_relapse_to_where_treatment_began_is_found_though_the_person_had_got_better(
    fewer: Cohort, improved_on: int
) -> None:
    day = np.arange(LENGTH)
    scores = moved(fewer, np.where((day < improved_on) | (day >= 100), 2.5, 0.0))
    until = dataclasses.replace(fewer, days=fewer.days.part(ALL, slice(0, 108)))
    assert (delays(folded(until, scores[:, :108]), 100) <= 7).mean() > 0.8


def test_what_is_told_within_an_episode_counts_from_the_usual_that_is_drawn(fewer: Cohort) -> None:
    trends = folded(fewer, moved(fewer, np.where(np.arange(LENGTH) >= 60, 2.5, 0.0)))
    told = [(client, day, found) for (client, day), found in trends.explanations.items() if found.again]
    assert len(told) > 20
    for client, day, found in told:
        for each in found.items:
            column = ("craving", "mood", "anxiety").index(each.item)
            assert each.baseline == pytest.approx(trends.baseline[client, day, column], abs=1e-3)
