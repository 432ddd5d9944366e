"""Rules fitted to the people of a history."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from service import errors
from service.backtest import alerts
from service.backtest.answers import Answers
from service.detection import ITEMS, Days, plausible
from service.detection.calibrate import BUDGETS_DAYS, Fitted, make_from
from service.detection.estimate import LEAST_ANSWERS, people_count
from service.detection.limits import FIRST_ALERT_DAY
from service.detection.population import load_shipped
from service.detection.sums import Answered

LEAST_PEOPLE = 10
LONGEST_DAYS = 365
# A week in which a made-up person of the history's length may have a false alert.
LEAST_DAYS = FIRST_ALERT_DAY + 7
# Clients times days of the longest of them: what is folded in a minute or two, and kept in a few hundred megabytes.
MOST_CELLS = 600_000


def fit(
    answers: Answers, path: Path, *, budget_days: float, seed: int, clients: int, tell: Callable[[str], None]
) -> Fitted:
    """Rules for the people of a history, with limits for the whole grid of budgets and for `budget_days`.

    Of a history that is too long each client's first year is read, and of too many clients some by chance (`seed`).
    Raises Invalid for a history that says too little and for a budget outside of the grid.
    """
    known = load_shipped()
    try:
        rules = known.at(budget_days)
    except ValueError as error:
        raise errors.Invalid(f"--budget-days: {error}".replace("budget_days ", "")) from error
    days = _without_flat_items(_some_of(answers, seed, tell), tell)
    people = people_count(days)
    if people < LEAST_PEOPLE:
        raise errors.Invalid(
            f"{path}: {people} {'client' if people == 1 else 'clients'} answered everything asked "
            f"on {LEAST_ANSWERS} days or more; a population takes {LEAST_PEOPLE}"
        )
    longest = int(days.active.sum(axis=1).max())
    if longest < LEAST_DAYS:
        raise errors.Invalid(
            f"{path}: nobody is followed for {LEAST_DAYS} days (the longest {longest}): false alerts count from day"
            f" {FIRST_ALERT_DAY} on, so no limit can be found"
        )
    command = f"python -m service calibrate --from {path.name} --budget-days {budget_days:g} --seed {seed}"
    try:
        with plausible.estimating():
            made = make_from(
                days,
                rules,
                seed=seed,
                command=f"{command} --clients {clients}",
                budgets_days=tuple(sorted({*BUDGETS_DAYS, budget_days})),
                budget_days=budget_days,
                simulated_clients=clients,
                tell=tell,
            )
        plausible.check(made.shipped)
    except plausible.NoPopulationError as error:
        raise errors.Invalid(f"{path}: no population can be estimated: {error}") from error
    return made


def _without_flat_items(days: Days, tell: Callable[[str], None]) -> Days:
    there = Answered.of(days)
    for item in there.flat:
        scores = there.by_score[item]
        often = "always" if scores.max() == scores.sum() else "nearly always"
        tell(f"{ITEMS[item]} is {often} {scores.argmax()}, and is left out")
    return days.without(there.flat)


def _some_of(answers: Answers, seed: int, tell: Callable[[str], None]) -> Days:
    length = min(int(answers.spans.max(initial=1)), LONGEST_DAYS)
    most, there = max(MOST_CELLS // length, 1), len(answers.clients)
    some = np.arange(there)
    if there > most:
        some = np.sort(np.random.Generator(np.random.PCG64(seed)).choice(there, most, replace=False))
        tell(f"{most} of {there} clients, drawn by chance")
    if answers.spans.max(initial=1) > LONGEST_DAYS:
        tell(f"of each client the first {LONGEST_DAYS} days")
    return alerts.days_of(alerts.chunk_of(answers, some)).part(slice(None), slice(0, length))
