"""A response's whole transaction: who sends it, storing it once, its score, urgent answers, audit."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from schemas.instrument import Instrument
from schemas.instrument_response import InstrumentResponse, ResponseForm, ResponseReply
from service import errors
from service.alerting import alerts
from service.database import Db
from service.errors import FieldFault
from service.facts import client_day, instruments, placing
from service.facts.instruments import ResponseRow
from service.instruments import scoring
from service.keys.sealing import Sealer
from service.people import audit, devices
from service.people.clinics import ClinicView
from service.rules import rule_sets, urgent_rules

ACTION = "instrument_response.store"
READ_AGAIN = "instrument_response.resend"


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """`first_time`: stored now (201); otherwise it was stored before with the same content (200)."""

    first_time: bool
    reply: ResponseReply


def content_hash(form: ResponseForm, master: Sealer) -> bytes:
    """A keyed hash of what the client answered: equal for every resend, whatever its `sent_at` or key order."""
    content = (
        form.instrument,
        form.version,
        form.answered_at.timestamp(),
        form.time_zone,
        sorted(form.answers.items()),
        form.language,
    )
    return master.keyed_hash(msgspec.json.encode(content), purpose="instrument_response.content")


async def accept(
    db: Db,
    token_digest: bytes,
    response_id: UUID,
    form: ResponseForm,
    *,
    master: Sealer,
    view: ClinicView,
    now: datetime,
) -> Accepted:
    """Store one response, once, with everything that hangs on it. No time is too late.

    Raises Unauthenticated for a token that is not valid, Invalid for an instrument, item or answer that there is not,
    Conflict when the id was used before for something else.
    """
    sender = await devices.authenticate(db, token_digest, now=now)
    instrument = (await instruments.catalogue_of(db)).find(form.instrument, form.version)
    if instrument is None:
        raise errors.Invalid(
            "There is no such instrument in this version.", fields=(FieldFault("instrument", "a code and its version"),)
        )
    if form.language not in {None, instrument.language, *instrument.translations}:
        fault = FieldFault("language", "one in which this instrument is asked")
        raise errors.Invalid("There is no such translation of this instrument.", fields=(fault,))
    if faults := scoring.faults_of(instrument, form.answers):
        raise errors.Invalid("The answers were refused.", fields=faults)
    placed = placing.place(form, received_at=now, clinic_zone=view.zone)
    score = scoring.score(instrument, form.answers)
    row = ResponseRow(
        instrument_response_id=response_id,
        client_id=sender.client_id,
        code=form.instrument,
        version=form.version,
        answers=form.answers,
        total=score.total,
        missing=score.missing,
        answered_at=placed.answered_at,
        sent_at=placed.sent_at,
        received_at=now,
        counted_at=placed.counted_at,
        time_zone=form.time_zone,
        zone_known=placed.zone_known,
        client_day=placed.client_day,
        device_id=sender.device_id,
        content_hash=content_hash(form, master),
        language=form.language,
    )
    stored = await instruments.store(db, row)
    device = audit.Actor("device", sender.device_id)
    if not stored:
        row = await _stored_before(db, row)
    action = ACTION if stored else READ_AGAIN
    await audit.record(db, device, action, now=now, client_id=sender.client_id, object_id=response_id)
    if stored:
        await find_urgent(db, row, instrument, late_days=(placed.today - placed.client_day).days)
    return Accepted(first_time=stored, reply=_reply(row, instrument, view))


async def _stored_before(db: Db, row: ResponseRow) -> ResponseRow:
    before = await instruments.find_response(db, row.instrument_response_id)
    if before is None or before.client_id != row.client_id or before.content_hash != row.content_hash:
        raise errors.Conflict("This id is already in use for another response.")
    return before


async def find_urgent(db: Db, row: ResponseRow, instrument: Instrument, *, late_days: int) -> None:
    """Open or join the tier-1 alert that a stored response asks for, if it does."""
    findings = urgent_rules.findings_of_response(
        instrument_response_id=row.instrument_response_id,
        client_day=row.client_day,
        instrument=instrument,
        urgent=scoring.urgent_of(instrument, row.answers),
        late_days=max(0, late_days),
    )
    if findings:
        rule_set = rule_sets.on(await rule_sets.of(db), row.client_day)
        await alerts.open_or_join(db, row.client_id, findings, now=row.received_at, rule_set_version=rule_set.version)


def _reply(row: ResponseRow, instrument: Instrument, view: ClinicView) -> ResponseReply:
    zone = client_day.zone_or_none(row.time_zone) or view.zone
    return ResponseReply(
        response=InstrumentResponse(
            id=row.instrument_response_id,
            instrument=row.code,
            version=row.version,
            answered_at=row.answered_at,
            sent_at=row.sent_at,
            received_at=row.received_at,
            counted_at=row.counted_at,
            time_zone=row.time_zone,
            zone_known=row.zone_known,
            client_day=row.client_day,
            answers=row.answers,
            total=row.total,
            missing=row.missing,
            late=client_day.of(row.received_at, zone) > row.client_day,
            language=row.language,
        ),
        monitoring=view.monitoring_notice,
        crisis=view.crisis if scoring.urgent_of(instrument, row.answers) else None,
    )
