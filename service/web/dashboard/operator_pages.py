"""Whether anything is late, for whoever runs Neap: jobs, outbox, broken promises, lost messages, seals."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from litestar import Response, Router, get
from litestar.di import NamedDependency, Provide

from service import invariants, watch
from service.config import Config
from service.desk import operations
from service.doctor import machine
from service.doctor.finding import Finding
from service.people.access import Permission
from service.watch import Report
from service.web import desk_page, page_problems
from service.web.desk_session import Desk, open_desk
from service.web.pages import how_long

# What is wrong although no statement says so.
OTHER_WORDS: Mapping[str, str] = MappingProxyType(
    {
        watch.NO_JOBS_PROCESS: "no jobs process has reported for two minutes: nothing is folded, sent or watched",
        watch.NOT_LOOKED: "nobody has looked for three minutes whether every promise holds",
        watch.CLOCKS_APART: "the clocks of the jobs and web processes differ by minutes: nobody can tell what is late",
        "run_overdue": "a clinic's daily job should have run and nobody claimed it",
    }
)


# A disk of a network that hangs holds up neither the page nor the process.
LOOK_SECONDS = 2.0
STUCK_WORDS = "no process has ended a run of this job in its time: restart the jobs process, and read its log"


class JobLine(NamedTuple):
    """A job of the whole deployment: when a process that runs it was seen last, how often it ran and failed."""

    job: str
    seen_at: datetime
    runs: int
    failed: int


@get("/operator", opt={"access": Permission.SEE_OPERATIONS})
async def show_operations(desk: NamedDependency[Desk]) -> Response[Any]:
    """Is anything late, or wrong? Of the whole deployment by name, of this clinic by number."""
    said = await watch.reports(desk.db.connection, now=desk.now)
    shown = await operations.read(desk.db, now=desk.now)
    seen = await _machine(desk.services.config)
    context = {
        "late": {name: _word_of(name) for name in watch.overdue_in(said, now=desk.now)},
        "lost_today": [each for each in shown.dead if desk.now - each.settled_at < watch.A_DAY],
        "operations": shown,
        "jobs": jobs_of(said),
        "machine": seen,
        "wrong": [each for each in seen if each.is_problem],
        "failed": [each for each in shown.runs if each.state == "failed"],
        "silent": lambda line: desk.now - line.seen_at > watch.SILENT_AFTER,
        "looked_at": next((each.seen_at for each in said if each.process == watch.SEEN_LAST), None),
        "ago": lambda at: how_long(desk.now - at),
    }
    await desk.record("operations.read")
    return await desk_page.show(desk, "operator.html", context, here="/operator")


async def _machine(config: Config) -> list[Finding]:
    """Newest backup and free disk, as far as this process may look; nothing where it may not."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return await asyncio.to_thread(machine.backup_and_disk, config)
    except (OSError, TimeoutError):
        return []


def _word_of(name: str) -> str:
    why = {each.name: each.why for each in invariants.every()} | dict(OTHER_WORDS)
    return why.get(name, STUCK_WORDS if name.endswith(watch.STUCK) else "")


def jobs_of(said: Sequence[Report]) -> list[JobLine]:
    """Every job, over all processes that run it."""
    lines: dict[str, JobLine] = {}
    for each in said:
        if each.process == watch.SEEN_LAST:
            continue
        before = lines.get(each.job, JobLine(each.job, each.seen_at, 0, 0))
        lines[each.job] = JobLine(
            each.job,
            max(before.seen_at, each.seen_at),
            before.runs + each.counts.get("runs", 0),
            before.failed + each.counts.get("failed", 0),
        )
    return sorted(lines.values())


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_operations],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
