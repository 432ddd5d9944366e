"""A client before an infusion, and the people who record and decide at its gate, spoken to over the JSON API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import httpx

from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Pool
from service.people import clients
from tests.appointments import a_planned_infusion
from tests.builders import a_client, a_clinic
from tests.desk import SignedInAs, a_person, a_session
from tests.web import serving

LIST = {
    "unstable_cardiovascular_disease": "absent",
    "hypertension": "absent",
    "pregnancy": "not_applicable",
    "ketamine_allergy": "absent",
    "raised_intracranial_pressure": "absent",
}


class Ward(NamedTuple):
    """A client with an infusion in twenty hours, and a prescriber, a nurse and a therapist on their care team."""

    http: httpx.AsyncClient
    owner: Pool
    clinic_id: UUID
    client_id: UUID
    infusion_id: UUID
    people: dict[Role, SignedInAs]

    async def send(self, path: str, body: dict[str, Any], *, role: Role = Role.NURSE) -> httpx.Response:
        address = f"/v1/infusions/{self.infusion_id}/gate/{path}"
        return await self.http.post(address, json=body, headers=self.people[role].bearer)

    async def read(self, *, role: Role = Role.NURSE) -> dict[str, Any]:
        reply = await self.http.get(f"/v1/infusions/{self.infusion_id}/gate", headers=self.people[role].bearer)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found

    async def record_all(self, *, positive: tuple[str, ...] = (), systolic: int = 124) -> None:
        for path, body in (("screens", a_screen(*positive)), ("vitals", a_reading(systolic)), ("checklists", a_list())):
            reply = await self.send(path, body)
            assert reply.status_code == 201, reply.text


def moment(minutes_ago: float = 1) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes_ago)).isoformat()


def a_screen(*positive: str, **more: object) -> dict[str, Any]:
    return {"panel": ["alcohol_marker", "cocaine"], "positive": list(positive), "collected_at": moment(), **more}


def a_reading(systolic: int = 124, diastolic: int = 78, **more: object) -> dict[str, Any]:
    return {"systolic": systolic, "diastolic": diastolic, "pulse": 70, "measured_at": moment(), **more}


def a_list(**more: object) -> dict[str, Any]:
    return {**LIST, "checked_at": moment(), **more}


@asynccontextmanager
async def a_ward(settings: Config, owner: Pool) -> AsyncIterator[Ward]:
    clinic = await a_clinic(owner)
    people = {}
    async with database.transaction(owner, clinic.clinic_id) as db:
        client_id = await a_client(db)
        for role in (Role.NURSE, Role.PRESCRIBER, Role.THERAPIST):
            person = await a_person(db, role)
            await clients.assign(db, client_id, person, role, from_at=datetime.now(UTC) - timedelta(days=9))
            people[role] = await a_session(db, person)
        infusion_id = await a_planned_infusion(db, client_id)
    async with serving(settings) as http:
        yield Ward(http, owner, clinic.clinic_id, client_id, infusion_id, people)
