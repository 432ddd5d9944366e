"""Histories as files, and the back-test as a person runs it. Everybody here is invented."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from service.backtest import answers, rules_file, run
from service.backtest.alerts import Row

REPOSITORY = Path(__file__).parents[1]
FIRST = date(2026, 1, 5)
HEADER = "client,day,craving,mood,anxiety,infusion"
COLUMNS = ["client", "day", "rule", "tier", "statistic", "limit", "level", "baseline", "onset_estimate"]
STABLE = [3, 4, 2, 3, 3, 5, 2, 3, 4, 3]


def backtest(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command, as a person runs it; without any setting."""
    return subprocess.run(
        [sys.executable, "-m", "service", "backtest", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"]},
    )


def lines_of(client: str, scores: Sequence[tuple[object, ...] | None], infusions: Sequence[int] = ()) -> list[str]:
    """A client's rows, one a day; None is a row without an answer."""
    return [
        f"{client},{FIRST + timedelta(days=i)},"
        + (",".join(map(str, each)) if each else ",,")
        + f",{1 if i in infusions else ''}"
        for i, each in enumerate(scores)
    ]


def steady(days: int) -> list[tuple[int, int, int] | None]:
    return [(STABLE[i % 10], 6, 3 + i % 2) for i in range(days)]


def relapsing() -> list[tuple[int, int, int] | None]:
    """Sixty usual days and five much worse ones."""
    return [*steady(60), (9, 1, 9), (9, 1, 9), (10, 0, 9), (9, 1, 9), (9, 1, 9)]


def file_of(folder: Path, lines: Sequence[str], header: str = HEADER) -> Path:
    path = folder / "history.csv"
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return path


def alerts_in(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        assert rows.fieldnames == COLUMNS
        return list(rows)


def found(path: Path) -> list[Row]:
    return run.find(answers.read(path), rules_file.load(None, budget_days=None), workers=1, done=lambda _: None)[0]
