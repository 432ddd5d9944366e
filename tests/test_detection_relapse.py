"""Courses that a clinic sees every week: somebody falls silent and comes back, or gets better and relapses."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.detection_courses import SILENT_FROM, crossing_soon_after, delays, folded, moved, silent
from service.detection.synthetic import Cohort, cohort

PEOPLE = 160


@pytest.fixture(scope="module")
def stable() -> Cohort:
    return cohort(909_001, PEOPLE, length_days=150)


def test_who_comes_back_as_they_were_is_no_likelier_an_alert_than_on_any_other_day(stable: Cohort) -> None:
    every_day = np.nanmean(crossing_soon_after(folded(stable, stable.days.scores), SILENT_FROM, 7))
    for gap in (7, 28):
        came_back = folded(stable, silent(stable.days.scores, gap))
        assert np.nanmean(crossing_soon_after(came_back, SILENT_FROM + gap, 1)) < 0.1, gap
        assert np.nanmean(crossing_soon_after(came_back, SILENT_FROM + gap, 7)) < every_day + 0.08, gap


def test_a_relapse_in_a_silence_is_found_within_a_week_of_the_first_answer(stable: Cohort) -> None:
    for gap in (7, 28):
        sds = np.where(np.arange(150) >= SILENT_FROM + gap // 2, 2.5, 0.0)
        relapsed = folded(stable, silent(moved(stable, sds), gap))
        assert np.nanmean(crossing_soon_after(relapsed, SILENT_FROM + gap, 7)) > 0.92, gap


@pytest.mark.parametrize("improved_on", [14, 30, 60])
def test_a_relapse_to_where_treatment_began_is_found_though_the_person_had_got_better(
    stable: Cohort, improved_on: int
) -> None:
    day = np.arange(150)
    scores = moved(stable, np.where((day < improved_on) | (day >= 100), 2.5, 0.0))
    assert (delays(folded(stable, scores), 100) <= 7).mean() > 0.8


def test_what_is_told_within_an_episode_counts_from_the_usual_that_is_drawn(stable: Cohort) -> None:
    trends = folded(stable, moved(stable, np.where(np.arange(150) >= 60, 2.5, 0.0)))
    told = [(client, day, found) for (client, day), found in trends.explanations.items() if found.again]
    assert len(told) > 20
    for client, day, found in told:
        for each in found.items:
            column = ("craving", "mood", "anxiety").index(each.item)
            assert each.baseline == pytest.approx(trends.baseline[client, day, column], abs=1e-3)
