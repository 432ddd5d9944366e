"""Infusions over HTTP: plans from a template, what became of each, and the whole history behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from service import database, errors, ids
from service.config import Config
from service.database import Pool
from service.people import devices
from tests.appointments import a_session_of
from tests.treatment import Treated, a_treated_client, an_infusion_planned, fields_of, induction, monday_after


@pytest.fixture
async def treated(settings: Config, owner_pool: Pool) -> AsyncIterator[Treated]:
    async with a_treated_client(settings, owner_pool) as made:
        yield made


async def test_an_induction_and_its_boosters_are_planned_in_one_call(treated: Treated) -> None:
    monday = monday_after(treated.today)
    form = induction(monday.isoformat(), boosters={"every_weeks": 4, "count": 2})
    made = await treated.put(f"schedules/{ids.new()}", form)
    planned = [datetime.fromisoformat(each["planned_at"]) for each in made["planned"]]
    assert len(planned) == 14
    assert [at.isoweekday() for at in planned] == [1, 3, 5] * 4 + [5, 5]
    assert [(at.hour, at.minute) for at in planned] == [(10, 0)] * 14
    assert planned[0].date() == monday
    assert [(planned[n] - planned[n - 1]).days for n in (12, 13)] == [28, 28]
    course = await treated.get("course")
    assert course["next_infusion_at"] == made["planned"][0]["planned_at"]
    assert {each["infusion"]["schedule_id"] for each in course["infusions"]} == {made["schedule_id"]}


async def test_a_plan_keeps_to_the_clinics_clock_when_the_clocks_change(settings: Config, owner_pool: Pool) -> None:
    zone = ZoneInfo("America/Chicago")
    async with a_treated_client(settings, owner_pool, time_zone="America/Chicago") as treated:
        monday = monday_after(treated.today)
        form = {"template": "twice_a_week", "starts_on": monday.isoformat(), "at": "09:30", "weeks": 12}
        boosters = {"every_weeks": 4, "count": 10}
        made = await treated.put(f"schedules/{ids.new()}", form | {"boosters": boosters})
    local = [datetime.fromisoformat(each["planned_at"]).astimezone(zone) for each in made["planned"]]
    assert {(at.hour, at.minute) for at in local} == {(9, 30)}
    assert len({at.utcoffset() for at in local}) == 2


async def test_the_same_plan_again_changes_nothing_and_another_under_its_id_is_refused(treated: Treated) -> None:
    schedule_id, form = ids.new(), induction(monday_after(treated.today).isoformat())
    first = await treated.put(f"schedules/{schedule_id}", form)
    again = await treated.put(f"schedules/{schedule_id}", form, status=200)
    assert again["planned"] == first["planned"]
    assert len((await treated.get("course"))["infusions"]) == 12
    await treated.put(f"schedules/{schedule_id}", form | {"at": "11:00"}, status=409)


@pytest.mark.parametrize(
    ("form", "named"),
    [
        ({"template": "boosters", "weeks": 3}, {"boosters", "weeks"}),
        ({"weeks": None}, {"weeks"}),
        ({"weekdays": [1, 3]}, {"weekdays"}),
        ({"weekdays": [1, 1, 3]}, {"weekdays"}),
        ({"weekdays": [0, 1, 2]}, {"weekdays[0]"}),
        ({"weeks": 13, "at": "25:00"}, {"weeks", "at"}),
        ({"starts_on": "2001-01-01"}, {"starts_on"}),
        ({"starts_on": "9999-12-31"}, {"starts_on"}),
        ({"dose": 0.5}, {"dose"}),
        ({"boosters": {"every_weeks": 26, "count": 26}}, {"boosters.count"}),
    ],
)
async def test_a_plan_that_cannot_be_names_its_fields(
    treated: Treated, form: dict[str, object], named: set[str]
) -> None:
    wanted = induction(monday_after(treated.today).isoformat()) | form
    refused = await treated.put(f"schedules/{ids.new()}", wanted, status=400)
    assert fields_of(refused) == named
    assert (await treated.get("course"))["infusions"] == []


async def test_what_was_given_is_recorded_and_corrected_and_no_word_is_lost(treated: Treated) -> None:
    planned = await an_infusion_planned(treated)
    path = f"infusions/{planned['infusion_id']}"
    given_at = planned["planned_at"]
    await treated.post(f"{path}/state", {"state": "held", "reason": "blood_pressure"})
    await treated.post(f"{path}/state", {"state": "planned"})
    await treated.post(
        f"{path}/state", {"state": "given", "given_at": given_at, "dose_mg_per_kg": 0.5, "duration_minutes": 40}
    )
    corrected = {"state": "given", "given_at": given_at, "dose_mg_per_kg": 0.8, "duration_minutes": 45}
    now = await treated.post(f"{path}/state", corrected | {"reason": "entered_in_error"})
    assert (now["dose_mg_per_kg"], now["duration_minutes"], now["version"]) == (0.8, 45, 5)
    history = await treated.get(path)
    assert history["number"] == 1
    states = [(event["state"], event["dose_mg_per_kg"], event["reason"]) for event in history["events"]]
    assert states == [
        ("planned", None, None),
        ("held", None, "blood_pressure"),
        ("planned", None, None),
        ("given", 0.5, None),
        ("given", 0.8, "entered_in_error"),
    ]
    supersedes = [event["supersedes"] for event in history["events"]]
    assert supersedes == [None, None, None, None, history["events"][3]["infusion_event_id"]]
    assert {event["recorded_by"] for event in history["events"]} == {"Ingrid Solis"}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"state": "given"}, {"given_at"}),
        ({"state": "given", "given_at": "2030-01-01T10:00:00Z"}, {"given_at"}),
        ({"state": "given", "given_at": "0001-01-01T00:00:00Z"}, {"given_at"}),
        ({"state": "given", "given_at": "2026-11-20T10:00:00"}, {"given_at"}),
        ({"state": "given", "dose_mg_per_kg": 40}, {"dose_mg_per_kg"}),
        ({"state": "held"}, {"reason"}),
        ({"state": "missed", "dose_mg_per_kg": 0.5}, {"reason", "dose_mg_per_kg"}),
        ({"state": "dozed"}, {"state"}),
        ({"state": "held", "reason": "none of your business"}, {"reason"}),
    ],
)
async def test_a_record_that_cannot_be_names_its_fields(
    treated: Treated, body: dict[str, object], named: set[str]
) -> None:
    planned = await an_infusion_planned(treated)
    refused = await treated.post(f"infusions/{planned['infusion_id']}/state", body, status=400)
    assert named <= fields_of(refused)
    assert "business" not in str(refused)


async def test_an_infusion_to_come_cannot_be_missed_yet(treated: Treated) -> None:
    planned = await an_infusion_planned(treated, ago=-2)
    missed = {"state": "missed", "reason": "no_show"}
    refused = await treated.post(f"infusions/{planned['infusion_id']}/state", missed, status=400)
    assert fields_of(refused) == {"state"}


async def test_an_infusion_is_moved_and_whoever_looked_before_is_told(treated: Treated) -> None:
    planned = await an_infusion_planned(treated, ago=-2)
    path = f"infusions/{planned['infusion_id']}"
    later = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    body = {"planned_at": later, "reason": "client_wish", "version": 1}
    moved = await treated.post(f"{path}/move", body)
    assert (moved["state"], moved["version"]) == ("planned", 2)
    assert await treated.post(f"{path}/move", body) == moved
    await treated.post(f"{path}/move", body | {"reason": "clinic"}, status=409)
    events = (await treated.get(path))["events"]
    assert [event["planned_at"] for event in events] == [planned["planned_at"], moved["planned_at"]]
    await treated.post(f"{path}/state", {"state": "cancelled", "reason": "illness"})
    await treated.post(f"{path}/move", {"planned_at": later, "reason": "clinic"}, status=409)
    assert (await treated.get("course"))["next_infusion_at"] is None


async def test_planning_anew_keeps_what_was_given_and_cancels_the_rest_with_a_reason(treated: Treated) -> None:
    starts_on = monday_after(treated.today - timedelta(days=20))
    first = await treated.put(f"schedules/{ids.new()}", induction(starts_on.isoformat()))
    given = first["planned"][:2]
    for each in given:
        body = {"state": "given", "given_at": each["planned_at"], "dose_mg_per_kg": 0.5}
        await treated.post(f"infusions/{each['infusion_id']}/state", body)
    form = induction(starts_on.isoformat(), at="14:00", replace_rest=True)
    second = await treated.put(f"schedules/{ids.new()}", form)
    assert (second["cancelled"], len(second["planned"]), len(second["kept_on"])) == (10, 10, 2)
    lines = (await treated.get("course"))["infusions"]
    by_state: dict[str, int] = {}
    for line in lines:
        by_state[line["infusion"]["state"]] = by_state.get(line["infusion"]["state"], 0) + 1
    assert by_state == {"given": 2, "cancelled": 10, "planned": 10}
    reasons = {each["infusion"]["reason"] for each in lines if each["infusion"]["state"] == "cancelled"}
    assert reasons == {"plan_changed"}
    assert [line["number"] for line in lines if line["number"]] == [1, 2]
    assert await treated.value("select count(*) from infusion_event") == 22 + 2 + 10


async def test_a_day_that_is_taken_gets_no_second_infusion(treated: Treated) -> None:
    starts_on = monday_after(treated.today).isoformat()
    await treated.put(f"schedules/{ids.new()}", induction(starts_on, weeks=1))
    longer = await treated.put(f"schedules/{ids.new()}", induction(starts_on, weeks=2))
    assert (len(longer["planned"]), len(longer["kept_on"]), longer["cancelled"]) == (3, 3, 0)


async def test_two_infusions_lie_an_hour_apart_and_one_is_given_in_the_week_of_its_slot(treated: Treated) -> None:
    planned = await an_infusion_planned(treated, ago=-2)
    at = datetime.fromisoformat(planned["planned_at"])
    beside = {"planned_at": (at + timedelta(minutes=59)).isoformat()}
    refused = await treated.put(f"infusions/{ids.new()}", beside, status=400)
    assert refused["errors"][0]["field"] == "planned_at"
    other = await treated.put(f"infusions/{ids.new()}", {"planned_at": (at + timedelta(minutes=60)).isoformat()})
    moving = {**beside, "reason": "clinic"}
    refused = await treated.post(f"infusions/{other['infusion_id']}/move", moving, status=400)
    assert refused["errors"][0]["field"] == "planned_at"
    cancelled = {"state": "cancelled", "reason": "client_wish"}
    await treated.post(f"infusions/{other['infusion_id']}/state", cancelled)
    third = await treated.put(f"infusions/{ids.new()}", {"planned_at": other["planned_at"]})
    for state in ({"state": "planned"}, {"state": "held", "reason": "illness"}):
        refused = await treated.post(f"infusions/{other['infusion_id']}/state", state, status=400)
        assert refused["errors"] == [{"field": "state", "message": "an hour or more from every other infusion"}]
    await treated.post(f"infusions/{third['infusion_id']}/state", cancelled)
    assert (await treated.post(f"infusions/{other['infusion_id']}/state", {"state": "planned"}))["state"] == "planned"
    long_ago = (datetime.now(UTC) - timedelta(days=8)).isoformat()
    given = {"state": "given", "given_at": long_ago}
    refused = await treated.post(f"infusions/{planned['infusion_id']}/state", given, status=400)
    assert refused["errors"][0]["field"] == "given_at"


async def test_a_discharge_cancels_booked_sessions_unless_therapy_goes_on(treated: Treated) -> None:
    count = "select count(*) from therapy_session where clinic_id = $1 and state = 'planned'"
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await a_session_of(db, treated.client_id, hours_ahead=48)
    leaving = {"last_day": treated.day(0), "reason": "completed"}
    await treated.post("course/discharge", {**leaving, "cancel_sessions": False})
    assert await treated.value(count, treated.clinic.clinic_id) == 1
    await treated.post("course/reopen", {})
    await treated.post("course/discharge", leaving)
    assert await treated.value(count, treated.clinic.clinic_id) == 0


async def test_an_infusion_of_an_earlier_course_is_corrected_while_a_further_one_runs(treated: Treated) -> None:
    first, second = [await an_infusion_planned(treated, ago) for ago in (30, 28)]
    given = {"state": "given", "given_at": first["planned_at"]}
    await treated.post(f"infusions/{first['infusion_id']}/state", given)
    await treated.post(f"infusions/{second['infusion_id']}/state", {"state": "missed", "reason": "client_wish"})
    await treated.post("course/discharge", {"last_day": treated.day(20), "reason": "completed"})
    await treated.put(f"courses/{ids.new()}", {"substances": ["alcohol"], "started_on": treated.day(10)})
    corrected = {**given, "dose_mg_per_kg": 0.5, "reason": "entered_in_error"}
    assert (await treated.post(f"infusions/{first['infusion_id']}/state", corrected))["dose_mg_per_kg"] == 0.5
    came = {"state": "given", "given_at": second["planned_at"]}
    assert (await treated.post(f"infusions/{second['infusion_id']}/state", came))["state"] == "given"
    await treated.post(f"infusions/{first['infusion_id']}/state", {"state": "planned"}, status=409)


async def test_somebody_who_came_with_an_import_is_not_treated_here_unwatched(treated: Treated) -> None:
    await treated.post("course/discharge", {"last_day": treated.day(4), "reason": "completed"})
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await db.execute("update client set origin = 'import' where clinic_id = $1", db.clinic_id)
    await treated.post("course/reopen", {}, status=409)
    course = {"substances": ["alcohol"], "started_on": treated.day(2)}
    await treated.put(f"courses/{ids.new()}", course, status=409)
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        with pytest.raises(errors.Conflict, match="came with an import"):
            await devices.issue_code(db, treated.client_id, by=None, now=datetime.now(UTC))
