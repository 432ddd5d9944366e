"""What a job is given and what it gives back."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from time import monotonic
from typing import Protocol
from uuid import UUID

import msgspec

from service import database
from service.alerting.writing import Sending
from service.database import Db, Pool

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Tools:
    """The connections and channels of a jobs process.

    `sweep` learns which clinics have work; everything with health data is read through `pool`, inside one clinic.
    """

    pool: Pool
    sweep: Pool
    sending: Sending


class Result(msgspec.Struct, frozen=True):
    """What a run did, in numbers; `failed` counts what was left undone and will be tried again."""

    counts: Mapping[str, int]
    failed: int = 0


Clock = Callable[[], datetime]
"""Says what time it is."""


def going_on_from(now: datetime) -> Clock:
    """A clock that says `now` and goes on at the pace of this process."""
    began = monotonic()
    return lambda: now + timedelta(seconds=monotonic() - began)


class DeploymentJob(Protocol):
    """Runs for the whole deployment: finds the clinics with work by itself. May run twice, may be killed anywhere."""

    async def __call__(self, tools: Tools, *, now: datetime) -> Result:
        """One run."""
        ...


class ClinicJob(Protocol):
    """Runs for one clinic. May run twice, may be killed anywhere."""

    async def __call__(self, tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
        """One run."""
        ...


@dataclass(frozen=True)
class Period:
    """A job of the whole deployment: again and again, at the latest after so many seconds, sooner on a hint.

    One that is not `hinted` keeps to its seconds: what it looks for does not come with a check-in. One that is not run
    `at_once` waits for its first time: when a process starts, others have not done their work yet.
    """

    name: str
    run_once: DeploymentJob
    seconds: float
    why: str
    hinted: bool = True
    at_once: bool = True


@dataclass(frozen=True)
class Daily:
    """A job of each clinic: at these local times of each local day. A day that was missed is caught up once."""

    name: str
    run_once: ClinicJob
    at: tuple[time, ...]
    why: str
    looks_at_now: bool = False
    """What it finds holds at the moment it looks, whatever day the run is recorded for."""


async def in_each_clinic(
    tools: Tools, clinic_ids: Sequence[UUID], step: Callable[[Db], Awaitable[int]], *, counted: str
) -> Result:
    """Take a step in each clinic, a transaction each, and add up what it counts; trouble in one holds up no other."""
    total, failed = 0, 0
    for clinic_id in clinic_ids:
        try:
            async with database.transaction(tools.pool, clinic_id) as db:
                total += await step(db)
        except Exception:
            failed += 1
            log.exception("step_failed", extra={"clinic_id": clinic_id, "step": counted})
    return Result({counted: total}, failed=failed)
