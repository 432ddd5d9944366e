"""A whole back-test: fold every chunk, on several processors where there is enough to do, and write what was found."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TextIO

import msgspec

from schemas.alert import Rule
from service import errors, whole_files
from service.backtest import alerts
from service.backtest.alerts import Chunk, Found, Row
from service.backtest.answers import Answers
from service.detection import Rules

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
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
    for found in _folded(alerts.chunks(answers), rules, min(workers, _worth(answers))):
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


def _folded(every: Iterator[Chunk], rules: Rules, workers: int) -> Iterator[Found]:
    """What came of each chunk, in order."""
    pool = _pool(workers) if workers > 1 else None
    if pool is None:
        yield from (alerts.find(chunk, rules) for chunk in every)
        return
    try:
        # A few chunks ahead of the workers, so that a long file is not copied as a whole.
        waiting = [pool.submit(alerts.find, chunk, rules) for chunk in islice(every, 2 * workers)]
        while waiting:
            yield waiting.pop(0).result()
            waiting += [pool.submit(alerts.find, chunk, rules) for chunk in islice(every, 1)]
    except BrokenExecutor as error:
        raise errors.NotReady("A worker process was ended from outside; --workers 1 needs the least memory.") from error
    finally:
        # All is done, or nobody waits for it any more.
        for worker in multiprocessing.active_children():
            worker.kill()
        pool.shutdown(cancel_futures=True)


def _pool(workers: int) -> ProcessPoolExecutor | None:
    """Processes to fold in; None where the system lets nobody have any."""
    context = multiprocessing.get_context("spawn")
    try:
        pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_signals_to_the_parent)
    except OSError:
        return None
    # The first task starts all workers. Interrupted between two of them, the pool would wait for one that never was.
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        pool.submit(int)
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    return pool


def _leave_signals_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)


def write(rows: Iterable[Row], path: Path) -> None:
    """Write the alerts as CSV, whole or not at all. Raises OSError."""

    def put(out: TextIO) -> None:
        table = csv.writer(out, lineterminator="\n")
        table.writerow(Row._fields)
        table.writerows(rows)

    whole_files.write(path, put)
