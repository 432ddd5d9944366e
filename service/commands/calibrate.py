"""Make the detector's rules: the shipped ones again from their seed, or rules fitted to a history (--from)."""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from tqdm import tqdm

from service import detection, errors, whole_files
from service.backtest import answers, fitting
from service.config import Config
from service.detection import calibrate
from service.detection.calibrate import Fitted
from service.detection.population import load_shipped

SHIPPED = Path(detection.__file__).with_name("rules.json")
SHIPPED_CLIENTS = 2000
SIMULATED_CLIENTS = 1000
LEAST_CLIENTS = 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """From what, for which budget, and where to."""
    parser.add_argument("--from", dest="history", metavar="FILE", type=Path, help="a history, as `backtest` reads it")
    parser.add_argument("--budget-days", metavar="DAYS", type=float, default=60, help="with --from: the budget (60)")
    parser.add_argument("--out", metavar="FILE", type=Path, help="the file to write (the shipped rules themselves)")
    parser.add_argument("--seed", metavar="N", type=int, help="of the simulated people (that of the shipped rules)")
    parser.add_argument(
        "--clients",
        metavar="N",
        type=int,
        help=f"how many people to simulate ({SHIPPED_CLIENTS}; with --from {SIMULATED_CLIENTS})",
    )


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Make the file; raises Invalid (exit status 2) for arguments or a history that cannot be used."""
    del config
    _check(arguments)
    seed = load_shipped().rules.seed if arguments.seed is None else arguments.seed
    if arguments.history is not None:
        made = fitting.fit(
            answers.read(arguments.history),
            arguments.history,
            budget_days=arguments.budget_days,
            seed=seed,
            clients=arguments.clients or SIMULATED_CLIENTS,
            tell=_tell,
        )
        _write(arguments.out, calibrate.encode(made.shipped))
        print(_told(made, arguments.out))
        return 0
    out = arguments.out or SHIPPED
    clients = arguments.clients or SHIPPED_CLIENTS
    steps = 2 + calibrate.SURFACE_ROUNDS + calibrate.SETTLING_ROUNDS + len(calibrate.BUDGETS_DAYS)
    with tqdm(total=steps, unit=" steps", disable=None) as bar:

        def tell(said: str) -> None:
            _tell(said)
            bar.update()

        rules = calibrate.encode(calibrate.make_shipped(seed, clients=clients, tell=tell))
    before = out.read_bytes() if out.is_file() else None
    if before == rules:
        print(f"{out}: made again, byte for byte")
        return 0
    _write(out, rules)
    print(f"{out}: {'written' if before is None else 'written anew: it is not the file that was there'}")
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Raises Invalid for what would be found out only after all the work."""
    out: Path | None = arguments.out
    if arguments.history is not None and out is None:
        raise errors.Invalid("--out: where the rules go; only the shipped ones have a place of their own")
    if out is not None:
        whole_files.refuse_unwritable("--out", out)
    if arguments.history is not None and out is not None and out.exists() and arguments.history.exists():
        if out.samefile(arguments.history):
            raise errors.Invalid("--out: would write over the history itself")
        if out.samefile(SHIPPED):
            raise errors.Invalid("--out: would write over the shipped rules")
    if arguments.seed is not None and arguments.seed < 0:
        raise errors.Invalid("--seed: not below 0")
    if arguments.clients is not None and arguments.clients < LEAST_CLIENTS:
        raise errors.Invalid(f"--clients: at least {LEAST_CLIENTS}")


def _tell(said: str) -> None:
    tqdm.write(said, file=sys.stderr)


def _write(out: Path, rules: bytes) -> None:
    try:
        whole_files.write(out, lambda file: file.write(rules.decode()))
    except OSError as error:
        raise errors.Invalid(f"{out}: cannot be written ({error.strerror})") from error


def _told(made: Fitted, out: Path) -> str:
    kept = ", ".join(made.kept)
    rules = made.shipped.rules
    often = "no alert"
    if math.isfinite(made.false_alert_days):
        often = f"one alert in {made.false_alert_days:.0f} days, {made.above_twice:.0%} of them over twice the budget"
    return (
        f"{made.people} people, {made.client_days} client days\n"
        f"kept from the shipped rules: {kept or 'nothing'}\n"
        f"limit {rules.limit:.4f} at one false alert in {rules.budget_days:g} days; "
        f"from simulated people alone {made.simulated_limit:.4f}\n"
        f"taken as stable, they would have had {often}\n{out}"
    )
