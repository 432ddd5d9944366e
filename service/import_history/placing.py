"""Putting one record of an imported treatment where it belongs: as new, or as the correction of what stands."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import assert_never
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.client import RecordOrigin
from schemas.course import (
    ChangeReason,
    CourseEventKind,
    InfusionState,
    PauseReason,
    Phase,
    SessionState,
    TherapySession,
)
from schemas.gate import ChecklistForm, Decision, GateCheck, Presence, ScreenForm, VitalForm
from service import errors, ids
from service.alerting import alerts
from service.database import Db
from service.facts import (
    client_day,
    course_events,
    gate_checks,
    gate_recording,
    gate_records,
    infusions,
    instruments,
    pauses,
    sessions,
)
from service.facts.infusions import Given
from service.gate import decide
from service.import_history.records import (
    DecisionRow,
    DischargeRow,
    InfusionRow,
    ListRow,
    PauseRow,
    PhaseRow,
    PressureRow,
    Record,
    ResponseRow,
    ScreenRow,
    SessionRow,
    Treatment,
)
from service.instruments import scoring
from service.keys.sealing import Sealer
from service.rules import rule_sets, urgent_rules


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The transaction, the client and their course, and the file that the records come from."""

    db: Db
    client_id: UUID
    course_id: UUID
    sealer: Sealer
    zone: ZoneInfo
    now: datetime
    treatment: Treatment


async def put(place: Place, record: Record, before: UUID | None) -> UUID:
    """Put a record, in the place of the one with the id `before` where it stood otherwise; its id now.

    Raises BadFile where it contradicts what stands.
    """
    row = record.row
    match row:
        case PhaseRow():
            return await _phase(place, row)
        case PauseRow():
            return await _pause(place, record, row, before)
        case InfusionRow():
            return await _infusion(place, row, before)
        case ScreenRow() | PressureRow() | ListRow():
            return await _gate_record(place, record, row, before)
        case DecisionRow():
            return await _decision(place, record, row)
        case SessionRow():
            return await _session(place, row, before)
        case ResponseRow():
            return await _response(place, record, row, before)
        case DischargeRow():
            return await _discharge(place, row)
    assert_never(row)


async def _phase(place: Place, row: PhaseRow) -> UUID:
    phase, kind = Phase(row.phase), CourseEventKind.PHASE_ENTERED
    await course_events.append(place.db, place.course_id, kind, from_on=row.at, phase=phase, by=None, now=place.now)
    return place.course_id


async def _discharge(place: Place, row: DischargeRow) -> UUID:
    await course_events.append(
        place.db,
        place.course_id,
        CourseEventKind.DISCHARGED,
        from_on=row.at,
        phase=Phase.DISCHARGED,
        reason=row.reason,
        by=None,
        now=place.now,
    )
    return place.course_id


async def _pause(place: Place, record: Record, row: PauseRow, before: UUID | None) -> UUID:
    reason = PauseReason(row.reason)
    try:
        if before is not None:
            await pauses.restate(place.db, before, until_on=row.until, reason=reason, now=place.now)
            return before
        begun = await pauses.begin(
            place.db,
            place.client_id,
            from_on=row.at,
            until_on=row.until,
            reason=reason,
            by=None,
            now=place.now,
        )
    except errors.Conflict as conflict:
        raise place.treatment.refusal(record, "at", "some of these days are paused already") from conflict
    return begun.pause_id


async def _infusion(place: Place, row: InfusionRow, before: UUID | None) -> UUID:
    """A daily history may have told of the same infusion already: then more is known of it now."""
    infusion_id = before or await _infusion_on(place, row.at)
    if infusion_id is None:
        infusion_id = await infusions.plan(
            place.db, place.client_id, place.course_id, planned_at=row.at, by=None, now=place.now
        )
    given = None
    if row.given_at is not None:
        given = Given(given_at=row.given_at, dose_mg_per_kg=row.dose_mg_per_kg, duration_minutes=row.duration_minutes)
    reason = None if row.reason is None else ChangeReason(row.reason)
    await infusions.restate(
        place.db,
        infusion_id,
        InfusionState(row.state),
        planned_at=row.at,
        given=given,
        reason=reason,
        now=place.now,
    )
    return infusion_id


async def _infusion_on(place: Place, at: datetime) -> UUID | None:
    day = at.astimezone(place.zone).date()
    return next(
        (
            each.infusion_id
            for each in await infusions.of(place.db, place.client_id)
            if (each.given_at or each.planned_at).astimezone(place.zone).date() == day
        ),
        None,
    )


async def _infusion_of(
    place: Place, record: Record, row: ScreenRow | PressureRow | ListRow | DecisionRow
) -> UUID | None:
    """The infusion that a record was made for. Raises BadFile where there is none on that day."""
    if row.infusion is None:
        return None
    for each in await infusions.of(place.db, place.client_id):
        if each.planned_at.astimezone(place.zone).date() == row.infusion:
            return each.infusion_id
    raise place.treatment.refusal(record, "infusion", "the client has no infusion on that day")


async def _gate_record(
    place: Place, record: Record, row: ScreenRow | PressureRow | ListRow, before: UUID | None
) -> UUID:
    infusion_id = await _infusion_of(place, record, row)
    db, client_id, now = place.db, place.client_id, place.now
    match row:
        case ScreenRow():
            screen = ScreenForm(
                panel=row.panel,
                positive=row.positive,
                valid=row.readable,
                confirmation=row.confirmation,
                collected_at=row.at,
                supersedes=before,
            )
            return await gate_recording.store_screen(db, client_id, infusion_id, screen, by=None, now=now)
        case PressureRow():
            vital = VitalForm(
                systolic=row.systolic,
                diastolic=row.diastolic,
                pulse=row.pulse,
                measured_at=row.at,
                supersedes=before,
            )
            return await gate_recording.store_vital(db, client_id, infusion_id, vital, by=None, now=now)
        case ListRow():
            checklist = ChecklistForm(
                unstable_cardiovascular_disease=Presence(row.unstable_cardiovascular_disease),
                hypertension=Presence(row.hypertension),
                pregnancy=row.pregnancy,
                ketamine_allergy=Presence(row.ketamine_allergy),
                raised_intracranial_pressure=Presence(row.raised_intracranial_pressure),
                checked_at=row.at,
                supersedes=before,
            )
            return await gate_recording.store_checklist(db, client_id, infusion_id, checklist, by=None, now=now)
    assert_never(row)


async def _decision(place: Place, record: Record, row: DecisionRow) -> UUID:
    """A decision as it is told. What was missing and proposed then the file does not say, and nobody guesses."""
    db, gate_check_id, decision = place.db, ids.new(), Decision(row.decision)
    infusion_id = await _infusion_of(place, record, row)
    assert infusion_id is not None, "a decision names its infusion"
    infusion = await infusions.hold_row(db, infusion_id)
    lasts = timedelta(hours=(await gate_checks.setting_of(db)).gate_clear_hours)
    check = GateCheck(
        gate_check_id=gate_check_id,
        infusion_id=infusion_id,
        client_id=place.client_id,
        decision=decision,
        reason_sealed=decide.sealed_reason(row.reason or "", gate_check_id, place.sealer, clinic_id=db.clinic_id),
        planned_at=infusion.planned_at,
        decided_by=None,
        decided_at=row.at,
        expires_at=row.at + lasts if decision in (Decision.CLEAR, Decision.OVERRIDE) else None,
        missing=[],
        proposals=[],
        record_ids=await _recorded_by(db, infusion_id, row.at),
    )
    await gate_checks.add(db, check)
    return gate_check_id


async def _recorded_by(db: Db, infusion_id: UUID, at: datetime) -> list[UUID]:
    """Everything that was recorded for the infusion about times up to `at`."""
    screens = await gate_records.screens_of_infusions(db, [infusion_id])
    vitals = await gate_records.vitals_of_infusions(db, [infusion_id])
    lists = await gate_records.checklists_of_infusions(db, [infusion_id])
    return [
        *(each.drug_screen_id for each in screens if each.collected_at <= at),
        *(each.vital_reading_id for each in vitals if each.measured_at <= at),
        *(each.contraindication_check_id for each in lists if each.checked_at <= at),
    ]


async def _session(place: Place, row: SessionRow, before: UUID | None) -> UUID:
    session = TherapySession(
        therapy_session_id=before or ids.new(),
        client_id=place.client_id,
        staff_id=None,
        state=SessionState(row.state),
        planned_at=row.at,
        modality=row.modality,
        minutes=row.duration_minutes,
        version=1,
    )
    await sessions.restate(place.db, session, now=place.now)
    return session.therapy_session_id


async def _response(place: Place, record: Record, row: ResponseRow, before: UUID | None) -> UUID:
    """A response is scored as one from a phone is; an urgent answer is an alert of history, which is sent to nobody."""
    if before is not None:
        raise place.treatment.refusal(record, "answers", "stands with other answers; a response is never changed")
    instrument = (await instruments.catalogue_of(place.db)).find(row.instrument, row.version)
    if instrument is None:
        raise place.treatment.refusal(record, "instrument", "the clinic has none of this code and version")
    if faults := scoring.faults_of(instrument, row.answers):
        raise place.treatment.refusal(record, "answers", faults[0].message)
    score, day = scoring.score(instrument, row.answers), client_day.of(row.at, place.zone)
    stored = instruments.ResponseRow(
        instrument_response_id=ids.new(),
        client_id=place.client_id,
        code=row.instrument,
        version=row.version,
        answers=row.answers,
        total=score.total,
        missing=score.missing,
        answered_at=row.at,
        sent_at=row.at,
        received_at=place.now,
        counted_at=row.at,
        time_zone=place.zone.key,
        zone_known=True,
        client_day=day,
        device_id=None,
        content_hash=place.sealer.keyed_hash(msgspec.json.encode(row), purpose="instrument_response.import"),
    )
    await instruments.store(place.db, stored)
    findings = urgent_rules.findings_of_response(
        instrument_response_id=stored.instrument_response_id,
        client_day=day,
        instrument=instrument,
        urgent=scoring.urgent_of(instrument, row.answers),
        late_days=0,
    )
    if findings:
        version = rule_sets.on(await rule_sets.of(place.db), day).version
        await alerts.open_or_join(
            place.db,
            place.client_id,
            findings,
            now=place.now,
            rule_set_version=version,
            origin=RecordOrigin.IMPORT,
        )
    return stored.instrument_response_id
