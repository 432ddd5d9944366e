"""What becomes of holds and records of other infusions afterwards: given, corrected, another course, two at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from schemas.gate import Decision
from schemas.staff import Role
from service import database, ids
from service.config import Config
from service.database import Pool
from service.gate import decide
from service.people import clients
from tests.appointments import a_planned_infusion
from tests.builders import MASTER
from tests.gate_views import proposals, state
from tests.ward import Ward, a_list, a_reading, a_screen, a_ward

ZONE = ZoneInfo("America/Chicago")
HOUR = timedelta(hours=1)


@pytest.fixture
async def ward(settings: Config, owner_pool: Pool) -> AsyncIterator[Ward]:
    async with a_ward(settings, owner_pool) as made:
        yield made


async def another_planned(ward: Ward, *, hours_ahead: float = 60) -> Ward:
    async with database.transaction(ward.owner, ward.clinic_id) as db:
        return ward._replace(infusion_id=await a_planned_infusion(db, ward.client_id, hours_ahead=hours_ahead))


async def test_what_is_recorded_late_about_an_infusion_that_was_given_speaks_against_the_next(ward: Ward) -> None:
    await ward.record_all()
    await ward.send("clear", {})
    await state(ward, {"state": "given", "given_at": (datetime.now(UTC) - HOUR).isoformat()}, role=Role.NURSE)
    later = await another_planned(ward)
    await later.record_all()
    assert (await later.send("clear", {})).json()["state"] == "clear"
    assert (await ward.send("vitals", a_reading(205, 125))).status_code == 201
    assert (await later.read())["line"]["state"] == "clear", "a pressure of after an infusion is the infusion's"
    assert (await ward.send("screens", a_screen("cocaine", confirmation="confirmed"))).status_code == 201
    line = (await later.read())["line"]
    assert (line["state"], line["lapse"], line["proposals"]) == ("pending", "new_record", ["screen_positive"])


async def test_a_clearance_ends_when_what_spoke_for_it_elsewhere_is_taken_back(ward: Ward) -> None:
    other = await another_planned(ward)
    await ward.send("screens", a_screen("cocaine", collected_at=(datetime.now(UTC) - 2 * HOUR).isoformat()))
    negative = (await ward.send("screens", a_screen())).json()["record_id"]
    await other.send("screens", a_screen(panel=["alcohol_marker"]))
    await other.send("vitals", a_reading())
    await other.send("checklists", a_list())
    assert (await other.send("clear", {})).json()["state"] == "clear"
    assert (await ward.send(f"records/{negative}/take-back", {})).status_code == 201
    line = (await other.read())["line"]
    assert (line["state"], line["proposals"]) == ("pending", ["screen_positive"])


async def test_an_infusion_that_was_not_given_after_all_brings_its_hold_back_to_what_was_cleared_meanwhile(
    ward: Ward,
) -> None:
    await ward.send("hold", {"reason": "Not today."})
    await state(ward, {"state": "given", "given_at": datetime.now(UTC).isoformat()}, role=Role.NURSE)
    other = await another_planned(ward)
    await other.record_all()
    assert (await other.send("clear", {})).json()["state"] == "clear"
    await state(ward, {"state": "cancelled", "reason": "client_wish"})
    line = (await other.read())["line"]
    assert (line["state"], line["proposals"]) == ("pending", ["held_elsewhere"])
    assert await proposals(await another_planned(ward, hours_ahead=90)) == ["held_elsewhere"]


async def test_what_is_given_against_a_hold_answers_no_other(ward: Ward) -> None:
    await ward.send("hold", {"reason": "Not today."})
    against = await another_planned(ward, hours_ahead=1)
    await state(against, {"state": "given", "given_at": datetime.now(UTC).isoformat()}, role=Role.NURSE)
    assert await proposals(await another_planned(ward)) == ["held_elsewhere"]


async def test_another_course_undoes_no_hold(ward: Ward) -> None:
    await ward.send("hold", {"reason": "Not today."})
    prescriber, course = ward.people[Role.PRESCRIBER].bearer, f"/v1/clients/{ward.client_id}"
    # Until four in the morning the client's day is yesterday.
    begins = datetime.now(ZONE).date() - timedelta(days=1)
    left = {"last_day": (begins - timedelta(days=1)).isoformat(), "reason": "completed"}
    reply = await ward.http.post(f"{course}/course/discharge", json=left, headers=prescriber)
    assert reply.status_code == 200, reply.text
    begun = {"substances": ["alcohol"], "started_on": begins.isoformat()}
    reply = await ward.http.put(f"{course}/courses/{ids.new()}", json=begun, headers=prescriber)
    assert reply.status_code == 201, reply.text
    assert await proposals(await another_planned(ward, hours_ahead=70)) == ["held_elsewhere"]


async def test_of_two_who_decide_at_once_the_one_who_comes_second_decides(ward: Ward) -> None:
    """Each took their time before they waited for the lock: the later one may hold an earlier time."""
    await ward.record_all()
    now = datetime.now(UTC)
    nurse = ward.people[Role.NURSE].staff_id
    for decision, at in ((Decision.CLEAR, now), (Decision.HOLD, now - timedelta(milliseconds=40))):
        async with database.transaction(ward.owner, ward.clinic_id) as db:
            sealer = await clients.sealer_of(db, MASTER, ward.client_id)
            await decide.decide(
                db, ward.client_id, ward.infusion_id, decision, reason="Why.", by=nurse, now=at, sealer=sealer
            )
    line = (await ward.read())["line"]
    assert (line["state"], line["infusion_state"]) == ("hold", "held")
