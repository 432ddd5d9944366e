"""The gate's page and the day's infusions say that they are old as soon as anything on them is another, and not before;
what is recorded on a page that stood open is of the time at which it is recorded."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime, time, timedelta
from html import unescape
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.course import ChangeReason, InfusionState
from schemas.gate import Analyte, Decision
from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Db, Pool
from service.facts import infusions
from service.gate import decide
from service.people import clients
from service.web.dashboard.gate_pages import version_of_day
from tests.appointments import (
    a_complete_gate,
    a_decision,
    a_planned_infusion,
    a_pressure,
    a_reading,
    a_screen,
    move_infusion,
)
from tests.desk import a_person
from tests.desk_visit import Desk, a_desk, a_followed_client

ZONE = ZoneInfo("America/Chicago")
ASKS = re.compile(r'hx-get="([^"]+/changed\?seen=[^"]+)"')
OLD, AS_IT_WAS = 200, 204
STOPPED, QUIET = "An infusion may not go ahead any more: show it", "Something changed: show it"


class Scene(NamedTuple):
    """A desk, and an infusion in twenty hours that was cleared."""

    desk: Desk
    client_id: UUID
    infusion_id: UUID
    day: date

    @property
    def pages(self) -> tuple[str, str]:
        return f"/infusions/{self.infusion_id}/gate", f"/gates?day={self.day}"

    async def asks(self, page: str) -> str:
        shown = (await self.desk.get(page)).text
        found = ASKS.search(shown)
        assert found is not None, page
        assert re.search(r"As of \d+ \w+ \d\d:\d\d\.", shown)
        return unescape(found[1])

    async def do(self, what: Callable[[Db, Scene], Awaitable[object]]) -> None:
        async with database.transaction(self.desk.owner, self.desk.clinic.clinic_id) as db:
            await what(db, self)


@pytest.fixture
async def scene(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        now, by = datetime.now(UTC), desk.person.staff_id
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            for role in (Role.NURSE, Role.PRESCRIBER):
                await clients.assign(db, client_id, by, role, from_at=now - timedelta(days=1))
            infusion_id = await a_planned_infusion(db, client_id)
            await a_complete_gate(db, client_id, infusion_id, by=by)
            await a_decision(db, client_id, infusion_id, by=by)
        yield Scene(desk, client_id, infusion_id, (now + timedelta(hours=20)).astimezone(ZONE).date())


async def a_hold(db: Db, scene: Scene) -> None:
    by = scene.desk.person.staff_id
    await a_decision(db, scene.client_id, scene.infusion_id, Decision.HOLD, reason="Unwell.", by=by)


async def a_pressure_above_the_limit(db: Db, scene: Scene) -> None:
    now, by = datetime.now(UTC), scene.desk.person.staff_id
    await decide.record(db, scene.client_id, scene.infusion_id, a_pressure(190, 110, at=now), by=by, now=now)


async def a_screen_that_found_something(db: Db, scene: Scene) -> None:
    now, by = datetime.now(UTC), scene.desk.person.staff_id
    await decide.record(db, scene.client_id, scene.infusion_id, a_screen(Analyte.OPIOID, at=now), by=by, now=now)


async def a_hold_in_the_plan(db: Db, scene: Scene) -> None:
    now, by = datetime.now(UTC), scene.desk.person.staff_id
    await infusions.record_state(db, scene.infusion_id, InfusionState.HELD, by=by, now=now, reason=ChangeReason.OTHER)


async def a_cancellation(db: Db, scene: Scene) -> None:
    now, by = datetime.now(UTC), scene.desk.person.staff_id
    await infusions.record_state(
        db, scene.infusion_id, InfusionState.CANCELLED, by=by, now=now, reason=ChangeReason.OTHER
    )


async def a_no_show(db: Db, scene: Scene) -> None:
    now, by = datetime.now(UTC), scene.desk.person.staff_id
    await infusions.record_state(db, scene.infusion_id, InfusionState.MISSED, by=by, now=now, reason=None)


async def it_is_given(db: Db, scene: Scene) -> None:
    now = datetime.now(UTC)
    await infusions.give(db, scene.infusion_id, given_at=now, by=None, now=now)


async def another_slot_of_that_day(db: Db, scene: Scene) -> None:
    await move_infusion(db, scene.infusion_id, datetime.now(UTC) + timedelta(hours=20, seconds=1))


async def a_second_reading(db: Db, scene: Scene) -> None:
    await a_reading(db, scene.client_id, scene.infusion_id, by=scene.desk.person.staff_id)


async def a_release_and_a_clearance(db: Db, scene: Scene) -> None:
    for decision in (Decision.RELEASE, Decision.CLEAR):
        await a_decision(db, scene.client_id, scene.infusion_id, decision, by=scene.desk.person.staff_id)


async def a_new_colleague(db: Db, scene: Scene) -> None:
    del scene
    await a_person(db, Role.NURSE, email="jonas@clinic.example", name="Jonas Feld")


async def another_day(db: Db, scene: Scene) -> None:
    await move_infusion(db, scene.infusion_id, datetime.now(UTC) + timedelta(days=3))


async def another_that_goes_ahead(db: Db, scene: Scene) -> None:
    by = scene.desk.person.staff_id
    client_id = await a_followed_client(db, given_name="Tomas")
    for role in (Role.NURSE, Role.PRESCRIBER):
        await clients.assign(db, client_id, by, role, from_at=datetime.now(UTC) - timedelta(days=1))
    infusion_id = await a_planned_infusion(db, client_id)
    await a_complete_gate(db, client_id, infusion_id, by=by)
    await a_decision(db, client_id, infusion_id, by=by)


async def nobody_looks_after_them_any_more(db: Db, scene: Scene) -> None:
    done = await db.execute("update care_team_member set until_at = now() where clinic_id = $1", db.clinic_id)
    assert done
    done = await db.execute(
        "update staff set roles = '{nurse}' where clinic_id = $1 and staff_id = $2",
        db.clinic_id,
        scene.desk.person.staff_id,
    )
    assert done


STOP_IT = [
    a_hold,
    a_hold_in_the_plan,
    a_cancellation,
    a_pressure_above_the_limit,
    a_screen_that_found_something,
    another_slot_of_that_day,
    another_day,
]


def asks_on(asked: str, told: str) -> str:
    """How a page asks that was told this."""
    found = re.search(r'name="told" value="([^"]+)"', told)
    assert found is not None
    return f"{asked}&told={found[1]}"


async def told_so_far(scene: Scene, asked: str) -> str:
    told = await scene.desk.get(asked)
    assert QUIET in told.text
    return asks_on(asked, told.text)


@pytest.mark.parametrize("what", STOP_IT)
async def test_pages_that_say_it_may_go_ahead_say_when_it_may_not_any_more(
    scene: Scene, what: Callable[[Db, Scene], Awaitable[None]]
) -> None:
    asked = {page: await scene.asks(page) for page in scene.pages}
    for page in scene.pages:
        assert "May go ahead" in (await scene.desk.get(page)).text
        assert (await scene.desk.get(asked[page])).status_code == AS_IT_WAS
    await scene.do(what)
    for page in scene.pages:
        told = await scene.desk.get(asked[page])
        assert told.status_code == OLD, page
        assert "<title>An infusion may not go ahead any more" in told.text
        assert STOPPED in told.text
    # Of another day, and of none, the pages say something else by now.
    if what not in (another_day, a_cancellation):
        assert [(await scene.desk.get(await scene.asks(page))).status_code for page in scene.pages] == 2 * [AS_IT_WAS]


@pytest.mark.parametrize("what", [a_second_reading, it_is_given, a_no_show])
async def test_what_stops_nothing_is_said_without_alarm(
    scene: Scene, what: Callable[[Db, Scene], Awaitable[None]]
) -> None:
    asked = {page: await scene.asks(page) for page in scene.pages}
    await scene.do(what)
    for page in scene.pages:
        told = await scene.desk.get(asked[page])
        assert told.status_code == OLD, page
        assert QUIET in told.text
        assert "<title>" not in told.text


async def test_a_page_that_was_told_of_something_harmless_says_all_the_same_that_it_may_not_go_ahead(
    scene: Scene,
) -> None:
    asked = {page: await scene.asks(page) for page in scene.pages}
    await scene.do(a_second_reading)
    so_far = {page: await told_so_far(scene, asked[page]) for page in scene.pages}
    for page in scene.pages:
        assert (await scene.desk.get(so_far[page])).status_code == AS_IT_WAS, "nothing is told twice"
    await scene.do(a_hold)
    for page in scene.pages:
        told = await scene.desk.get(so_far[page])
        assert told.status_code == OLD, page
        assert STOPPED in told.text
        assert "<title>An infusion may not go ahead any more" in told.text
        so_far[page] = asks_on(asked[page], told.text)
        assert (await scene.desk.get(so_far[page])).status_code == AS_IT_WAS
    await scene.do(a_release_and_a_clearance)
    for page in scene.pages:
        told = await scene.desk.get(so_far[page])
        assert QUIET in told.text, page
        assert "<title>Something changed" in told.text, "what is not so any more does not stay in the title"


async def test_one_that_may_go_ahead_now_hides_none_that_may_not_any_more(scene: Scene) -> None:
    _, day = scene.pages
    asked = await scene.asks(day)
    await scene.do(another_that_goes_ahead)
    await scene.do(a_hold)
    assert STOPPED in (await scene.desk.get(asked)).text
    both = await scene.asks(day)
    assert both.count("ahead=") == 1
    await scene.do(a_release_and_a_clearance)
    both = await scene.asks(day)
    assert both.count("ahead=") == 2
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        rows = "update gate_check set expires_at = now() where clinic_id = $1 and expires_at is not null"
        await db.execute(rows, db.clinic_id)
    assert "2 infusions may not go ahead any more: show them" in (await scene.desk.get(both)).text


async def test_what_is_not_ones_own_to_look_after_any_more_is_no_alarm(scene: Scene) -> None:
    _, day = scene.pages
    asked = await scene.asks(day)
    await scene.do(nobody_looks_after_them_any_more)
    told = await scene.desk.get(asked)
    assert QUIET in told.text
    assert "<title>" not in told.text


async def test_what_stands_on_none_of_them_is_no_change(scene: Scene) -> None:
    asked = [await scene.asks(page) for page in scene.pages]
    await scene.do(a_new_colleague)
    assert [(await scene.desk.get(each)).status_code for each in asked] == [AS_IT_WAS, AS_IT_WAS]


def test_a_page_of_today_is_old_on_the_next_day() -> None:
    day = date(2026, 3, 2)
    shown, next_day = (version_of_day([], {}, day, today=today) for today in (day, day + timedelta(days=1)))
    assert shown == version_of_day([], {}, day, today=day)
    assert shown != next_day


async def test_a_page_that_stands_open_over_midnight_asks_about_its_own_day(scene: Scene) -> None:
    today = datetime.now(ZONE).date()
    asked = await scene.asks("/gates")
    assert f"&day={today}" in asked
    # Of yesterday: one that was given then, and nothing of it today.
    yesterday = today - timedelta(days=1)
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        await move_infusion(db, scene.infusion_id, datetime.combine(yesterday, time(12), ZONE))
        await it_is_given(db, scene)
    told = await scene.desk.get(f"/gates/changed?seen=as-it-was-yesterday&ahead={scene.infusion_id}&day={yesterday}")
    assert QUIET in told.text
    assert "<title>" not in told.text


async def test_a_form_of_a_page_that_stood_open_records_the_time_at_which_it_is_sent(scene: Scene) -> None:
    gate, _ = scene.pages
    page = (await scene.desk.get(gate)).text
    fields = re.findall(r'<input [^>]*name="at"[^>]*>', page)
    assert len(fields) == 3
    assert not [each for each in fields if " value=" in each or " required" in each]
    before = datetime.now(UTC)
    listed = dict.fromkeys(("unstable_cardiovascular_disease", "hypertension", "ketamine_allergy"), "absent")
    for path, form in (
        ("screens", {"panel": "cocaine", "confirmation": "presumptive"}),
        ("vitals", {"systolic": "121", "diastolic": "81"}),
        ("checklists", listed | {"pregnancy": "not_applicable", "raised_intracranial_pressure": "absent"}),
    ):
        assert (await scene.desk.post(f"{gate}/{path}", at="", **form)).status_code == 303, path
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        newest = [
            await db.value("select max(collected_at) from drug_screen where clinic_id = $1", db.clinic_id),
            await db.value("select max(measured_at) from vital_reading where clinic_id = $1", db.clinic_id),
            await db.value("select max(checked_at) from contraindication_check where clinic_id = $1", db.clinic_id),
        ]
    assert all(isinstance(each, datetime) and before <= each <= datetime.now(UTC) for each in newest)
