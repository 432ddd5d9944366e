"""The course of treatment over HTTP: plans, what became of infusions, substances, phases, pauses, discharge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from service import database, fold, ids
from service.config import Config
from service.database import Pool
from tests.builders import a_phone, days_of
from tests.folding import trend_of
from tests.treatment import Treated, a_treated_client, fields_of


@pytest.fixture
async def treated(settings: Config, owner_pool: Pool) -> AsyncIterator[Treated]:
    async with a_treated_client(settings, owner_pool) as made:
        yield made


def induction(starts_on: str, **more: object) -> dict[str, object]:
    return {"template": "three_times_a_week", "starts_on": starts_on, "at": "10:00", "weeks": 4} | more


def monday_after(day: date) -> date:
    return day + timedelta(days=7 - day.weekday())


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
    ],
)
async def test_a_plan_that_cannot_be_names_its_fields(
    treated: Treated, form: dict[str, object], named: set[str]
) -> None:
    wanted = induction(monday_after(treated.today).isoformat()) | form
    refused = await treated.put(f"schedules/{ids.new()}", wanted, status=400)
    assert fields_of(refused) == named
    assert (await treated.get("course"))["infusions"] == []


async def an_infusion_planned(treated: Treated, ago: float = 1) -> Any:
    planned_at = datetime.now(UTC) - timedelta(days=ago)
    return await treated.put(f"infusions/{ids.new()}", {"planned_at": planned_at.isoformat()})


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
    await treated.post(f"{path}/move", body, status=409)
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


async def test_a_change_of_substances_is_dated_and_leaves_the_days_before_alone(treated: Treated) -> None:
    await treated.post("course/substances", {"substances": ["alcohol", "cocaine"], "from_on": treated.day(30)})
    changed = await treated.post("course/substances", {"substances": ["cocaine"], "from_on": treated.day(10)})
    assert changed["substances"] == ["cocaine"]
    periods = {
        (each["substance"], each["is_primary"], each["from_on"], each["until_on"])
        for each in changed["substance_periods"]
    }
    assert periods == {
        ("alcohol", True, treated.day(60), treated.day(11)),
        ("cocaine", False, treated.day(30), treated.day(11)),
        ("cocaine", True, treated.day(10), None),
    }
    log = [(event["kind"], event["from_on"], event["substances"]) for event in changed["events"]]
    assert log[1:] == [
        ("substances_changed", treated.day(30), ["alcohol", "cocaine"]),
        ("substances_changed", treated.day(10), ["cocaine"]),
    ]
    assert await treated.value("select from_day from fold_due") == date.fromisoformat(treated.day(30))
    undone = await treated.post("course/substances", {"substances": ["alcohol", "cocaine"], "from_on": treated.day(10)})
    assert [each["until_on"] for each in undone["substance_periods"]] == [None, None]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("course/substances", {"substances": [], "from_on": "TODAY"}, {"substances"}),
        ("course/substances", {"substances": ["alcohol", "alcohol"], "from_on": "TODAY"}, {"substances"}),
        ("course/substances", {"substances": ["alcohol"], "from_on": "2001-01-01"}, {"from_on"}),
        ("course/substances", {"substances": ["alcohol"], "from_on": "2099-01-01"}, {"from_on"}),
        ("course/phase", {"phase": "discharged", "from_on": "TODAY"}, {"phase"}),
        ("course/discharge", {"last_day": "2099-01-01", "reason": "completed"}, {"last_day"}),
        ("course/discharge", {"last_day": "TODAY"}, {"reason"}),
    ],
)
async def test_what_cannot_be_said_of_a_course_names_its_fields(
    treated: Treated, path: str, body: dict[str, object], named: set[str]
) -> None:
    dated = {name: treated.day(0) if value == "TODAY" else value for name, value in body.items()}
    assert fields_of(await treated.post(path, dated, status=400)) == named


async def test_phases_are_dated_and_the_latest_day_wins(treated: Treated) -> None:
    entered = await treated.post("course/phase", {"phase": "maintenance", "from_on": treated.day(20)})
    assert entered["phase"] == "maintenance"
    late_word = await treated.post("course/phase", {"phase": "induction", "from_on": treated.day(40)})
    assert late_word["phase"] == "maintenance"
    assert [event["phase"] for event in late_word["events"]] == ["induction", "maintenance", "induction"]


async def test_a_discharge_cancels_what_was_to_come_and_can_be_undone(treated: Treated) -> None:
    await treated.put(f"schedules/{ids.new()}", induction(monday_after(treated.today).isoformat()))
    body = {"last_day": treated.day(0), "reason": "completed"}
    over = await treated.post("course/discharge", body)
    assert (over["phase"], over["ended_on"], over["next_infusion_at"]) == ("discharged", treated.day(0), None)
    assert {each["infusion"]["reason"] for each in over["infusions"]} == {"discharged"}
    await treated.post("course/discharge", body, status=409)
    await treated.post("course/phase", {"phase": "maintenance", "from_on": treated.day(0)}, status=409)
    await treated.put(f"schedules/{ids.new()}", induction(monday_after(treated.today).isoformat()), status=409)
    again = await treated.post("course/reopen", {})
    assert (again["phase"], again["ended_on"], again["pauses"]) == ("induction", None, [])
    assert [event["kind"] for event in again["events"]] == ["started", "discharged", "reopened"]
    await treated.post("course/reopen", {}, status=409)


async def test_a_course_that_goes_on_later_pauses_the_days_between(treated: Treated) -> None:
    await treated.post("course/discharge", {"last_day": treated.day(30), "reason": "lost_contact"})
    refused = await treated.post("course/reopen", {"from_on": treated.day(40)}, status=400)
    assert fields_of(refused) == {"from_on"}
    again = await treated.post("course/reopen", {"from_on": treated.day(5)})
    days = [(each["from_on"], each["until_on"], each["reason"]) for each in again["pauses"]]
    assert days == [(treated.day(29), treated.day(6), "discharged")]
    assert again["paused"] is False


async def test_a_pause_is_begun_once_ended_early_and_withdrawn(treated: Treated) -> None:
    pause_id = ids.new()
    body = {"from_on": treated.day(3), "until_on": treated.day(-10), "reason": "travel"}
    begun = await treated.put(f"pauses/{pause_id}", body)
    assert (begun["version"], begun["withdrawn"]) == (1, False)
    assert await treated.put(f"pauses/{pause_id}", body, status=200)
    await treated.put(f"pauses/{pause_id}", body | {"reason": "inpatient"}, status=409)
    await treated.put(f"pauses/{ids.new()}", {"from_on": treated.day(-10), "reason": "own_wish"}, status=409)
    assert (await treated.get("course"))["paused"] is True
    ended = await treated.post(f"pauses/{pause_id}/end", {"until_on": treated.day(1)})
    assert (ended["until_on"], ended["version"]) == (treated.day(1), 2)
    assert (await treated.get("course"))["paused"] is False
    early = await treated.post(f"pauses/{pause_id}/end", {"until_on": treated.day(4)}, status=400)
    assert fields_of(early) == {"until_on"}
    await treated.post(f"pauses/{pause_id}/end", {"until_on": None})
    await treated.post(f"pauses/{pause_id}/end", {"until_on": treated.day(0)}, status=409)
    assert (await treated.get("course"))["pauses"] == []
    assert await treated.value("select count(*) from pause") == 3


async def test_the_phone_is_told_of_the_next_infusion_after_every_edit(treated: Treated) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        phone = await a_phone(db, treated.client_id, now=datetime.now(UTC))
    first, second = [await an_infusion_planned(treated, ago=-days) for days in (2, 5)]

    async def told() -> Any:
        reply = (await treated.http.get("/v1/today", headers=phone.headers)).json()
        return reply["next_infusion"] and reply["next_infusion"]["planned_at"]

    assert await told() == first["planned_at"]
    await treated.post(f"infusions/{first['infusion_id']}/state", {"state": "held", "reason": "drug_screen"})
    assert await told() == second["planned_at"]
    sooner = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+00:00", "Z")
    await treated.post(f"infusions/{second['infusion_id']}/move", {"planned_at": sooner, "reason": "clinic"})
    assert await told() == sooner
    await treated.post("course/discharge", {"last_day": treated.day(0), "reason": "moved_away"})
    assert await told() is None


async def test_nobody_else_s_infusion_or_pause_can_be_named(treated: Treated, settings: Config) -> None:
    planned = await an_infusion_planned(treated)
    pause = await treated.put(f"pauses/{ids.new()}", {"from_on": treated.day(2), "reason": "travel"})
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await db.execute("update care_team_member set until_at = now() where clinic_id = $1", db.clinic_id)
    for path, body in (
        (f"infusions/{planned['infusion_id']}/state", {"state": "cancelled", "reason": "other"}),
        (f"pauses/{pause['pause_id']}/end", {"until_on": None}),
    ):
        await treated.post(path, body, status=404)


async def test_every_write_and_read_stands_in_the_audit_trail(treated: Treated) -> None:
    planned = await an_infusion_planned(treated)
    await treated.post(f"infusions/{planned['infusion_id']}/state", {"state": "missed", "reason": "no_show"})
    await treated.post("course/phase", {"phase": "maintenance", "from_on": treated.day(0)})
    await treated.get("course")
    await treated.get("infusion-curves")
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        rows = await db.connection.fetch(
            "select action from audit_event where client_id = $1 order by happened_at, audit_event_id",
            treated.client_id,
        )
    assert [row["action"] for row in rows] == [
        "infusion.plan",
        "infusion.record",
        "course.enter_phase",
        "client.read_treatment",
        "client.read_infusion_curves",
    ]


async def folded_days(treated: Treated, jobs: Pool) -> list[date]:
    async with database.transaction(jobs, treated.clinic.clinic_id) as db:
        await fold.fold_client(db, treated.client_id, now=datetime.now(UTC))
    return [day.client_day for day in await trend_of(treated.owner, treated.clinic, treated.client_id)]


async def test_a_pause_entered_late_takes_its_days_out_of_the_trend_and_giving_it_up_brings_them_back(
    treated: Treated, jobs_pool: Pool
) -> None:
    yesterday = treated.today - timedelta(days=1)
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await days_of(db, treated.client_id, until=yesterday, craving=[3] * 40)
    every = await folded_days(treated, jobs_pool)
    pause_id = ids.new()
    body = {"from_on": treated.day(20), "until_on": treated.day(11), "reason": "inpatient"}
    await treated.put(f"pauses/{pause_id}", body)
    without = await folded_days(treated, jobs_pool)
    paused = {treated.today - timedelta(days=ago) for ago in range(11, 21)}
    assert set(every) - set(without) == paused
    await treated.post(f"pauses/{pause_id}/end", {"until_on": None})
    assert await folded_days(treated, jobs_pool) == every
