"""`python -m jobs` runs the clock; `… run NAME` runs one job by hand, `… timetable` prints when each runs and why."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import asyncpg

from jobs import metrics, process, runner, timetable
from jobs.work import Daily, Result, Tools
from schemas.clinic import Clinic
from service import config, database, logs
from service.arguments import WRONG_INPUT_STATUS, OneLineParser
from service.config import Config, ConfigError
from service.errors import DomainError
from service.people import clinics


def _parser() -> OneLineParser:
    parser = OneLineParser(prog="python -m jobs", description="The clock of Neap.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("timetable", help="print when each job runs, and why")
    run = commands.add_parser("run", help="run one job once")
    names = [each.name for each in timetable.PERIODS] + [each.name for each in timetable.DAILIES]
    run.add_argument("name", metavar="NAME", choices=names, help=", ".join(names))
    run.add_argument("--day", type=_day, metavar="YYYY-MM-DD", help="local day the run is recorded for")
    run.add_argument("--clinic", metavar="SLUG", help="this clinic only")
    return parser


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write it as 2026-11-22") from None


def main(arguments: Sequence[str]) -> int:
    """Run a command; the result is the exit status."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if parsed.command == "timetable":
        print(*timetable.lines(), sep="\n")
        return 0
    if parsed.command == "run":
        _refuse_options_not_taken(parser, parsed.name, parsed.day, parsed.clinic)
    try:
        settings = config.load()
        logs.configure(settings.log_format)
        if parsed.command == "run":
            return asyncio.run(_run_by_hand(settings, parser, parsed.name, parsed.day, parsed.clinic))
        return asyncio.run(_run_clock(settings))
    except ConfigError as error:
        print(*(f"setting: {fault}" for fault in error.faults), sep="\n", file=sys.stderr)
        return WRONG_INPUT_STATUS
    except DomainError as error:
        print(f"jobs: {error.message}", file=sys.stderr)
        return 1
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        print(f"jobs: the database cannot be reached ({type(error).__name__})", file=sys.stderr)
        return 1


def _refuse_options_not_taken(parser: argparse.ArgumentParser, name: str, day: date | None, slug: str | None) -> None:
    given = [option for option, value in (("--day", day), ("--clinic", slug)) if value is not None]
    if given and any(period.name == name for period in timetable.PERIODS):
        parser.error(f"{name} covers every clinic as of now; it takes no {' and no '.join(given)}")
    if day is not None and any(daily.name == name and daily.looks_at_now for daily in timetable.DAILIES):
        parser.error(f"{name} looks at what is now; it takes no --day")


async def _run_clock(settings: Config) -> int:
    async with process.tools_of(settings) as tools:
        running = process.Process(tools, hint_url=settings.database_url_of("jobs"))
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, running.stop)
        with _figures_shown(settings):
            await running.run()
    return 0


@contextmanager
def _figures_shown(settings: Config) -> Iterator[None]:
    """Show the figures for the block. Raises ConfigError where the address for them is not to be had."""
    with ExitStack() as stack:
        try:
            stack.enter_context(metrics.served(settings.metrics_host, settings.metrics_port))
        except OSError as error:
            why = error.strerror or type(error).__name__
            raise ConfigError(f"NEAP_METRICS_HOST, NEAP_METRICS_PORT: nobody can listen there ({why})") from error
        yield


async def _run_by_hand(
    settings: Config, parser: argparse.ArgumentParser, name: str, day: date | None, slug: str | None
) -> int:
    async with process.tools_of(settings) as tools:
        for period in timetable.PERIODS:
            if period.name == name:
                result = await period.run_once(tools, now=process.utc_now())
                return _told(name, result)
        daily = next(each for each in timetable.DAILIES if each.name == name)
        async with database.across_clinics(tools.sweep) as connection:
            chosen = [each for each in await clinics.all_clinics(connection) if slug in (None, each.slug)]
        if slug is not None and not chosen:
            parser.error(f"no clinic {slug!r}")
        statuses = [await _run_daily(tools, daily, clinic, day, parser) for clinic in chosen]
    return max(statuses, default=0)


async def _run_daily(
    tools: Tools, daily: Daily, clinic: Clinic, day: date | None, parser: argparse.ArgumentParser
) -> int:
    now = process.utc_now()
    zone = ZoneInfo(clinic.time_zone)
    local = now.astimezone(zone)
    if day is not None and day > local.date():
        parser.error(f"{day} has not come yet in {clinic.slug}")
    # A run of today stands for the times that have come; those to come still will.
    over = day is not None and day < local.date()
    slot = runner.Slot(
        clinic_id=clinic.clinic_id,
        job=daily.name,
        local_date=day or local.date(),
        local_time=max(daily.at) if over else local.time(),
    )
    # A day that is over is run as at its end: what came later is none of its business.
    at = now if day is None else min(now, _end_of(day, zone))
    result = await runner.run_slot(tools, slot, daily, "by hand", now=now, at=at, by_hand=True, clock=process.utc_now)
    return _told(f"{daily.name} {clinic.slug}", result or Result({}, failed=1))


def _end_of(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a clinic's local day ends."""
    return datetime.combine(day + timedelta(days=1), time.min, zone).astimezone(UTC)


def _told(what: str, result: Result) -> int:
    counts = dict(result.counts)
    # A job may count attempts that failed of its own; they are told beside what the run left undone, once.
    counts["failed"] = counts.pop("failed", 0) + result.failed
    print(what, *(f"{name}={number}" for name, number in counts.items()))
    return 1 if result.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
