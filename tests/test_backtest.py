"""`python -m service backtest`: a history in, the alerts it would have raised out; no database."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.alert import Rule
from service.backtest import answers, rules_file, run
from service.backtest.alerts import Row
from service.detection.synthetic import Worsening, cohort
from service.tables import BadFile

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
    folder = tmp_path_factory.mktemp("orders")
    shape = Worsening("step", 2.5)
    lines = [*cohort_lines("b", seed=5, worsening=shape, length=80), *lines_of("a", relapsing())]
    lines += lines_of("c", [None, *steady(25)[:22], None, None, None])
    return folder, lines, found(file_of(folder, lines))


@given(data=st.data())
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_rows_is_nothing(
    three_clients: tuple[Path, list[str], list[Row]], data: st.DataObject
) -> None:
    folder, lines, rows = three_clients
    mixed = data.draw(st.permutations(lines))
    blank_rows = data.draw(st.integers(0, 3))
    assert found(file_of(folder, [*mixed, *[",,,,,"] * blank_rows])) == rows
    assert Rule.WORSENING in {row.rule for row in rows}


def test_the_alerts_are_the_same_bytes_whatever_the_number_of_workers(tmp_path: Path) -> None:
    lines = []
    for place, seed in enumerate((1, 2)):
        days = cohort(seed, 260, length_days=60 + 10 * place).days
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


@pytest.mark.parametrize(
    ("content", "line", "column", "why"),
    [
        (f"{HEADER}\na,2026-01-05,11,6,3,\n", 2, "craving", "must be 0 to 10"),
        (f"{HEADER}\na,2026-01-05,3,6,3,\na,2026-01-06,-1,6,3,\n", 3, "craving", "must be 0 to 10"),
        (f"{HEADER}\na,2026-01-05,3,6.5,3,\n", 2, "mood", "must be a whole number"),
        (f"{HEADER}\na,2026-01-05,3,6,much,\n", 2, "anxiety", "not a number"),
        (f"{HEADER}\na,2026-01-05,3,6,nan,\n", 2, "anxiety", "not a number"),
        (f"{HEADER}\na,2026-01-05,3,6,3,yes\n", 2, "infusion", "must be 1, 0 or empty"),
        (f"{HEADER}\na,2026-01-05,3,6,3,2\n", 2, "infusion", "must be 1, 0 or empty"),
        (f"{HEADER}\na,05.01.2026,3,6,3,\n", 2, "day", "must be a date such as 2026-11-22"),
        (f"{HEADER}\na,2026-02-30,3,6,3,\n", 2, "day", "there is no such date"),
        (f"{HEADER}\na,1026-02-20,3,6,3,\n", 2, "day", "must be 1970-01-01 or later"),
        (f"{HEADER}\na,2026-01-05,3,6,3,\na,2062-01-05,3,6,3,\n", 3, "day", "more than 20 years after"),
        (f"{HEADER}\n,2026-01-05,3,6,3,\n", 2, "client", "empty"),
        (f"{HEADER}\na,2026-01-05,3,6\n", 2, "-", "4 cells under 6 columns"),
        (
            f"{HEADER}\na,2026-01-05,3,6,3,\nb,2026-01-05,3,6,3,\na,2026-01-05,,,,\n",
            4,
            "day",
            "lines 2 and 4 hold the same client and day",
        ),
        ("client,craving,mood,anxiety\na,3,6,3\n", 1, "day", "missing"),
        ("client,day,craving,modd,anxiety\n", 1, "modd", "unknown column; did you mean mood?"),
        ("client,day,note\n", 1, "-", "no column holds craving, mood or anxiety"),
        ("client,day,mood,mood\n", 1, "mood", "named twice"),
        ("client;day;mood\n", 1, "-", "split by semicolons"),
        ("", 1, "-", "the file is empty"),
    ],
)
def test_what_cannot_be_taken_is_told_by_line_and_column(
    tmp_path: Path, content: str, line: int, column: str, why: str
) -> None:
    path = tmp_path / "history.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(BadFile) as caught:
        answers.read(path)
    assert str(caught.value).startswith(f"{path}: line {line}, column {column}: ")
    assert why in str(caught.value)


def test_wrong_input_is_one_line_and_status_2_and_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    out.write_text("of before")
    done = backtest(file_of(tmp_path, ["a,2026-01-05,3,6,3,", "a,2026-01-06,3,77,3,"]), "--alerts", out)
    assert done.returncode == 2
    assert done.stdout == ""
    [said] = done.stderr.splitlines()
    assert said == f"neap: {tmp_path / 'history.csv'}: line 3, column mood: must be 0 to 10"
    assert out.read_text() == "of before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "out.csv"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere.csv", "--alerts", "out.csv"], "nowhere.csv: line 0, column -: cannot be read"),
        (["history.csv", "--alerts", "nowhere/out.csv"], "--alerts: there is no folder"),
        (["history.csv", "--alerts", "."], "is a folder"),
        (["history.csv", "--alerts", "history.csv"], "--alerts: would write over the history itself"),
        (["history.csv", "--alerts", "out.csv", "--budget-days", "5"], "--budget-days: must lie in 20-365"),
        (["history.csv", "--alerts", "out.csv", "--budget-days", "nan"], "--budget-days: must lie in 20-365"),
        (["history.csv", "--alerts", "out.csv", "--workers", "0"], "--workers: at least 1"),
        (["history.csv", "--alerts", "out.csv", "--rules", "none.json"], "none.json: cannot be read"),
        (["history.csv", "--alerts", "out.csv", "--rules", "history.csv"], "history.csv: no rules file: $: not JSON"),
        (["history.csv", "--alerts", "out.csv", "--rules", "two.json"], "two.json: no rules file: $.rules: Expected"),
    ],
)
def test_arguments_that_cannot_be_used_are_one_line_and_status_2(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    file_of(tmp_path, lines_of("a", steady(3)))
    (tmp_path / "two.json").write_text('{"rules": 2}')
    done = subprocess.run(
        [sys.executable, "-m", "service", "backtest", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["history.csv", "two.json"]


def broken(tmp_path: Path, where: Sequence[str], value: object) -> Path:
    """The shipped rules with one of their numbers changed."""
    rules = json.loads((REPOSITORY / "service" / "detection" / "rules.json").read_text())
    inside = rules
    for name in where[:-1]:
        inside = inside[name]
    inside[where[-1]] = value
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(rules))
    return path


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (["limits"], [3.0]),
        (["budgets_days"], [60, 30]),
        (["rules", "limit"], "high"),
        (["rules", "prior", "mean"], [1, 2, 3]),
        (["rules", "prior", "cov"], [[1, 2], [3]]),
        (["rules", "prior", "correlation"], [[1, 2, 0], [2, 1, 0], [0, 0, 1]]),
        (["rules", "prior", "phi"], 1.5),
        (["rules", "noise", "degrees"], 0),
        (["rules", "missingness", "share"], 1),
        (["rules", "budget_days"], 1000),
    ],
)
def test_rules_that_make_no_sense_are_refused_by_their_place(tmp_path: Path, where: list[str], value: object) -> None:
    path = broken(tmp_path, where, value)
    with pytest.raises(Exception, match="no rules file") as caught:
        rules_file.load(path, budget_days=None)
    assert f"{path}: no rules file: $." in str(caught.value)
    assert "\n" not in str(caught.value)


def test_rules_from_a_file_are_the_rules_that_run(tmp_path: Path) -> None:
    history = file_of(tmp_path, lines_of("ada", relapsing()))
    path = broken(tmp_path, ["limits"], [99.0] * 8)
    done = backtest(history, "--alerts", tmp_path / "out.csv", "--rules", path)
    assert done.returncode == 0
    assert "worsening" not in {row["rule"] for row in alerts_in(tmp_path / "out.csv")}


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
