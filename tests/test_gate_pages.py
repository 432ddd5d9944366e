"""The pages of gates, sessions and calendars: plain forms, and what a person may and may not do there."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.gate import Analyte, Decision
from schemas.staff import Role
from service import database, errors, ids
from service.config import Config
from service.database import Pool
from service.gate import decide
from service.people import clients
from service.web import local_times
from tests.appointments import (
    a_complete_gate,
    a_decision,
    a_given_infusion,
    a_planned_infusion,
    a_pressure,
    a_screen,
    a_session_of,
)
from tests.builders import an_answer
from tests.desk import a_person, a_session
from tests.desk_visit import Desk, a_desk, a_followed_client

ZONE = ZoneInfo("America/Chicago")
INLINE_CODE = re.compile(r"<style|<script(?![^>]*\ssrc=)|\sstyle=|\son[a-z]+=|javascript:", re.IGNORECASE)


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


async def an_infusion_of_mine(desk: Desk, *, hours_ahead: float = 20) -> tuple[UUID, UUID]:
    """A followed client on whose care team the visitor is, and their infusion."""
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        for role in (Role.NURSE, Role.PRESCRIBER, Role.THERAPIST):
            since = datetime.now(UTC) - timedelta(days=1)
            await clients.assign(db, client_id, desk.person.staff_id, role, from_at=since)
        return client_id, await a_planned_infusion(db, client_id, hours_ahead=hours_ahead)


def typed(minutes_ago: float = 2) -> str:
    return local_times.typed(datetime.now(UTC) - timedelta(minutes=minutes_ago), ZONE)


LIST = {
    "unstable_cardiovascular_disease": "absent",
    "hypertension": "absent",
    "pregnancy": "not_applicable",
    "ketamine_allergy": "absent",
    "raised_intracranial_pressure": "absent",
}


async def test_a_gate_is_recorded_held_released_and_cleared_by_plain_forms(desk: Desk) -> None:
    _, infusion_id = await an_infusion_of_mine(desk)
    gate = f"/infusions/{infusion_id}/gate"
    page = (await desk.get(gate)).text
    assert "Still to be recorded: drug screen, blood pressure, complete list of contraindications." in page
    assert "Clear: it may go ahead" not in page
    recorded = await desk.post(f"{gate}/vitals", at=typed(), systolic="150", diastolic="84", pulse="")
    assert recorded.headers["location"] == gate
    screen = await desk.post(
        f"{gate}/screens", at=typed(), panel="cocaine", positive="cocaine", confirmation="confirmed"
    )
    assert screen.status_code == 303
    assert (await desk.post(f"{gate}/checklists", at=typed(), **LIST)).status_code == 303
    page = (await desk.get(gate)).text
    assert "A hold is proposed: the screen found something and the pressure is above the clinic&#39;s limit." in page
    assert "above the limit of 140/90" in page
    without_reason = await desk.post(f"{gate}/hold", reason=" ", version="0")
    assert without_reason.status_code == 400
    await desk.post(f"{gate}/hold", reason="Laboratory to confirm.\nCalled the client.", version="0")
    page = (await desk.get(gate)).text
    assert "Not now: somebody put it on hold." in page
    assert "Laboratory to confirm." in page
    await desk.post(f"{gate}/release", version="1")
    await desk.post(f"{gate}/vitals", at=typed(1), systolic="128", diastolic="80", pulse="66")
    await desk.post(f"{gate}/override", reason="Confirmed: prescribed codeine.", version="2")
    page = (await desk.get(gate)).text
    assert "May go ahead: a prescriber decided so, with a reason." in page
    record = re.search(rf'action="({gate}/records/[0-9a-f-]+/take-back)"', page)
    assert record
    assert (await desk.post(record[1])).status_code == 303
    assert "entered in error" in (await desk.get(gate)).text


async def test_a_complete_gate_is_cleared_with_one_button(desk: Desk) -> None:
    client_id, infusion_id = await an_infusion_of_mine(desk)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_complete_gate(db, client_id, infusion_id, by=desk.person.staff_id)
    gate = f"/infusions/{infusion_id}/gate"
    assert "Clear: it may go ahead" in (await desk.get(gate)).text
    await desk.post(f"{gate}/clear", version="0")
    page = (await desk.get(gate)).text
    assert "May go ahead: everything is recorded, and nothing recorded for the gate speaks for a hold." in page
    assert "Cleared by Maren Holt" in page


async def test_a_time_that_cannot_be_is_refused_beside_the_field_in_which_it_was_typed(desk: Desk) -> None:
    client_id, infusion_id = await an_infusion_of_mine(desk)
    gate, treatment = f"/infusions/{infusion_id}/gate", f"/clients/{client_id}/treatment"
    ahead = {"at": typed(minutes_ago=-3000)}
    plan = {"template": "twice_a_week", "starts_on": "2036-01-01", "at": "10:00", "weeks": "4"}
    for page, path, form, field in (
        (gate, f"{gate}/vitals", {**ahead, "systolic": "120", "diastolic": "80"}, "at"),
        (gate, f"{gate}/screens", {**ahead, "panel": "cocaine"}, "at"),
        (gate, f"{gate}/checklists", ahead | LIST, "at"),
        (treatment, f"{treatment}/schedules/{ids.new()}", {**plan, "booster_count": "some"}, "booster_count"),
    ):
        refused = await desk.post(path, form_page=page, **form)
        assert refused.status_code == 400, path
        assert re.search(rf'name="{field}"[^>]*aria-invalid="true"', refused.text), path
        assert "_at</b>" not in refused.text
        assert "The body was refused" not in refused.text
    assert "The body was refused" not in (await desk.post(f"{gate}/vitals", **ahead, systolic="high")).text


async def test_a_form_that_cannot_be_is_refused_on_a_page_that_names_the_field(desk: Desk) -> None:
    _, infusion_id = await an_infusion_of_mine(desk)
    gate = f"/infusions/{infusion_id}/gate"
    for path, form, field in (
        ("vitals", {"at": typed(), "systolic": "high", "diastolic": "80"}, "systolic"),
        ("vitals", {"at": "yesterday", "systolic": "120", "diastolic": "80"}, "at"),
        ("screens", {"at": typed()}, "panel"),
        ("checklists", {"at": typed(), "hypertension": "absent"}, "ketamine_allergy"),
    ):
        refused = await desk.post(f"{gate}/{path}", **form)
        assert refused.status_code == 400, path
        assert f"<b>{field}</b>" in refused.text, path


async def test_the_day_s_list_answers_for_every_infusion_whether_it_may_go_ahead(desk: Desk) -> None:
    client_id, infusion_id = await an_infusion_of_mine(desk)
    by = desk.person.staff_id
    now = datetime.now(UTC)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        held = await a_planned_infusion(db, client_id, hours_ahead=20.1)
        await a_decision(db, client_id, held, Decision.HOLD, reason="Unwell.", by=by)
        await decide.record(db, client_id, infusion_id, a_screen(Analyte.COCAINE, at=now), by=by, now=now)
        await decide.record(db, client_id, infusion_id, a_pressure(150, 96, at=now), by=by, now=now)
    # Midnight may lie between the two.
    days = sorted({(now + timedelta(hours=hours)).astimezone(ZONE).date() for hours in (20, 20.1)})
    page = "".join([(await desk.get(f"/gates?day={day}")).text for day in days])
    assert "Not now: somebody put it on hold." in page
    assert "Still to be recorded: complete list of contraindications. A hold is proposed:" in page
    assert "150/96 mmHg" in page
    assert "cocaine found, presumptive" in page
    far = (await desk.get(f"/gates?day={days[-1] + timedelta(days=40)}")).text
    assert "No infusion is booked on this day" in far


async def test_a_therapist_reads_a_gate_and_finds_no_forms_there(desk: Desk) -> None:
    client_id, infusion_id = await an_infusion_of_mine(desk)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        person = await a_person(db, Role.THERAPIST, email="other@clinic.example")
        await clients.assign(db, client_id, person, Role.THERAPIST, from_at=datetime.now(UTC) - timedelta(hours=1))
        therapist = await a_session(db, person)
    page = (await desk.http.get(f"/infusions/{infusion_id}/gate", headers=therapist.cookie)).text
    assert "Nurses and prescribers of the care team decide." in page
    assert f'action="/infusions/{infusion_id}' not in page


async def test_screens_stand_beside_answers_in_neutral_words_and_figures_both_ways(desk: Desk) -> None:
    client_id, _ = await an_infusion_of_mine(desk)
    now, by = datetime.now(UTC), desk.person.staff_id
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        infusion_id = await a_given_infusion(db, client_id, hours_ago=1)
        await a_given_infusion(db, client_id, hours_ago=90)
        for days_ago in (7, 4, 1):
            await an_answer(db, client_id, now.astimezone(ZONE).date() - timedelta(days=days_ago))
        for taken_at in (now, now - timedelta(days=2)):
            screen = a_screen(Analyte.ALCOHOL_MARKER, at=taken_at)
            await decide.record(db, client_id, infusion_id, screen, by=by, now=now)
    page = (await desk.get(f"/infusions/{infusion_id}/gate")).text
    assert "alcohol: the screen found it, the answers do not mention it" in page
    assert "alcohol: the screen found it, no answers speak of all its 80 hours" in page
    assert "0 % without a finding when missing screens count as positive, 0 % when they are left out" in page
    for accusing in ("lie", "lied", "dishonest", "denied", "failed", "dirty", "clean", "cheat"):
        assert not re.search(rf"\b{accusing}\b", page), accusing


async def test_sessions_are_booked_changed_and_recorded_by_plain_forms(desk: Desk) -> None:
    client_id, _ = await an_infusion_of_mine(desk)
    sessions = f"/clients/{client_id}/sessions"
    assert "Nothing is booked." in (await desk.get(sessions)).text
    coming = local_times.typed(datetime.now(ZONE).replace(hour=12) + timedelta(days=3), ZONE)
    booked = await desk.post(
        sessions, at=coming, staff_id=str(desk.person.staff_id), modality="integration", minutes="80"
    )
    assert booked.status_code == 303
    session_id = booked.headers["location"].rpartition("#s-")[2]
    page = (await desk.get(sessions)).text
    assert "integration, 80 min, with Maren Holt" in page
    later = local_times.typed(datetime.now(ZONE).replace(hour=12) + timedelta(days=4), ZONE)
    await desk.post(f"/sessions/{session_id}/change", at=later, staff_id="", modality="group", minutes="60")
    assert "1 change" in (await desk.get(sessions)).text
    await desk.post(f"/sessions/{session_id}/state", state="cancelled")
    page = (await desk.get(sessions)).text
    assert "Plan it again" in page
    assert "2 changes" in page
    refused = await desk.post(f"/sessions/{session_id}/state", state="attended")
    assert refused.status_code == 409
    assert (await desk.post(f"/sessions/{session_id}/state", state="")).status_code == 400
    opened = await desk.get(f"/sessions/{session_id}")
    assert opened.headers["location"] == f"{sessions}#s-{session_id}"


async def test_a_past_session_asks_what_became_of_it_and_coverage_follows(desk: Desk) -> None:
    client_id, _ = await an_infusion_of_mine(desk)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_given_infusion(db, client_id, hours_ago=80)
        session_id = await a_session_of(db, client_id, hours_ahead=-40)
    sessions = f"/clients/{client_id}/sessions"
    page = (await desk.get(sessions)).text
    assert "not recorded yet" in page
    assert "session not recorded yet" in page
    await desk.post(f"/sessions/{session_id}/state", state="attended")
    page = (await desk.get(sessions)).text
    assert "followed by a session" in page
    assert "1 of 1 were followed by a session in that time." in page


async def test_calendars_are_issued_shown_once_and_ended(desk: Desk) -> None:
    client_id, _ = await an_infusion_of_mine(desk)
    for start, back in (("/account/calendar", "/account"), (f"/clients/{client_id}/calendar", "")):
        shown = await desk.post(start)
        found = re.search(r'value="http[^"]+(/calendar/neap_calendar_[^"]+)"', shown.text)
        assert found
        assert shown.headers["cache-control"] == "no-store"
        page = (await desk.get(back or f"/clients/{client_id}/sessions")).text
        assert "In use since" in page
        assert found[1] not in page
        assert (await desk.http.get(found[1])).status_code == 200
        await desk.post(f"{start}/end")
        assert (await desk.http.get(found[1])).status_code == 404


async def test_the_clinic_s_numbers_are_kept_by_a_form(desk: Desk) -> None:
    numbers = {
        "gate_opens_hours": "48",
        "gate_clear_hours": "24",
        "gate_warning_hours": "12",
        "systolic_limit": "150",
        "diastolic_limit": "95",
        "therapy_window_hours": "96",
    }
    assert (await desk.post("/settings/gate", **numbers)).headers["location"] == "/settings"
    page = (await desk.get("/settings")).text
    assert 'name="systolic_limit" inputmode="numeric" required value="150"' in page
    for wrong in ({"systolic_limit": "high"}, {"gate_warning_hours": "49"}, {"gate_opens_hours": "0"}):
        refused = await desk.post("/settings/gate", **(numbers | wrong))
        assert refused.status_code == 400
        assert f"<b>{next(iter(wrong))}</b>" in refused.text


async def test_the_new_pages_are_strict_and_not_kept(desk: Desk) -> None:
    client_id, infusion_id = await an_infusion_of_mine(desk)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_complete_gate(db, client_id, infusion_id, by=desk.person.staff_id)
        await a_session_of(db, client_id, staff_id=desk.person.staff_id)
        await a_given_infusion(db, client_id)
    for address in ("/gates", f"/infusions/{infusion_id}/gate", f"/clients/{client_id}/sessions", "/account"):
        page = await desk.get(address)
        assert page.status_code == 200, address
        assert page.headers["cache-control"] == "no-store"
        assert not INLINE_CODE.search(page.text), address
        assert page.text.count("<h1") == 1, address
        assert page.text.count("csrf_token") >= page.text.count('method="post"'), address


async def test_a_form_without_its_token_is_refused(desk: Desk) -> None:
    _, infusion_id = await an_infusion_of_mine(desk)
    forged = await desk.http.post(
        f"/infusions/{infusion_id}/gate/hold", data={"reason": "x"}, headers=desk.person.cookie
    )
    assert forged.status_code == 400


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-26T09:30", datetime(2026, 11, 26, 15, 30, tzinfo=UTC)),
        ("2026-07-01T09:30", datetime(2026, 7, 1, 14, 30, tzinfo=UTC)),
        # 01:30 comes twice on 1 November: the first of them.
        ("2026-11-01T01:30", datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),
    ],
)
def test_a_typed_time_is_one_instant_on_the_clinic_s_clock(text: str, instant: datetime) -> None:
    assert local_times.instant_of(text, ZONE, "at") == instant
    assert local_times.typed(instant, ZONE) == text


@pytest.mark.parametrize(
    "text", ["2026-03-08T02:30", "", "noon", "2026-11-26T09:30Z", "2026-13-01T00:00", "9999-12-31T23:00"]
)
def test_a_time_that_does_not_exist_is_refused(text: str) -> None:
    with pytest.raises(errors.Invalid):
        local_times.instant_of(text, ZONE, "at")


async def test_a_session_s_form_sent_twice_books_once(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
    page = (await desk.get(f"/clients/{client_id}/sessions")).text
    form_id = page.partition('name="id" value="')[2].partition('"')[0]
    at = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y-%m-%dT10:00")
    sent = {"id": form_id, "at": at, "staff_id": "", "modality": "integration", "minutes": "50"}
    for _ in range(2):
        booked = await desk.post(f"/clients/{client_id}/sessions", **sent)
        assert booked.status_code == 303, booked.text
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        assert await db.value("select count(*) from therapy_session where clinic_id = $1", db.clinic_id) == 1
    assert (await desk.post(f"/clients/{client_id}/sessions", **{**sent, "id": "x"})).status_code == 400
