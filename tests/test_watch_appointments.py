"""What is found about appointments that come: once, by whoever runs the job, and withdrawn when it is settled."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import pytest

from jobs import watch_appointments
from jobs.work import Result, Tools
from schemas.alert import Alert, Finding, Rule, Tier
from schemas.clinic import Clinic
from schemas.course import InfusionState, PauseReason, SessionState
from schemas.gate import Decision
from schemas.staff import Role
from service import database, ids, monitoring
from service.alerting import alerts, findings
from service.alerting.writing import Sending
from service.appointments import watch
from service.database import Db, Pool
from service.desk import sentences
from service.facts import courses, infusions, pauses, sessions
from service.people import clients, staff
from service.people.audit import Actor
from tests.appointments import (
    a_complete_gate,
    a_decision,
    a_given_infusion,
    a_planned_infusion,
    a_session_of,
    move_infusion,
)
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.desk import a_person

HOUR = timedelta(hours=1)


class Watch(NamedTuple):
    """A clinic with a client and a nurse, and what a jobs process has."""

    tools: Tools
    owner: Pool
    clinic: Clinic
    client_id: UUID
    nurse: UUID

    async def run(self, *, at: datetime = NOW) -> Result:
        return await watch_appointments.run_once(self.tools, self.clinic.clinic_id, now=at)

    async def found(self) -> tuple[list[Alert], list[Finding]]:
        async with database.transaction(self.owner, self.clinic.clinic_id) as db:
            opened = await alerts.inbox(db, [self.client_id])
            return opened, await findings.of_alerts(db, [each.alert_id for each in opened])


@pytest.fixture
async def watched(owner_pool: Pool, jobs_pool: Pool, sweep_pool: Pool) -> Watch:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id, nurse = await a_client(db), await a_person(db, Role.NURSE)
        await clients.assign(db, client_id, nurse, Role.NURSE, from_at=NOW - timedelta(days=9))
    tools = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))
    return Watch(tools, owner_pool, clinic, client_id, nurse)


async def test_a_gate_that_is_open_a_day_before_the_slot_is_found_once_with_its_numbers(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, watched.client_id, hours_ahead=23, now=NOW)
        await a_planned_infusion(db, watched.client_id, hours_ahead=25, now=NOW)
    first = await watched.run()
    assert first.counts == {"clients": 1, "found": 1, "withdrawn": 0}
    assert (await watched.run()).counts == {"clients": 1, "found": 0, "withdrawn": 0}
    opened, found = await watched.found()
    assert [each.tier for each in opened] == [Tier.TODAY]
    assert [(each.rule, each.tier, each.rule_set_version) for each in found] == [(Rule.GATE_PENDING, Tier.TODAY, 1)]
    assert found[0].numbers == {
        "infusion_id": str(infusion_id),
        "planned_at": (NOW + 23 * HOUR).isoformat(),
        "hours_left": 23.0,
        "warning_hours": 24,
        "missing": ["screen", "pressure", "checklist"],
        "speaking_for_hold": 0,
    }
    said = sentences.of_finding(found[0], NOW.date())
    assert said == (
        "Gate of the infusion on 23 Nov still open 23 h before: no drug screen and no blood pressure and no complete"
        " list of contraindications."
    )


async def test_a_gate_that_people_decided_is_not_found_and_what_was_found_is_withdrawn(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, watched.client_id, hours_ahead=20, now=NOW)
    await watched.run()
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_complete_gate(db, watched.client_id, infusion_id, by=watched.nurse, now=NOW)
        await a_decision(db, watched.client_id, infusion_id, by=watched.nurse, now=NOW)
    assert (await watched.run(at=NOW + HOUR)).counts == {"clients": 1, "found": 0, "withdrawn": 1}
    opened, found = await watched.found()
    assert [each.withdrawn_at for each in found] == [NOW + HOUR]
    assert opened[0].recalculated_at == NOW + HOUR
    assert (await watched.run(at=NOW + 2 * HOUR)).counts == {"clients": 1, "found": 0, "withdrawn": 0}


async def test_a_clearance_that_lapses_is_found_again(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, watched.client_id, hours_ahead=20, now=NOW)
    await watched.run()
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_complete_gate(db, watched.client_id, infusion_id, by=watched.nurse, now=NOW)
        await a_decision(db, watched.client_id, infusion_id, by=watched.nurse, now=NOW)
    await watched.run(at=NOW + HOUR)
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await move_infusion(db, infusion_id, NOW + 20 * HOUR + timedelta(minutes=30), now=NOW + HOUR)
    assert (await watched.run(at=NOW + 2 * HOUR)).counts["found"] == 1
    _, found = await watched.found()
    assert [each.withdrawn_at is None for each in found] == [False, True]


@pytest.mark.parametrize("what", ["cancelled", "moved", "missed", "hold"])
async def test_what_was_found_about_a_gate_is_withdrawn_when_it_is_settled(watched: Watch, what: str) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, watched.client_id, hours_ahead=20, now=NOW)
    await watched.run()
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        if what == "moved":
            await move_infusion(db, infusion_id, NOW + 90 * HOUR, now=NOW)
        elif what == "hold":
            await a_decision(
                db, watched.client_id, infusion_id, Decision.HOLD, reason="Unwell.", by=watched.nurse, now=NOW
            )
        else:
            await infusions.record_state(db, infusion_id, InfusionState(what), by=None, now=NOW)
    assert (await watched.run(at=NOW + HOUR)).counts == {"clients": 1, "found": 0, "withdrawn": 1}


async def test_a_slot_that_passed_with_an_open_gate_stays_found(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, watched.client_id, hours_ahead=5, now=NOW)
    await watched.run()
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await infusions.give(db, infusion_id, given_at=NOW + 5 * HOUR, by=None, now=NOW + 6 * HOUR)
    assert (await watched.run(at=NOW + 7 * HOUR)).counts["withdrawn"] == 0
    _, found = await watched.found()
    assert [each.withdrawn_at for each in found] == [None]


async def test_a_clinic_that_warns_nobody_finds_no_open_gate(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_planned_infusion(db, watched.client_id, hours_ahead=1, now=NOW)
        await db.execute("update clinic_setting set gate_warning_hours = 0 where clinic_id = $1", db.clinic_id)
    assert (await watched.run()).counts["found"] == 0


@pytest.mark.parametrize(
    ("closes_in_hours", "found"),
    # NOW is Sunday 17:00 in Chicago: tomorrow ends 31 hours later.
    [(30.9, 1), (31.1, 0), (1, 1), (-1, 0)],
)
async def test_a_window_that_closes_tomorrow_with_nothing_booked_is_found(
    watched: Watch, closes_in_hours: float, found: int
) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_given_infusion(db, watched.client_id, hours_ago=72 - closes_in_hours, now=NOW)
    assert (await watched.run()).counts["found"] == found
    assert (await watched.run()).counts["found"] == 0


async def test_an_uncovered_window_says_which_infusion_and_when_it_closes(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_given_infusion(db, watched.client_id, hours_ago=52, now=NOW)
    await watched.run()
    _, found = await watched.found()
    assert [(each.rule, each.tier) for each in found] == [(Rule.UNCOVERED_WINDOW, Tier.TODAY)]
    assert (found[0].numbers["window_hours"], found[0].numbers["hours_left"]) == (72, 20.0)
    said = sentences.of_finding(found[0], NOW.date())
    assert said == "The therapy window after the infusion of 20 Nov closes on 23 Nov, and nothing is booked in it."


async def test_a_session_in_the_window_that_nobody_recorded_is_not_called_unbooked(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_given_infusion(db, watched.client_id, hours_ago=52, now=NOW)
        session_id = await a_session_of(db, watched.client_id, hours_ahead=-5, now=NOW)
    await watched.run()
    _, found = await watched.found()
    assert sentences.of_finding(found[0], NOW.date()).endswith(
        "closes on 23 Nov, and nobody has recorded yet whether the session in it took place."
    )
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await sessions.record_state(db, session_id, SessionState.ATTENDED, by=None, now=NOW)
        await watch.watch(db, watched.client_id, now=NOW)
    _, found = await watched.found()
    assert [each.withdrawn_at for each in found] == [NOW]


async def test_booking_a_session_settles_an_uncovered_window_and_cancelling_it_opens_it_again(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_given_infusion(db, watched.client_id, hours_ago=52, now=NOW)
    await watched.run()
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        session_id = await a_session_of(db, watched.client_id, hours_ahead=10, now=NOW)
        await watch.watch(db, watched.client_id, now=NOW)
    _, found = await watched.found()
    assert [each.withdrawn_at for each in found] == [NOW]
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await sessions.record_state(db, session_id, SessionState.CANCELLED, by=None, now=NOW)
    assert (await watched.run(at=NOW + HOUR)).counts["found"] == 1


async def test_a_window_that_closed_uncovered_stays_found(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_given_infusion(db, watched.client_id, hours_ago=52, now=NOW)
    await watched.run()
    assert (await watched.run(at=NOW + 30 * HOUR)).counts["withdrawn"] == 0


async def test_after_discharge_nothing_new_is_found_whatever_stands(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_given_infusion(db, watched.client_id, hours_ago=52, now=NOW)
        await a_given_infusion(db, watched.client_id, hours_ago=22, now=NOW)
    assert (await watched.run()).counts["found"] == 1
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        course = (await courses.of(db, watched.client_id))[0]
        await courses.end(db, course.course_id, ended_on=NOW.date(), now=NOW)
    for hours in (1, 14, 26, 40):
        assert (await watched.run(at=NOW + hours * HOUR)).counts["found"] == 0


async def test_whoever_left_the_monitoring_is_treated_and_watched_over_as_before(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_planned_infusion(db, watched.client_id, hours_ahead=20, now=NOW)
        await a_given_infusion(db, watched.client_id, hours_ago=52, now=NOW)
        await monitoring.leave(db, watched.client_id, by=Actor("device", ids.new()), now=NOW - HOUR)
    assert (await watched.run()).counts["found"] == 2


async def test_two_infusions_of_one_client_day_are_two_findings(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_planned_infusion(db, watched.client_id, hours_ahead=2, now=NOW)
    assert (await watched.run()).counts["found"] == 1
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_planned_infusion(db, watched.client_id, hours_ahead=6, now=NOW)
    assert (await watched.run(at=NOW + 3 * HOUR)).counts["found"] == 1
    _, found = await watched.found()
    assert len({each.numbers["infusion_id"] for each in found}) == 2


async def test_what_is_booked_with_somebody_who_does_not_work_here_any_more_is_not_booked(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        gone = await a_person(db, Role.THERAPIST)
        await a_given_infusion(db, watched.client_id, hours_ago=52, now=NOW)
        await a_session_of(db, watched.client_id, hours_ahead=10, staff_id=gone, now=NOW)
    assert (await watched.run()).counts["found"] == 0
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await staff.disable(db, gone, by=watched.nurse, now=NOW)
    assert (await watched.run(at=NOW + HOUR)).counts["found"] == 1


async def test_in_a_pause_no_window_is_found_and_what_is_planned_has_its_gate_nevertheless(watched: Watch) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_planned_infusion(db, watched.client_id, hours_ahead=10, now=NOW)
        await a_given_infusion(db, watched.client_id, hours_ago=52, now=NOW)
        day = NOW.date()
        await pauses.begin(
            db, watched.client_id, from_on=day, until_on=day, reason=PauseReason.TRAVEL, by=None, now=NOW
        )
    assert (await watched.run()).counts["found"] == 1
    _, found = await watched.found()
    assert [each.rule for each in found] == [Rule.GATE_PENDING]
    assert (await watched.run(at=NOW + 12 * HOUR)).counts["found"] == 1


@pytest.mark.parametrize(
    ("slot_in", "looks_in", "found"),
    # NOW is Sunday 17:00 in Chicago: the night is from four hours later to thirteen.
    [(13, 4.5, 0), (12, 4.5, 1), (12, 3.9, 1), (20, 3.9, 1), (20, 11, 0), (20, 13, 1)],
)
async def test_by_night_the_clock_tells_only_of_what_comes_within_eight_hours(
    watched: Watch, slot_in: float, looks_in: float, found: int
) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        await a_planned_infusion(db, watched.client_id, hours_ahead=slot_in, now=NOW)
    assert (await watched.run(at=NOW + looks_in * HOUR)).counts["found"] == found


async def test_a_clearance_that_runs_out_hours_before_the_slot_is_found_in_the_night(watched: Watch) -> None:
    cleared_at = NOW - 37 * HOUR
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        infusion_id = await a_planned_infusion(db, watched.client_id, hours_ahead=15, now=NOW)
        await a_complete_gate(db, watched.client_id, infusion_id, by=watched.nurse, now=cleared_at)
        await a_decision(db, watched.client_id, infusion_id, by=watched.nurse, now=cleared_at)
    assert (await watched.run(at=NOW + 10.3 * HOUR)).counts["found"] == 0
    assert (await watched.run(at=NOW + 11.3 * HOUR)).counts["found"] == 1, "at 4:20, for a slot at 8:00"


async def test_a_run_killed_in_the_middle_is_finished_by_the_next(
    watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        people = [watched.client_id, *[await a_client(db, given_name=f"Client {n}") for n in range(3)]]
        for client_id in people:
            await a_planned_infusion(db, client_id, hours_ahead=10, now=NOW)
    watching, seen = watch.watch, 0

    async def die_in_the_third(db: Db, client_id: UUID, *, now: datetime, by_the_clock: bool) -> watch.Watched:
        nonlocal seen
        seen += 1
        done = await watching(db, client_id, now=now, by_the_clock=by_the_clock)
        if seen == 3:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patched:
        patched.setattr(watch, "watch", die_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            await watched.run()
    assert (await watched.run()).counts == {"clients": 4, "found": 2, "withdrawn": 0}
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        assert await db.value("select count(*) from finding where clinic_id = $1", db.clinic_id) == 4


async def test_one_client_who_cannot_be_looked_at_holds_up_no_other(
    watched: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction(watched.owner, watched.clinic.clinic_id) as db:
        odd = await a_client(db, given_name="Odd")
        for client_id in (watched.client_id, odd):
            await a_planned_infusion(db, client_id, hours_ahead=10, now=NOW)
    watching = watch.watch

    async def trip(db: Db, client_id: UUID, *, now: datetime, by_the_clock: bool) -> watch.Watched:
        if client_id == odd:
            raise ValueError
        return await watching(db, client_id, now=now, by_the_clock=by_the_clock)

    monkeypatch.setattr(watch, "watch", trip)
    result = await watched.run()
    assert (result.failed, result.counts["found"]) == (1, 1)


def test_now_is_a_sunday_evening() -> None:
    assert datetime(2026, 11, 22, 23, tzinfo=UTC) == NOW
