"""A whole back-test: fold every chunk, on several processors where there is enough to do, and write what was found."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TextIO

import msgspec

from schemas.alert import Rule
from service import whole_files
from service.backtest import alerts, processes
from service.backtest.alerts import Row
from service.backtest.answers import Answers
from service.detection import Rules

# Below this a further process costs more than it saves.
DAYS_WORTH_A_WORKER = 30_000
BUDGET_UNIT_DAYS = 60


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A back-test in numbers. `answered`: client days with an answer; `watched_days`: those on which a worsening could
    be told, from each client's day 21 on; `worsening_per_60_days`: findings of worsening a 60 watched days."""

    clients: int
    days: int
    answered: int
    watched_days: int
    items: tuple[str, ...]
    alerts: dict[str, int]
    worsening_per_60_days: float | None
    budget_days: float
    rules: str


def find(answers: Answers, rules: Rules, *, workers: int, done: Callable[[int], object]) -> tuple[list[Row], Summary]:
    """All findings by client, day and rule, the same whatever the number of `workers`; `done` hears of client days."""
    rows: list[Row] = []
    days = watched = 0
    for found in processes.folded(alerts.chunks(answers), rules, min(workers, _worth(answers))):
        rows += found.rows
        days += found.days
        watched += found.watched
        done(found.days)
    rows.sort(key=lambda row: (row.client, row.day, row.rule))
    counts = Counter(row.rule for row in rows)
    worsening = counts[Rule.WORSENING]
    summary = Summary(
        clients=len(answers.clients),
        days=days,
        answered=answers.answered,
        watched_days=watched,
        items=answers.asked,
        alerts={Rule.WORSENING.value: worsening} | {rule.value: counts[rule] for rule in sorted(counts)},
        worsening_per_60_days=round(BUDGET_UNIT_DAYS * worsening / watched, 4) if watched else None,
        budget_days=rules.budget_days,
        rules=rules.version,
    )
    return rows, summary


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _worth(answers: Answers) -> int:
    return 1 + int(answers.spans.sum()) // DAYS_WORTH_A_WORKER


def write(rows: Iterable[Row], path: Path) -> None:
    """Write the alerts as CSV, whole or not at all. Raises OSError."""

    def put(out: TextIO) -> None:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(Row._fields)
        table.writerows(rows)

    whole_files.write(path, put)
