"""An admin changes what clients are told and when the clinic is open; what held before stays, and it is audited."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx
import pytest

from schemas.crisis import CrisisContact
from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Pool
from service.people import clinic_notices, clinics
from tests.builders import a_client, a_clinic, a_phone
from tests.desk import a_person, a_session
from tests.web import serving

FORM = {
    "monitoring_notice": "Read every day, 8 to 20.",
    "label_1": "Harbour line (fictional)",
    "contact_1": "555 0100",
    "opens_1": "08:00",
    "closes_1": "20:00",
}


async def test_what_an_admin_changes_reaches_phones_and_what_held_before_stays(
    settings: Config, owner_pool: Pool
) -> None:
    clinic, now = await a_clinic(owner_pool), datetime.now(UTC)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        phone = await a_phone(db, await a_client(db), now=now)
        before = await clinics.get_setting(db)
    async with serving(settings) as http:
        await http.get("/v1/today", headers=phone.headers)  # the web process remembers the clinic now
        for _ in range(2):  # the second time changes nothing
            reply = await http.post("/settings/clinic", data=FORM, headers=admin.bearer)
            assert (reply.status_code, reply.headers["location"]) == (303, "/settings"), reply.text
        today = await http.get("/v1/today", headers=phone.headers)
        page = await http.get("/settings/clinic", headers=admin.bearer)
    assert "Read every day, 8 to 20." in today.text
    assert before.monitoring_notice in page.text
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        setting, former = await clinics.get_setting(db), await clinic_notices.former(db)
        audited = await db.connection.fetch("select actor_id from audit_event where action = 'setting.change_clinic'")
    assert (setting.crisis, setting.hours) == (
        [CrisisContact("Harbour line (fictional)", "555 0100")],
        {"1": ("08:00", "20:00")},
    )
    [kept] = former
    told = (before.monitoring_notice, before.crisis, before.hours)
    assert (kept.monitoring_notice, kept.crisis, kept.hours) == told
    assert [row["actor_id"] for row in audited] == [admin.staff_id]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"monitoring_notice": " "}, "monitoring_notice"),
        ({"label_1": "", "contact_1": ""}, "crisis"),
        ({"contact_1": ""}, "crisis_1"),
        ({"opens_1": "21:00"}, "hours_1"),
        ({"opens_1": "early"}, "hours_1"),
        ({"closes_1": ""}, "hours_1"),
    ],
)
async def test_what_cannot_be_kept_is_refused_whole_and_names_its_field(
    http: httpx.AsyncClient, owner_pool: Pool, changed: dict[str, str], field: str
) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        before = await clinics.get_setting(db)
    reply = await http.post("/settings/clinic", data=FORM | changed, headers=admin.bearer)
    assert reply.status_code == 400
    assert field in reply.text
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert await clinics.get_setting(db) == before


async def test_the_first_steps_are_done_when_their_facts_are_there_and_an_admin_resumes_where_they_left(
    http: httpx.AsyncClient, owner_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        admin = await a_session(db, await a_person(db, Role.ADMIN))
    for done, still_open in enumerate((6, 5, 4, 3)):
        page = await http.get("/settings/first-steps", headers=admin.bearer)
        assert f"{still_open} still to be done" in page.text
        assert page.text.count(">done<") == done
        if done == 0:
            await http.post("/settings/clinic", data=FORM, headers=admin.bearer)
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            if done == 1:
                await a_person(db, Role.COORDINATOR)
            elif done == 2:
                await a_client(db, given_name="Zephyrine")
    assert "Zephyrine" not in page.text
