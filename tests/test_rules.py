"""The rules: changed as new versions alone, tried before they are switched on, and folded as chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import httpx
import msgspec
import pytest

from schemas.alert import Rule
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, fold
from service.config import Config
from service.database import Db, Pool
from service.desk import sentences
from service.people import clients
from service.rulebook import rule_preview
from service.rules import rule_sets
from service.rules.rule_sets import Choices, NewVersion
from tests.builders import a_client, a_clinic, days_of
from tests.desk import SignedInAs, a_person, a_session
from tests.folding import findings_of
from tests.web import serving

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
# Calm for two months, then worse by steps: enough that a looser budget finds more.
CRAVING = [2, 3, 2, 4, 3, 2, 3, 3] * 7 + [3, 4, 4, 5, 4, 5, 4, 5, 5, 4, 6, 5, 6, 5, 6, 6, 7, 6, 7, 7]


class House(NamedTuple):
    """A clinic with a client who gets worse, their therapist, another client, and an admin."""

    http: httpx.AsyncClient
    owner: Pool
    clinic: Clinic
    client_id: UUID
    stranger_id: UUID
    therapist: SignedInAs
    admin: SignedInAs

    async def post(self, who: SignedInAs, path: str, body: object, *, status: int) -> dict[str, object]:
        reply = await self.http.post(path, json=body, headers=who.bearer)
        assert reply.status_code == status, reply.text
        found: dict[str, object] = reply.json()
        return found


@pytest.fixture
async def house(settings: Config, owner_pool: Pool) -> AsyncIterator[House]:
    clinic = await a_clinic(owner_pool, now=NOW)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        therapist = await a_session(db, await a_person(db))
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        both = [await a_worsening_client(db), await a_worsening_client(db)]
        await clients.assign(db, both[0], therapist.staff_id, Role.THERAPIST, from_at=NOW - 30 * DAY)
        await fold.fold_clients(db, None, now=NOW)
    async with serving(settings) as http:
        yield House(http, owner_pool, clinic, both[0], both[1], therapist, admin)


async def a_worsening_client(db: Db) -> UUID:
    until = (NOW - DAY).date()
    client_id = await a_client(db, started_on=until - timedelta(days=len(CRAVING)), now=NOW - 80 * DAY)
    await days_of(db, client_id, until=until, craving=CRAVING)
    return client_id


async def worsenings(house: House) -> dict[UUID, int]:
    async with database.transaction(house.owner, house.clinic.clinic_id) as db:
        records = await db.connection.fetch(
            "select client_id, count(*) as times from finding where clinic_id = $1 and rule = $2 group by client_id",
            house.clinic.clinic_id,
            Rule.WORSENING,
        )
    return {record["client_id"]: record["times"] for record in records}


async def test_a_preview_with_the_number_in_force_says_what_was_raised(house: House) -> None:
    found = await worsenings(house)
    assert found, "the client of this test gets worse"
    async with database.transaction(house.owner, house.clinic.clinic_id) as db:
        preview = await rule_preview.of(db, lambda rules: rules, client_id=None, now=NOW)
    assert preview.now == preview.then == sum(found.values())
    assert preview.clients == []
    assert preview.per_therapist_week_now == pytest.approx(preview.now / (30 / 7), rel=1e-3)


async def test_a_preview_says_what_the_fold_then_finds_and_stores_nothing(house: House) -> None:
    async with database.transaction(house.owner, house.clinic.clinic_id) as db:
        rows_before = await db.value("select count(*) from trend where clinic_id = $1", db.clinic_id)
        preview = await rule_preview.of(
            db, lambda rules: msgspec.structs.replace(rules, budget_days=365), client_id=None, now=NOW
        )
        assert await db.value("select count(*) from trend where clinic_id = $1", db.clinic_id) == rows_before
        # The same number as if it had held from the start.
        new = NewVersion(rules=Choices(budget_days=365), valid_from=date(1990, 1, 1), created_by=None)
        assert await rule_sets.add(db, 2, new, now=NOW)
        for client_id in (house.client_id, house.stranger_id):
            await fold.rebuild(db, client_id, now=NOW)
    stands = [each for each in await findings_of(house.owner, house.clinic) if each.rule is Rule.WORSENING]
    assert preview.then == len(stands)
    assert preview.then <= preview.now


async def test_a_client_s_own_number_changes_their_limit_and_nobody_else_s(house: House) -> None:
    async with database.transaction(house.owner, house.clinic.clinic_id) as db:
        rules = Choices(clients={house.client_id: 365.0})
        new = NewVersion(rules=rules, valid_from=date(1990, 1, 1), created_by=None)
        assert await rule_sets.add(db, 2, new, now=NOW)
        for client_id in (house.client_id, house.stranger_id):
            await fold.rebuild(db, client_id, now=NOW)
        highest = "select max(limit_value) from trend where clinic_id = $1 and client_id = $2 and status <> 'learning'"
        own, other = [
            await db.value(highest, db.clinic_id, client_id) for client_id in (house.client_id, house.stranger_id)
        ]
    assert isinstance(own, float)
    assert isinstance(other, float)
    assert own > other


async def test_a_change_is_a_new_version_with_its_author_and_reason_and_leaves_history_alone(house: House) -> None:
    found = await worsenings(house)
    body = {"budget_days": 120, "reason": "Too many to read", "after_version": 1}
    added = await house.post(house.admin, "/v1/rules", body, status=201)
    assert (added["version"], added["budget_days"], added["reason"]) == (2, 120, "Too many to read")
    assert added["created_by"] == str(house.admin.staff_id)
    assert date.fromisoformat(str(added["valid_from"])) > NOW.date()
    assert (await house.post(house.admin, "/v1/rules", body, status=409))["detail"]
    async with database.transaction(house.owner, house.clinic.clinic_id) as db:
        for client_id in (house.client_id, house.stranger_id):
            await fold.rebuild(db, client_id, now=NOW)
    assert await worsenings(house) == found
    reply = await house.http.get("/v1/rules", headers=house.therapist.bearer)
    assert [each["version"] for each in reply.json()["versions"]] == [2, 1]
    assert reply.json()["budget_days"] == 60, "tomorrow's version does not hold yet"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"budget_days": 19, "reason": "x", "after_version": 1}, "budget_days"),
        ({"budget_days": 60, "reason": "x", "after_version": 1}, "budget_days"),
        ({"budget_days": 90, "reason": "  ", "after_version": 1}, "reason"),
        ({"budget_days": 90, "after_version": 1}, "reason"),
    ],
)
async def test_a_change_that_cannot_be_names_its_field(house: House, body: dict[str, object], field: str) -> None:
    refused = await house.http.post("/v1/rules", json=body, headers=house.admin.bearer)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == field
    async with database.transaction(house.owner, house.clinic.clinic_id) as db:
        assert [each.version for each in await rule_sets.of(db)] == [1]


async def test_a_therapist_chooses_for_their_client_and_the_reason_is_read_by_the_care_team_alone(house: House) -> None:
    address = f"/v1/clients/{house.client_id}/rules"
    body = {"budget_days": 30, "reason": "Relapsed fast in spring", "after_version": 1}
    added = await house.post(house.therapist, address, body, status=201)
    assert (added["client_budget_days"], added["reason"]) == (30, "Relapsed fast in spring")
    async with database.transaction(house.owner, house.clinic.clinic_id) as db:
        sealed = await db.value("select reason_sealed from rule_set where clinic_id = $1 and version = 2", db.clinic_id)
        assert isinstance(sealed, bytes)
        assert b"Relapsed" not in sealed
    for who, versions in ((house.therapist, [2, 1]), (house.admin, [1])):
        reply = await house.http.get("/v1/rules", headers=who.bearer)
        assert [each["version"] for each in reply.json()["versions"]] == versions
    back = await house.post(house.therapist, address, {**body, "budget_days": None, "after_version": 2}, status=201)
    assert back["client_budget_days"] is None
    foreign = await house.http.post(
        f"/v1/clients/{house.stranger_id}/rules", json={**body, "after_version": 3}, headers=house.therapist.bearer
    )
    assert foreign.status_code == 404


async def test_a_preview_names_the_clients_whom_the_reader_sees_and_counts_them_all(house: House) -> None:
    body = {"budget_days": 20}
    of_admin = await house.post(house.admin, "/v1/rules/preview", body, status=200)
    of_therapist = await house.post(house.therapist, "/v1/rules/preview", body, status=200)
    assert of_admin["clients"] == []
    named = of_therapist["clients"]
    assert isinstance(named, list)
    assert {each["client_id"] for each in named} <= {str(house.client_id)}
    assert (of_admin["now"], of_admin["then"]) == (of_therapist["now"], of_therapist["then"])


async def test_the_pages_try_a_number_and_switch_it_on(house: House) -> None:
    csrf = {"csrf_token": house.admin.csrf_token}
    tried = await house.http.post("/rules/preview", data={**csrf, "budget_days": "120"}, headers=house.admin.cookie)
    assert tried.status_code == 200, tried.text
    assert "in 90 days" in tried.text
    holds_from = sentences.day(rule_sets.first_day_not_begun(datetime.now(UTC)), datetime.now(UTC).date())
    said = f"It holds from {holds_from} on"
    assert tried.text.index(said) < tried.text.index("Switch it on")
    with_comma = {**csrf, "budget_days": "60,5"}
    tried = await house.http.post("/rules/preview", data=with_comma, headers=house.admin.cookie)
    assert 'name="budget_days" value="60.5"' in tried.text
    form = {**csrf, "budget_days": "120.0", "reason": "Fewer, please", "after_version": "1"}
    switched = await house.http.post("/rules", data=form, headers=house.admin.cookie)
    assert switched.status_code == 303
    page = await house.http.get("/rules", headers=house.admin.cookie)
    assert "Fewer, please" in page.text
    assert f"<td>{holds_from}</td>" in page.text
    assert "Versions that are not listed concern single clients" not in page.text
    own_number = {"csrf_token": house.therapist.csrf_token, "budget_days": "90", "reason": "Odd", "after_version": "2"}
    own_rules = f"/clients/{house.client_id}/rules"
    assert (await house.http.post(own_rules, data=own_number, headers=house.therapist.cookie)).status_code == 303
    page = await house.http.get("/rules", headers=house.admin.cookie)
    assert "Versions that are not listed concern single clients" in page.text
    refused = await house.http.post("/rules/preview", data={**csrf, "budget_days": "many"}, headers=house.admin.cookie)
    assert refused.status_code == 400
    own = await house.http.get(f"/clients/{house.client_id}/rules", headers=house.therapist.cookie)
    assert own.status_code == 200
