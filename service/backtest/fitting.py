"""Rules fitted to the people of a history."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from service import errors
from service.backtest import alerts, rules_file
from service.backtest.answers import Answers
from service.detection import ITEMS, Days
from service.detection.calibrate import BUDGETS_DAYS, Fitted, make_from
from service.detection.estimate import LEAST_ANSWERS, people_count
from service.detection.population import load_shipped

LEAST_PEOPLE = 10
LONGEST_DAYS = 365
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
    days = _without_constant_items(_some_of(answers, seed, tell), tell)
    people = people_count(days)
    if people < LEAST_PEOPLE:
        raise errors.Invalid(
            f"{path}: {people} clients answered everything asked on {LEAST_ANSWERS} days or more; "
            f"a population takes {LEAST_PEOPLE}"
        )
    command = f"python -m service calibrate --from {path.name} --budget-days {budget_days:g} --seed {seed}"
    try:
        with np.errstate(invalid="raise", divide="raise"):
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
        rules_file.check(path, made.shipped)
    except (np.linalg.LinAlgError, FloatingPointError, errors.Invalid) as error:
        raise errors.Invalid(
            f"{path}: no population can be estimated: most people hardly vary from day to day, or one item follows "
            "from another"
        ) from error
    return made


def _without_constant_items(days: Days, tell: Callable[[str], None]) -> Days:
    """As if nobody had been asked what everybody always answers alike: nothing can be learned from it."""
    scores = days.scores.copy()
    for place, item in enumerate(ITEMS):
        said = scores[:, :, place][~np.isnan(scores[:, :, place])]
        if len(said) and (said == said[0]).all():
            tell(f"{item} is {said[0]:g} throughout, and is left out")
            scores[:, :, place] = np.nan
    return dataclasses.replace(days, scores=scores)


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
