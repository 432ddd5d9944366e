"""Service accounts: a program writes infusions, sessions and screens under its own ids, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import httpx
import pytest

from schemas.service_account import ServiceScope
from schemas.staff import Role
from service import database, errors, ids
from service.config import Config
from service.database import Pool
from service.people import service_accounts
from tests.appointments import a_planned_infusion
from tests.builders import a_client, a_clinic
from tests.desk import SignedInAs, a_person, a_session
from tests.web import serving

OTHERWISE: tuple[dict[str, object], ...] = (
    {"planned_at": "2026-11-30T10:00:00Z"},
    {"planned_at": "2026-11-30T12:00:00Z"},
    {"positive": ["cocaine"]},
)


class House(NamedTuple):
    """A clinic with an admin and a client, over HTTP."""

    http: httpx.AsyncClient
    owner: Pool
    clinic_id: UUID
    client_id: UUID
    admin: SignedInAs

    async def token(self, *scopes: ServiceScope) -> dict[str, str]:
        body = {"name": "Records", "scopes": list(scopes)}
        reply = await self.http.post("/v1/service-accounts", json=body, headers=self.admin.bearer)
        assert reply.status_code == 201, reply.text
        assert reply.json()["token"].startswith(f"neap_service_{self.clinic_id.hex}_")
        return {"Authorization": f"Bearer {reply.json()['token']}"}

    async def line(self) -> dict[str, object]:
        reply = await self.http.get("/v1/service-accounts", headers=self.admin.bearer)
        found: dict[str, object] = reply.json()["items"][0]
        return found


@pytest.fixture
async def house(settings: Config, owner_pool: Pool) -> AsyncIterator[House]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db)
        admin = await a_session(db, await a_person(db, Role.ADMIN))
    async with serving(settings) as http:
        yield House(http, owner_pool, clinic.clinic_id, client_id, admin)


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).isoformat()


async def test_a_program_writes_the_three_kinds_once_for_each_of_its_ids(house: House) -> None:
    headers, client = await house.token(*ServiceScope), f"/v1/clients/{house.client_id}"
    infusion_id, session_id, screen_id = ids.new(), ids.new(), ids.new()
    screen = {"panel": ["cocaine"], "positive": [], "collected_at": in_hours(-1), "confirmation": "presumptive"}
    writes: list[tuple[str, dict[str, object]]] = [
        (f"{client}/infusions/{infusion_id}", {"planned_at": in_hours(24)}),
        (f"{client}/sessions/{session_id}", {"planned_at": in_hours(48)}),
        (f"/v1/infusions/{infusion_id}/gate/screens/{screen_id}", {**screen, "valid": True}),
    ]
    for address, body in writes:
        replies = [await house.http.put(address, json=body, headers=headers) for _ in range(3)]
        assert [each.status_code for each in replies] == [201, 200, 200], replies[0].text
    other = [
        await house.http.put(address, json={**body, **changed}, headers=headers)
        for (address, body), changed in zip(writes, OTHERWISE, strict=True)
    ]
    assert [each.status_code for each in other] == [409, 409, 409]
    state = {"state": "cancelled", "reason": "other"}
    reply = await house.http.post(f"{client}/infusions/{infusion_id}/state", json=state, headers=headers)
    assert reply.json()["state"] == "cancelled", reply.text


async def test_what_a_program_says_again_after_a_lost_reply_is_200_and_changes_nothing(house: House) -> None:
    headers, infusion_id = await house.token(ServiceScope.INFUSIONS, ServiceScope.SESSIONS), ids.new()
    address = f"/v1/clients/{house.client_id}/infusions/{infusion_id}"
    assert (await house.http.put(address, json={"planned_at": in_hours(24)}, headers=headers)).status_code == 201
    steps: list[tuple[str, dict[str, object]]] = [
        ("move", {"planned_at": in_hours(26), "reason": "clinic", "version": 1}),
        ("state", {"state": "held", "reason": "clinic", "version": 2}),
        ("state", {"state": "planned", "version": 3}),
        ("state", {"state": "cancelled", "reason": "other", "version": 4}),
    ]
    for verb, body in steps:
        replies = [await house.http.post(f"{address}/{verb}", json=body, headers=headers) for _ in range(3)]
        assert [each.status_code for each in replies] == [200] * 3, replies[-1].text
        assert len({each.text for each in replies}) == 1
    other = await house.http.post(
        f"{address}/state", json={"state": "held", "reason": "other"} | {"version": 4}, headers=headers
    )
    assert other.status_code == 409
    history = (await house.http.get(address, headers=headers)).json()["events"]
    assert [each["state"] for each in history] == ["planned", "planned", "held", "planned", "cancelled"]
    session_id = ids.new()
    booked = f"/v1/clients/{house.client_id}/sessions/{session_id}"
    assert (await house.http.put(booked, json={"planned_at": in_hours(48)}, headers=headers)).status_code == 201
    change = {"state": "cancelled", "version": 1}
    replies = [await house.http.patch(f"/v1/sessions/{session_id}", json=change, headers=headers) for _ in range(2)]
    assert [each.status_code for each in replies] == [200, 200], replies[-1].text


async def test_a_program_finds_its_client_and_puts_a_screen_on_an_infusion_that_staff_planned(house: House) -> None:
    async with database.transaction(house.owner, house.clinic_id) as db:
        planned, second = await a_planned_infusion(db, house.client_id), await a_client(db, given_name="Wren")
    headers = await house.token(ServiceScope.DIRECTORY, ServiceScope.SCREENS)
    found, after = [], ""
    for _ in range(2):
        page = (await house.http.get(f"/v1/directory/clients?limit=1{after}", headers=headers)).json()
        found += page["items"]
        after = f"&after={page['next']}"
    assert page["next"] is None
    assert [each["client_id"] for each in found] == [str(house.client_id), str(second)]
    assert set(found[1]) == {"client_id", "given_name", "family_name", "enrolled_on"}
    slots = await house.http.get(f"/v1/directory/clients/{house.client_id}/infusions", headers=headers)
    (slot,) = slots.json()["items"]
    assert (slot["infusion_id"], slot["state"]) == (str(planned), "planned")
    screen = {"panel": ["cocaine"], "positive": [], "collected_at": in_hours(-1), "confirmation": "presumptive"}
    address = f"/v1/infusions/{slot['infusion_id']}/gate/screens/{ids.new()}"
    assert (await house.http.put(address, json={**screen, "valid": True}, headers=headers)).status_code == 201
    staff = (await house.http.get("/v1/directory/staff", headers=headers)).json()["items"]
    assert [each["roles"] for each in staff] == [["admin"]]
    async with database.transaction(house.owner, house.clinic_id) as db:
        rows = await db.connection.fetch(
            "select distinct action from audit_event where action like 'directory.%' and actor_kind = 'service_account'"
        )
    assert {row["action"] for row in rows} == {f"directory.read_{each}" for each in ("clients", "infusions", "staff")}


async def test_without_its_scope_a_program_has_no_directory(house: House) -> None:
    headers = await house.token(ServiceScope.INFUSIONS, ServiceScope.SESSIONS, ServiceScope.SCREENS)
    for path in ("clients", f"clients/{house.client_id}/infusions", "staff"):
        assert (await house.http.get(f"/v1/directory/{path}", headers=headers)).status_code == 404


async def test_what_a_program_wrote_is_recorded_by_nobody_of_the_staff_and_audited_as_its_own(house: House) -> None:
    headers, infusion_id = await house.token(ServiceScope.INFUSIONS), ids.new()
    address = f"/v1/clients/{house.client_id}/infusions/{infusion_id}"
    await house.http.put(address, json={"planned_at": in_hours(24)}, headers=headers)
    account_id = UUID(str((await house.line())["service_account_id"]))
    async with database.transaction(house.owner, house.clinic_id) as db:
        events = await db.connection.fetch("select recorded_by from infusion_event where infusion_id = $1", infusion_id)
        rows = await db.connection.fetch(
            "select actor_kind, actor_id, action from audit_event where object_id = $1", infusion_id
        )
    assert [each["recorded_by"] for each in events] == [None]
    assert [tuple(row) for row in rows] == [("service_account", account_id, "infusion.plan")]


async def test_a_program_finds_nothing_outside_its_scopes_and_the_denial_names_it(house: House) -> None:
    headers = await house.token(ServiceScope.SESSIONS)
    for path in (f"/v1/clients/{house.client_id}", "/v1/alerts", "/v1/gates", "/v1/service-accounts"):
        assert (await house.http.get(path, headers=headers)).status_code == 404, path
    page = await house.http.get(f"/clients/{house.client_id}/sessions", headers=headers)
    assert page.status_code in (303, 401)
    account_id = UUID(str((await house.line())["service_account_id"]))
    async with database.transaction(house.owner, house.clinic_id) as db:
        rows = await db.connection.fetch(
            "select distinct actor_kind, actor_id from audit_event where action = 'access.denied' and not allowed"
        )
    assert [tuple(row) for row in rows] == [("service_account", account_id)]


async def test_a_revoked_program_is_out_from_the_next_request_on_and_its_use_was_noted(house: House) -> None:
    headers, address = await house.token(ServiceScope.SESSIONS), f"/v1/clients/{house.client_id}/sessions"
    assert (await house.line())["last_used_at"] is None
    assert (await house.http.get(address, headers=headers)).status_code == 200
    line = await house.line()
    assert line["last_used_at"] is not None
    path = f"/settings/service-accounts/{line['service_account_id']}/revoke"
    page = await house.http.post(path, data={}, headers=house.admin.bearer)
    assert page.status_code == 303
    assert (await house.http.get(address, headers=headers)).status_code == 401


async def test_the_page_shows_a_token_once_and_only_its_digest_is_kept(house: House) -> None:
    form = {"name": "Records", "scopes": ["infusions", "screens"]}
    page = await house.http.post("/settings/service-accounts", data=form, headers=house.admin.bearer)
    token = page.text.partition('value="neap_service_')[2].partition('"')[0]
    assert len(token) == 32 + 1 + 43
    later = await house.http.get("/settings/service-accounts", headers=house.admin.bearer)
    assert "infusions, screens" in later.text
    assert token not in later.text
    empty = await house.http.post("/settings/service-accounts", data={"name": "x"}, headers=house.admin.bearer)
    assert empty.status_code == 400


async def test_a_program_that_asks_too_often_is_told_when_to_come_back(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from service.web import desk_session
    from service.web.limits import Limit

    monkeypatch.setattr(desk_session, "PROGRAM_REQUESTS", Limit(1, per_seconds=60))
    headers, address = await house.token(ServiceScope.SESSIONS), f"/v1/clients/{house.client_id}/sessions"
    replies = [await house.http.get(address, headers=headers) for _ in range(2)]
    assert [each.status_code for each in replies] == [200, 429]
    assert int(replies[1].headers["retry-after"]) > 0


async def test_no_program_gets_into_another_clinic(house: House, owner_pool: Pool) -> None:
    elsewhere, now = await a_clinic(owner_pool, slug="elsewhere"), datetime.now(UTC)
    async with database.transaction(owner_pool, elsewhere.clinic_id) as db:
        stranger = await a_client(db)
        infusion_id = await a_planned_infusion(db, stranger)
        with pytest.raises(errors.Unauthenticated):
            await service_accounts.current(db, b"x" * 32, now=now)
    headers = await house.token(*ServiceScope)
    for address in (f"/v1/clients/{stranger}/sessions", f"/v1/clients/{stranger}/infusions/{infusion_id}"):
        assert (await house.http.get(address, headers=headers)).status_code == 404
