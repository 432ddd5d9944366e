"""The worked example of docs/gate-and-sessions.md, step by step."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from jobs import watch_appointments
from jobs.work import Tools
from schemas.alert import Rule
from schemas.course import InfusionState, SessionState, Substance
from schemas.gate import Agreement, Analyte, Confirmation, Decision, GateState, Lapse, Proposal, ScreenForm
from schemas.session import CoverageState
from schemas.staff import Role
from service import database
from service.alerting import alerts, findings
from service.alerting.writing import Sending
from service.appointments import watch
from service.database import Db, Pool
from service.desk import sessions as desk_sessions
from service.facts import courses, infusions, sessions
from service.gate import decide, read, screens
from service.gate.read import Gate
from service.people import clients
from tests.appointments import PANEL, a_checklist, a_decision, a_pressure, a_screen
from tests.builders import MASTER, a_client, a_clinic, an_answer
from tests.desk import a_person

CHICAGO = ZoneInfo("America/Chicago")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of November 2026 on the clinic's clock; the 23rd is a Monday."""
    return datetime(2026, 11, day, hour, minute, tzinfo=CHICAGO).astimezone(UTC)


SLOT = at(26, 9, 30)


async def gate_at(db: Db, client_id: UUID, infusion_id: UUID, now: datetime) -> Gate:
    return await read.of_infusion(db, client_id, infusion_id, now=now)


async def test_the_gate_of_the_worked_example_goes_as_it_is_told(owner_pool: Pool) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        ines, nurse = await a_client(db, substances=[Substance.COCAINE]), await a_person(db, Role.NURSE)
        await clients.assign(db, ines, nurse, Role.NURSE, from_at=at(1, 9))
        course_id = (await courses.of(db, ines))[0].course_id
        infusion = await infusions.plan(db, ines, course_id, planned_at=SLOT, by=None, now=at(20, 9))
        for day in (20, 21, 22, 23):
            await an_answer(db, ines, at(day, 12).date(), craving={"cocaine": 3}, at=time(12))

        # 1. Monday: the gate opens.
        assert (await gate_at(db, ines, infusion, at(23, 9, 29))).standing.state is GateState.NOT_DUE
        assert (await gate_at(db, ines, infusion, at(23, 9, 30))).standing.state is GateState.PENDING

        # 2. Tuesday: the screen finds something, and a hold is proposed.
        for form in (a_screen(Analyte.COCAINE, at=at(24, 15)), a_pressure(126, 80, at=at(24, 15, 2))):
            await decide.record(db, ines, infusion, form, by=nurse, now=at(24, 15, 5))
        await decide.record(db, ines, infusion, a_checklist(at=at(24, 15, 10)), by=nurse, now=at(24, 15, 10))
        proposed = await gate_at(db, ines, infusion, at(24, 15, 15))
        assert proposed.standing.state is GateState.PENDING
        assert proposed.assessment.proposals == [Proposal.SCREEN_POSITIVE]
        told = (await screens.read(db, ines, now=at(24, 15, 15))).items[0].agreement[0]
        assert told.agreement is Agreement.NO_DATA, "nothing was asked yet about the hours before the sample"
        await an_answer(db, ines, at(24, 18).date(), craving={"cocaine": 3})
        told = (await screens.read(db, ines, now=at(24, 18, 1))).items[0].agreement[0]
        assert told.agreement is Agreement.UNDER_REPORTED

        # 3. The nurse decides: hold.
        because = "To be confirmed by the laboratory."
        await a_decision(db, ines, infusion, Decision.HOLD, reason=because, by=nurse, now=at(24, 15, 20))
        held = await gate_at(db, ines, infusion, at(24, 16))
        assert (held.standing.state, held.slot.state) == (GateState.HOLD, InfusionState.HELD)

        # 4. Wednesday: the laboratory finds nothing in the same sample.
        confirmed = ScreenForm(panel=PANEL, collected_at=at(24, 15), confirmation=Confirmation.CONFIRMED)
        await decide.record(db, ines, infusion, confirmed, by=nurse, now=at(25, 10))
        assert (await gate_at(db, ines, infusion, at(25, 10))).assessment.proposals == []
        await a_decision(db, ines, infusion, Decision.CLEAR, by=nurse, now=at(25, 10))
        cleared = await gate_at(db, ines, infusion, at(25, 11))
        assert (cleared.standing.state, cleared.slot.state) == (GateState.CLEAR, InfusionState.PLANNED)
        assert cleared.line().expires_at == at(27, 10)

        # 5. Thursday: a high pressure, then one that is not.
        await decide.record(db, ines, infusion, a_pressure(148, 92, at=at(26, 9, 5)), by=nurse, now=at(26, 9, 5))
        lapsed = await gate_at(db, ines, infusion, at(26, 9, 6))
        assert (lapsed.standing.state, lapsed.standing.lapse) == (GateState.PENDING, Lapse.NEW_RECORD)
        await decide.record(db, ines, infusion, a_pressure(134, 84, at=at(26, 9, 25)), by=nurse, now=at(26, 9, 25))
        rested = await gate_at(db, ines, infusion, at(26, 9, 26))
        assert (rested.standing.state, rested.assessment.proposals) == (GateState.PENDING, [])
        await a_decision(db, ines, infusion, Decision.CLEAR, by=nurse, now=at(26, 9, 27))
        await infusions.give(db, infusion, given_at=at(26, 9, 40), by=nurse, now=at(26, 13))
        assert (await gate_at(db, ines, infusion, at(26, 14))).standing.state is GateState.CLEAR


async def test_the_window_of_the_worked_example_goes_as_it_is_told(
    owner_pool: Pool, jobs_pool: Pool, sweep_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        ines, nurse = await a_client(db), await a_person(db, Role.NURSE)
        course_id = (await courses.of(db, ines))[0].course_id
        infusion = await infusions.plan(db, ines, course_id, planned_at=SLOT, by=None, now=at(20, 9))
        await infusions.give(db, infusion, given_at=at(26, 9, 40), by=nurse, now=at(26, 13))

    # 6. The window for therapy.
    tools = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))
    friday = await watch_appointments.run_once(tools, clinic.clinic_id, now=at(27, 20, 20))
    saturday = await watch_appointments.run_once(tools, clinic.clinic_id, now=at(28, 6, 20))
    assert (friday.counts["found"], saturday.counts["found"]) == (0, 1)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        booked = await sessions.plan(db, ines, staff_id=nurse, planned_at=at(28, 17), by=nurse, now=at(28, 9))
        await watch.watch(db, ines, now=at(28, 9))
        alert = (await alerts.inbox(db, [ines]))[0]
        found = await findings.of_alerts(db, [alert.alert_id])
        assert [(each.rule, each.withdrawn_at) for each in found] == [(Rule.UNCOVERED_WINDOW, at(28, 9))]
        await sessions.record_state(db, booked, SessionState.ATTENDED, by=nurse, now=at(29, 10))
        covered = await desk_sessions.coverage_of(db, ines, now=at(29, 10))
    assert [(each.state, each.closes_at) for each in covered.items] == [(CoverageState.COVERED, at(29, 9, 40))]
    assert covered.items[0].closes_at - covered.items[0].given_at == timedelta(hours=72)
