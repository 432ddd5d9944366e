"""`python -m service calibrate`: the shipped rules again from their seed, or rules fitted to a history."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from service import errors
from service.backtest import answers, fitting, rules_file
from service.commands import calibrate as command
from service.detection.calibrate import encode, make_shipped
from service.detection.population import load_shipped
from service.detection.synthetic import Population, cohort
from tests.histories import backtest, file_of, lines_of

REPOSITORY = Path(__file__).parents[1]


def calibrate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """The command, as a person runs it; without any setting."""
    return subprocess.run(
        [sys.executable, "-m", "service", "calibrate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"]},
    )


def a_history(folder: Path, clients: int, *, length: int, population: Population | None = None) -> Path:
    """A file of people who stay as they are."""
    days = cohort(8, clients, population=population, length_days=length).days
    lines = []
    for client in range(clients):
        scores = [tuple("" if np.isnan(cell) else int(cell) for cell in each) for each in days.scores[client]]
        lines += lines_of(f"c{client}", scores, np.flatnonzero(days.infusion[client]).tolist())
    return file_of(folder, lines)


def test_rules_of_a_history_run_the_back_test_at_any_budget(tmp_path: Path) -> None:
    history = a_history(tmp_path, 16, length=50)
    made = calibrate(
        "--from", history, "--budget-days", "50", "--out", tmp_path / "rules.json", "--clients", "30", "--seed", "3"
    )
    assert made.returncode == 0, made.stderr
    assert "16 people, 800 client days" in made.stdout
    assert "kept from the shipped rules: limit surface" in made.stdout
    own = rules_file.load(tmp_path / "rules.json", budget_days=None)
    assert own.budget_days == 50
    assert own.command == "python -m service calibrate --from history.csv --budget-days 50 --seed 3 --clients 30"
    assert own.prior != load_shipped().rules.prior
    assert [rules_file.load(tmp_path / "rules.json", budget_days=days).budget_days for days in (20, 60, 365)]
    rules = tmp_path / "rules.json"
    done = backtest(history, "--alerts", tmp_path / "out.csv", "--rules", rules, "--budget-days", "90", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["budget_days"], summary["rules"]) == (90, own.version)


def test_a_history_of_too_few_people_is_refused_in_one_line(tmp_path: Path) -> None:
    done = calibrate("--from", a_history(tmp_path, 4, length=40), "--out", tmp_path / "rules.json")
    assert done.returncode == 2
    assert "4 clients answered everything asked on 14 days or more; a population takes 10" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "rules.json").exists()


def test_a_history_too_short_for_any_false_alert_is_refused_in_one_line(tmp_path: Path) -> None:
    done = calibrate("--from", a_history(tmp_path, 12, length=20), "--out", tmp_path / "rules.json")
    assert done.returncode == 2
    assert "nobody is followed for 28 days (the longest 20): false alerts count from day 21 on" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "rules.json").exists()


def test_a_history_of_nobody_is_refused_in_one_line(tmp_path: Path) -> None:
    done = calibrate("--from", file_of(tmp_path, []), "--out", tmp_path / "rules.json")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"neap: {tmp_path / 'history.csv'}: there is no client in it\n"


def constant(person: int, day: int) -> tuple[int, int, int]:
    return 3, 7, 3


def constant_in_each(person: int, day: int) -> tuple[int, int, int]:
    return person % 10, person % 10, person % 10


def copies(person: int, day: int) -> tuple[int, int, int]:
    score = (person + day * 7) % 5
    return score, 10 - score, score


@pytest.mark.parametrize("answered", [constant, constant_in_each, copies])
def test_people_who_say_nothing_of_a_population_are_refused_in_one_line(
    tmp_path: Path, answered: Callable[[int, int], tuple[int, int, int]]
) -> None:
    first = date(2026, 1, 1)
    rows = [
        f"p{person},{first + timedelta(days=day)},{','.join(map(str, answered(person, day)))}"
        for person in range(20)
        for day in range(40)
    ]
    history = tmp_path / "history.csv"
    history.write_text("\n".join(["client,day,craving,mood,anxiety", *rows, ""]))
    with pytest.raises(errors.Invalid, match=r"a population takes 10|no population can be estimated") as caught:
        fitting.fit(answers.read(history), history, budget_days=60, seed=1, clients=60, tell=lambda _: None)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("slips", "often"), [(0, "always"), (3, "nearly always")])
def test_an_item_that_everybody_always_answers_alike_is_left_out(tmp_path: Path, slips: int, often: str) -> None:
    history = a_history(tmp_path, 12, length=40)
    lines = history.read_text().splitlines()
    place = lines[0].split(",").index("anxiety")
    flat = [
        ",".join([*line.split(",")[:place], "9" if row < slips else "0", *line.split(",")[place + 1 :]])
        for row, line in enumerate(lines[1:])
    ]
    history.write_text("\n".join([lines[0], *flat, ""]))
    said: list[str] = []
    made = fitting.fit(answers.read(history), history, budget_days=60, seed=1, clients=60, tell=said.append)
    assert f"anxiety is {often} 0, and is left out" in said
    assert "anxiety (never asked)" in made.kept


def test_rules_of_other_people_or_made_otherwise_have_another_version(tmp_path: Path) -> None:
    history = a_history(tmp_path, 12, length=30)

    def version(*, clients: int = 30) -> str:
        read = answers.read(history)
        made = fitting.fit(read, history, budget_days=60, seed=1, clients=clients, tell=lambda _: None)
        return made.shipped.rules.version

    first = version()
    assert re.fullmatch(r"history-1-[0-9a-f]{8}", first)
    assert version() == first
    of_more = version(clients=31)
    *before, last = history.read_text().splitlines()
    client, day, *_ = last.split(",")
    history.write_text("\n".join([*before, f"{client},{day},10,0,10,", ""]))
    assert len({first, of_more, version()}) == 3


def test_limits_that_descend_by_chance_are_held_level(tmp_path: Path) -> None:
    """Few people, few of them simulated: 150 days ask for less than 90 do."""
    history = a_history(tmp_path, 12, length=40)
    said: list[str] = []
    made = fitting.fit(answers.read(history), history, budget_days=60, seed=3, clients=30, tell=said.append)
    limits = made.shipped.limits
    assert list(limits) == sorted(limits)
    assert len(set(limits)) < len(limits), "some would have descended"
    assert f"budget 365 days: limit {limits[-1]:.4f}" in said[-1]
    assert made.shipped.rules.limit == limits[made.shipped.budgets_days.index(60)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--from", "history.csv"], "--out: where the rules go"),
        (["--from", "nowhere.csv", "--out", "rules.json"], "nowhere.csv: cannot be read (No such file"),
        (["--from", "history.csv", "--out", "rules.json", "--budget-days", "7"], "--budget-days: must lie in 20-365"),
        (["--from", "history.csv", "--out", "history.csv"], "--out: would write over the history itself"),
        (["--out", "nowhere/rules.json"], "--out: there is no folder nowhere"),
        # Of too few people, which would be found out only after its place.
        (["--from", "history.csv", "--out", "a" * 300], "cannot be written (File name too long)"),
        (["--from", "history.csv", "--out", "/proc/rules.json"], "--out: /proc/rules.json cannot be written ("),
        (["--from", "history.csv", "--out", "."], "--out: . is a folder"),
        (["--out", "rules.json", "--clients", "3"], "--clients: at least 30"),
        (["--out", "rules.json", "--seed", "-1"], "--seed: not below 0"),
    ],
)
def test_arguments_that_cannot_be_used_are_one_line_and_status_2(
    tmp_path: Path, arguments: list[str], told: str
) -> None:
    a_history(tmp_path, 1, length=2)
    done = subprocess.run(
        [sys.executable, "-m", "service", "calibrate", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["history.csv"]


def test_the_shipped_rules_say_the_command_that_makes_them_again() -> None:
    shipped = load_shipped().rules
    assert shipped.command == f"python -m service calibrate --seed {shipped.seed} --clients {command.SHIPPED_CLIENTS}"


@pytest.mark.slow
def test_the_same_seed_makes_the_same_file_byte_for_byte(tmp_path: Path) -> None:
    out = tmp_path / "rules.json"
    first = calibrate("--seed", "5", "--clients", "60", "--out", out)
    assert first.returncode == 0, first.stderr
    assert out.read_bytes() == encode(make_shipped(5, clients=60))
    again = calibrate("--seed", "5", "--clients", "60", "--out", out)
    assert again.stdout == f"{out}: made again, byte for byte\n"
    other = calibrate("--seed", "6", "--clients", "60", "--out", out)
    assert "it is not the file that was there" in other.stdout


@pytest.mark.slow
def test_a_history_makes_the_same_rules_twice_and_says_what_it_cannot_tell(tmp_path: Path) -> None:
    history = a_history(tmp_path, 14, length=45, population=Population(asked=(False, True, True)))
    text = history.read_text().replace(",1\n", ",\n")
    history.write_text(text)
    made = []
    for name in ("one.json", "two.json"):
        done = calibrate("--from", history, "--out", tmp_path / name, "--clients", "30")
        assert done.returncode == 0, done.stderr
        assert "craving (never asked), infusion effect (no infusion in the history), limit surface" in done.stdout
        made.append((tmp_path / name).read_bytes())
    assert made[0] == made[1]
