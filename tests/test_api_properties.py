"""Any request that the API describes, by anybody: no 5xx, nothing undocumented, nothing of another client."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as exploring
from schemathesis import checks
from schemathesis.core.result import Ok
from schemathesis.specs.openapi import checks as openapi_checks

from schemas.staff import Role
from service import app, database
from service.config import Config
from service.database import Pool
from service.people import clients
from service.web import desk_session, limits
from service.web.api import device_api, instrument_api, openapi, phone_api
from tests.appointments import a_given_infusion, a_planned_infusion, a_session_of
from tests.builders import a_client, a_clinic, a_phone, an_answer
from tests.desk import a_person, a_session, an_alert
from tests.web import serving

CHECKS = [
    checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]
# Another's client; the name is nowhere else.
STRANGER = "Zephyrine"
# The one says that no jobs process runs, as none does here; the other is a phone's farewell: nothing comes after it.
LEFT_OUT = {"/health/deadman", "/v1/device/revoke"}
REFUSED = {400, 401, 404, 413, 429}


class World(NamedTuple):
    """A clinic with a client of the therapist's and one of a colleague's; who comes with which headers."""

    headers: Mapping[str, Mapping[str, str]]
    own: Mapping[str, UUID]
    strangers: Mapping[str, UUID]


async def things_of(db: database.Db, client_id: UUID) -> dict[str, UUID]:
    """What the API may be asked about a client, by the names of its parameters."""
    await a_given_infusion(db, client_id)
    await an_answer(db, client_id, datetime.now(UTC).date() - timedelta(days=1))
    return {
        "client_id": client_id,
        "alert_id": await an_alert(db, client_id),
        "infusion_id": await a_planned_infusion(db, client_id),
        "session_id": await a_session_of(db, client_id),
    }


async def a_world(owner: Pool) -> World:
    clinic, now = await a_clinic(owner), datetime.now(UTC)
    async with database.transaction(owner, clinic.clinic_id) as db:
        own, other = await a_client(db), await a_client(db, given_name=STRANGER)
        therapist, admin = await a_person(db, Role.THERAPIST), await a_person(db, Role.ADMIN)
        colleague = await a_person(db, Role.THERAPIST, email="colleague@clinic.example")
        for client_id, person in ((own, therapist), (other, colleague)):
            await clients.assign(db, client_id, person, Role.THERAPIST, from_at=now - timedelta(days=9))
        headers = {
            "anonymous": {},
            "client": (await a_phone(db, own, now=now)).headers,
            "therapist": (await a_session(db, therapist)).bearer,
            "admin": (await a_session(db, admin)).bearer,
        }
        return World(headers, await things_of(db, own), await things_of(db, other))


def unlimited(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is often asked is refused by its own tests; here it would hide everything behind 429."""
    for module in (desk_session, device_api, instrument_api, phone_api):
        for name, value in vars(module).items():
            if isinstance(value, limits.Limit):
                monkeypatch.setattr(module, name, limits.Limit(1_000_000, per_seconds=60))


class Explorer:
    """Sends what Schemathesis makes of the description to the application, from a thread of its own."""

    def __init__(self, http: httpx.AsyncClient, world: World, *, examples: int) -> None:
        self._http, self._world, self._examples = http, world, examples
        self._loop = asyncio.get_running_loop()
        self.faults: list[str] = []
        self.asked = 0

    def explore(self, description: dict[str, Any]) -> None:
        """Every operation, so often each, by everybody."""
        for found in schemathesis.openapi.from_dict(description).get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            if operation.path not in LEFT_OUT:
                self._explore(operation)

    def _explore(self, operation: Any) -> None:
        @exploring(
            max_examples=self._examples,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: Any) -> None:
            for things in (self._world.own, self._world.strangers):
                asked_for = {name: str(things[name]) for name in case.path_parameters or {} if name in things}
                if things is self._world.strangers and not asked_for:
                    continue
                case.path_parameters = {**(case.path_parameters or {}), **asked_for}
                for party in self._world.headers:
                    self._judge(case, party, self._send(case, party), of_stranger=things is self._world.strangers)

        ask()

    def _send(self, case: Any, party: str) -> httpx.Response:
        told = case.as_transport_kwargs(base_url="http://neap.test")
        headers = {**dict(told.get("headers") or {}), **self._world.headers[party]}
        content = {"json": told["json"]} if "json" in told else {"content": told.get("data")}
        sent = self._http.request(told["method"], told["url"], params=told.get("params"), headers=headers, **content)
        return asyncio.run_coroutine_threadsafe(sent, self._loop).result(60)

    def _judge(self, case: Any, party: str, reply: httpx.Response, *, of_stranger: bool) -> None:
        self.asked += 1
        name = f"{party}: {case.method} {case.operation.path} → {reply.status_code}"
        if STRANGER in reply.text or (of_stranger and reply.status_code not in REFUSED):
            self.faults.append(f"{name} of another's client")
        try:
            case.validate_response(reply, checks=CHECKS)
        except BaseExceptionGroup as group:
            self.faults += [f"{name}: {' '.join(str(each).split())[:300]}" for each in group.exceptions]


async def faults_of(config: Config, owner: Pool, *, examples: int) -> list[str]:
    world = await a_world(owner)
    description = openapi.describe(app.create(config))
    async with serving(config) as http:
        explorer = Explorer(http, world, examples=examples)
        await asyncio.to_thread(explorer.explore, description)
    assert explorer.asked > 4 * len(description["paths"])
    return sorted(set(explorer.faults))


async def test_a_few_requests_to_every_operation_are_answered_as_described(
    settings: Config, owner_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlimited(monkeypatch)
    assert await faults_of(settings, owner_pool, examples=1) == []


@pytest.mark.slow
async def test_many_requests_to_every_operation_are_answered_as_described(
    settings: Config, owner_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlimited(monkeypatch)
    assert await faults_of(settings, owner_pool, examples=40) == []
