"""The detector on a real diary: rules fitted to half of its people, worsening put into the days of the other half.

    python -m benchmarks.detection_real FILE [--json] [--seeds N ...]

FILE.tsv is the diary of Jang et al. 2024 (43 outpatients, one answer a day), brought to 0-10 as the import does:
anxiety x 10/3, mood x 10/6; craving was not asked. FILE.csv is any other history, as `backtest` reads it. Nothing is
known of what was true, so every day counts as stable: a real worsening counts as a false alert. Each half is tested
with the rules of the other; intervals are the middle 95 % of bootstraps of people. A worsened day is an answer that
somebody could have given: a whole step of the item. Of several seeds, each another division into halves and other
onsets, it tells the mean of figures and of interval ends.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from datetime import date
from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
from msgspec.structs import replace
from tqdm import tqdm

from benchmarks.detection import UNDETECTED_DAYS
from benchmarks.detection_rivals import EWMA_TOP, ewma_chart
from service.backtest import alerts, answers
from service.detection import Days, Rules, State, fold, shipped_rules
from service.detection.calibrate import find_limit, make_from
from service.detection.limits import FIRST_ALERT_DAY, REST_DAYS
from service.detection.population import SCALE_TOP, Array, Counts, Flags
from service.detection.synthetic import WORSENINGS, Worsening, course

LEAST_ANSWERS = 60
BUDGET_DAYS = 60.0
DRAWS = 8
BOOTSTRAPS = 2000
BEFORE_END = 21
HISTORY_STEPS = np.ones(3)
JANG_STEPS = np.array((1.0, 10 / 6, 10 / 3))
"""Points between neighbouring answers of craving (never asked), mood and anxiety."""
Interval = tuple[float, float, float]
"""A figure with the lower and the upper end of its interval."""
Detector = Callable[[Days], Flags]
"""Tells the alerts (N, T) of people's days."""
SHAPES = {"step 1.5": WORSENINGS[1], "step 2.5": WORSENINGS[2], "ramp": WORSENINGS[3], "spike": WORSENINGS[4]}


@dataclasses.dataclass(frozen=True)
class Diary:
    """The days of people who answered often enough, and the points between neighbouring answers of each item (3,)."""

    days: Days
    steps: Array


@dataclasses.dataclass(frozen=True)
class Half:
    """What the rules of one half do on the people of the other: crossings with nothing put in over `days` client days
    from day 21 (N,), and for each shape the mean delay in days of every person (N, shapes; nan: no room)."""

    crossings: Array
    days: Array
    delays: Array


def read(path: Path) -> Diary:
    """People with LEAST_ANSWERS answered days; raises Invalid for a history that cannot be read."""
    if path.suffix == ".csv":
        every = answers.read(path)
        days = alerts.days_of(alerts.chunk_of(every, np.arange(len(every.clients))))
        often = (~np.isnan(days.scores).all(axis=2)).sum(axis=1) >= LEAST_ANSWERS
        return Diary(days.part(np.flatnonzero(often)), HISTORY_STEPS)
    return Diary(_read_jang(path), JANG_STEPS)


def _read_jang(path: Path) -> Days:
    """Each person from the first answer to the last."""
    people: dict[str, dict[date, tuple[float, float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            mood = (float(row["positive_feeling"]) + float(row["negative_feeling"]) + 3) * 10 / 6
            answer = (round(mood, 4), round(float(row["anxiety"]) * 10 / 3, 4))
            people.setdefault(row["id"], {})[date.fromisoformat(row["date"])] = answer
    kept = [diary for diary in people.values() if len(diary) >= LEAST_ANSWERS]
    length = max((max(diary) - min(diary)).days + 1 for diary in kept)
    scores = np.full((len(kept), length, 3), np.nan)
    days = Days.of(scores, weekend=np.zeros(scores.shape[:2], dtype=np.bool_))
    for client, diary in enumerate(kept):
        first = min(diary)
        days.active[client, (max(diary) - first).days + 1 :] = False
        days.weekend[client] = [(first.weekday() + day) % 7 >= 5 for day in range(length)]
        for day, (mood, anxiety) in diary.items():
            days.scores[client, (day - first).days] = (np.nan, mood, anxiety)
    return days


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection_real", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--seeds", type=int, nargs="+", default=[71])
    chosen = parser.parse_args(arguments)
    for name, figures in measure(read(chosen.file), chosen.seeds).items():
        for figure, (value, low, high) in figures.items():
            if chosen.json:
                line = {"detector": name, "figure": figure, "value": round(value, 3)}
                print(json.dumps({**line, "low": round(low, 3), "high": round(high, 3)}))
            else:
                print(f"{name:28}{figure:50}{value:8.2f}  ({low:.2f} to {high:.2f})")


def measure(diary: Diary, seeds: Sequence[int]) -> dict[str, dict[str, Interval]]:
    """Each detector's figures with their intervals, means over the seeds."""
    with tqdm(total=2 * len(DETECTORS) * len(seeds), disable=None, file=sys.stderr) as bar:
        each = [_measured(diary, seed, bar) for seed in seeds]
    return {name: _with_intervals(np.mean([tables[name] for tables in each], axis=0)) for name in DETECTORS}


def _measured(diary: Diary, seed: int, bar: tqdm[NoReturn]) -> dict[str, Array]:
    """Of each detector the figures (FIGURES,) of all people, and the ends of their intervals: (3, FIGURES)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    people = len(diary.days.scores)
    order = rng.permutation(people)
    halves = [order[::2], order[1::2]]
    found: dict[str, list[Half]] = {name: [] for name in DETECTORS}
    for fit, test in (halves, halves[::-1]):
        training, held_out = (dataclasses.replace(diary, days=diary.days.part(np.sort(half))) for half in (fit, test))
        for name, fitted in DETECTORS.items():
            found[name].append(_tested(fitted(training.days, seed), held_out, seed))
            bar.update()
    drawn = [np.arange(people), *(rng.integers(0, people, people) for _ in range(BOOTSTRAPS))]
    tables = {name: _table(parts, drawn) for name, parts in found.items()}
    against = tables[RIVAL][:, GEOMETRIC_MEAN]
    return {name: _ends(np.column_stack([table, table[:, GEOMETRIC_MEAN] / against])) for name, table in tables.items()}


def _fitted(training: Days, seed: int) -> Detector:
    known = shipped_rules(BUDGET_DAYS)
    made = make_from(training, known, seed=seed, command="", budget_days=BUDGET_DAYS)
    return partial(_crossings, made.shipped.at(BUDGET_DAYS))


def _shipped(training: Days, _: int) -> Detector:
    rules = shipped_rules(BUDGET_DAYS)
    return partial(_crossings, replace(rules, limit=find_limit(rules, training)))


def _ewma(training: Days, _: int) -> Detector:
    chart, days = ewma_chart(training), _counted(training).sum()
    low, high = 0.0, EWMA_TOP
    for _ in range(14):
        middle = (low + high) / 2
        often = days < BUDGET_DAYS * max(chart(middle).sum(), 1)
        low, high = (middle, high) if often else (low, middle)
    return lambda people: ewma_chart(people)((low + high) / 2)


RIVAL = "EWMA, limit of the other"
GEOMETRIC_MEAN = len(SHAPES)
DETECTORS: dict[str, Callable[[Days, int], Detector]] = {
    "fitted to the other half": _fitted,
    "shipped, limit of the other": _shipped,
    RIVAL: _ewma,
}
"""What is tested: made from the people of one half and a seed, it tells the alerts of the other."""


def _counted(people: Days) -> Flags:
    """Client days that count (N, T): from each person's day 21 on."""
    return people.active & (np.cumsum(people.active, axis=1) > FIRST_ALERT_DAY)


def _tested(detector: Detector, held_out: Diary, seed: int) -> Half:
    delays = np.stack([_delays(detector, held_out, shape, seed) for shape in SHAPES.values()], axis=1)
    return Half(detector(held_out.days).sum(axis=1), _counted(held_out.days).sum(axis=1), delays)


def _crossings(rules: Rules, days: Days) -> Flags:
    return fold(State.fresh(len(days.scores), rules), days, rules)[1].crossing


def _delays(detector: Detector, diary: Diary, worsening: Worsening, seed: int) -> Array:
    """Each person's mean delay over DRAWS onsets; onsets within the rest after an earlier alert are left out."""
    rng = np.random.Generator(np.random.PCG64(seed))
    count = len(diary.days.scores)
    drawn = diary.days.part(np.tile(np.arange(count), DRAWS))
    last = drawn.active.sum(axis=1) - BEFORE_END
    onset = (FIRST_ALERT_DAY + rng.random(len(last)) * np.maximum(last - FIRST_ALERT_DAY, 1)).astype(np.int64)
    crossings = detector(worsened(dataclasses.replace(diary, days=drawn), worsening, onset, seed))
    after = np.arange(crossings.shape[1]) - onset[:, None]
    rests = (crossings & (after < 0) & (after >= -REST_DAYS)).any(axis=1)
    found = crossings & (after >= 0) & (after < UNDETECTED_DAYS)
    waited = np.where(rests, np.nan, np.where(found, after, UNDETECTED_DAYS).min(axis=1)).reshape(DRAWS, count)
    some = ~np.isnan(waited)
    mean: Array = np.where(some, waited, 0.0).sum(axis=0) / np.maximum(some.sum(axis=0), 1)
    return np.where(some.any(axis=0), mean, np.nan)


def worsened(diary: Diary, worsening: Worsening, onset: Counts, seed: int) -> Days:
    """The same days with a worsening put in, in sd of each person's answers, within the scale.

    An answer stands for everything that rounds to it, alike likely: it is drawn from there, moved, and rounded to the
    item's steps again. A fraction of a step that everybody would give would be found by its strangeness.
    """
    rng = np.random.Generator(np.random.PCG64(seed))
    worse = diary.days.scores.copy()
    worse[:, :, 1] = SCALE_TOP - worse[:, :, 1]
    sd = np.stack([_sd_of(worse[:, :, item]) for item in range(worse.shape[2])], axis=1)
    present = course(worsening.shape, np.arange(worse.shape[1], dtype=np.float64) - onset[:, None])
    change = present[:, :, None] * worsening.size * np.array(worsening.by_item) * sd[:, None, :]
    meant = worse / diary.steps + rng.uniform(-0.5, 0.5, worse.shape) + change / diary.steps
    worse = np.where(change > 0, np.clip(np.round(meant) * diary.steps, 0.0, SCALE_TOP), worse)
    worse[:, :, 1] = SCALE_TOP - worse[:, :, 1]
    return dataclasses.replace(diary.days, scores=worse)


def _sd_of(values: Array) -> Array:
    """The sd of each row's answers (N,), 0 where there are none."""
    seen: Flags = ~np.isnan(values)
    count = np.maximum(seen.sum(axis=1), 1)
    mean = np.where(seen, values, 0.0).sum(axis=1) / count
    sd: Array = np.sqrt((np.where(seen, values - mean[:, None], 0.0) ** 2).sum(axis=1) / count)
    return sd


def _table(parts: list[Half], drawn: list[Counts]) -> Array:
    """One row of figures for each choice of people, all of them first."""
    crossings = np.concatenate([part.crossings for part in parts])
    days = np.concatenate([part.days for part in parts])
    delays = np.concatenate([part.delays for part in parts])
    rows = []
    for some in drawn:
        means = np.nanmean(delays[some], axis=0)
        days_an_alert = days[some].sum() / max(crossings[some].sum(), 1)
        twice = (crossings[some] > 2 * days[some] / BUDGET_DAYS).mean()
        rows.append([*means, np.exp(np.log(np.maximum(means, 0.05)).mean()), days_an_alert, twice])
    return np.array(rows)


def _ends(table: Array) -> Array:
    """All people's figures, and the ends of the middle 95 % of the other rows: (3, FIGURES)."""
    ends: Array = np.vstack([table[:1], np.quantile(table[1:], [0.025, 0.975], axis=0)])
    return ends


def _with_intervals(ends: Array) -> dict[str, Interval]:
    names = [*(f"delay, {name} (days)" for name in SHAPES), "delay, geometric mean (days)"]
    names += ["client days an alert", "share above twice the budget", f"geometric mean against {RIVAL}"]
    return {n: (float(v), float(a), float(b)) for n, v, a, b in zip(names, *ends, strict=True)}


if __name__ == "__main__":
    main(sys.argv[1:])
