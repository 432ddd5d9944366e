"""The course of treatment over HTTP: substances, phases, pauses, discharge, and what hangs on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from schemas.alert import Rule
from schemas.course import ChangeReason, InfusionState, Template
from schemas.staff import Role
from schemas.treatment import Boosters, MoveForm, ScheduleForm, StateForm
from service import database, fold, ids, treatment
from service.config import Config
from service.database import Pool
from service.facts import courses, infusions
from service.facts.infusion_days import Timeline
from service.people.audit import COMMAND
from tests.appointments import a_given_infusion
from tests.builders import a_client, a_clinic, a_phone, an_answer, days_of
from tests.desk import a_person, a_session, an_alert
from tests.folding import findings_of, trend_of
from tests.treatment import Treated, a_treated_client, an_infusion_planned, fields_of, induction, monday_after


@pytest.fixture
async def treated(settings: Config, owner_pool: Pool) -> AsyncIterator[Treated]:
    async with a_treated_client(settings, owner_pool) as made:
        yield made


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
    schedule_id, form = ids.new(), induction(monday_after(treated.today).isoformat())
    await treated.put(f"schedules/{schedule_id}", form)
    body = {"last_day": treated.day(0), "reason": "completed"}
    over = await treated.post("course/discharge", body)
    assert (over["phase"], over["ended_on"], over["next_infusion_at"]) == ("discharged", treated.day(0), None)
    assert {each["infusion"]["reason"] for each in over["infusions"]} == {"discharged"}
    await treated.post("course/discharge", body, status=409)
    await treated.post("course/phase", {"phase": "maintenance", "from_on": treated.day(0)}, status=409)
    await treated.put(f"schedules/{ids.new()}", form, status=409)
    await treated.put(f"schedules/{schedule_id}", form, status=200)  # a reply that was lost may be asked for again
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


async def test_a_second_course_starts_once_after_the_first_has_ended(treated: Treated) -> None:
    first = await treated.get("course")
    course_id, form = ids.new(), {"substances": ["cocaine", "alcohol"], "started_on": treated.day(3)}
    await treated.put(f"courses/{course_id}", form, status=409)
    await treated.post("course/discharge", {"last_day": treated.day(10), "reason": "completed"})
    early = await treated.put(f"courses/{course_id}", form | {"started_on": treated.day(10)}, status=400)
    assert fields_of(early) == {"started_on"}
    over = await treated.put(f"courses/{course_id}", form | {"phase": "discharged"}, status=400)
    assert fields_of(over) == {"phase"}
    second = await treated.put(f"courses/{course_id}", form)
    assert (second["course_id"], second["substances"], second["phase"]) == (
        str(course_id),
        ["cocaine", "alcohol"],
        "induction",
    )
    assert second["started_on"] == treated.day(3)
    assert await treated.put(f"courses/{course_id}", form, status=200) == second
    await treated.put(f"courses/{course_id}", form | {"substances": ["alcohol"]}, status=409)
    await treated.put(f"courses/{first['course_id']}", form, status=409)
    await treated.put(f"schedules/{ids.new()}", induction(treated.day(-1)))
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        assert [each.ended_on is None for each in await courses.of(db, treated.client_id)] == [False, True]


async def test_a_pause_is_begun_once_ended_early_and_withdrawn(treated: Treated) -> None:
    pause_id = ids.new()
    body = {"from_on": treated.day(3), "until_on": treated.day(-10), "reason": "travel"}
    begun = await treated.put(f"pauses/{pause_id}", body)
    assert begun["recorded_by"]
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


async def test_the_phone_of_a_paused_client_is_told_so_that_nobody_reminds(treated: Treated) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        phone = await a_phone(db, treated.client_id, now=datetime.now(UTC))

    async def told() -> Any:
        reply = (await treated.http.get("/v1/today?time_zone=UTC", headers=phone.headers)).json()
        return reply["paused"], reply["due"]

    assert await told() == (False, True)
    await treated.put(f"pauses/{ids.new()}", {"from_on": treated.day(0), "reason": "own_wish"})
    assert await told() == (True, True)


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


async def test_a_late_pause_withdraws_the_silence_that_was_found_in_it(
    treated: Treated, owner_pool: Pool, jobs_pool: Pool
) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await days_of(db, treated.client_id, until=treated.today - timedelta(days=8), craving=[3] * 53)
    await folded_days(treated, jobs_pool)
    assert [each.rule for each in await findings_of(owner_pool, treated.clinic, of_silence=True)] == [Rule.SILENCE]
    await treated.put(f"pauses/{ids.new()}", {"from_on": treated.day(7), "reason": "inpatient"})
    await folded_days(treated, jobs_pool)
    assert await findings_of(owner_pool, treated.clinic, of_silence=True) == []
    why = await treated.value("select why from finding_withdrawal")
    assert why == "not found after a later answer or a change of the course"


def at(day: int, hour: int, minute: int = 0, month: int = 11) -> datetime:
    """A moment on the clinic's clock in the year of the documentation's example."""
    return datetime(2026, month, day, hour, minute, tzinfo=ZoneInfo("America/Chicago"))


async def test_the_documentation_s_worked_example_comes_out_as_it_says(owner_pool: Pool) -> None:
    """docs/treatment.md, told with the dates that stand there."""
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=date(2026, 11, 2), now=at(2, 8))
        first = ScheduleForm(
            template=Template.THREE_TIMES_A_WEEK,
            starts_on=date(2026, 11, 2),
            at="10:00",
            weeks=4,
            boosters=Boosters(every_weeks=4, count=2),
        )
        made = await treatment.make_schedule(db, client_id, ids.new(), first, by=COMMAND, now=at(2, 8))
        planned = [each.planned_at for each in made.planned]
        assert planned[-2:] == [at(25, 10, month=12), datetime(2027, 1, 22, 16, tzinfo=UTC)]
        assert (len(planned), planned[0]) == (14, datetime(2026, 11, 2, 16, tzinfo=UTC))
        monday, wednesday, friday = made.planned[:3]
        given = StateForm(state=InfusionState.GIVEN, given_at=at(2, 10, 10), dose_mg_per_kg=0.5, duration_minutes=40)
        held = StateForm(state=InfusionState.HELD, reason=ChangeReason.BLOOD_PRESSURE)
        move = MoveForm(planned_at=at(7, 10), reason=ChangeReason.CLIENT_WISH)
        await treatment.record_infusion(db, client_id, monday.infusion_id, given, by=COMMAND, now=at(2, 12))
        await treatment.record_infusion(db, client_id, wednesday.infusion_id, held, by=COMMAND, now=at(4, 10))
        await treatment.move_infusion(db, client_id, friday.infusion_id, move, by=COMMAND, now=at(5, 10))
        second = ScheduleForm(
            template=Template.TWICE_A_WEEK, starts_on=date(2026, 11, 9), at="14:00", weeks=3, replace_rest=True
        )
        made = await treatment.make_schedule(db, client_id, ids.new(), second, by=COMMAND, now=at(6, 9))
        assert (made.cancelled, len(made.planned), made.kept_on) == (11, 6, [])
        given = StateForm(state=InfusionState.GIVEN, given_at=at(9, 14, 5))
        await treatment.record_infusion(db, client_id, made.planned[0].infusion_id, given, by=COMMAND, now=at(9, 16))
        timeline = Timeline.of(await infusions.of(db, client_id), ZoneInfo("America/Chicago"))
    tuesday = timeline.place(at(10, 20), date(2026, 11, 10))
    assert msgspec.to_builtins(tuesday) == {
        "number": 2,
        "hours_since": 29.9,
        "days_since": 1,
        "next_at": "2026-11-12T20:00:00Z",
        "days_to_next": 2,
    }
    before = timeline.place(at(9, 9), date(2026, 11, 9))
    assert (before.number, before.days_since) == (1, 7)


async def test_a_course_does_not_end_before_the_last_infusion_that_was_given(treated: Treated) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await a_given_infusion(db, treated.client_id, hours_ago=5 * 24)
    early = {"last_day": treated.day(20), "reason": "completed"}
    refused = await treated.post("course/discharge", early, status=400)
    assert fields_of(refused) == {"last_day"}
    await treated.post("course/discharge", {**early, "last_day": treated.day(2)})


async def test_where_the_clinic_tells_it_the_phone_says_that_the_team_has_seen_the_answers(treated: Treated) -> None:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        phone = await a_phone(db, treated.client_id, now=datetime.now(UTC))
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        alert_id = await an_alert(db, treated.client_id)

    async def seen_at() -> object:
        return (await treated.http.get("/v1/today", headers=phone.headers)).json()["seen_at"]

    chosen = {"csrf_token": admin.csrf_token, "tell_seen": "yes"}
    assert (await treated.http.post("/settings/seen", data=chosen, headers=admin.cookie)).status_code == 303
    assert await seen_at() is None, "nobody has taken it on"
    acknowledged = await treated.http.post(f"/v1/alerts/{alert_id}/acknowledge", headers=treated.person.bearer)
    assert acknowledged.status_code == 200
    assert await seen_at() is not None
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        await an_answer(db, treated.client_id, treated.today + timedelta(days=1))
    assert await seen_at() is None, "nobody has seen the newest answer"
    del chosen["tell_seen"]
    assert (await treated.http.post("/settings/seen", data=chosen, headers=admin.cookie)).status_code == 303
    assert await seen_at() is None


async def test_an_earlier_course_stays_readable_and_apart(treated: Treated) -> None:
    planned = await an_infusion_planned(treated, 30)
    given = {"state": "given", "given_at": planned["planned_at"]}
    await treated.post(f"infusions/{planned['infusion_id']}/state", given)
    await treated.post("course/discharge", {"last_day": treated.day(20), "reason": "completed"})
    await treated.put(f"courses/{ids.new()}", {"substances": ["cocaine"], "started_on": treated.day(10)})
    course = await treated.get("course")
    assert (course["infusions"], [each["substance"] for each in course["substance_periods"]]) == ([], ["cocaine"])
    [earlier] = course["earlier"]
    assert [line["infusion"]["infusion_id"] for line in earlier["infusions"]] == [planned["infusion_id"]]
    assert [each["substance"] for each in earlier["substance_periods"]] == ["alcohol"]
    assert [each["kind"] for each in earlier["events"]] == ["started", "discharged"]
    page = await treated.http.get(f"/clients/{treated.client_id}/treatment", headers=treated.person.cookie)
    assert "Earlier course, " in page.text
    assert "No infusion yet." in page.text
