"""A client in treatment, spoken to over the JSON API as a member of the care team."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import msgspec

from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, ids
from service.config import Config
from service.database import Pool
from service.people import clients
from tests.builders import a_client, a_clinic
from tests.desk import SignedInAs, a_person, a_session
from tests.web import serving

STARTED_DAYS_AGO = 60


class Treated(msgspec.Struct, frozen=True):
    """A client whose course started sixty days ago, and a prescriber on their care team."""

    http: httpx.AsyncClient
    owner: Pool
    clinic: Clinic
    client_id: UUID
    person: SignedInAs
    today: date

    def day(self, ago: int) -> str:
        return (self.today - timedelta(days=ago)).isoformat()

    async def get(self, path: str) -> Any:
        reply = await self.http.get(f"/v1/clients/{self.client_id}/{path}", headers=self.person.bearer)
        assert reply.status_code == 200, reply.text
        return reply.json()

    async def send(self, method: str, path: str, body: object, *, status: int = 200) -> Any:
        address = f"/v1/clients/{self.client_id}/{path}"
        reply = await self.http.request(method, address, headers=self.person.bearer, json=body)
        assert reply.status_code == status, reply.text
        return reply.json()

    async def post(self, path: str, body: object, *, status: int = 200) -> Any:
        return await self.send("POST", path, body, status=status)

    async def put(self, path: str, body: object, *, status: int = 201) -> Any:
        return await self.send("PUT", path, body, status=status)

    async def value(self, sql: str, *arguments: object) -> object:
        async with database.transaction(self.owner, self.clinic.clinic_id) as db:
            return await db.value(sql, *arguments)


@asynccontextmanager
async def a_treated_client(settings: Config, owner: Pool, *, time_zone: str = "UTC") -> AsyncIterator[Treated]:
    """The web application, and somebody in treatment at a clinic in that zone, whose client days are there too."""
    clinic, now = await a_clinic(owner, time_zone=time_zone), datetime.now(UTC)
    today = (now - timedelta(hours=4)).date()
    async with database.transaction(owner, clinic.clinic_id) as db:
        started_on = today - timedelta(days=STARTED_DAYS_AGO)
        client_id = await a_client(db, started_on=started_on, time_zone=time_zone, now=now)
        person = await a_person(db, Role.PRESCRIBER, name="Ingrid Solis")
        await clients.assign(db, client_id, person, Role.PRESCRIBER, from_at=now - timedelta(days=1))
        session = await a_session(db, person)
    async with serving(settings) as http:
        yield Treated(http, owner, clinic, client_id, session, today)


def fields_of(problem: Any) -> set[str]:
    """The fields that a problem names."""
    return {each["field"] for each in problem.get("errors", [])}


def induction(starts_on: str, **more: object) -> dict[str, object]:
    """The form of a plan, three times a week for four weeks."""
    return {"template": "three_times_a_week", "starts_on": starts_on, "at": "10:00", "weeks": 4} | more


def monday_after(day: date) -> date:
    return day + timedelta(days=7 - day.weekday())


async def an_infusion_planned(treated: Treated, ago: float = 1) -> Any:
    planned_at = datetime.now(UTC) - timedelta(days=ago)
    return await treated.put(f"infusions/{ids.new()}", {"planned_at": planned_at.isoformat()})
