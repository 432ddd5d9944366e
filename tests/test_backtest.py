"""`python -m service backtest`: a history in, the alerts it would have raised out; no database."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alert import Rule
from service.backtest import answers, rules_file, run
from service.backtest.alerts import Row
from service.detection.synthetic import Worsening, cohort
from tests.histories import (
    FIRST,
    HEADER,
    REPOSITORY,
    alerts_in,
    backtest,
    file_of,
    found,
    lines_of,
    relapsing,
    steady,
)


def test_a_relapse_is_a_worsening_with_its_numbers_and_its_onset(tmp_path: Path) -> None:
    history = file_of(tmp_path, [*lines_of("kim", steady(65)), *lines_of("ada", relapsing())])
    done = backtest(history, "--alerts", tmp_path / "out.csv", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    [row] = [each for each in alerts_in(tmp_path / "out.csv") if each["rule"] == "worsening"]
    onset = FIRST + timedelta(days=60)
    assert row["client"] == "ada"
    assert onset <= date.fromisoformat(row["day"]) <= onset + timedelta(days=2)
    assert abs((date.fromisoformat(row["onset_estimate"]) - onset).days) <= 1
    assert row["tier"] == "2"
    assert float(row["statistic"]) > float(row["limit"]) > 0
    assert float(row["level"]) > float(row["baseline"]) + 1
    summary = json.loads(done.stdout)
    assert summary["clients"] == 2
    assert summary["days"] == summary["answered"] == 130
    assert summary["watched_days"] == 2 * (65 - 21)
    assert summary["alerts"]["worsening"] == 1
    assert summary["budget_days"] == 60
    assert summary["rules"].startswith("shipped-")


def test_a_worsening_that_goes_on_names_no_onset(tmp_path: Path) -> None:
    worse = [(min(10, 6 + i // 5), max(0, 3 - i // 8), min(10, 6 + i // 5)) for i in range(30)]
    rows = found(file_of(tmp_path, lines_of("ada", [*steady(60), *worse])))
    first, *again = [row for row in rows if row.rule is Rule.WORSENING]
    assert again, "the chart has rested, and it is worse still"
    assert first.onset_estimate is not None
    assert abs((first.onset_estimate - FIRST).days - 60) <= 1
    assert {row.onset_estimate for row in again} == {None}
    history, out = file_of(tmp_path, lines_of("ada", [*steady(60), *worse])), tmp_path / "out.csv"
    assert backtest(history, "--alerts", out).returncode == 0
    assert [bool(row["onset_estimate"]) for row in alerts_in(out) if row["rule"] == "worsening"] == [
        True,
        *[False] * len(again),
    ]


def test_silence_and_waning_have_rules_of_their_own(tmp_path: Path) -> None:
    """Infusions every 24 days, each a relief of six points that is halved in four days; then nobody answers."""
    given = range(20, 120, 24)
    scores: list[tuple[int, int, int] | None] = []
    for day in range(118):
        since = min((day - each for each in given if each < day), default=None)
        relief = 0 if since is None else 6 * 0.5 ** ((since - 1) / 4)
        scores.append((round(8 - relief) + day % 2, min(10, round(3 + relief)), round(7 - relief) + day % 2))
    scores += [None] * 4
    scores[90:93] = [None] * 3
    rows = found(file_of(tmp_path, lines_of("ada", scores, [*given])))
    by_rule = {rule: [(row.day - FIRST).days for row in rows if row.rule == rule] for rule in Rule}
    assert by_rule[Rule.SILENCE] == [92, 120]
    assert by_rule[Rule.SILENCE_AFTER_INFUSION] == []
    assert len(by_rule[Rule.WANING]) >= 2
    assert {row.tier for row in rows if row.rule in (Rule.SILENCE, Rule.WANING)} == {3}
    silence = rows[-1]
    assert (silence.statistic, silence.limit, silence.onset_estimate) == (3, 3, FIRST + timedelta(days=118))


def test_learning_and_improving_are_told_and_alert_nobody(tmp_path: Path) -> None:
    better = [(1, 9, 1), (2, 9, 0), (1, 8, 1), (0, 9, 1), (1, 9, 1), (1, 9, 0), (1, 9, 1)]
    usual = [(5 + i % 3, 5 - i % 2, 5 + i % 2) for i in range(60)]
    rows = found(file_of(tmp_path, lines_of("ada", [*usual, *better])))
    assert [(row.rule, row.tier) for row in rows] == [(Rule.LEARNING, None), (Rule.IMPROVING, None)]
    learning, improving = rows
    assert learning.day == FIRST
    assert FIRST + timedelta(days=60) <= improving.day <= FIRST + timedelta(days=66)
    assert improving.statistic is not None
    assert improving.statistic > (improving.limit or 0) > 0
    assert (improving.level or 0) < (improving.baseline or 0) - 1
    assert [row.rule for row in found(file_of(tmp_path, lines_of("ada", usual)))] == [Rule.LEARNING]


def test_two_silent_days_after_an_infusion_are_told_at_once(tmp_path: Path) -> None:
    scores = [*steady(30), None, None, *steady(3)]
    [row] = [each for each in found(file_of(tmp_path, lines_of("ada", scores, [29]))) if each.tier]
    assert (row.rule, row.tier, row.day) == (Rule.SILENCE_AFTER_INFUSION, 2, FIRST + timedelta(days=31))


@pytest.mark.parametrize(
    ("answered", "told"),
    [
        # Two of them for the infusion of the first day; the silence goes on and is not told again with the next ones.
        ({0, *range(14, 20)}, [2]),
        ({0, 1, 2, *range(5, 20)}, [4]),
        ({0, 3, *range(6, 20)}, [2]),
        # Each infusion has its own two days: of the first, the third, the fifth and the last.
        ({0, 3, 4, 5, 8, 9, 12}, [2, 7, 11, 14]),
        # The day of the infusion of day 2 and the one after are the second of one and the first of another.
        ({0, 1, *range(4, 20)}, []),
    ],
)
def test_two_silent_days_after_an_infusion_are_told_once_though_infusions_come_close(
    tmp_path: Path, answered: set[int], told: list[int]
) -> None:
    scores = [each if day in answered else None for day, each in enumerate(steady(20))]
    rows = found(file_of(tmp_path, lines_of("ada", scores, [0, 2, 5, 7, 9, 12])))
    after = [row for row in rows if row.rule is Rule.SILENCE_AFTER_INFUSION]
    assert [(row.day - FIRST).days for row in after] == told
    assert {row.tier for row in after} <= {2}


def test_a_missing_row_is_a_day_without_an_answer(tmp_path: Path) -> None:
    scores = [None if i % 7 == 3 or 40 <= i < 44 else each for i, each in enumerate(relapsing())]
    with_rows = lines_of("ada", scores)
    without = [line for line, each in zip(with_rows, scores, strict=True) if each is not None]
    assert found(file_of(tmp_path, without)) == found(file_of(tmp_path, with_rows)) != []


def test_items_that_were_never_asked_need_no_column(tmp_path: Path) -> None:
    lines = [",".join(line.split(",")[:2] + line.split(",")[3:5]) for line in lines_of("ada", relapsing())]
    rows = found(file_of(tmp_path, lines, "client,day,mood,anxiety"))
    empty = [line.split(",") for line in lines_of("ada", relapsing())]
    with_column = [",".join([*each[:2], "", *each[3:]]) for each in empty]
    assert rows == found(file_of(tmp_path, with_column))
    assert Rule.WORSENING in {row.rule for row in rows}


def test_columns_that_the_back_test_does_not_know_are_left_alone(tmp_path: Path) -> None:
    lines = [f'{line},"said ""no"", twice"' for line in lines_of("ada", relapsing())]
    assert found(file_of(tmp_path, lines, f"{HEADER},note")) == found(file_of(tmp_path, lines_of("ada", relapsing())))


def test_nothing_found_for_a_day_changes_when_later_days_are_added(tmp_path: Path) -> None:
    lines = [
        line
        for index in range(6)
        for line in cohort_lines(str(index), seed=40 + index, worsening=Worsening("step", 2.0), length=110)
    ]
    whole = found(file_of(tmp_path, lines))
    until = FIRST + timedelta(days=84)
    part = found(file_of(tmp_path, [line for line in lines if line.split(",")[1] <= until.isoformat()]))
    assert part == [row for row in whole if row.day <= until] != []


def cohort_lines(name: str, *, seed: int, worsening: Worsening | None, length: int) -> list[str]:
    days = cohort(seed, 1, worsening=worsening, length_days=length).days
    scores = [None if np.isnan(each).any() else tuple(each.astype(int).tolist()) for each in days.scores[0]]
    return lines_of(name, scores, np.flatnonzero(days.infusion[0]).tolist())


@pytest.fixture(scope="module")
def three_clients(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str], list[Row]]:
    """Their rows, and what is found in them."""
    folder = tmp_path_factory.mktemp("orders")
    shape = Worsening("step", 2.5)
    lines = [*cohort_lines("b", seed=5, worsening=shape, length=80), *lines_of("a", relapsing())]
    lines += lines_of("c", [None, *steady(25)[:22], None, None, None])
    return folder, lines, found(file_of(folder, lines))


@given(data=st.data())
@settings(max_examples=50)
def test_the_order_of_the_rows_is_nothing(
    three_clients: tuple[Path, list[str], list[Row]], data: st.DataObject
) -> None:
    """What is read is the same, and that is all that the rules see of a file."""
    folder, lines, _ = three_clients
    mixed = data.draw(st.permutations(lines))
    blank_rows = data.draw(st.integers(0, 3))
    ordered = dataclasses.astuple(answers.read(file_of(folder, lines)))
    for part, same in zip(dataclasses.astuple(answers.read(as_mixed(folder, mixed, blank_rows))), ordered, strict=True):
        np.testing.assert_array_equal(part, same)


def test_the_order_of_the_rows_changes_no_alert(three_clients: tuple[Path, list[str], list[Row]]) -> None:
    folder, lines, rows = three_clients
    assert found(as_mixed(folder, [*reversed(lines)], 2)) == rows
    assert Rule.WORSENING in {row.rule for row in rows}


def as_mixed(folder: Path, lines: list[str], blank_rows: int) -> Path:
    return file_of(folder, [*lines, *[",,,,,"] * blank_rows])


def test_the_alerts_are_the_same_bytes_whatever_the_number_of_workers(tmp_path: Path) -> None:
    lines = []
    for place, seed in enumerate((1, 2)):
        days = cohort(seed, 260, length_days=40 + 5 * place).days
        for client, scores in enumerate(days.scores):
            told = [None if np.isnan(each).any() else tuple(each.astype(int).tolist()) for each in scores]
            lines += lines_of(f"{place}-{client}", told, np.flatnonzero(days.infusion[client]).tolist())
    history = file_of(tmp_path, lines)
    made = []
    for workers in ("1", "2"):
        out = tmp_path / f"out{workers}.csv"
        done = backtest(history, "--alerts", out, "--workers", workers)
        assert done.returncode == 0, done.stderr
        made.append(out.read_bytes())
    assert made[0] == made[1]
    assert made[0].count(b"worsening") > 100


def test_a_smaller_budget_gives_fewer_worsenings(tmp_path: Path) -> None:
    lines = [line for seed in range(8) for line in cohort_lines(str(seed), seed=seed, worsening=None, length=150)]
    history = answers.read(file_of(tmp_path, lines))
    counts = []
    for budget_days in (20, 60, 365):
        rules = rules_file.load(None, budget_days=budget_days)
        _, summary = run.find(history, rules, workers=1, done=lambda _: None)
        counts.append(summary.alerts["worsening"])
        assert summary.budget_days == budget_days
    assert counts[0] > counts[1] > counts[2]


def test_writing_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("of before")

    def rows() -> Iterator[Row]:
        yield Row("a", FIRST, Rule.SILENCE, 3, 3.0, 3.0, None, None, FIRST)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.write(rows(), out)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("out.csv", "of before")]


def test_a_back_test_loads_nothing_of_the_database(tmp_path: Path) -> None:
    history = file_of(tmp_path, lines_of("ada", steady(30)))
    code = (
        "import sys; from service.__main__ import main; "
        f"status = main(['backtest', {str(history)!r}, '--alerts', {str(tmp_path / 'out.csv')!r}]); "
        "loaded = {'asyncpg', 'litestar', 'service.database', 'service.embedded.server'} & set(sys.modules); "
        "assert (status, loaded) == (0, set()), loaded"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_back_test_that_is_told_to_stop_while_it_begins_ends_as_quietly(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "history.csv")  # from which nothing comes, so that it never ends by itself
    command = subprocess.Popen(
        [sys.executable, "-X", "importtime", "-m", "service", "backtest", "history.csv", "--alerts", "out.csv"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert command.stderr is not None
    begun = next(line for line in command.stderr if line.endswith(" numpy.version\n"))
    assert begun, "it imports what it needs, and numpy is not whole yet"
    said = None
    while said is None:
        # An import may lose it, as a callback of C would; whoever waits presses again.
        command.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            said = command.communicate(timeout=5)[1]
    assert command.returncode == 130
    assert "Traceback" not in said


def test_a_back_test_that_is_told_to_stop_leaves_nothing_behind(tmp_path: Path) -> None:
    lines = [line for client in range(600) for line in lines_of(str(client), steady(200))]
    history = file_of(tmp_path, lines)
    command = subprocess.Popen(
        [sys.executable, "-m", "service", "backtest", history, "--alerts", tmp_path / "out.csv", "--workers", "2"],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"]},
        stderr=subprocess.PIPE,
    )
    workers: list[psutil.Process] = []
    while len(workers) < 2:
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(0.02)
            pytest.fail("it ended before it was told to")
        children = psutil.Process(command.pid).children()
        workers = [child for child in children if "spawn_main" in " ".join(child.cmdline())]
    command.send_signal(signal.SIGTERM)
    _, said = command.communicate(timeout=60)
    assert (command.returncode, said) == (130, b"")
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]
