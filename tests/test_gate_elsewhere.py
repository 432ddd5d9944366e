"""What is known of a client counts against every infusion that is to come, whatever becomes of the plan."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert import Rule
from schemas.gate import Analyte, GateSetting
from schemas.staff import Role
from service import database, ids
from service.alerting import findings
from service.config import Config
from service.database import Pool
from service.facts import gate_checks, gate_recording
from service.gate import assessment, read
from service.gate.assessment import Records
from tests import appointments
from tests.appointments import a_planned_infusion, a_screen_row
from tests.desk import a_person, a_session
from tests.gate_views import proposals, state
from tests.ward import Ward, a_list, a_reading, a_screen, a_ward

ZONE = ZoneInfo("America/Chicago")
HOUR = timedelta(hours=1)


@pytest.fixture
async def ward(settings: Config, owner_pool: Pool) -> AsyncIterator[Ward]:
    async with a_ward(settings, owner_pool) as made:
        yield made


async def held(ward: Ward) -> None:
    """Cocaine, 188/118 and a pregnancy are found, and the nurse puts the infusion on hold."""
    bodies = {"screens": a_screen("cocaine"), "vitals": a_reading(188, 118), "checklists": a_list(pregnancy="present")}
    for path, body in {**bodies, "hold": {"reason": "Not today."}}.items():
        assert (await ward.send(path, body)).status_code == 201


async def cancelled_and_planned_anew(ward: Ward, *, hours_ahead: float = 20) -> Ward:
    """A therapist cancels what the gate holds and plans another; the ward of that one."""
    told = await state(ward, {"state": "cancelled", "reason": "plan_changed"})
    assert told["held_at_gate"] == [str(ward.infusion_id)], "whoever cancels is told that the gate held it"
    infusion_id = ids.new()
    address = f"/v1/clients/{ward.client_id}/infusions/{infusion_id}"
    body = {"planned_at": (datetime.now(UTC) + hours_ahead * HOUR).isoformat()}
    reply = await ward.http.put(address, json=body, headers=ward.people[Role.THERAPIST].bearer)
    assert reply.status_code == 201, reply.text
    return ward._replace(infusion_id=infusion_id)


EVERYTHING = ["screen_positive", "pressure_above_limit", "contraindication", "held_elsewhere"]


async def test_what_was_found_minutes_before_the_plan_changed_still_speaks_for_a_hold(ward: Ward) -> None:
    await held(ward)
    anew = await cancelled_and_planned_anew(ward)
    line = (await anew.read())["line"]
    assert line["missing"] == ["screen", "pressure", "checklist"], "towards going ahead only this slot's records count"
    assert line["proposals"] == EVERYTHING
    assert {(each["proposal"], each["infusion_id"], each["infusion_state"]) for each in line["elsewhere"]} == {
        (each, str(ward.infusion_id), "cancelled") for each in EVERYTHING
    }
    for path, body in (("vitals", a_reading()), ("checklists", a_list()), ("screens", a_screen(panel=["alcohol"]))):
        assert (await anew.send(path, body)).status_code == 201
    assert await proposals(anew) == ["screen_positive", "held_elsewhere"], "nobody looked for cocaine again"
    assert (await anew.send("clear", {})).status_code == 409
    assert (await anew.send("screens", a_screen())).status_code == 201
    assert await proposals(anew) == ["held_elsewhere"]
    assert (await anew.send("clear", {})).status_code == 409, "the hold itself is not answered yet"
    assert (await anew.send("hold", {"reason": "Talked it over."})).json()["state"] == "hold"
    assert (await anew.send("release", {})).json()["state"] == "pending"
    assert await proposals(anew) == []
    assert (await anew.send("clear", {})).json()["state"] == "clear"


async def test_a_coordinator_who_replaces_the_rest_takes_no_hold_away_and_is_told(ward: Ward) -> None:
    await held(ward)
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        coordinator = await a_session(db, await a_person(db, Role.COORDINATOR))
    slot = (datetime.now(UTC) + 20 * HOUR).astimezone(ZONE)
    body = {
        "template": "boosters",
        "starts_on": slot.date().isoformat(),
        "at": "23:30",
        "boosters": {"every_weeks": 1, "count": 2},
        "replace_rest": True,
    }
    address = f"/v1/clients/{ward.client_id}/schedules/{ids.new()}"
    made = await ward.http.put(address, json=body, headers=coordinator.bearer)
    assert made.status_code == 201, made.text
    assert made.json()["held_at_gate"] == [str(ward.infusion_id)]
    first, later = (ward._replace(infusion_id=UUID(each["infusion_id"])) for each in made.json()["planned"])
    assert await proposals(first) == EVERYTHING
    assert await proposals(later) == ["held_elsewhere"], (
        "the hold waits for its answer, the records are too old by then"
    )
    page = await ward.http.get(f"/clients/{ward.client_id}/treatment", headers=coordinator.cookie)
    assert "was on hold at its gate when it was cancelled" in page.text
    because = {"reason": "Talked it over with both colleagues."}
    assert (await first.send("override", because, role=Role.PRESCRIBER)).json()["state"] == "overridden"
    assert await proposals(later) == ["held_elsewhere"], (
        "what is decided for one slot answers for that one, until it was given"
    )
    page = await ward.http.get(f"/clients/{ward.client_id}/treatment", headers=coordinator.cookie)
    assert "was on hold at its gate" in page.text


async def test_the_page_and_the_brief_name_what_was_found_with_the_infusion_it_belongs_to(ward: Ward) -> None:
    await held(ward)
    anew = await cancelled_and_planned_anew(ward)
    page = await ward.http.get(f"/infusions/{anew.infusion_id}/gate", headers=ward.people[Role.NURSE].cookie)
    for said in ("cocaine found (presumptive)", "188/118 mmHg", "Pregnancy: yes", "which was cancelled"):
        assert said in page.text
    address = f"/v1/clients/{ward.client_id}/brief?for=infusion"
    brief = (await ward.http.get(address, headers=ward.people[Role.PRESCRIBER].bearer)).json()
    told = {each["code"]: each["sentences"] for each in brief["sections"]}
    said = " ".join(each["text"] for each in told["gate"])
    for words in ("A hold is proposed", "cocaine found", "188/118", "Pregnancy: yes", "Put on hold", "was cancelled"):
        assert words in said
    rests_on = [each["evidence"][0] for each in told["gate"][1:]]
    assert all(str(ward.infusion_id) in each["href"] for each in rests_on if each["kind"] != "alert")
    assert (await anew.send("screens", a_screen(panel=["alcohol"]))).status_code == 201
    brief = (await ward.http.get(address, headers=ward.people[Role.PRESCRIBER].bearer)).json()
    records = next(each["sentences"] for each in brief["sections"] if each["code"] == "records")
    assert "positive for cocaine" in " ".join(each["text"] for each in records), "whosever sample it was"


async def test_a_positive_that_the_laboratory_refuted_speaks_against_nothing(ward: Ward) -> None:
    strip = a_screen("cocaine")
    assert (await ward.send("screens", strip)).status_code == 201
    laboratory = a_screen(collected_at=strip["collected_at"], confirmation="confirmed")
    assert (await ward.send("screens", laboratory)).status_code == 201
    await state(ward, {"state": "cancelled", "reason": "travel"})
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        anew = ward._replace(infusion_id=await a_planned_infusion(db, ward.client_id, hours_ahead=24))
    assert await proposals(anew) == []


async def test_what_is_found_elsewhere_takes_a_clearance_away_and_nothing_there_brings_it_back(ward: Ward) -> None:
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        other = ward._replace(infusion_id=await a_planned_infusion(db, ward.client_id, hours_ahead=44))
    await ward.record_all()
    assert (await ward.send("clear", {})).json()["state"] == "clear"
    assert (await other.send("vitals", a_reading(124))).status_code == 201
    assert (await ward.read())["line"]["state"] == "clear"
    high = (await other.send("vitals", a_reading(190, 120))).json()["record_id"]
    line = (await ward.read())["line"]
    assert (line["state"], line["lapse"], line["proposals"]) == ("pending", "new_record", ["pressure_above_limit"])
    assert (await other.send(f"records/{high}/take-back", {})).status_code == 201
    line = (await ward.read())["line"]
    assert (line["state"], line["proposals"]) == ("pending", []), "nothing but a decision brings a clearance back"
    assert (await ward.send("clear", {})).json()["state"] == "clear"
    assert (await other.send("hold", {"reason": "Not before the cardiologist."})).json()["state"] == "hold"
    assert (await ward.read())["line"]["state"] == "pending"
    assert (await other.send("release", {})).status_code == 201
    line = (await ward.read())["line"]
    assert (line["state"], line["proposals"]) == ("pending", [])


async def test_what_came_after_an_infusion_was_given_changes_nothing_about_its_gate(ward: Ward) -> None:
    await ward.record_all()
    assert (await ward.send("clear", {})).status_code == 201
    now = datetime.now(UTC)
    await state(ward, {"state": "given", "given_at": now.isoformat()}, role=Role.NURSE)
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        later = ward._replace(infusion_id=await a_planned_infusion(db, ward.client_id, hours_ahead=60))
    assert (await later.send("screens", a_screen("cocaine"))).status_code == 201
    line = (await ward.read())["line"]
    assert (line["state"], line["proposals"], line["elsewhere"]) == ("clear", [], [])


async def test_what_was_found_before_an_infusion_that_was_given_is_answered_by_that(ward: Ward) -> None:
    await held(ward)
    because = {"reason": "Known to us; agreed with the obstetrician."}
    assert (await ward.send("override", because, role=Role.PRESCRIBER)).status_code == 201
    await state(ward, {"state": "given", "given_at": datetime.now(UTC).isoformat()}, role=Role.NURSE)
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        later = ward._replace(infusion_id=await a_planned_infusion(db, ward.client_id, hours_ahead=60))
    assert await proposals(later) == []


async def test_a_record_that_names_no_infusion_counts_against_and_fills_no_gap(ward: Ward) -> None:
    now = datetime.now(UTC)
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        form = appointments.a_pressure(181, 99, at=now)
        await gate_recording.store_vital(db, ward.client_id, None, form, by=None, now=now)
    line = (await ward.read())["line"]
    assert (line["proposals"], "pressure" in line["missing"]) == (["pressure_above_limit"], True)
    assert [(each["infusion_id"], each["planned_at"]) for each in line["elsewhere"]] == [(None, None)]
    page = await ward.http.get(f"/infusions/{ward.infusion_id}/gate", headers=ward.people[Role.NURSE].cookie)
    assert "recorded for no infusion" in page.text
    brief = await ward.http.get(
        f"/v1/clients/{ward.client_id}/brief?for=infusion", headers=ward.people[Role.NURSE].bearer
    )
    assert "181/99 mmHg, pulse 72." in brief.text


async def test_the_gates_of_a_day_are_read_in_as_many_queries_as_one(
    ward: Ward, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        for hours in (2, 4, 6):
            await a_planned_infusion(db, ward.client_id, hours_ahead=hours)
    asked: list[int] = []
    rows = database.Db.rows

    async def counting(self: database.Db, *arguments: Any) -> Any:
        asked[-1] += 1
        return await rows(self, *arguments)

    monkeypatch.setattr(database.Db, "rows", counting)
    now = datetime.now(UTC)
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        for end in (3, 30):
            asked.append(0)
            slots = await gate_checks.slots_between(db, [ward.client_id], now, now + end * HOUR)
            assert len(await read.of_slots(db, slots, now=now)) == (1 if end == 3 else 4)
    assert asked[0] == asked[1]


async def standing_rules(ward: Ward, *rules: Rule) -> list[str]:
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        return [each.rule for each in await findings.standing_of_many(db, [ward.client_id], rules=rules)]


async def test_a_gate_that_a_record_or_a_release_opens_again_is_found_at_once(ward: Ward) -> None:
    await ward.record_all()
    assert await standing_rules(ward, Rule.GATE_PENDING) == [], "while somebody records, only the clock tells"
    await ward.send("clear", {})
    address = f"/v1/infusions/{ward.infusion_id}/gate/screens/{ids.new()}"
    late = a_screen("cocaine", confirmation="confirmed")
    put = await ward.http.put(address, json=late, headers=ward.people[Role.NURSE].bearer)
    assert (put.status_code, put.json()["state"]) == (201, "pending")
    assert await standing_rules(ward, Rule.GATE_PENDING) == [Rule.GATE_PENDING]
    await ward.send("hold", {"reason": "Cocaine."})
    assert await standing_rules(ward, Rule.GATE_PENDING) == []
    await ward.send("release", {})
    assert await standing_rules(ward, Rule.GATE_PENDING) == [Rule.GATE_PENDING], "found again, as a further finding"
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        statement = "select count(*) from finding where clinic_id = $1 and rule = 'gate_pending'"
        assert await db.value(statement, db.clinic_id) == 2


@pytest.mark.parametrize("on", ["page", "api"])
async def test_a_record_taken_back_that_a_clearance_rested_on_is_found_at_once(ward: Ward, on: str) -> None:
    await ward.record_all()
    await ward.send("clear", {})
    screen = (await ward.read())["screens"][0]["drug_screen_id"]
    if on == "api":
        assert (await ward.send(f"records/{screen}/take-back", {})).status_code == 201
    else:
        nurse = ward.people[Role.NURSE]
        address = f"/infusions/{ward.infusion_id}/gate/records/{screen}/take-back"
        reply = await ward.http.post(address, data={"csrf_token": nurse.csrf_token}, headers=nurse.cookie)
        assert reply.status_code == 303
    assert await standing_rules(ward, Rule.GATE_PENDING) == [Rule.GATE_PENDING]


@pytest.mark.parametrize("gate", ["hold", "pending", "clear"])
async def test_given_although_the_gate_was_not_clear_is_recorded_and_found_at_once(ward: Ward, gate: str) -> None:
    await ward.record_all(positive=() if gate == "clear" else ("cocaine",))
    if gate != "pending":
        await ward.send(gate, {"reason": "Cocaine."})
    told = await state(ward, {"state": "given", "given_at": datetime.now(UTC).isoformat()}, role=Role.NURSE)
    assert told["state"] == "given"
    expected = [] if gate == "clear" else [Rule.GIVEN_NOT_CLEAR]
    assert await standing_rules(ward, Rule.GIVEN_NOT_CLEAR) == expected
    await state(ward, {"state": "cancelled", "reason": "client_wish"})
    assert await standing_rules(ward, Rule.GIVEN_NOT_CLEAR) == [], "a correction settles it"


SETTING = GateSetting(
    gate_opens_hours=72,
    gate_clear_hours=48,
    gate_warning_hours=24,
    systolic_limit=140,
    diastolic_limit=90,
    therapy_window_hours=72,
)
AT = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
SCREENS = st.lists(
    st.tuples(st.sets(st.sampled_from(Analyte), min_size=1), st.sets(st.sampled_from(Analyte)), st.integers(0, 90)),
    max_size=4,
)


def screens_of(drawn: list[tuple[set[Analyte], set[Analyte], int]]) -> Records:
    return Records(
        screens=[
            a_screen_row(*(found & panel), at=AT - hours * HOUR, panel=sorted(panel)) for panel, found, hours in drawn
        ]
    )


@given(SCREENS, SCREENS, st.randoms())
def test_what_is_elsewhere_only_ever_adds_a_proposal_in_any_order(
    own: list[tuple[set[Analyte], set[Analyte], int]],
    others: list[tuple[set[Analyte], set[Analyte], int]],
    order: Random,
) -> None:
    mine, theirs = screens_of(own), screens_of(others)
    alone = assessment.of(mine, SETTING, planned_at=AT)
    told = assessment.of(mine, SETTING, planned_at=AT, elsewhere=theirs)
    assert set(alone.proposals) <= set(told.proposals)
    assert (alone.missing, alone.screen) == (told.missing, told.screen)
    assert {each.drug_screen_id for each in told.elsewhere.screens} <= {each.drug_screen_id for each in theirs.screens}
    assert bool(told.elsewhere.screens) or told.proposals == alone.proposals
    shuffled = list(theirs.screens)
    order.shuffle(shuffled)
    again = assessment.of(mine, SETTING, planned_at=AT, elsewhere=msgspec.structs.replace(theirs, screens=shuffled))
    assert again == told
