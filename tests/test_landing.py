"""Where each role begins, and what a page that refuses still offers."""

from __future__ import annotations

import msgspec
import pytest

from schemas.clinic import Clinic
from schemas.staff import LinkPurpose, Role
from service import database
from service.config import Config
from service.database import Db, Pool
from tests.builders import a_clinic
from tests.desk import a_person, a_session
from tests.signing_in import a_link, as_browser, session_of
from tests.web import serving

HOMES = {
    Role.THERAPIST: "/caseload",
    Role.PRESCRIBER: "/caseload",
    Role.NURSE: "/caseload",
    Role.COORDINATOR: "/caseload",
    Role.ADMIN: "/inbox",
    Role.PRIVACY_OFFICER: "/account",
}


async def denials_of(db: Db) -> object:
    return await db.value("select count(*) from audit_event where clinic_id = $1 and not allowed", db.clinic_id)


@pytest.mark.parametrize("role", list(Role))
async def test_each_role_begins_at_a_place_of_its_own_and_nothing_is_denied(
    settings: Config, owner_pool: Pool, role: Role
) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        person = await a_person(db, role)
    link = await a_link(owner_pool, clinic, person, LinkPurpose.DEMO_SIGN_IN)
    async with serving(msgspec.structs.replace(settings, demo=True)) as http:
        entered = await http.post(link)
        browser = as_browser(session_of(entered))
        front = await http.get(entered.headers["location"], headers=browser)
        assert front.headers["location"] == HOMES[role]
        assert (await http.get(HOMES[role], headers=browser)).status_code == 200
        for wanted in ("", "?next=/", "?next=/settings" if role is not Role.ADMIN else "?next=/caseload"):
            again = await http.get(f"/harbour/sign-in{wanted}", headers=browser)
            assert again.headers["location"] == HOMES[role]
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert await denials_of(db) == 0


@pytest.mark.parametrize("role", [Role.PRIVACY_OFFICER, Role.NURSE])
async def test_a_privacy_officer_reads_where_their_matters_are_to_be_had_and_is_offered_no_calendar(
    settings: Config, owner_pool: Pool, role: Role
) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        session = await a_session(db, await a_person(db, role))
    async with serving(settings) as http:
        page = (await http.get("/account", headers=session.cookie)).text
    theirs = role is Role.PRIVACY_OFFICER
    for command in ("service export", "service archive-clinic", "service audit verify"):
        assert (f"python -m {command}" in page) == theirs
    assert ("<h2>Calendar</h2>" in page) != theirs


async def test_a_front_door_without_a_session_leads_to_signing_in(settings: Config) -> None:
    async with serving(settings) as http:
        reply = await http.get("/")
    assert (reply.status_code, reply.headers["location"]) == (303, "/sign-in")


async def refused_page(settings: Config, owner_pool: Pool, clinic: Clinic) -> str:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        session = await a_session(db, await a_person(db, Role.ADMIN))
    async with serving(settings) as http:
        reply = await http.get("/caseload", headers=session.cookie)
    assert reply.status_code == 404
    return reply.text


async def test_a_refusing_page_keeps_navigation_sign_out_and_the_fictional_notice(
    settings: Config, owner_pool: Pool
) -> None:
    page = await refused_page(settings, owner_pool, await a_clinic(owner_pool))
    assert 'href="/inbox"' in page
    assert 'href="/caseload"' not in page
    assert 'action="/sign-out"' in page
    assert "Nobody here exists" in page


async def test_a_refusing_page_of_the_demonstration_says_that_it_is_one_also_before_signing_in(
    settings: Config,
) -> None:
    async with serving(msgspec.structs.replace(settings, demo=True)) as http:
        for address in ("/nowhere/sign-in", "/link/spent", "/sign-in"):
            assert "Nobody here exists" in (await http.get(address)).text, address
