"""The page of a client's treatment: what it shows, and that each of its forms does what it says, without a script."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.course import Course, Infusion, InfusionState, Phase
from schemas.staff import Role
from service import database, ids, monitoring
from service.config import Config
from service.database import Pool
from service.desk import sentences
from service.facts import courses, infusions, pauses
from service.people import clients
from service.people.audit import Actor
from tests.builders import an_answer, an_infusion
from tests.desk import a_person, a_session
from tests.desk_visit import Desk, a_desk, a_followed_client

CHICAGO = ZoneInfo("America/Chicago")


class Visit(NamedTuple):
    """Somebody of every role, looking at one client's treatment."""

    desk: Desk
    client_id: UUID

    @property
    def base(self) -> str:
        return f"/clients/{self.client_id}/treatment"

    async def page(self) -> str:
        reply = await self.desk.get(self.base)
        assert reply.status_code == 200, reply.text
        return reply.text

    async def post(self, path: str, **form: str | list[str]) -> None:
        reply = await self.desk.post(f"{self.base}/{path}", **form)
        assert (reply.status_code, reply.headers.get("location")) == (303, self.base), reply.text

    async def infusions(self) -> list[Infusion]:
        async with database.transaction(self.desk.owner, self.desk.clinic.clinic_id) as db:
            return await infusions.of(db, self.client_id)

    async def course(self) -> Course:
        async with database.transaction(self.desk.owner, self.desk.clinic.clinic_id) as db:
            return (await courses.of(db, self.client_id))[-1]


@pytest.fixture
async def visit(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Visit]:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
        yield Visit(desk, client_id)


def local(ahead_days: float) -> str:
    """Ten in the morning so many days from now, as the browser's field for a date and a time sends it."""
    return f"{(datetime.now(UTC) + timedelta(days=ahead_days)).astimezone(CHICAGO):%Y-%m-%dT10:00}"


def on(days: int) -> str:
    """A day so many days from now, as a sentence names it: "20 Nov", with its year where that is another."""
    now = datetime.now(UTC).astimezone(CHICAGO)
    return sentences.day((now + timedelta(days=days)).date(), now.date())


def past(days: int) -> str:
    """What is asked about so many days back."""
    return f"{on(-days)} is {days} day{'' if days == 1 else 's'} ago."


def today() -> datetime:
    return datetime.now(UTC).astimezone(CHICAGO) - timedelta(hours=4)


async def test_a_plan_is_made_by_the_form_once_and_stands_on_the_page(visit: Visit) -> None:
    assert "Nothing is planned" in await visit.page()
    found = re.search(r"treatment/schedules/([0-9a-f-]{36})", await visit.page())
    assert found
    form = {
        "template": "twice_a_week",
        "starts_on": f"{today().date() + timedelta(days=7):%Y-%m-%d}",
        "at": "10:00",
        "weeks": "2",
        "booster_count": "2",
        "booster_every_weeks": "4",
    }
    for _ in range(2):
        await visit.post(f"schedules/{found[1]}", **form)
    planned = await visit.infusions()
    assert [each.state for each in planned] == [InfusionState.PLANNED] * 6
    assert {f"{each.planned_at.astimezone(CHICAGO):%H:%M}" for each in planned} == {"10:00"}
    assert (await visit.page()).count(">Record as given<") == 6


async def test_boosters_alone_take_neither_weeks_nor_weekdays_from_the_one_form(visit: Visit) -> None:
    form = {"template": "boosters", "starts_on": f"{today():%Y-%m-%d}", "at": "09:00", "weeks": "4", "weekdays": "2"}
    await visit.post(f"schedules/{ids.new()}", **form, booster_count="3", booster_every_weeks="6")
    assert len(await visit.infusions()) == 3
    refused = await visit.desk.post(f"{visit.base}/schedules/{ids.new()}", **form, booster_every_weeks="6")
    assert refused.status_code == 400
    assert "<b>boosters" in refused.text


async def test_an_infusion_is_planned_moved_held_given_and_corrected_by_the_forms(visit: Visit) -> None:
    infusion_id = ids.new()
    await visit.post(f"infusions/{infusion_id}/plan", planned_at=local(2))
    await visit.post(
        f"infusions/{infusion_id}/move", planned_at=local(-1), reason="client_wish", version="1", meant=past(1)
    )
    assert "nobody said yet what became of it" in await visit.page()
    await visit.post(f"infusions/{infusion_id}/state", state="held", reason="blood_pressure", version="2")
    await visit.post(f"infusions/{infusion_id}/state", state="planned", reason="other", version="3")
    given = {"state": "given", "given_at": local(-1), "dose_mg_per_kg": "0,5", "duration_minutes": "40"}
    await visit.post(f"infusions/{infusion_id}/state", **given, version="4")
    page = await visit.page()
    assert "0.5 mg/kg, 40 min" in page
    assert "Craving by day after the infusion" in page
    await visit.post(f"infusions/{infusion_id}/state", **(given | {"dose_mg_per_kg": "0.6"}), version="5")
    page = await visit.page()
    assert "corrected to given" in page
    assert "held: blood pressure" in page
    assert "moved to" in page
    late = await visit.desk.post(f"{visit.base}/infusions/{infusion_id}/state", **given, version="5")
    assert late.status_code == 409


async def test_an_infusion_in_the_past_or_at_night_is_asked_about_once(visit: Visit) -> None:
    start = f"{datetime.now(UTC).astimezone(CHICAGO) - timedelta(days=8):%Y-%m-%d}"
    night = local(3).replace("T10", "T03")
    series = {"template": "twice_a_week", "starts_on": start, "at": "03:00", "weeks": "1"}
    moved = ids.new()
    await visit.post(f"infusions/{moved}/plan", planned_at=local(5))
    move = {"planned_at": local(-2), "reason": "other", "version": "1"}
    asked: list[tuple[str, str, dict[str, str], str]] = [
        (f"infusions/{ids.new()}/plan", "planned_at", {"planned_at": local(-8)}, past(8)),
        (f"infusions/{ids.new()}/plan", "planned_at", {"planned_at": night}, f"{on(3)} 03:00 is at night."),
        (f"infusions/{moved}/move", "planned_at", move, past(2)),
        (f"schedules/{ids.new()}", "starts_on", series, f"{past(8)} {on(-8)} 03:00 is at night."),
    ]
    for action, field, form, said in asked:
        before = await visit.infusions()
        address = f"{visit.base}/{action}"
        for meant in ({}, {"meant": "2 Jan is 300 days ago."}):
            refused = await visit.desk.post(address, **form, **meant, form_page=visit.base)
            assert refused.status_code == 400, action
            assert "Please look at the time once more." in refused.text
            assert said in refused.text
            assert re.search(rf'name="{field}"[^>]*aria-invalid="true"', refused.text), action
            assert re.search(r'name="meant"[^>]*aria-invalid="true"', refused.text), action
            assert await visit.infusions() == before
        await visit.post(action, **form, meant=said)
        assert await visit.infusions() != before


async def test_a_form_that_is_wrong_names_its_fields_and_changes_nothing(visit: Visit) -> None:
    infusion_id = ids.new()
    await visit.post(f"infusions/{infusion_id}/plan", planned_at=local(-1), meant=past(1))
    form = {"state": "given", "given_at": "yesterday", "dose_mg_per_kg": "40", "duration_minutes": "long"}
    refused = await visit.desk.post(f"{visit.base}/infusions/{infusion_id}/state", **form)
    assert refused.status_code == 400
    for field in ("given_at", "dose_mg_per_kg", "duration_minutes"):
        assert f"<b>{field}</b>" in refused.text
    assert [each.state for each in await visit.infusions()] == [InfusionState.PLANNED]


async def test_a_pause_shows_everywhere_and_can_be_ended_and_withdrawn(visit: Visit) -> None:
    pause_id = ids.new()
    first = f"{today() - timedelta(days=3):%Y-%m-%d}"
    await visit.post(f"pauses/{pause_id}", from_on=first, until_on="", reason="travel")
    for address in (visit.base, f"/clients/{visit.client_id}", "/caseload"):
        assert "Paused" in (await visit.desk.get(address)).text
    assert "Paused until somebody ends it, travel." in (await visit.desk.get("/caseload")).text
    await visit.post(f"pauses/{pause_id}/end", until_on=f"{today() - timedelta(days=1):%Y-%m-%d}")
    assert ">Paused" not in (await visit.desk.get("/caseload")).text
    await visit.post(f"pauses/{pause_id}/end", until_on=first, withdrawn="yes")
    assert "was entered in error" in await visit.page()
    async with database.transaction(visit.desk.owner, visit.desk.clinic.clinic_id) as db:
        assert await pauses.of(db, visit.client_id) == []


async def test_that_a_client_left_monitoring_is_ended_by_staff_only_where_the_client_asked_for_it(visit: Visit) -> None:
    phone = Actor("device", ids.new())
    async with database.transaction(visit.desk.owner, visit.desk.clinic.clinic_id) as db:
        await monitoring.leave(db, visit.client_id, by=phone, now=datetime.now(UTC))
        (left,) = await pauses.of(db, visit.client_id)
    address = f"{visit.base}/pauses/{left.pause_id}/end"
    refused = await visit.desk.post(address, withdrawn="yes")
    assert refused.status_code == 400
    assert "come back there" in refused.text
    async with database.transaction(visit.desk.owner, visit.desk.clinic.clinic_id) as db:
        assert await pauses.of(db, visit.client_id) == [left]
    await visit.post(f"pauses/{left.pause_id}/end", withdrawn="yes", asked="yes")
    async with database.transaction(visit.desk.owner, visit.desk.clinic.clinic_id) as db:
        assert await pauses.of(db, visit.client_id) == []


async def test_a_paused_client_asks_for_nobody_unless_an_alert_is_open(visit: Visit) -> None:
    async with database.transaction(visit.desk.owner, visit.desk.clinic.clinic_id) as db:
        await db.execute("update trend set status = 'no_data' where clinic_id = $1", db.clinic_id)
    assert "One person needs you" in (await visit.desk.get("/caseload")).text
    await visit.post(f"pauses/{ids.new()}", from_on=f"{today():%Y-%m-%d}", reason="inpatient")
    assert "Nobody needs you just now" in (await visit.desk.get("/caseload")).text


async def test_substances_and_phase_are_changed_from_a_day_on(visit: Visit) -> None:
    token = {"csrf_token": visit.desk.person.csrf_token, "from_on": f"{today():%Y-%m-%d}", "primary": "cocaine"}
    form = token | {"substances": ["alcohol", "cocaine"]}
    reply = await visit.desk.http.post(f"{visit.base}/substances", data=form, headers=visit.desk.person.cookie)
    assert reply.status_code == 303
    await visit.post("phase", phase="maintenance", from_on=f"{today():%Y-%m-%d}")
    page = await visit.page()
    assert "cocaine, primary" in page
    assert "Treated from" in page
    assert "Maintenance" in page
    assert (await visit.course()).phase is Phase.MAINTENANCE


async def test_a_substance_that_comes_first_and_is_not_ticked_is_asked_for(visit: Visit) -> None:
    form: dict[str, str | list[str]] = {"substances": ["alcohol"], "primary": "opioid"}
    new_course = {"started_on": f"{today():%Y-%m-%d}", "phase": "induction"}
    for path, more in (("substances", {"from_on": f"{today():%Y-%m-%d}"}), (f"courses/{ids.new()}", new_course)):
        refused = await visit.desk.post(f"{visit.base}/{path}", form_page=visit.base, **form, **more)
        assert refused.status_code == 400, path
        assert "one of those that are ticked" in refused.text
        # A further course is begun after this one: its form does not stand on the page yet.
        marked = re.search(r'id="primary"[^>]*aria-invalid="true"', refused.text)
        assert (marked is not None) is (path == "substances")
    assert "opioid, primary" not in await visit.page()


async def test_a_discharge_takes_the_forms_away_and_reopening_brings_them_back(visit: Visit) -> None:
    await visit.post(f"infusions/{ids.new()}/plan", planned_at=local(3))
    await visit.post("discharge", last_day=f"{today():%Y-%m-%d}", reason="completed")
    page = await visit.page()
    assert "Discharged" in page
    assert "Plan from a template" not in page
    assert [each.state for each in await visit.infusions()] == [InfusionState.CANCELLED]
    await visit.post("reopen", from_on="")
    assert "Plan from a template" in await visit.page()
    assert (await visit.course()).phase is Phase.INDUCTION


async def test_whoever_was_discharged_starts_another_course_by_the_form(visit: Visit) -> None:
    first = await visit.course()
    await visit.post("discharge", last_day=f"{today() - timedelta(days=1):%Y-%m-%d}", reason="completed")
    assert "Start a new course" in await visit.page()
    course_id, form = ids.new(), {"started_on": f"{today():%Y-%m-%d}", "phase": "induction", "primary": "cocaine"}
    for _ in range(2):
        await visit.post(f"courses/{course_id}", substances=["alcohol", "cocaine"], **form)
    assert ((await visit.course()).course_id, first.course_id != course_id) == (course_id, True)
    page = await visit.page()
    assert "cocaine, primary" in page
    assert "Plan from a template" in page


async def test_the_check_ins_of_the_client_page_say_their_infusion_day(visit: Visit) -> None:
    async with database.transaction(visit.desk.owner, visit.desk.clinic.clinic_id) as db:
        await an_infusion(db, visit.client_id, given_at=datetime.now(UTC) - timedelta(days=4))
        await an_answer(db, visit.client_id, today().date() - timedelta(days=2))
    assert "infusion 1, day 2" in (await visit.desk.get(f"/clients/{visit.client_id}")).text


async def test_a_form_from_elsewhere_changes_nothing(visit: Visit) -> None:
    forged = await visit.desk.http.post(
        f"{visit.base}/discharge",
        data={"last_day": f"{today():%Y-%m-%d}", "reason": "other"},
        headers=visit.desk.person.cookie,
    )
    assert forged.status_code == 400
    assert (await visit.course()).ended_on is None


async def test_a_coordinator_plans_too_and_a_therapist_of_others_finds_nothing(visit: Visit) -> None:
    async with database.transaction(visit.desk.owner, visit.desk.clinic.clinic_id) as db:
        coordinator = await a_session(db, await a_person(db, Role.COORDINATOR))
        stranger = await a_session(db, await a_person(db, Role.THERAPIST, email="other@clinic.example"))
        nurse_id = await a_person(db, Role.NURSE)
        await clients.assign(db, visit.client_id, nurse_id, Role.NURSE, from_at=datetime.now(UTC) - timedelta(days=1))
        nurse = await a_session(db, nurse_id)
    for person, status in ((coordinator, 200), (nurse, 200), (stranger, 404)):
        reply = await visit.desk.http.get(visit.base, headers=person.bearer)
        assert reply.status_code == status
        assert ("Plan from a template" in reply.text) is (status == 200)
