"""How a client's gate stands, as the pages are told."""

from __future__ import annotations

from typing import Any

from schemas.staff import Role
from tests.ward import Ward


async def state(ward: Ward, body: dict[str, Any], *, role: Role = Role.THERAPIST) -> dict[str, Any]:
    address = f"/v1/clients/{ward.client_id}/infusions/{ward.infusion_id}/state"
    reply = await ward.http.post(address, json=body, headers=ward.people[role].bearer)
    assert reply.status_code == 200, reply.text
    told: dict[str, Any] = reply.json()
    return told


async def proposals(ward: Ward) -> list[str]:
    found: list[str] = (await ward.read())["line"]["proposals"]
    return found
