"""Everything that is exported of one client, read in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import Alert, Delivery
from schemas.client import Client
from schemas.consent import Consent
from schemas.course import Course, CourseEvent, CourseSubstance, Infusion, Pause, TherapySession
from schemas.gate import ContraindicationCheck, DrugScreen, GateCheck, VitalReading
from service.alerting import alerts, deliveries
from service.database import Db
from service.facts import (
    checkins,
    course_events,
    courses,
    gate_checks,
    gate_records,
    infusions,
    instruments,
    pauses,
    sessions,
)
from service.facts.checkins import CheckInRow
from service.facts.instruments import ResponseRow
from service.gate import decide
from service.instruments.catalogue import Catalogue
from service.keys.sealing import Sealer
from service.people import clients, clinics, consents

PAGE = 1_000
EARLIEST, LATEST = date(1970, 1, 1), date(9999, 1, 1)


class Gathered(msgspec.Struct, frozen=True, kw_only=True):
    """One client's facts as they stand. `notes`: check-in id → its text, `reasons`: decision at the gate → why; both
    empty where words were not asked for.
    """

    clinic_id: UUID
    zone: ZoneInfo
    now: datetime
    client: Client
    courses: Sequence[Course]
    substances: Sequence[CourseSubstance]
    events: Sequence[CourseEvent]
    check_ins: Sequence[CheckInRow]
    days: Sequence[CheckInRow]
    notes: dict[UUID, str]
    infusions: Sequence[Infusion]
    sessions: Sequence[TherapySession]
    pauses: Sequence[Pause]
    consents: Sequence[Consent]
    screens: Sequence[DrugScreen]
    vitals: Sequence[VitalReading]
    checklists: Sequence[ContraindicationCheck]
    decisions: Sequence[GateCheck]
    reasons: dict[UUID, str]
    responses: Sequence[ResponseRow]
    catalogue: Catalogue
    alerts: Sequence[Alert]
    deliveries: Sequence[Delivery]


async def of(db: Db, client_id: UUID, *, sealer: Sealer | None, now: datetime) -> Gathered:
    """Read one client; the notes only with the client's `sealer`. Raises NotFound."""
    client = await clients.get(db, client_id)
    given = await infusions.of(db, client_id)
    infusion_ids = [each.infusion_id for each in given]
    every = await _check_ins_of(db, client_id)
    decisions = await gate_checks.of_infusions(db, infusion_ids)
    raised = [
        *await alerts.inbox(db, [client_id], limit=PAGE),
        *await alerts.inbox(db, [client_id], closed=True, limit=PAGE),
    ]
    return Gathered(
        clinic_id=db.clinic_id,
        zone=ZoneInfo((await clinics.get(db)).time_zone),
        now=now,
        client=client,
        courses=await courses.of(db, client_id),
        substances=await courses.substances_of(db, client_id),
        events=await course_events.of(db, client_id),
        check_ins=every,
        days=await checkins.days_of(db, client_id, from_day=EARLIEST, until_day=LATEST),
        notes=_notes_of(every, sealer, clinic_id=db.clinic_id),
        infusions=given,
        sessions=await sessions.of(db, client_id),
        pauses=[each for each in await pauses.of(db, client_id) if not each.withdrawn],
        consents=(await consents.history(db, client_id))[::-1],
        screens=gate_records.standing_screens(await gate_records.screens_of(db, client_id)),
        vitals=gate_records.standing_vitals(await gate_records.vitals_of_infusions(db, infusion_ids)),
        checklists=gate_records.standing_checklists(await gate_records.checklists_of_infusions(db, infusion_ids)),
        decisions=decisions,
        reasons=_reasons_of(decisions, sealer, clinic_id=db.clinic_id),
        responses=await instruments.responses_of(db, client_id),
        catalogue=await instruments.catalogue_of(db),
        alerts=raised,
        deliveries=await deliveries.of_alerts(db, [each.alert_id for each in raised]),
    )


async def _check_ins_of(db: Db, client_id: UUID) -> list[CheckInRow]:
    """Every check-in that no other supersedes, the oldest first."""
    found: list[CheckInRow] = []
    before: tuple[datetime, UUID] | None = None
    while page := await checkins.history(db, client_id, limit=PAGE, before=before):
        found += page
        before = page[-1].counted_at, page[-1].check_in_id
    return found[::-1]


def _notes_of(rows: Sequence[CheckInRow], sealer: Sealer | None, *, clinic_id: UUID) -> dict[UUID, str]:
    if sealer is None:
        return {}
    return {
        row.check_in_id: sealer.open(
            row.note_sealed, bound_to=checkins.note_binding(clinic_id, row.check_in_id)
        ).decode()
        for row in rows
        if row.note_sealed is not None
    }


def _reasons_of(decisions: Sequence[GateCheck], sealer: Sealer | None, *, clinic_id: UUID) -> dict[UUID, str]:
    if sealer is None:
        return {}
    told = {each.gate_check_id: decide.reason_of(each, sealer, clinic_id=clinic_id) for each in decisions}
    return {found: text for found, text in told.items() if text is not None}
