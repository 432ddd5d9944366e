"""Run the rules over a daily history (CSV) and write the alerts they would have raised; needs no database."""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec
from tqdm import tqdm

from service import errors, whole_files
from service.backtest import answers, rules_file
from service.backtest import run as backtest
from service.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The history, where the alerts go, and which rules."""
    parser.add_argument("file", metavar="FILE", type=Path, help="client, day, craving, mood, anxiety and infusion")
    parser.add_argument("--alerts", metavar="OUT", type=Path, required=True, help="the CSV file to write")
    parser.add_argument(
        "--budget-days", metavar="DAYS", type=float, help="stable client days a false alert (as the rules say: 60)"
    )
    parser.add_argument("--rules", metavar="RULES", type=Path, help="a file that `calibrate` made (the shipped rules)")
    parser.add_argument("--workers", metavar="N", type=int, help="processes to use (one a processor)")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Back-test; raises Invalid (exit status 2) for arguments, a file or rules that cannot be used."""
    del config
    _check(arguments)
    rules = rules_file.load(arguments.rules, budget_days=arguments.budget_days)
    history = answers.read(arguments.file)
    workers = arguments.workers or backtest.processors()
    with tqdm(total=int(history.spans.sum()), unit=" days", unit_scale=True, disable=None) as bar:
        rows, summary = backtest.find(history, rules, workers=workers, done=bar.update)
    try:
        backtest.write(rows, arguments.alerts)
    except OSError as error:
        raise errors.Invalid(f"{arguments.alerts}: cannot be written ({error.strerror})") from error
    print(msgspec.json.encode(summary).decode() if arguments.json else _told(summary, arguments.alerts))
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raises Invalid for what would be found out only after all the work."""
    out: Path = arguments.alerts
    whole_files.refuse_unwritable("--alerts", out)
    if out.exists() and arguments.file.exists() and out.samefile(arguments.file):
        raise errors.Invalid("--alerts: would write over the history itself")
    rules: Path | None = arguments.rules
    if rules is not None and out.exists() and rules.exists() and out.samefile(rules):
        raise errors.Invalid("--alerts: would write over the rules")
    if arguments.workers is not None and arguments.workers < 1:
        raise errors.Invalid("--workers: at least 1")


def _told(summary: backtest.Summary, out: Path) -> str:
    rate = summary.worsening_per_60_days
    told = ", ".join(f"{count} {rule}" for rule, count in summary.alerts.items())
    often = "" if rate is None else f"; {rate:.2f} worsenings a 60 client days from day 21 on"
    return (
        f"{summary.clients} {'client' if summary.clients == 1 else 'clients'}, "
        f"{summary.days} client {'day' if summary.days == 1 else 'days'}, {summary.answered} answered; "
        f"rules {summary.rules}, one false alert in {summary.budget_days:g} stable days\n"
        f"{told}{often}\n{out}"
    )
