"""The fictional clinic's gates and sessions: everything a visitor is to see is there, at every start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec
import pytest

from schemas.course import InfusionState
from schemas.gate import Decision, GateState, Proposal
from schemas.rota import CoverForm, ShiftForm
from service import database, ids
from service.appointments import watch
from service.database import Pool
from service.demo import clinic, fresh, player, rota, staged
from service.demo.clinic import DemoClinic
from service.demo.gates import Visit, a_reading
from service.demo.people import PEOPLE, Person
from service.desk import gates
from service.facts import client_day, courses, gate_checks
from service.gate import screens
from service.gate.read import Gate
from service.people import access, covers, shifts, staff
from service.people.access import Permission
from tests.builders import MASTER

NOW = datetime(2026, 11, 23, 15, tzinfo=UTC)
# Whoever is staged, and two in whose story something is used.
FEW: Sequence[Person] = [
    *(person for person in PEOPLE if person.key in staged.SCENES),
    *(person for person in PEOPLE if person.key in ("Jasper Okoro", "Kaya Brandt")),
]


@pytest.fixture
async def demo(owner_pool: Pool) -> DemoClinic:
    return await clinic.find_or_make(owner_pool, now=NOW)


async def gates_on(db: database.Db, demo: DemoClinic, day: date, *, now: datetime) -> list[Gate]:
    who = access.Reach(staff_id=demo.staff_ids["ada.whitlock"], scopes=access.scopes_of(["coordinator"], EVERYBODY))
    return await gates.of_day(db, who, day, demo.zone, now=now)


EVERYBODY = Permission.SEE_CLIENTS


async def test_nights_are_on_call_and_a_holiday_is_covered_however_often_the_demo_starts(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    today = client_day.of(NOW, demo.zone)
    for hours in (0, 1, 30):
        now = NOW + timedelta(hours=hours)
        async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
            await rota.arrange(db, demo, client_day.of(now, demo.zone), now=now)
            nights, holidays = await shifts.standing(db, now=now), await covers.standing(db, now=now)
        assert len(nights) in (rota.NIGHTS, rota.NIGHTS + 1)
        assert len(holidays) == 1
    assert today < holidays[0].from_at.date()


async def test_what_a_visitor_arranged_stands_and_the_demo_starts_all_the_same(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    by, until = demo.staff_ids[rota.ARRANGES], NOW + timedelta(days=9)
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        for name in (clinic.PRESCRIBER, clinic.NURSE):
            week = ShiftForm(staff_id=demo.staff_ids[name], from_at=NOW, until_at=until)
            await shifts.give(db, ids.new(), week, zone=demo.zone, by=by, now=NOW)
        away, stands_in = demo.staff_ids[rota.STANDS_IN], demo.staff_ids["maren.holt"]
        ill = CoverForm(staff_id=away, covered_by=stands_in, from_at=NOW, until_at=until)
        await covers.arrange(db, ids.new(), ill, by=by, now=NOW)
        await rota.arrange(db, demo, client_day.of(NOW, demo.zone), now=NOW)
        assert len(await shifts.standing(db, now=NOW)) == 2
        assert len(await covers.standing(db, now=NOW)) == 1


async def test_played_infusions_went_through_a_gate_that_people_decided(owner_pool: Pool, demo: DemoClinic) -> None:
    last = demo.first_day + timedelta(days=75)
    await player.play(owner_pool, demo, MASTER, until=last, people=FEW, played=lambda day: None)
    given: Counter[GateState] = Counter()
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        for number in range(75):
            day = demo.first_day + timedelta(days=number)
            for gate in await gates_on(db, demo, day, now=NOW):
                if gate.slot.state is InfusionState.GIVEN:
                    given[gate.standing.state] += 1
        told = [await screens.read(db, gate.slot.client_id, now=NOW) for gate in await gates_on(db, demo, day, now=NOW)]
    assert set(given) <= {GateState.CLEAR, GateState.OVERRIDDEN}
    assert given[GateState.CLEAR] > 40
    assert all(each.abstinence.occasions for each in told)


async def test_every_start_stages_one_gate_of_each_kind_and_cancels_those_of_the_start_before(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    today = client_day.of(NOW, demo.zone)
    await player.play(
        owner_pool, demo, MASTER, until=demo.first_day + timedelta(days=45), people=FEW, played=lambda day: None
    )
    for start in (NOW, NOW + timedelta(hours=1), NOW + timedelta(days=1)):
        async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
            await staged.stage(db, demo, MASTER, client_day.of(start, demo.zone), now=start)
            found = await gates_on(db, demo, client_day.of(start, demo.zone), now=start)
            for client_id in await watch.to_watch(db, now=start):
                await watch.watch(db, client_id, now=start)
            uncovered = "select count(*) from finding where clinic_id = $1 and rule = 'uncovered_window'"
            assert await db.value(uncovered, db.clinic_id), f"a window is left open at {start}"
        states = Counter(gate.standing.state for gate in found)
        assert states[GateState.PENDING] == 3
        assert states[GateState.CLEAR] == states[GateState.HOLD] == states[GateState.OVERRIDDEN] == 1
        proposed = {each for gate in found for each in gate.assessment.proposals}
        assert {Proposal.SCREEN_POSITIVE, Proposal.PRESSURE_ABOVE_LIMIT} <= proposed
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        assert await gates_on(db, demo, today, now=NOW + timedelta(days=1)) == []


async def test_what_a_visitor_did_at_a_gate_today_stands_when_the_demo_starts_again(
    owner_pool: Pool, demo: DemoClinic
) -> None:
    today = client_day.of(NOW, demo.zone)
    await player.play(
        owner_pool, demo, MASTER, until=demo.first_day + timedelta(days=45), people=FEW, played=lambda day: None
    )
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        await staged.stage(db, demo, MASTER, today, now=NOW)
        before = {gate.slot.client_id: gate for gate in await gates_on(db, demo, today, now=NOW)}
        kerr = next(each for each in FEW if each.key == "Odile Kerr")
        client_id = await clinic.find_client(db, kerr)
        assert client_id is not None
        visit = Visit(db, demo, MASTER, client_id, before[client_id].slot.infusion_id)
        at = NOW + timedelta(minutes=2)
        await visit.record(a_reading(180, 110, at=at), at=at)
        await visit.decide(Decision.HOLD, by=clinic.PRESCRIBER, at=at, reason="Rest first.")
        again = NOW + timedelta(minutes=20)
        await staged.stage(db, demo, MASTER, today, now=again)
        after = {gate.slot.client_id: gate for gate in await gates_on(db, demo, today, now=again)}
    assert len(after) == len(before) == len(staged.SCENES)
    assert after[client_id].slot.infusion_id == before[client_id].slot.infusion_id
    assert after[client_id].standing.state is GateState.HOLD
    assert sum(after[each].slot.infusion_id == before[each].slot.infusion_id for each in after) == 1


@pytest.mark.parametrize(
    "limits",
    [
        {"systolic_limit": 90, "diastolic_limit": 50},
        {"gate_opens_hours": 12, "gate_warning_hours": 12},
        {"therapy_window_hours": 12, "gate_clear_hours": 1},
    ],
)
async def test_the_demo_starts_whatever_a_visitor_made_of_the_gate_s_limits(
    owner_pool: Pool, demo: DemoClinic, limits: dict[str, int]
) -> None:
    await player.play(
        owner_pool, demo, MASTER, until=demo.first_day + timedelta(days=45), people=FEW, played=lambda day: None
    )
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        setting = await gate_checks.setting_of(db)
        strict = msgspec.structs.replace(setting, **limits)
        await gate_checks.choose(db, strict, now=NOW)
        person, client_id = await fresh.bring_in(db, demo, MASTER, client_day.of(NOW, demo.zone), now=NOW)
        assert await clinic.find_client(db, person) == client_id
        await staged.stage(db, demo, MASTER, client_day.of(NOW, demo.zone), now=NOW)
        found = await gates_on(db, demo, client_day.of(NOW, demo.zone), now=NOW)
    assert found or "therapy_window_hours" not in limits


async def test_the_story_goes_on_whatever_a_visitor_did(owner_pool: Pool, demo: DemoClinic) -> None:
    first_day = demo.first_day + timedelta(days=45)
    await player.play(owner_pool, demo, MASTER, until=first_day, people=FEW, played=lambda day: None)
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        admin = demo.staff_ids["ada.whitlock"]
        for each in await staff.all_of(db):
            if each.staff_id != admin:
                await staff.disable(db, each.staff_id, by=admin, now=NOW)
        setting = await gate_checks.setting_of(db)
        await gate_checks.choose(db, msgspec.structs.replace(setting, systolic_limit=90, diastolic_limit=50), now=NOW)
        client_id = await clinic.find_client(db, FEW[0])
        assert client_id is not None
        course = (await courses.of(db, client_id))[-1]
        await courses.end(db, course.course_id, ended_on=first_day, now=NOW)
    again = await clinic.find_or_make(owner_pool, now=NOW)
    days = await player.play(
        owner_pool, again, MASTER, until=first_day + timedelta(days=10), people=FEW, played=lambda day: None
    )
    assert days == 10
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        assert [each for each in await staff.all_of(db) if each.disabled_at is not None] == []


async def test_in_the_evening_the_staged_infusions_are_tomorrow_s(owner_pool: Pool, demo: DemoClinic) -> None:
    await player.play(
        owner_pool, demo, MASTER, until=demo.first_day + timedelta(days=45), people=FEW, played=lambda day: None
    )
    evening = datetime(2026, 11, 24, 3, tzinfo=UTC)
    async with database.transaction(owner_pool, demo.clinic.clinic_id) as db:
        await staged.stage(db, demo, MASTER, client_day.of(evening, demo.zone), now=evening)
        assert await gates_on(db, demo, date(2026, 11, 23), now=evening) == []
        assert len(await gates_on(db, demo, date(2026, 11, 24), now=evening)) == len(staged.SCENES)
        watched = [await watch.watch(db, each, now=evening) for each in await watch.to_watch(db, now=evening)]
    assert sum(each.found for each in watched) >= 3
