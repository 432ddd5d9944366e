"""Every example of a body in the API's description is one that the API takes, its ids and days filled in."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.course import PauseReason
from schemas.staff import Role
from service import app, database, ids
from service.config import Config
from service.database import Db, Pool
from service.facts import pauses
from service.people import clients, webhook_endpoints
from service.people.access import Party
from service.web.api import openapi, openapi_examples
from tests.appointments import a_planned_infusion, a_session_of
from tests.builders import MASTER, a_client, a_clinic, a_phone
from tests.desk import a_person, a_session, an_alert
from tests.web import serving

# The day on which the examples play.
DAY_OF_EXAMPLES = date(2026, 11, 22)
# Yesterday, at whatever hour this runs: what was done has been done, and what is planned lies ahead.
A_DAY_AGO = timedelta(days=1)
A_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
# Their bodies hold what nobody can invent: a signature by a phone's key, a code or a receipt that was given out.
PROVED = {"/v1/device/enrol", "/v1/device/token", "/v1/device/nonce", "/v1/receipts"}


def moved_to(day: date, example: object) -> str:
    """The example as if it had been written that day."""
    text = msgspec.json.encode(example).decode()
    return A_DAY.sub(lambda told: str(date.fromisoformat(told[0]) + (day - DAY_OF_EXAMPLES)), text)


async def values_of(db: Db, client_id: UUID, person: UUID, path: str, *, now: datetime) -> dict[str, object]:
    """What an address may name, there and fit."""
    values: dict[str, object] = {"client_id": client_id, "code": "phq9", "step": "hours"}
    if "{alert_id" in path:
        values["alert_id"] = await an_alert(db, client_id)
    if "{infusion_id" in path and "/state" not in path and "/move" not in path and "/gate" not in path:
        values["infusion_id"] = ids.new()
    elif "{infusion_id" in path:
        values["infusion_id"] = await a_planned_infusion(db, client_id)
    if "{session_id" in path and path.startswith("/v1/sessions"):
        values["session_id"] = await a_session_of(db, client_id)
    if "{pause_id" in path and path.endswith("/end"):
        day = now.date() - A_DAY_AGO
        begun = await pauses.begin(
            db, client_id, from_on=day, until_on=day, reason=PauseReason.TRAVEL, by=person, now=now
        )
        values["pause_id"] = begun.pause_id
    if "{endpoint_id" in path:
        values["endpoint_id"], *_ = await webhook_endpoints.add(db, MASTER, "https://elsewhere.example/", now=now)
    return values


async def test_no_example_of_a_body_is_refused_for_what_it_says(settings: Config, owner_pool: Pool) -> None:
    clinic, now = await a_clinic(owner_pool, time_zone="UTC"), datetime.now(UTC)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        person = await a_person(db, roles=list(Role))
        colleague = await a_person(db, Role.THERAPIST, email="colleague@clinic.example")
        headers = (await a_session(db, person)).bearer
    names = {openapi_examples.AN_ID: str(person), openapi_examples.ANOTHER_ID: str(colleague)}
    refused = []
    async with serving(settings) as http:
        for path, methods in openapi.describe(app.create(settings))["paths"].items():
            for method, told in methods.items():
                if "requestBody" not in told or path in PROVED:
                    continue
                async with database.transaction(owner_pool, clinic.clinic_id) as db:
                    client_id = await a_client(db, started_on=now.date() - timedelta(days=60), now=now)
                    await clients.assign(db, client_id, person, Role.THERAPIST, from_at=now - timedelta(days=1))
                    values = await values_of(db, client_id, person, path, now=now)
                    phone = (await a_phone(db, client_id, now=now)).headers
                address = re.sub(r"\{(\w+)\}", lambda name: str(values.get(name[1]) or ids.new()), path)  # noqa: B023
                body = moved_to(now.date() - A_DAY_AGO, told["requestBody"]["content"]["application/json"]["example"])
                for invented, real in names.items():
                    body = body.replace(invented, real)
                by = phone if Party.CLIENT in told["x-access"] else headers
                reply = await http.request(method, address, headers=by, content=body)
                if reply.status_code in (400, 401, 404) or reply.status_code >= 500:
                    refused.append(f"{method} {path}: {reply.text} for {body}")
    assert refused == [], "\n".join(refused)
