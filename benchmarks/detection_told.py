"""What the detector tells at a crossing held against the truth, and what it does with people it was not made for.

    python -m benchmarks.detection_told [--json] [--seed N] [--people 1200]

Told: at the first crossing from an injected onset on, whether the 80 % interval of the onset day holds the onset, and
that of craving's change (told +- 1.2816 se) the change that was put in; made-up people with the shipped rules. Odd:
stable people whose answers resemble nobody's the rules were fitted to, and their client days a false alert. Infusions:
how many are told that a benefit wanes where there is much, little or none.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from tqdm import tqdm

from benchmarks.detection import COLUMNS, UNDETECTED_DAYS, VARIANTS, delays
from benchmarks.detection_rivals import false_alert_days
from service.detection import Days, State, fold, shipped_rules
from service.detection.population import ITEM_COUNT, SCALE_TOP, Flags, Rules
from service.detection.synthetic import Cohort, Population, Worsening, cohort

BUDGET_DAYS = 60.0
HALF_OF_80_PERCENT_SD = 1.2816
"""Of a normal distribution: 80 % lie within so many sd of its mean."""
ODD_DAYS = 300
WANING_DAYS = 60
STEADY_SD = 0.35
SIZES_SD = (2.0, 4.0, 6.0)


@dataclass(frozen=True)
class Told:
    """People found, shares of the intervals that hold the onset and craving's change, mean change told and true
    (points: the mean of what was put in from the onset to the crossing, before the scale's ends cut it)."""

    found: int
    onset_held: float
    change_held: float
    change_told: float
    change_true: float


def main(arguments: list[str]) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.detection_told", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument("--seed", type=int, default=91)
    parser.add_argument("--people", type=int, default=1200, help="a shape")
    chosen = parser.parse_args(arguments)
    rules = shipped_rules(BUDGET_DAYS)
    rows: list[dict[str, object]] = []
    shapes = list(worsened(chosen.seed, chosen.people))
    for name, people in tqdm(shapes, disable=None, file=sys.stderr):
        found = told(people, rules)
        rows.append({"shape": name} | {key: round(value, 3) for key, value in vars(found).items()})
    for name, days in tqdm(list(odd(chosen.seed, chosen.people // 3)), disable=None, file=sys.stderr):
        crossing = fold(State.fresh(len(days.scores), rules), days, rules)[1].crossing
        per_alert = false_alert_days(crossing) if crossing.any() else None
        rows.append({"people": name, "days a false alert": per_alert and round(per_alert, 1)})
    for name, share in tqdm(list(waning(chosen.seed, chosen.people // 5, rules)), disable=None, file=sys.stderr):
        rows.append({"infusions": name, "told of waning within 60 days": round(share, 3)})
    for row in rows:
        print(json.dumps(row) if chosen.json else "  ".join(f"{key} {value}" for key, value in row.items()))


def worsened(seed: int, people: int) -> Iterator[tuple[str, Cohort]]:
    """The benchmark's worsenings, and craving alone moved by several sizes for steady and for restless people."""
    for at, (name, worsening) in enumerate(zip(COLUMNS, VARIANTS, strict=True)):
        yield name, cohort(seed + at, people, worsening=worsening)
    for sd in (STEADY_SD, 0.6, 1.2):
        for points in SIZES_SD:
            # Who is 17 sd above usual would hardly answer at all: missed days know nothing of craving here.
            population = Population(
                log_sd=float(np.log(sd)), log_sd_sd=0.0, log_sd_item_sd=0.0, missing_per_craving_sd=0.0
            )
            worsening = Worsening("step", points / sd, (1.0, 0.0, 0.0))
            name = f"craving alone, {points:g} points at an sd of {sd:g}"
            yield name, cohort(seed + 50, people // 4, population=population, worsening=worsening)


def told(people: Cohort, rules: Rules) -> Told:
    """How what was told of craving at the first crossing compares with what was put in."""
    trends = fold(State.fresh(len(people.onset), rules), people.days, rules)[1]
    waited = delays(trends.crossing, people)
    onset_held, change_held, changes, truths = [], [], [], []
    for client in np.flatnonzero(waited < UNDETECTED_DAYS):
        day = int(people.onset[client] + waited[client])
        said = trends.explanations[int(client), day]
        onset_held.append(said.onset_days_low <= waited[client] <= said.onset_days_high)
        craving = said.items[0]
        true = float(people.shift[client, people.onset[client] : day + 1, 0].mean())
        change_held.append(abs(craving.change - true) <= HALF_OF_80_PERCENT_SD * craving.se)
        changes.append(craving.change)
        truths.append(true)
    means = [float(np.mean(column)) for column in (onset_held, change_held, changes, truths)]
    return Told(len(changes), *means)


def odd(seed: int, people: int) -> Iterator[tuple[str, Days]]:
    """Stable people, one kind after the other: name and days."""
    rng = np.random.Generator(np.random.PCG64(seed))
    for usual, more, share in ((0, 1, 0.05), (5, 1, 0.03), (5, 1, 0.1)):
        name = f"always {usual}, each item {more} worse on {share:.0%} of days"
        yield name, _rarely(usual, more, rng.random((people, ODD_DAYS, ITEM_COUNT)) < share)
    day = rng.random((people, ODD_DAYS, 1)) < 0.1
    yield "always 0, craving 3 on 10% of days", _rarely(0, 3, day & np.array((True, False, False)))
    yield "always 0, all items 2 worse on 10% of days", _rarely(0, 2, day & np.ones(ITEM_COUNT, dtype=np.bool_))
    for phi in (0.7, 0.8, 0.9):
        population = replace(Population(), phi=(phi, phi))
        yield f"day-to-day correlation {phi:g}", cohort(seed + 70, people, population=population).days
    for items, name in (((1, 2), "mood and anxiety alone asked"), ((0, 1, 2), "all items asked")):
        for answer in (9.0, 10.0):
            scores = np.full((people // 10, ODD_DAYS, ITEM_COUNT), np.nan)
            scores[:, :, list(items)] = answer
            scores[:, :, 1] = SCALE_TOP - scores[:, :, 1]
            yield f"anxiety (and craving) {answer:g}, mood {SCALE_TOP - answer:g}, always; {name}", Days.of(scores)


def waning(seed: int, people: int, rules: Rules) -> Iterator[tuple[str, float]]:
    """Whom infusions help so much: name and the share that is told of a waning within 60 days."""
    for points, sd in ((1.4, 0.7), (0.6, 0.3), (0.0, 0.0)):
        population = Population(infusion_points=points, infusion_sd=sd)
        made = cohort(seed + 90, people, population=population, length_days=WANING_DAYS)
        said = fold(State.fresh(people, rules), made.days, rules)[1].waning
        yield f"effect {points:g} +- {sd:g} points", float(said.any(axis=1).mean())


def _rarely(usual: float, more: float, on: Flags) -> Days:
    """People who always say `usual`, and so much worse where `on` (N, T, 3)."""
    scores = usual + more * on.astype(np.float64)
    scores[:, :, 1] = SCALE_TOP - scores[:, :, 1]
    return Days.of(scores)


if __name__ == "__main__":
    main(sys.argv[1:])
