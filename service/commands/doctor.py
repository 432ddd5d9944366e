"""Look at settings, database, keys, mail, jobs and disk, and say what is wrong and what to do about it.

Changes nothing. The exit status is 1 when something has to be done.
"""

from __future__ import annotations

import argparse
import asyncio

from service import doctor
from service.config import Config
from service.doctor import Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where a test message goes, if one is wanted."""
    parser.add_argument("--send-test", metavar="ADDRESS", help="send a test message to this e-mail address")


def run(arguments: argparse.Namespace, config: Config) -> int:
    """Print a line for each finding; 1 when one of them is a problem."""
    return asyncio.run(_examine(config, arguments.send_test))


async def _examine(config: Config, send_test_to: str | None) -> int:
    findings = []
    async for finding in doctor.examine(config):
        findings.append(finding)
        _say(finding)
    if send_test_to is not None:
        findings.append(await doctor.send_test(config, send_test_to))
        _say(findings[-1])
    count = doctor.problems(findings)
    print(f"{count} {'problem' if count == 1 else 'problems'}." if count else "Nothing to do.")
    return 1 if count else 0


def _say(finding: Finding) -> None:
    state = "problem" if finding.is_problem else "ok"
    print(f"{state:<8} {finding.name}: {finding.seen}" + (f" - {finding.remedy}" if finding.remedy else ""), flush=True)
