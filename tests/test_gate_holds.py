"""What a hold rests on and who takes it back: results of one sample, the plan's own hold, a cancelled infusion."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from schemas.alert import Rule
from schemas.course import Substance
from schemas.staff import Role
from service import database, ids
from service.alerting import findings
from service.config import Config
from service.database import Pool
from service.facts import courses, gate_checks, infusions
from tests.ward import Ward, a_list, a_reading, a_screen, a_ward, moment


@pytest.fixture
async def ward(settings: Config, owner_pool: Pool) -> AsyncIterator[Ward]:
    async with a_ward(settings, owner_pool) as made:
        yield made


@pytest.mark.parametrize("laboratory_first", [False, True])
async def test_of_one_sample_the_laboratory_s_result_counts_whoever_recorded_which_first(
    ward: Ward, *, laboratory_first: bool
) -> None:
    at = moment(30)
    strip = a_screen(collected_at=at, confirmation="presumptive")
    laboratory = a_screen("cocaine", panel=["cocaine"], collected_at=at, confirmation="confirmed")
    await ward.record_all()
    for body in (laboratory, strip) if laboratory_first else (strip, laboratory):
        assert (await ward.send("screens", body)).status_code == 201
    page = await ward.http.get(f"/infusions/{ward.infusion_id}/gate", headers=ward.people[Role.NURSE].cookie)
    assert "Two results of one sample differ on cocaine" in page.text


async def test_a_presumptive_negative_of_the_same_sample_does_not_undo_what_a_laboratory_found(ward: Ward) -> None:
    at = moment()
    found = a_screen("cocaine", collected_at=at, confirmation="confirmed")
    for path, body in (("screens", found), ("vitals", a_reading()), ("checklists", a_list())):
        assert (await ward.send(path, body)).status_code == 201
    assert (await ward.send("screens", a_screen(collected_at=at, confirmation="presumptive"))).status_code == 201
    line = (await ward.read())["line"]
    assert (line["missing"], line["proposals"]) == ([], ["screen_positive"])
    assert (await ward.send("clear", {})).status_code == 409
    later = a_screen(collected_at=datetime.now(UTC).isoformat(), confirmation="presumptive")
    assert (await ward.send("screens", later)).status_code == 201
    assert (await ward.read())["line"]["proposals"] == [], "a later sample was looked at for the same"


async def test_a_hold_of_the_plan_is_not_lifted_at_the_gate(ward: Ward) -> None:
    await ward.record_all()
    address = f"/v1/clients/{ward.client_id}/infusions/{ward.infusion_id}/state"
    travels = {"state": "held", "reason": "travel"}
    held = await ward.http.post(address, json=travels, headers=ward.people[Role.THERAPIST].bearer)
    assert held.status_code == 200, held.text
    for decision, reason in (("clear", {}), ("hold", {"reason": "Pressure."}), ("release", {}), ("clear", {})):
        assert (await ward.send(decision, reason)).status_code == 201
        assert (await ward.read())["line"]["infusion_state"] == "held"
    page = await ward.http.get(f"/infusions/{ward.infusion_id}/gate", headers=ward.people[Role.NURSE].cookie)
    assert "on hold in the plan" in page.text
    again = await ward.http.post(address, json={"state": "planned"}, headers=ward.people[Role.THERAPIST].bearer)
    assert again.status_code == 200, again.text


async def test_an_infusion_cancelled_while_the_gate_held_it_comes_back_on_hold_and_not_past_the_gate(
    ward: Ward,
) -> None:
    await ward.record_all(positive=("cocaine",))
    assert (await ward.send("hold", {"reason": "Screen."})).status_code == 201
    address, headers = (
        f"/v1/clients/{ward.client_id}/infusions/{ward.infusion_id}/state",
        ward.people[Role.NURSE].bearer,
    )

    async def record(state: str, reason: str | None = None) -> int:
        said = await ward.http.post(address, json={"state": state, "reason": reason}, headers=headers)
        return said.status_code

    assert await record("cancelled", "client_wish") == 200
    assert await record("planned") == 409, "the gate holds it"
    assert await record("held", "drug_screen") == 200
    assert (await ward.read())["line"]["state"] == "hold"
    assert (await ward.send("release", {})).json()["state"] == "pending"
    assert await record("planned") == 200


async def test_a_clearance_of_somebody_who_did_not_see_a_colleague_s_hold_is_refused(ward: Ward) -> None:
    await ward.record_all()
    nurse = ward.people[Role.NURSE]
    looked_at = (await ward.read())["line"]["version"]
    page = await ward.http.get(f"/infusions/{ward.infusion_id}/gate", headers=nurse.cookie)
    held = await ward.send("hold", {"reason": "Confused.", "version": looked_at}, role=Role.PRESCRIBER)
    assert held.status_code == 201
    assert (await ward.send("clear", {"version": looked_at})).status_code == 409
    fields = dict(re.findall(r'name="(version|csrf_token)" value="([^"]*)"', page.text))
    clear = f"/infusions/{ward.infusion_id}/gate/clear"
    assert (await ward.http.post(clear, data=fields, headers=nurse.cookie)).status_code == 409
    line = (await ward.read())["line"]
    assert (line["state"], line["infusion_state"], line["version"]) == ("hold", "held", looked_at + 1)
    assert (await ward.send("clear", {"version": looked_at + 1})).status_code == 201


async def test_an_infusion_booked_for_the_same_day_is_found_with_an_open_gate_at_once(ward: Ward) -> None:
    address = f"/v1/clients/{ward.client_id}/infusions/{ids.new()}"
    soon = {"planned_at": (datetime.now(UTC) + timedelta(hours=1.5)).isoformat()}
    planned = await ward.http.put(address, json=soon, headers=ward.people[Role.NURSE].bearer)
    assert planned.status_code == 201, planned.text
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        found = await findings.standing_of_many(db, [ward.client_id], rules=[Rule.GATE_PENDING])
    assert planned.json()["infusion_id"] in {each.numbers["infusion_id"] for each in found}


async def test_what_is_treated_and_no_screen_looked_for_is_told(ward: Ward) -> None:
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        course = (await courses.of(db, ward.client_id))[0]
        both = [Substance.ALCOHOL, Substance.OPIOID]
        await courses.change_substances(
            db, course.course_id, both, from_on=course.started_on, by=None, now=datetime.now(UTC)
        )
    for path, body in (("screens", a_screen(panel=["alcohol"])), ("vitals", a_reading()), ("checklists", a_list())):
        assert (await ward.send(path, body)).status_code == 201
    line = (await ward.read())["line"]
    assert (line["missing"], line["not_sought"]) == ([], ["opioid"])
    cookie = ward.people[Role.NURSE].cookie
    for page in (f"/infusions/{ward.infusion_id}/gate", f"/clients/{ward.client_id}/brief?for=infusion"):
        assert "No screen for this infusion looked for opioid" in (await ward.http.get(page, headers=cookie)).text


async def test_the_brief_still_tells_of_what_the_newest_screen_did_not_look_for(ward: Ward) -> None:
    found = a_screen("cocaine", panel=["cocaine"], collected_at=moment(40), confirmation="presumptive")
    alcohol_only = a_screen(panel=["alcohol"], collected_at=moment(1), confirmation="presumptive")
    for body in (found, alcohol_only):
        assert (await ward.send("screens", body)).status_code == 201
    nurse = ward.people[Role.NURSE]
    brief = await ward.http.get(f"/v1/clients/{ward.client_id}/brief?for=infusion", headers=nurse.bearer)
    [records] = [each for each in brief.json()["sections"] if each["code"] == "records"]
    told = [each["text"].partition(": ")[2] for each in records["sentences"]]
    assert told[0].startswith("negative")
    assert told[1].startswith("positive for cocaine")


async def test_what_is_treated_on_the_day_of_a_late_slot_is_the_clinic_s_day_s(ward: Ward) -> None:
    zone = ZoneInfo("America/Chicago")
    today = datetime.now(zone).date()
    slot = datetime.combine(today, time(22), zone)
    assert slot.astimezone(UTC).date() > today
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        course = (await courses.of(db, ward.client_id))[0]
        changed_on = today + timedelta(days=1)
        await db.execute(
            "update course_substance set until_on = $3 where clinic_id = $1 and course_id = $2",
            db.clinic_id,
            course.course_id,
            today,
        )
        await db.execute(
            "insert into course_substance (clinic_id, course_id, substance, from_on, is_primary)"
            " values ($1, $2, 'cocaine', $3, true)",
            db.clinic_id,
            course.course_id,
            changed_on,
        )
        infusion_id = await infusions.plan(db, ward.client_id, course.course_id, planned_at=slot, by=None, now=slot)
        assert (await gate_checks.slot_of(db, ward.client_id, infusion_id)).treated == [Substance.ALCOHOL]
