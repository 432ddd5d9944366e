"""Somebody of every role at a running desk, and clients to look at."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import httpx
import msgspec
from litestar import Litestar

from schemas.clinic import Clinic
from schemas.staff import Role
from schemas.trend import Status
from service import database
from service.config import Config
from service.database import Db, Pool
from tests.builders import a_client, a_clinic
from tests.desk import SignedInAs, a_person, a_session, a_trend, a_trend_day
from tests.web import client_of, running


class Desk(NamedTuple):
    """A running application, a clinic, and a person who has every role."""

    application: Litestar
    http: httpx.AsyncClient
    owner: Pool
    clinic: Clinic
    person: SignedInAs

    async def get(self, address: str, **headers: str) -> httpx.Response:
        return await self.http.get(address, headers=self.person.cookie | headers)

    async def post(self, address: str, **form: str | list[str]) -> httpx.Response:
        data = form | {"csrf_token": self.person.csrf_token}
        return await self.http.post(address, data=data, headers=self.person.cookie)


@asynccontextmanager
async def a_desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    """The application, started, with the demonstration on."""
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        person = await a_session(db, await a_person(db, roles=list(Role), name="Maren Holt"))
    config = msgspec.structs.replace(settings, demo=True, demo_mail_dir=tmp_path / "mail")
    async with running(config) as application, client_of(application) as http:
        yield Desk(application, http, owner_pool, clinic, person)


def days_before(count: int) -> list[datetime]:
    now = datetime.now(UTC)
    return [now - timedelta(days=count - at) for at in range(count)]


async def a_followed_client(
    db: Db, *, given_name: str = "Ines", craving: int = 3, status: Status = Status.ON_TRACK, days: int = 30
) -> UUID:
    client_id = await a_client(db, given_name=given_name)
    trend = [a_trend_day(at.date(), craving=None if n % 9 == 4 else 3) for n, at in enumerate(days_before(days))]
    trend[-1] = a_trend_day(trend[-1].client_day, craving=craving, status=status)
    await a_trend(db, client_id, trend)
    return client_id
