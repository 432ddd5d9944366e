"""What a back-test cannot read or use is one line that says where, and leaves what was there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from service.backtest import answers, rules_file
from service.tables import BadFile
from tests.histories import (
    HEADER,
    REPOSITORY,
    alerts_in,
    backtest,
    file_of,
    lines_of,
    relapsing,
    steady,
)


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
        (f"\n\n{HEADER}\na,2026-01-05,3,6,3,\n", 1, "-", "the line is empty; the first must name the columns"),
        (f'{HEADER}\na,2026-01-05,3,6,3,\n"a,2026-01-06,3,6,3,\na,2026-01-07,3,6,3,\n', 3, "-", "never closes"),
        # A cell that spans lines, of whatever ends, moves no number of the lines after it.
        (f'{HEADER},"my\nnote"\na,2026-01-05,3,6,3,,\na,2026-01-06,3,6,11,,\n', 4, "anxiety", "must be 0 to 10"),
        (f'{HEADER},note\ra,2026-01-05,3,6,3,,"one\rtwo"\ra,2026-01-06,3,6,11,,\r', 4, "anxiety", "must be 0 to 10"),
        (f'{HEADER},n\r\na,2026-01-05,3,6,3,,"1\r\n2\n3\r4"\r\na,2026-01-06,3,6,11,,', 6, "anxiety", "must be 0"),
        (
            f'{HEADER},"n\nn"\na,2026-01-05,3,6,3,,"1\n2"\nb,2026-01-05,3,6,11,,'.replace(",", "\t"),
            5,
            "anxiety",
            "be 0",
        ),
        (
            f'{HEADER}\n"a,2026-01-06,3,6,3,\n"a",2026-01-07,3,6,3,\n',
            2,
            "-",
            "a quotation mark opens here and closes inside of a cell in line 3",
        ),
    ],
)
def test_what_cannot_be_taken_is_told_by_line_and_column(
    tmp_path: Path, content: str, line: int, column: str, why: str
) -> None:
    path = tmp_path / "history.csv"
    path.write_text(content, encoding="utf-8", newline="")
    with pytest.raises(BadFile) as caught:
        answers.read(path)
    assert str(caught.value).startswith(f"{path}: line {line}, column {column}: ")
    assert why in str(caught.value)


def test_a_byte_that_is_no_text_is_told_by_its_line_whatever_ends_the_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    for ends in (b"\n", b"\r\n", b"\r"):
        path.write_bytes(ends.join([HEADER.encode(), b"a,2026-01-05,3,6,3,", b"Andr\xe9,2026-01-05,3,6,3,"]))
        with pytest.raises(BadFile, match=r": line 3, column at byte 5: not UTF-8 text$"):
            answers.read(path)


def test_semicolons_in_a_note_split_no_file_of_any_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(f"{HEADER},note\ra,2026-01-05,3,6,3,,{';' * 50}\r", newline="")
    assert answers.read(path).clients == ["a"]


def test_a_refusal_is_one_line_whatever_the_names_hold(tmp_path: Path) -> None:
    """A line break in the name of a column or a file is written as one is in Python."""
    folder = tmp_path / "of\nJune"
    folder.mkdir()
    history = file_of(folder, ["a,2026-01-05,3,6,3,"], 'client,day,"crav\ning",mood,anxiety,infusion')
    done = backtest(history, "--alerts", tmp_path / "out.csv")
    assert (done.returncode, done.stdout) == (2, "")
    named = f"{tmp_path}/of\\nJune/history.csv"
    assert done.stderr == f"neap: {named}: line 1, column crav\\ning: unknown column; did you mean craving?\n"


@pytest.mark.parametrize("rows", [[], ["", ",,,,,"]])
def test_a_history_of_nobody_is_refused(tmp_path: Path, rows: list[str]) -> None:
    out = tmp_path / "out.csv"
    done = backtest(file_of(tmp_path, rows), "--alerts", out)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"neap: {tmp_path / 'history.csv'}: there is no client in it\n"
    assert not out.exists()


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
        (["nowhere.csv", "--alerts", "out.csv"], "nowhere.csv: cannot be read (No such file or directory)"),
        (["history.csv", "--alerts", "nowhere/out.csv"], "--alerts: there is no folder"),
        (["history.csv", "--alerts", "."], "is a folder"),
        (["history.csv", "--alerts", "a" * 300], "cannot be written (File name too long)"),
        (["bad.csv", "--alerts", "/proc/out.csv"], "--alerts: /proc/out.csv cannot be written ("),
        (["history.csv", "--alerts", "history.csv"], "--alerts: would write over the history itself"),
        (["history.csv", "--alerts", "out.csv", "--budget-days", "5"], "--budget-days: must lie in 20-365"),
        (["history.csv", "--alerts", "out.csv", "--budget-days", "nan"], "--budget-days: must lie in 20-365"),
        (["history.csv", "--alerts", "out.csv", "--workers", "0"], "--workers: at least 1"),
        (["history.csv", "--alerts", "two.json", "--rules", "two.json"], "--alerts: would write over the rules"),
        (["history.csv", "--alerts", "out.csv", "--rules", "none.json"], "none.json: cannot be read"),
        (["history.csv", "--alerts", "out.csv", "--rules", "history.csv"], "history.csv: no rules file: $: not JSON"),
        (["history.csv", "--alerts", "out.csv", "--rules", "two.json"], "two.json: no rules file: $.rules: must be"),
    ],
)
def test_arguments_that_cannot_be_used_are_one_line_and_status_2(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    file_of(tmp_path, lines_of("a", steady(3)))
    (tmp_path / "two.json").write_text('{"rules": 2}')
    (tmp_path / "bad.csv").write_text("read only after the place is looked at")
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.csv", "history.csv", "two.json"]


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
        (["limits"], [9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]),
        (["limits"], [-5.0] * 8),
        (["limits"], [1e300] * 8),
        (["budgets_days"], [60, 30]),
        (["rules", "version"], ""),
        (["rules", "version"], "two\nlines"),
        (["rules", "version"], "\x1b[31mred"),
        (["rules", "version"], "v" * 101),
        (["rules", "limit"], -1),
        (["rules", "limit"], 2.0),
        (["rules", "cap_step"], -1),
        (["rules", "cap_step"], 1e308),
        (["rules", "prior", "correlation"], [[5, 0, 0], [0, 5, 0], [0, 0, 5]]),
        (["rules", "prior", "log_sd"], [800, 0, 0]),
        (["rules", "prior", "log_sd"], [-800, 0, 0]),
        (["rules", "prior", "phi_var"], 1e-320),
        (["rules", "noise", "degrees"], 1e-300),
        (["rules", "missingness", "per_craving_sd"], 1e9),
        (["rules", "surface", "log_sd"], 1e308),
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


def test_one_client_of_one_day_is_told_in_the_singular(tmp_path: Path) -> None:
    done = backtest(file_of(tmp_path, lines_of("ada", steady(1))), "--alerts", tmp_path / "out.csv")
    assert done.stdout.startswith("1 client, 1 client day, 1 answered; rules shipped-")


def test_what_a_rules_file_lacks_is_named(tmp_path: Path) -> None:
    rules = json.loads((REPOSITORY / "service" / "detection" / "rules.json").read_text())
    del rules["rules"]["prior"]["mean"]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps(rules))
    with pytest.raises(Exception, match=r"no rules file: \$\.rules\.prior\.mean: required"):
        rules_file.load(path, budget_days=None)


def test_rules_from_a_file_are_the_rules_that_run(tmp_path: Path) -> None:
    history = file_of(tmp_path, lines_of("ada", relapsing()))
    path = broken(tmp_path, ["limits"], [99.0] * 8)
    made = json.loads(path.read_text())
    made["rules"]["limit"] = 99.0
    path.write_text(json.dumps(made))
    done = backtest(history, "--alerts", tmp_path / "out.csv", "--rules", path)
    assert done.returncode == 0
    assert "worsening" not in {row["rule"] for row in alerts_in(tmp_path / "out.csv")}
