"""Builders for what is booked and for the gate: invented, with defaults."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.course import ChangeReason, Infusion, InfusionState, Modality, SessionState, TherapySession
from schemas.gate import (
    Analyte,
    ChecklistForm,
    Confirmation,
    Decision,
    DrugScreen,
    Presence,
    ScreenForm,
    ScreenResult,
    VitalForm,
)
from service import ids
from service.database import Db
from service.facts import courses, infusions, sessions
from service.gate import decide
from service.people import clients
from tests.builders import MASTER

HOUR = timedelta(hours=1)
PANEL = [Analyte.ALCOHOL_MARKER, Analyte.COCAINE, Analyte.OPIOID]


async def a_planned_infusion(db: Db, client_id: UUID, *, hours_ahead: float = 20, now: datetime | None = None) -> UUID:
    """An infusion so many hours from now."""
    now = now or datetime.now(UTC)
    course = (await courses.of(db, client_id))[0]
    planned_at = now + timedelta(hours=hours_ahead)
    return await infusions.plan(db, client_id, course.course_id, planned_at=planned_at, by=None, now=now)


async def a_given_infusion(db: Db, client_id: UUID, *, hours_ago: float = 48, now: datetime | None = None) -> UUID:
    """An infusion that was given so many hours ago."""
    now = now or datetime.now(UTC)
    infusion_id = await a_planned_infusion(db, client_id, hours_ahead=-hours_ago, now=now)
    await infusions.give(db, infusion_id, given_at=now - timedelta(hours=hours_ago), by=None, now=now)
    return infusion_id


async def a_session_of(
    db: Db,
    client_id: UUID,
    *,
    hours_ahead: float = 30,
    state: SessionState = SessionState.PLANNED,
    staff_id: UUID | None = None,
    now: datetime | None = None,
) -> UUID:
    """A therapy session so many hours from now."""
    now = now or datetime.now(UTC)
    session_id = await sessions.plan(
        db,
        client_id,
        staff_id=staff_id,
        planned_at=now + timedelta(hours=hours_ahead),
        modality=Modality.INTEGRATION,
        by=staff_id,
        now=now,
    )
    if state is not SessionState.PLANNED:
        await sessions.record_state(db, session_id, state, by=staff_id, now=now)
    return session_id


def a_screen(*positive: Analyte, at: datetime, supersedes: UUID | None = None) -> ScreenForm:
    """A screen with the usual panel, negative unless said otherwise."""
    return ScreenForm(
        panel=PANEL,
        positive=list(positive),
        collected_at=at,
        confirmation=Confirmation.PRESUMPTIVE,
        supersedes=supersedes,
    )


def a_pressure(systolic: int = 124, diastolic: int = 78, *, at: datetime, supersedes: UUID | None = None) -> VitalForm:
    """A reading within the usual limit unless said otherwise."""
    return VitalForm(systolic=systolic, diastolic=diastolic, pulse=72, measured_at=at, supersedes=supersedes)


def a_checklist(*, at: datetime, hypertension: Presence = Presence.ABSENT) -> ChecklistForm:
    """A list on which nothing is present unless said otherwise."""
    return ChecklistForm(
        unstable_cardiovascular_disease=Presence.ABSENT,
        hypertension=hypertension,
        pregnancy=Presence.NOT_APPLICABLE,
        ketamine_allergy=Presence.ABSENT,
        raised_intracranial_pressure=Presence.ABSENT,
        checked_at=at,
    )


async def a_reading(db: Db, client_id: UUID, infusion_id: UUID, *, by: UUID, now: datetime | None = None) -> UUID:
    """A recorded blood pressure."""
    now = now or datetime.now(UTC)
    return await decide.record(db, client_id, infusion_id, a_pressure(at=now), by=by, now=now)


async def a_complete_gate(db: Db, client_id: UUID, infusion_id: UUID, *, by: UUID, now: datetime | None = None) -> None:
    """A gate at which everything is recorded and nothing speaks for a hold; nobody has decided."""
    now = now or datetime.now(UTC)
    for form in (a_screen(at=now), a_pressure(at=now), a_checklist(at=now)):
        await decide.record(db, client_id, infusion_id, form, by=by, now=now)


async def a_decision(
    db: Db,
    client_id: UUID,
    infusion_id: UUID,
    decision: Decision = Decision.CLEAR,
    *,
    reason: str | None = None,
    by: UUID,
    now: datetime | None = None,
) -> UUID:
    """A decision at the gate."""
    now = now or datetime.now(UTC)
    sealer = await clients.sealer_of(db, MASTER, client_id)
    return await decide.decide(db, client_id, infusion_id, decision, reason=reason, by=by, now=now, sealer=sealer)


async def move_infusion(db: Db, infusion_id: UUID, planned_at: datetime, *, now: datetime | None = None) -> None:
    """Another slot for an infusion."""
    reason = ChangeReason.CLIENT_WISH
    await infusions.move(db, infusion_id, planned_at, reason=reason, by=None, now=now or datetime.now(UTC))


def an_infusion_row(
    *,
    planned_at: datetime,
    given_at: datetime | None = None,
    state: InfusionState | None = None,
    infusion_id: UUID | None = None,
) -> Infusion:
    """An infusion that is in no database: given where it has the time of that, else planned."""
    row = {
        "infusion_id": infusion_id or ids.new(),
        "client_id": ids.new(),
        "course_id": ids.new(),
        "schedule_id": None,
        "state": state or (InfusionState.PLANNED if given_at is None else InfusionState.GIVEN),
        "planned_at": planned_at,
        "given_at": given_at,
        "dose_mg_per_kg": None,
        "duration_minutes": None,
        "reason": None,
        "version": 1,
    }
    return msgspec.convert(row, Infusion)


def a_session_row(planned_at: datetime, state: SessionState = SessionState.PLANNED) -> TherapySession:
    """A session that is in no database."""
    return TherapySession(
        therapy_session_id=ids.new(),
        client_id=ids.new(),
        staff_id=None,
        state=state,
        planned_at=planned_at,
        modality=Modality.OTHER,
        minutes=50,
        version=1,
    )


def a_screen_row(
    *positive: Analyte,
    at: datetime,
    panel: Sequence[Analyte] = PANEL,
    infusion_id: UUID | None = None,
    valid: bool = True,
    supersedes: UUID | None = None,
    entered_in_error: bool = False,
) -> DrugScreen:
    """A screen that is in no database."""
    read = ScreenResult.POSITIVE if positive else ScreenResult.NEGATIVE
    return DrugScreen(
        drug_screen_id=ids.new(),
        client_id=ids.new(),
        infusion_id=infusion_id,
        panel=list(panel),
        positive=list(positive),
        result=read if valid else ScreenResult.INVALID,
        confirmation=Confirmation.PRESUMPTIVE,
        collected_at=at,
        recorded_by=ids.new(),
        recorded_at=at,
        supersedes=supersedes,
        entered_in_error=entered_in_error,
    )
