"""What a job is given and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from service.database import Pool
from service.outbox import Sending


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
