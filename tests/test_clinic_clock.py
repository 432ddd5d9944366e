"""A clinic gets another name or time zone: said before, kept with what held before, undone by changing it back."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest

from jobs import runner
from jobs.runner import Lookout
from jobs.work import Daily, Result, Tools
from schemas.clinic import Clinic
from schemas.staff import Role
from service import clinic_clock, database
from service.alerting.writing import Sending
from service.config import Config
from service.database import Pool
from service.people import clients, clinics
from service.people.audit import Actor
from service.web import services
from tests.appointments import a_planned_infusion, a_session_of
from tests.builders import MASTER, NOW, a_client, a_clinic, an_answer
from tests.desk import SignedInAs, a_person, a_session
from tests.web import serving

CHICAGO, BERLIN = "America/Chicago", "Europe/Berlin"


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool, time_zone=CHICAGO)


@pytest.fixture
async def admin(owner_pool: Pool, clinic: Clinic) -> SignedInAs:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        return await a_session(db, await a_person(db, Role.ADMIN))


async def now_called(pool: Pool, clinic: Clinic) -> tuple[str, str]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        found = await clinics.get(db)
    return found.name, found.time_zone


async def test_a_name_is_kept_at_once_and_shown_to_everybody_who_comes(
    http: httpx.AsyncClient, web_pool: Pool, clinic: Clinic, admin: SignedInAs
) -> None:
    other = {"name": " Quayside Clinic (fictional) ", "time_zone": CHICAGO}
    reply = await http.post("/settings/name", data=other, headers=admin.bearer)
    assert (reply.status_code, reply.headers["location"]) == (303, "/settings/first-steps")
    assert await now_called(web_pool, clinic) == ("Quayside Clinic (fictional)", CHICAGO)
    for page in (f"/{clinic.slug}/sign-in", f"/phone/{clinic.slug}"):
        assert "Quayside Clinic (fictional)" in (await http.get(page)).text
    assert clinic.name in (await http.get("/settings/name", headers=admin.bearer)).text  # what it was before


async def test_another_zone_is_told_with_what_it_moves_before_anything_is_kept(
    http: httpx.AsyncClient, owner_pool: Pool, clinic: Clinic, admin: SignedInAs
) -> None:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, time_zone=CHICAGO)
        await a_planned_infusion(db, client_id, hours_ahead=30)
        await a_session_of(db, client_id, hours_ahead=20)
    wanted = {"name": clinic.name, "time_zone": BERLIN}
    page = await http.post("/settings/name", data=wanted, headers=admin.bearer)
    assert page.status_code == 200
    for said in (
        "2 coming appointments keep their moment",
        "Nobody is on call",
        "Nothing is kept yet",
        "1 client counts their days in America/Chicago",
        "New clients begin with Europe/Berlin",
    ):
        assert said in page.text
    assert await now_called(owner_pool, clinic) == (clinic.name, CHICAGO)
    # Agreed to another zone than the one chosen now: told again.
    slip = await http.post("/settings/name", data=wanted | {"agreed": "Asia/Tokyo"}, headers=admin.bearer)
    assert "Nothing is kept yet" in slip.text
    done = await http.post("/settings/name", data=wanted | {"agreed": BERLIN}, headers=admin.bearer)
    assert done.status_code == 303
    assert await now_called(owner_pool, clinic) == (clinic.name, BERLIN)


async def test_changed_and_changed_back_it_is_as_before_and_both_are_written_down(
    owner_pool: Pool, clinic: Clinic, admin: SignedInAs
) -> None:
    by = Actor("staff", admin.staff_id)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        for zone in (BERLIN, CHICAGO, CHICAGO):
            await clinic_clock.change(db, name=clinic.name, time_zone=zone, by=by, now=NOW)
        assert await clinics.get(db) == clinic
        assert [(each.time_zone, each.changed_by) for each in await clinics.former(db)] == [
            (BERLIN, admin.staff_id),
            (CHICAGO, admin.staff_id),
        ]
        audited = await db.connection.fetch(
            "select actor_id, reason from audit_event where action = 'clinic.change' order by audit_event_id"
        )
    assert [tuple(row) for row in audited] == [
        (admin.staff_id, f"{CHICAGO} → {BERLIN}"),
        (admin.staff_id, f"{BERLIN} → {CHICAGO}"),
    ]


async def test_no_day_that_was_counted_moves_and_whoever_counted_by_the_clinic_s_clock_goes_on_so(
    owner_pool: Pool, clinic: Clinic, admin: SignedInAs
) -> None:
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        own, unknown = await a_client(db, time_zone="Asia/Tokyo"), await a_client(db, time_zone="Mars/Olympus")
        for client_id in (own, unknown):
            await an_answer(db, client_id, NOW.date())
        await db.execute("delete from fold_due")
        days = "select client_id, client_day from check_in order by check_in_id"
        before = [tuple(row) for row in await db.connection.fetch(days)]
        await clinic_clock.change(db, name=clinic.name, time_zone=BERLIN, by=Actor("staff", admin.staff_id), now=NOW)
        assert [tuple(row) for row in await db.connection.fetch(days)] == before
        zones = {client_id: (await clients.get(db, client_id)).time_zone for client_id in (own, unknown)}
        assert await db.value("select count(*) from fold_due") == 0
    assert zones == {own: "Asia/Tokyo", unknown: CHICAGO}


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"name": "", "time_zone": CHICAGO}, "1 to 200 characters"),
        ({"name": "x" * 201, "time_zone": CHICAGO}, "1 to 200 characters"),
        ({"name": "Quayside", "time_zone": "Mars/Olympus"}, "time_zone"),
        ({"name": "Quayside", "time_zone": "../../etc/passwd"}, "time_zone"),
        ({"name": "Quayside"}, "time_zone"),
    ],
)
async def test_what_no_clinic_can_be_called_is_refused(
    http: httpx.AsyncClient, owner_pool: Pool, clinic: Clinic, admin: SignedInAs, form: dict[str, str], says: str
) -> None:
    reply = await http.post("/settings/name", data=form, headers=admin.bearer)
    assert reply.status_code == 400
    assert says in reply.text
    assert await now_called(owner_pool, clinic) == (clinic.name, CHICAGO)


async def test_another_process_knows_within_half_a_minute_and_its_form_never_changes_it_back(
    settings: Config, clinic: Clinic, admin: SignedInAs, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as one, serving(settings) as other:
        assert CHICAGO in (await other.get("/settings/name", headers=admin.bearer)).text  # remembered there now
        await one.post("/settings/name", data={"name": "Quayside", "time_zone": CHICAGO}, headers=admin.bearer)
        form = await other.get("/settings/name", headers=admin.bearer)
        assert 'value="Quayside"' in form.text
        assert clinic.name in (await other.get(f"/{clinic.slug}/sign-in")).text
        monkeypatch.setattr(services, "CLINIC_VIEW_SECONDS", 0.0)
        assert "Quayside" in (await other.get(f"/{clinic.slug}/sign-in")).text


@pytest.mark.parametrize(("after", "waits"), [("America/Los_Angeles", 26), ("America/New_York", 23), (BERLIN, 17)])
async def test_a_morning_s_job_comes_once_a_local_day_whichever_way_the_clock_moves(
    owner_pool: Pool, jobs_pool: Pool, sweep_pool: Pool, clinic: Clinic, admin: SignedInAs, after: str, waits: int
) -> None:
    ran: list[datetime] = []

    async def run_once(tools: Tools, clinic_id: object, *, now: datetime) -> Result:
        ran.append(now)
        return Result({})

    tools = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))
    dailies = [Daily("morning", run_once, (time(7),), "")]
    lookout, seven = Lookout(dailies), datetime(2026, 11, 23, 7, tzinfo=ZoneInfo(CHICAGO)).astimezone(UTC)
    for minutes in range(0, 27 * 60, 30):
        now = seven + timedelta(minutes=minutes)
        if minutes == 30:
            async with database.transaction(owner_pool, clinic.clinic_id) as db:
                by = Actor("staff", admin.staff_id)
                await clinic_clock.change(db, name=clinic.name, time_zone=after, by=by, now=now)
        await runner.run_due(tools, lookout, "here", now=now)
    assert [moment - seven for moment in ran] == [timedelta(0), timedelta(hours=waits)]
