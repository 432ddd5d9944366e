"""The gate over HTTP: recording, deciding, corrections, what each role may do, and what stays in the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.course import InfusionState
from schemas.gate import Analyte, Decision
from schemas.staff import Role
from service import database, ids
from service.appointments import watch
from service.config import Config
from service.database import Pool
from service.facts import infusions
from service.gate import agreement
from tests.appointments import a_complete_gate, a_decision, a_planned_infusion, move_infusion
from tests.builders import a_client, an_answer
from tests.desk import a_person, a_session
from tests.ward import LIST, Ward, a_list, a_reading, a_screen, a_ward, moment

ZONE = ZoneInfo("America/Chicago")


@pytest.fixture
async def ward(settings: Config, owner_pool: Pool) -> AsyncIterator[Ward]:
    async with a_ward(settings, owner_pool) as made:
        yield made


async def test_a_gate_says_what_is_open_and_is_cleared_once_all_is_recorded(ward: Ward) -> None:
    before = await ward.read()
    assert before["line"]["state"] == "pending"
    assert before["line"]["missing"] == ["screen", "pressure", "checklist"]
    too_early = await ward.send("clear", {})
    assert too_early.status_code == 409
    assert too_early.json()["type"] == "/problems/conflict"
    await ward.record_all()
    cleared = await ward.send("clear", {})
    assert (cleared.status_code, cleared.json()["state"]) == (201, "clear")
    after = await ward.read()
    assert (after["line"]["missing"], after["line"]["proposals"]) == ([], [])
    assert after["decisions"][0]["decided_by_name"] == "Maren Holt"
    expires_at = datetime.fromisoformat(after["line"]["expires_at"])
    assert timedelta(hours=47) < expires_at - datetime.now(UTC) <= timedelta(hours=48)


async def test_an_override_by_the_api_rests_on_what_was_looked_at(ward: Ward) -> None:
    looked_at = (await ward.read())["known"]
    assert looked_at == []
    await ward.record_all(systolic=215)
    form = {"reason": "Knows her well, list follows.", "known": looked_at}
    refused = await ward.send("override", form, role=Role.PRESCRIBER)
    assert refused.status_code == 409
    assert refused.json()["detail"] == "Something was recorded since you looked. Look again."
    looked_at = (await ward.read())["known"]
    assert len(looked_at) == 3
    assert (await ward.send("override", {**form, "known": looked_at}, role=Role.PRESCRIBER)).status_code == 201


@pytest.mark.parametrize(
    ("positive", "systolic", "proposal"),
    [(("cocaine",), 124, "screen_positive"), ((), 141, "pressure_above_limit")],
)
async def test_a_positive_screen_or_a_high_pressure_proposes_a_hold_and_decides_nothing(
    ward: Ward, positive: tuple[str, ...], systolic: int, proposal: str
) -> None:
    await ward.record_all(positive=positive, systolic=systolic)
    line = (await ward.read())["line"]
    assert (line["state"], line["proposals"], line["infusion_state"]) == ("pending", [proposal], "planned")
    assert (await ward.send("clear", {})).status_code == 409


async def test_the_limit_itself_still_stands_and_it_is_the_clinic_s(ward: Ward) -> None:
    await ward.record_all(systolic=140)
    assert (await ward.read())["line"]["proposals"] == []
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        admin = await a_session(db, await a_person(db, Role.ADMIN))
    setting = (await ward.http.get("/v1/settings/gate", headers=admin.bearer)).json()
    assert setting["systolic_limit"] == 140
    changed = await ward.http.put("/v1/settings/gate", json={**setting, "systolic_limit": 130}, headers=admin.bearer)
    assert changed.status_code == 200
    assert (await ward.read())["line"]["proposals"] == [], (
        "what was recorded is judged by the limit it was recorded under"
    )
    await ward.record_all(systolic=135)
    assert (await ward.read())["line"]["proposals"] == ["pressure_above_limit"]
    wider = await ward.http.put("/v1/settings/gate", json={**setting, "systolic_limit": 160}, headers=admin.bearer)
    assert wider.status_code == 200
    assert (await ward.read())["line"]["proposals"] == ["pressure_above_limit"], "no setting clears what stands"
    wrong = await ward.http.put("/v1/settings/gate", json={**setting, "gate_warning_hours": 100}, headers=admin.bearer)
    assert wrong.status_code == 400
    assert wrong.json()["errors"][0]["field"] == "gate_warning_hours"


async def test_a_hold_needs_a_reason_holds_the_infusion_and_is_released_by_a_person(ward: Ward) -> None:
    await ward.record_all(positive=("cocaine",))
    without = await ward.send("hold", {})
    assert without.status_code == 400
    assert without.json()["errors"] == [{"field": "reason", "message": "why"}]
    held = await ward.send("hold", {"reason": "Screen to be confirmed by the laboratory."})
    assert held.json()["state"] == "hold"
    view = await ward.read(role=Role.THERAPIST)
    assert view["line"]["infusion_state"] == "held"
    assert view["decisions"][0]["reason"] == "Screen to be confirmed by the laboratory."
    assert view["decisions"][0]["proposals"] == ["screen_positive"]
    released = await ward.send("release", {})
    assert released.json()["state"] == "pending"
    assert (await ward.read())["line"]["infusion_state"] == "planned"
    assert (await ward.send("release", {})).status_code == 409


async def test_only_a_prescriber_overrides_with_a_reason_and_only_where_something_is_to_be_overridden(
    ward: Ward,
) -> None:
    await ward.record_all(systolic=150)
    because = {"reason": "Known white-coat effect, 128/80 at home this morning."}
    assert (await ward.send("override", because)).status_code == 404
    assert (await ward.send("override", {"reason": "  "}, role=Role.PRESCRIBER)).status_code == 400
    done = await ward.send("override", because, role=Role.PRESCRIBER)
    assert (done.status_code, done.json()["state"]) == (201, "overridden")
    await ward.send("vitals", a_reading(120))
    needless = await ward.send("override", because, role=Role.PRESCRIBER)
    assert needless.status_code == 409
    assert (await ward.send("clear", {})).json()["state"] == "clear"


async def test_a_second_reading_takes_the_place_of_the_first(ward: Ward) -> None:
    await ward.record_all(systolic=150)
    assert (await ward.read())["line"]["proposals"] == ["pressure_above_limit"]
    await ward.send("vitals", a_reading(132))
    assert (await ward.read())["line"]["proposals"] == []


async def test_a_new_record_that_speaks_for_a_hold_takes_the_clearance_away(ward: Ward) -> None:
    await ward.record_all()
    await ward.send("clear", {})
    fine = await ward.send("vitals", a_reading(120))
    assert fine.json()["state"] == "clear"
    high = await ward.send("vitals", a_reading(160, 95))
    assert high.json()["state"] == "pending"
    assert (await ward.read())["line"]["lapse"] == "new_record"


async def test_a_correction_supersedes_and_keeps_what_was_there(ward: Ward) -> None:
    first = await ward.send("screens", a_screen("cocaine"))
    wrong = first.json()["record_id"]
    corrected = await ward.send("screens", a_screen(supersedes=wrong))
    assert corrected.status_code == 201
    view = await ward.read()
    assert [each["result"] for each in view["screens"]] == ["negative", "positive"]
    assert view["line"]["proposals"] == []
    again = await ward.send("screens", a_screen(supersedes=wrong))
    assert again.status_code == 409
    unknown = await ward.send("screens", a_screen(supersedes=str(ids.new())))
    assert unknown.status_code == 404


async def test_a_record_entered_in_error_counts_no_more_and_stays_readable(ward: Ward) -> None:
    await ward.record_all(positive=("cocaine",))
    screen = (await ward.read())["screens"][0]["drug_screen_id"]
    taken_back = await ward.send(f"records/{screen}/take-back", {})
    assert taken_back.status_code == 201
    view = await ward.read()
    assert (view["line"]["missing"], view["line"]["proposals"]) == (["screen"], [])
    assert [each["entered_in_error"] for each in view["screens"]] == [True, False]
    assert (await ward.send(f"records/{screen}/take-back", {})).status_code == 409
    assert (await ward.send(f"records/{ids.new()}/take-back", {})).status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "fields"),
    [
        ("screens", {"panel": [], "collected_at": moment()}, {"panel"}),
        ("screens", {"panel": ["cocaine"], "positive": ["opioid"], "collected_at": moment()}, {"positive"}),
        ("screens", {"panel": ["cocaine"], "positive": ["tea"], "collected_at": moment()}, {"positive[0]"}),
        ("screens", {"panel": ["cocaine"], "collected_at": moment(-60)}, {"collected_at"}),
        (
            "screens",
            {"panel": ["cocaine"], "positive": ["cocaine"], "valid": False, "collected_at": moment()},
            {"valid"},
        ),
        ("vitals", {"systolic": "140", "diastolic": 80, "measured_at": moment()}, {"systolic"}),
        ("vitals", {"systolic": 80, "diastolic": 120, "measured_at": moment()}, {"diastolic"}),
        ("vitals", {"systolic": 120, "diastolic": 80, "measured_at": "today"}, {"measured_at"}),
        ("checklists", {**LIST, "checked_at": moment(), "hypertension": "not_applicable"}, {"hypertension"}),
        ("checklists", {"checked_at": moment()}, set(LIST)),
        ("vitals", {"systolic": 120, "diastolic": 80, "measured_at": "2026-11-20T10:00:00"}, {"measured_at"}),
        ("vitals", {"systolic": 120, "diastolic": 80, "measured_at": "0001-01-01T00:00:00Z"}, {"measured_at"}),
        ("hold", {"reason": "x", "dose": 3}, {"dose"}),
    ],
)
async def test_what_cannot_be_is_refused_by_the_name_of_its_field(
    ward: Ward, path: str, body: dict[str, Any], fields: set[str]
) -> None:
    reply = await ward.send(path, body)
    assert reply.status_code == 400, reply.text
    assert {each["field"] for each in reply.json()["errors"]} == fields


async def test_an_unknown_answer_leaves_the_list_open_and_a_present_one_proposes_a_hold(ward: Ward) -> None:
    await ward.send("checklists", a_list(pregnancy="unknown"))
    assert "checklist" in (await ward.read())["line"]["missing"]
    await ward.send("checklists", a_list(ketamine_allergy="present"))
    line = (await ward.read())["line"]
    assert "checklist" not in line["missing"]
    assert line["proposals"] == ["contraindication"]


async def test_moving_the_infusion_ends_the_clearance(ward: Ward) -> None:
    await ward.record_all()
    await ward.send("clear", {})
    slot = datetime.fromisoformat((await ward.read())["line"]["planned_at"])
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        await move_infusion(db, ward.infusion_id, slot + timedelta(hours=3))
    line = (await ward.read())["line"]
    assert (line["state"], line["lapse"]) == ("pending", "moved")
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        await move_infusion(db, ward.infusion_id, slot)
    assert (await ward.read())["line"]["state"] == "pending"


async def test_moving_the_infusion_settles_what_was_found_about_its_gate(ward: Ward) -> None:
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        assert (await watch.watch(db, ward.client_id, now=datetime.now(UTC))).found == 1
    later = (datetime.now(UTC) + timedelta(days=5)).isoformat()
    address = f"/v1/clients/{ward.client_id}/infusions/{ward.infusion_id}/move"
    body = {"planned_at": later, "reason": "client_wish"}
    assert (await ward.http.post(address, json=body, headers=ward.people[Role.NURSE].bearer)).status_code == 200
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        assert await db.value("select why from finding_withdrawal") == "the infusion moved"


async def test_of_a_given_infusion_the_gate_shows_as_it_was_and_nothing_is_decided_any_more(ward: Ward) -> None:
    by = ward.people[Role.NURSE].staff_id
    now = datetime.now(UTC)
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        given = await a_planned_infusion(db, ward.client_id, hours_ahead=-60, now=now)
        before = now - timedelta(hours=61)
        await a_complete_gate(db, ward.client_id, given, by=by, now=before)
        await a_decision(db, ward.client_id, given, Decision.CLEAR, by=by, now=before)
        await infusions.give(db, given, given_at=now - timedelta(hours=60), by=by, now=now)
    there = ward._replace(infusion_id=given)
    assert (await there.read())["line"]["state"] == "clear"
    refused = await there.send("hold", {"reason": "too late"})
    assert refused.status_code == 409


async def test_the_day_s_list_is_in_the_order_of_the_slots_and_holds_my_clients_only(ward: Ward) -> None:
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        stranger = await a_client(db, given_name="Nobody's")
        await a_planned_infusion(db, stranger, hours_ahead=20)
        earlier = await a_planned_infusion(db, ward.client_id, hours_ahead=19.998)
        cancelled = await a_planned_infusion(db, ward.client_id, hours_ahead=19.999)
        await infusions.record_state(db, cancelled, InfusionState.CANCELLED, by=None, now=datetime.now(UTC))
    day = datetime.fromisoformat((await ward.read())["line"]["planned_at"]).astimezone(ZONE).date()
    nurse = ward.people[Role.NURSE].bearer
    reply = await ward.http.get(f"/v1/gates?day={day}", headers=nurse)
    assert reply.status_code == 200
    assert [each["infusion_id"] for each in reply.json()["items"]] == [str(earlier), str(ward.infusion_id)]
    today = (await ward.http.get("/v1/gates", headers=nurse)).json()
    assert today["day"] == datetime.now(ZONE).date().isoformat()
    for odd in ("soon", "9999-12-31", "0001-01-01"):
        assert (await ward.http.get(f"/v1/gates?day={odd}", headers=nurse)).status_code == 400, odd


async def test_screens_stand_beside_the_answers_and_the_figures_name_both_ways(ward: Ward) -> None:
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        await an_answer(db, ward.client_id, datetime.now(ZONE).date() - timedelta(days=7))
        await an_answer(db, ward.client_id, datetime.now(ZONE).date() - timedelta(days=4))
        await an_answer(db, ward.client_id, datetime.now(ZONE).date() - timedelta(days=1))
    await ward.send("screens", a_screen("alcohol_marker"))
    await ward.send("screens", a_screen("alcohol_marker", collected_at=moment(60 * 24 * 2)))
    reply = await ward.http.get(f"/v1/clients/{ward.client_id}/screens", headers=ward.people[Role.THERAPIST].bearer)
    body = reply.json()
    said = [each["agreement"] for item in body["items"] for each in item["agreement"]]
    assert said == ["no_data", "under_reported"], "of the hours before the newer sample nobody was asked yet"
    assert set(body["abstinence"]) >= {"share_missing_as_positive", "share_missing_excluded", "missing"}


async def test_every_look_and_every_deed_stands_in_the_audit_trail(ward: Ward) -> None:
    await ward.record_all()
    await ward.send("clear", {})
    await ward.read()
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        rows = await db.connection.fetch(
            "select action, actor_id, client_id, object_id from audit_event where action like 'gate.%'"
            " order by happened_at, audit_event_id"
        )
    assert [row["action"] for row in rows] == ["gate.record"] * 3 + ["gate.clear", "gate.read"]
    assert {row["client_id"] for row in rows} == {ward.client_id}
    assert {row["object_id"] for row in rows} == {ward.infusion_id}


async def test_a_coordinator_sees_no_gate(ward: Ward) -> None:
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        coordinator = await a_session(db, await a_person(db, Role.COORDINATOR))
    for address in ("/v1/gates", f"/v1/infusions/{ward.infusion_id}/gate", f"/v1/clients/{ward.client_id}/screens"):
        assert (await ward.http.get(address, headers=coordinator.bearer)).status_code == 404


def test_every_analyte_has_a_window_and_a_substance() -> None:
    assert set(agreement.WINDOW_HOURS) == set(agreement.SUBSTANCE_OF) == set(Analyte)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("checklists", {"hypertension": "unknown"}),
        ("vitals", {"systolic": 215, "diastolic": 130}),
        ("screens", {"positive": ["cocaine"]}),
    ],
)
@pytest.mark.parametrize("overridden", [False, True])
async def test_what_is_recorded_after_a_decision_and_speaks_against_it_ends_it(
    ward: Ward, path: str, body: dict[str, object], *, overridden: bool
) -> None:
    """Also where an override had met the like of it before."""
    await ward.record_all(positive=("cocaine",) if overridden else (), systolic=144 if overridden else 124)
    decision = "override" if overridden else "clear"
    role = Role.PRESCRIBER if overridden else Role.NURSE
    assert (await ward.send(decision, {"reason": "Known."} if overridden else {}, role=role)).status_code == 201
    form = {"checklists": a_list(), "vitals": a_reading(), "screens": a_screen()}[path]
    assert (await ward.send(path, {**form, **body})).status_code == 201
    line = (await ward.read())["line"]
    assert (line["state"], line["lapse"]) == ("pending", "new_record")


async def test_a_screen_that_looked_for_nothing_treated_is_not_the_screen_but_what_it_found_counts(ward: Ward) -> None:
    for path, body in (("vitals", a_reading()), ("checklists", a_list())):
        assert (await ward.send(path, body)).status_code == 201
    assert (await ward.send("screens", a_screen("cannabis", panel=["cannabis"]))).status_code == 201
    line = (await ward.read())["line"]
    assert (line["missing"], line["proposals"]) == (["screen"], ["screen_positive"])
    assert (await ward.send("screens", a_screen())).status_code == 201
    line = (await ward.read())["line"]
    assert (line["missing"], line["proposals"]) == ([], ["screen_positive"]), "nobody looked for it again"


async def test_what_the_gate_holds_is_not_planned_past_it(ward: Ward) -> None:
    await ward.record_all(positive=("cocaine",))
    assert (await ward.send("hold", {"reason": "Screen."})).status_code == 201
    address = f"/v1/clients/{ward.client_id}/infusions/{ward.infusion_id}/state"
    refused = await ward.http.post(address, json={"state": "planned"}, headers=ward.people[Role.THERAPIST].bearer)
    assert refused.status_code == 409, refused.text
    assert (await ward.read())["line"]["infusion_state"] == "held"
