"""The benchmark on a real diary reads it as the import does, and puts a worsening in from its day on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.detection_real import HISTORY_STEPS, JANG_STEPS, LEAST_ANSWERS, Diary, read, worsened
from service.detection import Days
from service.detection.synthetic import WORSENINGS, cohort

EXCERPT = Path(__file__).parent / "data" / "jang2024_excerpt.tsv"
WHOLE = Path(__file__).parents[2] / "shared" / "data" / "jang2024_panic_daily" / "daily.tsv"
AT_HAND = [each for each in ((EXCERPT, 1), (WHOLE, 23)) if each[0].is_file()]


@pytest.mark.parametrize(("file", "people"), AT_HAND)
def test_people_with_answers_enough_are_read_from_their_first_day_to_their_last(file: Path, people: int) -> None:
    days = read(file).days
    days.check()
    answered = np.asarray(~np.isnan(days.scores).all(axis=2))
    assert len(days.scores) == people
    assert (answered.sum(axis=1) >= LEAST_ANSWERS).all()
    assert answered[:, 0].all()
    assert not (answered & ~days.active).any()
    assert np.isnan(days.scores[:, :, 0]).all()
    assert set(np.unique(np.round(days.scores[:, :, 2][answered] * 3 / 10, 3))) <= {0.0, 1.0, 2.0, 3.0}


def test_any_history_is_read_as_the_back_test_reads_it(tmp_path: Path) -> None:
    """Who answered too seldom is left out; an item that was not asked stays so."""
    rows = [f"A,2026-01-{day:02d},{day % 4},2" for day in range(1, 32)]
    rows += [f"B,2026-{month:02d}-{day:02d},{day % 4},{month}" for month in (1, 2, 3) for day in range(1, 25)]
    file = tmp_path / "history.csv"
    file.write_text("\n".join(["client,day,craving,anxiety", *rows]) + "\n")
    diary = read(file)
    assert diary.days.scores.shape == (1, 83, 3)
    assert np.isnan(diary.days.scores[0, :, 1]).all()
    assert diary.days.scores[0, 0, 0] == 1
    np.testing.assert_array_equal(diary.steps, HISTORY_STEPS)


def test_a_worsening_is_put_in_from_its_onset_and_stays_within_the_scale() -> None:
    people = cohort(1, 20).days
    onset = np.full(20, 60)
    worse = worsened(Diary(people, HISTORY_STEPS), WORSENINGS[2], onset, 1)
    np.testing.assert_array_equal(worse.scores[:, :60], people.scores[:, :60])
    moved = np.nanmean(worse.scores[:, 60:] - people.scores[:, 60:], axis=(0, 1))
    assert moved[0] > 1.5
    assert moved[1] < -1
    worse.check()


def test_a_worsened_day_is_an_answer_that_could_have_been_given_and_is_worse_by_as_much_on_average() -> None:
    people, length = 400, 90
    rng = np.random.Generator(np.random.PCG64(3))
    scores = np.full((people, length, 3), np.nan)
    scores[:, :, 1] = rng.integers(3, 5, (people, length)) * JANG_STEPS[1]
    scores[:, :, 2] = rng.integers(0, 2, (people, length)) * JANG_STEPS[2]
    days = Days.of(scores, weekend=np.zeros((people, length), dtype=np.bool_))
    later = worsened(Diary(days, JANG_STEPS), WORSENINGS[0], np.full(people, 30), 7).scores[:, 31:, 1:]
    in_steps = later / JANG_STEPS[1:]
    assert np.abs(in_steps - np.round(in_steps)).max() < 1e-9
    moved = (later - scores[:, 31:, 1:]).mean(axis=(0, 1))
    wanted = WORSENINGS[0].size * np.array((-0.7, 0.6)) * scores[:, :, 1:].std(axis=1).mean(axis=0)
    assert moved == pytest.approx(wanted, rel=0.05)
