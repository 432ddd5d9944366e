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
from service.desk import first_steps
from service.desk.first_steps import Step
from service.people import clinic_notices, clinics, staff
from tests.builders import a_client, a_clinic, a_phone
from tests.desk import SignedInAs, a_person, a_session
from tests.web import serving

FORM = {
    "notice_addition": "A human reads them.",
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
            assert (reply.status_code, reply.headers["location"]) == (303, "/settings/first-steps"), reply.text
        today = await http.get("/v1/today", headers=phone.headers)
        page = await http.get("/settings/clinic", headers=admin.bearer)
    assert today.json()["monitoring"] == "Read Monday 8 to 20, Chicago time. A human reads them."
    assert "Mon 09:00–17:00" in page.text  # what held before
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        setting, former = await clinics.get_setting(db), await clinic_notices.former(db)
        audited = await db.connection.fetch("select actor_id from audit_event where action = 'setting.change_clinic'")
    assert (setting.crisis, setting.hours) == (
        [CrisisContact("Harbour line (fictional)", "555 0100")],
        {"1": ("08:00", "20:00")},
    )
    [kept] = former
    told = (before.notice_addition, before.crisis, before.hours)
    assert (kept.notice_addition, kept.crisis, kept.hours) == told
    assert [row["actor_id"] for row in audited] == [admin.staff_id]


async def test_an_admin_reads_what_clients_would_read_before_it_is_kept_and_clients_read_exactly_that(
    http: httpx.AsyncClient, owner_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool, time_zone="America/Denver")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        phone = await a_phone(db, await a_client(db), now=datetime.now(UTC))
    changed = FORM | {"opens_1": "13:00", "closes_1": "14:00"}
    sentences = {
        "en": "Read Monday 13 to 14, Denver time. A human reads them.",
        "es": "Se lee: lunes de 13 a 14, hora de Denver. A human reads them.",
    }
    shown = await http.post("/settings/clinic", data=changed | {"show": "yes"}, headers=admin.bearer)
    assert "A client would read" in shown.text
    assert "a tap does nothing" not in shown.text
    words = await http.post(
        "/settings/clinic", data=changed | {"contact_1": "ask us", "show": "yes"}, headers=admin.bearer
    )
    assert "a tap does nothing" in words.text
    assert [text in shown.text for text in sentences.values()] == [True, True]
    assert "A client would read" not in (await http.get("/settings/clinic", headers=admin.bearer)).text
    await http.post("/settings/clinic", data=changed, headers=admin.bearer)
    assert sentences["en"] in (await http.get("/settings", headers=admin.bearer)).text
    for language, text in sentences.items():
        preferring = {"Accept-Language": f"{language}-MX,{language};q=0.9"}
        page = await http.get(f"/phone/{clinic.slug}", headers=preferring)
        assert page.text.count(text) == 2  # on the help card, and at the foot
        today = await http.get("/v1/today", headers=phone.headers | preferring)
        assert today.json()["monitoring"] == text


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"notice_addition": "x" * 301}, "notice_addition"),
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
    for at, still_open in enumerate((8, 6, 5, 4)):
        page = await http.get("/settings/first-steps", headers=admin.bearer)
        assert f"{still_open} still to be done" in page.text
        assert page.text.count(">done<") == 8 - still_open
        if at == 0:
            await http.post("/settings/clinic", data=FORM, headers=admin.bearer)
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            if at == 1:
                await a_person(db, Role.COORDINATOR)
            elif at == 2:
                await a_client(db, given_name="Zephyrine")
    assert "Zephyrine" not in page.text


async def test_hours_and_contacts_that_stay_as_they_were_stay_open_steps(
    http: httpx.AsyncClient, owner_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        setting = await clinics.get_setting(db)
    same = {"notice_addition": "A human reads them."}
    for number, contact in enumerate(setting.crisis, start=1):
        same |= {f"label_{number}": contact.label, f"contact_{number}": contact.contact}
    for day, (opens, closes) in setting.hours.items():
        same |= {f"opens_{day}": opens, f"closes_{day}": closes}
    reply = await http.post("/settings/clinic", data=same, headers=admin.bearer)
    assert (reply.status_code, reply.headers["location"]) == (303, "/settings/first-steps"), reply.text
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert (await first_steps.read(db)).open == list(Step)
    await http.post("/settings/clinic", data=same | {"opens_1": "07:30"}, headers=admin.bearer)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert (await first_steps.read(db)).facts == {Step.HOURS}


BACK = "Back to the first steps"


async def test_where_first_steps_are_done_a_line_leads_back_to_them_while_one_is_open_for_this_person(
    http: httpx.AsyncClient, owner_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        both = await a_session(
            db, await a_person(db, email="both@clinic.example", roles=[Role.ADMIN, Role.COORDINATOR])
        )
        coordinator = await a_session(db, await a_person(db, Role.COORDINATOR))

    async def line(who: SignedInAs, path: str) -> str | None:
        page = await http.get(path, headers=who.bearer)
        assert page.status_code == 200, path
        _, found, rest = page.text.partition(f'<a href="/settings/first-steps">{BACK}</a> ')
        return rest.partition("</p>")[0] if found else None

    for path in ("/staff", "/rota", "/rules", "/settings/name", "/settings/clinic"):
        assert await line(admin, path) == "(7 of 8 left)", path
    for path in ("/clients/new", "/caseload"):
        assert await line(both, path) == "(7 of 8 left)", path
    for who, path in (
        (admin, "/settings"),
        (admin, "/settings/first-steps"),
        (admin, "/inbox"),
        (coordinator, "/rota"),
    ):
        assert await line(who, path) is None, path
    for step in first_steps.MAY_STAY:
        await http.post(f"/settings/first-steps/{step}", headers=admin.bearer)
    # What is left is not the admin's to do.
    assert (await line(admin, "/staff"), await line(both, "/staff")) == (None, "(2 of 8 left)")


async def test_who_adds_no_clients_reads_who_does(http: httpx.AsyncClient, owner_pool: Pool) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        await a_person(db, Role.PRIVACY_OFFICER, name="Perrin Vale")
    page = (await http.get("/settings/first-steps", headers=admin.bearer)).text
    assert page.count('Nobody can do it yet: <a href="/staff">invite a coordinator or a clinician</a> first.') == 2
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        gone = await a_person(db, Role.NURSE, name="Ilse Brook")
        await staff.disable(db, gone, by=admin.staff_id, now=datetime.now(UTC))
        await a_person(db, Role.COORDINATOR, name="Tamsin Reed")
    page = (await http.get("/settings/first-steps", headers=admin.bearer)).text
    assert page.count("For Tamsin Reed to do.") == 2


async def test_a_therapist_s_first_step_is_how_to_read_the_desk(http: httpx.AsyncClient, owner_pool: Pool) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        therapist = await a_session(db, await a_person(db))
    reply = await http.get("/settings/first-steps", headers=therapist.bearer)
    assert (reply.status_code, reply.headers["location"]) == (303, "/how-to-read")
    page = await http.get(reply.headers["location"], headers=therapist.bearer)
    assert [word in page.text for word in ("band", "tatus", "rgent")] == [True] * 3
    assert (await http.post("/settings/first-steps/hours", headers=therapist.bearer)).status_code == 404
