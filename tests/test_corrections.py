"""What a person got wrong in the pages, a person corrects in the pages: colleagues, clients, first steps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, ids
from service.database import Pool
from service.people import clients, staff
from tests.builders import a_client, a_clinic
from tests.desk import SignedInAs, a_person, a_session


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def admin(owner_pool: Pool, clinic: Clinic) -> SignedInAs:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        return await a_session(db, await a_person(db, Role.ADMIN))


async def test_a_colleague_s_name_address_and_roles_are_corrected_and_count_at_once(
    http: httpx.AsyncClient, owner_pool: Pool, clinic: Clinic, admin: SignedInAs
) -> None:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        nurse = await a_session(db, await a_person(db, Role.NURSE))
    assert (await http.get("/staff", headers=nurse.bearer)).status_code == 404
    right = {"name": "Jo Quill", "email": "Jo@Clinic.example ", "roles": ["coordinator", "admin"]}
    for _ in range(2):  # the second time changes nothing
        assert (await http.post(f"/staff/{nurse.staff_id}", data=right, headers=admin.bearer)).status_code == 303
    assert (await http.get("/staff", headers=nurse.bearer)).status_code == 200
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        found = await staff.get(db, nurse.staff_id)
        audited = await db.value("select count(*) from audit_event where action = 'staff.change'")
    assert (found.name, found.email, found.roles) == ("Jo Quill", "jo@clinic.example", [Role.ADMIN, Role.COORDINATOR])
    assert audited == 1


@pytest.mark.parametrize("bound", ["team", "shift", "cover"])
async def test_a_role_in_which_somebody_is_needed_stays_until_they_are_not(
    http: httpx.AsyncClient, owner_pool: Pool, clinic: Clinic, admin: SignedInAs, bound: str
) -> None:
    now = datetime.now(UTC)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        nurse = await a_person(db, Role.NURSE, email="nurse@clinic.example")
        if bound == "team":
            await clients.assign(db, await a_client(db), nurse, Role.NURSE, from_at=now)
        elif bound == "shift":
            await db.execute(
                "insert into shift values ($1, $2, $3, $4, $5, null, $4)",
                *(clinic.clinic_id, ids.new(), nurse, now, now + timedelta(days=1)),
            )
        else:
            await db.execute(
                "insert into cover values ($1, $2, $3, $4, $5, $6, null, $5)",
                *(clinic.clinic_id, ids.new(), admin.staff_id, nurse, now, now + timedelta(days=1)),
            )
    form = {"name": "N", "email": "nurse@clinic.example", "roles": "privacy_officer"}
    reply = await http.post(f"/staff/{nurse}", data=form, headers=admin.bearer)
    assert reply.status_code == 409
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert (await staff.get(db, nurse)).roles == [Role.NURSE]


async def test_the_last_admin_neither_disables_themselves_nor_gives_the_role_away(
    http: httpx.AsyncClient, owner_pool: Pool, clinic: Clinic, admin: SignedInAs
) -> None:
    form = {"name": "Ada", "email": "admin@clinic.example", "roles": "nurse"}
    assert (await http.post(f"/staff/{admin.staff_id}", data=form, headers=admin.bearer)).status_code == 409
    assert (await http.post(f"/staff/{admin.staff_id}/disable", headers=admin.bearer)).status_code == 409
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        found = await staff.get(db, admin.staff_id)
    assert (found.roles, found.disabled_at) == ([Role.ADMIN], None)


@pytest.mark.parametrize(("zone", "due"), [("America/Chicago", 0), ("Asia/Tokyo", 1)])
async def test_a_client_s_name_is_corrected_and_by_another_zone_their_days_are_folded_anew(
    http: httpx.AsyncClient, owner_pool: Pool, clinic: Clinic, zone: str, due: int
) -> None:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        coordinator = await a_session(db, await a_person(db, Role.COORDINATOR))
        client_id = await a_client(db, given_name="Innes", time_zone="America/Chicago")
    form = {"given_name": " Ines ", "family_name": "Marlowe", "time_zone": zone}
    reply = await http.post(f"/clients/{client_id}/name", data=form, headers=coordinator.bearer)
    assert (reply.status_code, reply.headers["location"]) == (303, f"/clients/{client_id}/manage")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        found = await clients.get(db, client_id)
        assert await db.value("select count(*) from fold_due where client_id = $1", client_id) == due
    assert (found.given_name, found.family_name, found.time_zone) == ("Ines", "Marlowe", zone)
    refused = await http.post(f"/clients/{client_id}/name", data=form | {"time_zone": "x"}, headers=coordinator.bearer)
    assert refused.status_code == 400


async def still_open(http: httpx.AsyncClient, admin: SignedInAs) -> int:
    page = (await http.get("/settings/first-steps", headers=admin.bearer)).text
    return page.count('</strong> <span class="small">open</span>')


async def test_a_first_step_that_is_right_as_it_is_is_done_and_can_be_opened_again(
    http: httpx.AsyncClient, clinic: Clinic, admin: SignedInAs
) -> None:
    assert await still_open(http, admin) == 8
    for done in range(2):
        await http.post("/settings/first-steps/crisis", headers=admin.bearer)
        assert (await still_open(http, admin), done) == (7, done)
    await http.post("/settings/first-steps/crisis", data={"again": "yes"}, headers=admin.bearer)
    assert await still_open(http, admin) == 8
    # What no clinic can do without is never done by saying so.
    assert (await http.post("/settings/first-steps/client", headers=admin.bearer)).status_code == 400
    assert (await http.post("/settings/first-steps/nothing", headers=admin.bearer)).status_code == 404


async def test_whoever_keeps_a_form_goes_on_to_the_next_step_and_resumes_after_leaving(
    http: httpx.AsyncClient, clinic: Clinic, admin: SignedInAs
) -> None:
    same = {"name": clinic.name, "time_zone": clinic.time_zone}
    reply = await http.post("/settings/name", data=same, headers=admin.bearer)
    assert reply.headers["location"] == "/settings/first-steps"
    page = (await http.get("/settings/first-steps", headers=admin.bearer)).text
    assert await still_open(http, admin) == 7
    assert next_step_of(page) == "When you are open"
    assert "7 still to be done" in (await http.get("/settings", headers=admin.bearer)).text


async def test_an_admin_is_led_past_what_only_colleagues_can_do(
    http: httpx.AsyncClient, owner_pool: Pool, clinic: Clinic, admin: SignedInAs
) -> None:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        both = await a_session(
            db, await a_person(db, email="both@clinic.example", roles=[Role.ADMIN, Role.COORDINATOR])
        )
    for step in ("name", "hours", "crisis", "on_call"):
        await http.post(f"/settings/first-steps/{step}", headers=admin.bearer)
    for who, leads_to in ((admin, "How easily an alert is raised"), (both, "The first client")):
        page = (await http.get("/settings/first-steps", headers=who.bearer)).text
        assert next_step_of(page) == leads_to
        assert ('href="/clients/new"' in page) == (who is both)


def next_step_of(page: str) -> str:
    return page.partition('aria-current="step"')[2].partition("<strong>")[2].partition("</strong>")[0]


async def test_nobody_else_corrects_colleagues(http: httpx.AsyncClient, owner_pool: Pool, clinic: Clinic) -> None:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        therapist = await a_session(db, await a_person(db))
    form = {"name": "X", "email": "x@y.example", "roles": "admin"}
    for staff_id in (therapist.staff_id, UUID(int=1)):
        assert (await http.post(f"/staff/{staff_id}", data=form, headers=therapist.bearer)).status_code == 404
