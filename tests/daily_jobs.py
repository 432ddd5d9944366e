"""A daily job that remembers how it was run."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time
from uuid import UUID

import pytest

from jobs.work import Daily, Result, Tools
from schemas.clinic import Clinic
from service.alerting.writing import Sending
from service.database import Pool
from tests.builders import MASTER, a_clinic


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def tools(jobs_pool: Pool, sweep_pool: Pool) -> Tools:
    return Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))


class Ran:
    """A daily job that counts its runs, and fails or waits when told to."""

    def __init__(self) -> None:
        self.clinic_ids: list[UUID] = []
        self.fails = False
        self.before: Callable[[], None] = lambda: None

    async def __call__(self, tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
        self.clinic_ids.append(clinic_id)
        self.before()
        if self.fails:
            raise ZeroDivisionError
        return Result({"things": 3})


def a_daily(job: Ran) -> Daily:
    return Daily("count_things", job, (time(4, 5),), "for the test")
