"""Recording and deciding at the gate. Only people decide; every decision keeps what it rested on."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from schemas.course import ChangeReason, InfusionState
from schemas.gate import ChecklistForm, Decision, GateCheck, Proposal, ScreenForm, VitalForm
from service import errors, ids
from service.database import Db
from service.facts import gate_checks, gate_recording, gate_records, infusions
from service.gate import read, states
from service.gate.read import Gate
from service.keys.sealing import Sealer

Form = ScreenForm | VitalForm | ChecklistForm


async def record(db: Db, client_id: UUID, infusion_id: UUID, form: Form, *, by: UUID, now: datetime) -> UUID:
    """Record a screen, a reading or the list; the record's id. Raises Invalid, NotFound, Conflict for a correction."""
    await gate_checks.hold_infusion(db, infusion_id)
    if isinstance(form, ScreenForm):
        return await gate_recording.add_screen(db, client_id, infusion_id, form, by=by, now=now)
    if isinstance(form, VitalForm):
        return await gate_recording.add_vital(db, client_id, infusion_id, form, by=by, now=now)
    return await gate_recording.add_checklist(db, client_id, infusion_id, form, by=by, now=now)


async def put_screen(
    db: Db, client_id: UUID, infusion_id: UUID, screen_id: UUID, form: ScreenForm, *, by: UUID | None, now: datetime
) -> bool:
    """Record a screen under the caller's own id, once; whether it was recorded just now.

    Raises Conflict for an id that is in use for another one, and as `record` does.
    """
    await gate_checks.hold_infusion(db, infusion_id)
    before = await gate_records.find_screen(db, screen_id)
    if before is not None:
        if before.infusion_id != infusion_id or not gate_records.says(before, form):
            raise errors.Conflict("This id is already in use for another screen.")
        return False
    await gate_recording.add_screen(db, client_id, infusion_id, form, by=by, now=now, drug_screen_id=screen_id)
    return True


async def decide(
    db: Db,
    client_id: UUID,
    infusion_id: UUID,
    decision: Decision,
    *,
    reason: str | None,
    by: UUID,
    now: datetime,
    sealer: Sealer,
    version: int | None = None,
    known: Collection[UUID] | None = None,
) -> UUID:
    """Record a decision; its id. A hold also holds the infusion, and going ahead plans it again, unless
    it was put on hold in the plan.

    Raises NotFound; Conflict where the state does not allow it, somebody has decided since the `version` that was
    looked at, something was recorded since for an override, whose reason speaks of what was `known`, something is open
    for a clearance, or nothing is there to be overridden; Invalid where the reason is missing.
    """
    await gate_checks.hold_infusion(db, infusion_id)
    gate = await read.of_infusion(db, client_id, infusion_id, now=now)
    if version is not None and version != len(gate.decisions):
        raise errors.Conflict("Somebody has decided here since you looked. Look again.")
    if decision is Decision.OVERRIDE and known is not None and not set(gate.known) <= set(known):
        raise errors.Conflict("Something was recorded since you looked. Look again.")
    # In the order in which they came past the lock, whatever time each took before it.
    newest = max((each.decided_at for each in gate.decisions), default=None)
    now = now if newest is None else max(now, newest + timedelta(microseconds=1))
    states.after(gate.standing.state, decision)
    _refuse_unfit(gate, decision, reason)
    gate_check_id = ids.new()
    text = (reason or "").strip()
    lasts = timedelta(hours=gate.setting.gate_clear_hours)
    check = GateCheck(
        gate_check_id=gate_check_id,
        infusion_id=infusion_id,
        client_id=client_id,
        decision=decision,
        reason_sealed=sealed_reason(text, gate_check_id, sealer, clinic_id=db.clinic_id),
        planned_at=gate.slot.planned_at,
        decided_by=by,
        decided_at=now,
        expires_at=now + lasts if decision in (Decision.CLEAR, Decision.OVERRIDE) else None,
        missing=gate.assessment.missing,
        proposals=gate.assessment.proposals,
        record_ids=gate.known,
    )
    await gate_checks.add(db, check)
    await _follow(db, gate, decision, by=by, now=now)
    return gate_check_id


def _refuse_unfit(gate: Gate, decision: Decision, reason: str | None) -> None:
    if gate.settled:
        raise errors.Conflict(f"The infusion is {gate.slot.state}; nothing is to be decided any more.")
    nothing_open = not gate.assessment.missing and not gate.assessment.proposals
    if decision is Decision.CLEAR and not nothing_open:
        raise errors.Conflict("Something is open or speaks for a hold; record it, hold, or override with a reason.")
    if decision is Decision.OVERRIDE and nothing_open:
        raise errors.Conflict("Nothing is open and nothing speaks for a hold: clear it.")
    if decision in (Decision.HOLD, Decision.OVERRIDE) and not (reason or "").strip():
        fault = errors.FieldFault("reason", "why")
        raise errors.Invalid("This needs a reason.", fields=(fault,))


WHY_HELD: Mapping[Proposal, ChangeReason] = MappingProxyType(
    {
        Proposal.SCREEN_POSITIVE: ChangeReason.DRUG_SCREEN,
        Proposal.PRESSURE_ABOVE_LIMIT: ChangeReason.BLOOD_PRESSURE,
        Proposal.CONTRAINDICATION: ChangeReason.CONTRAINDICATION,
        Proposal.HELD_ELSEWHERE: ChangeReason.OTHER,
    }
)


async def _follow(db: Db, gate: Gate, decision: Decision, *, by: UUID, now: datetime) -> None:
    state, infusion_id = gate.slot.state, gate.slot.infusion_id
    if decision is Decision.HOLD and state is InfusionState.PLANNED:
        reasons = [WHY_HELD[each] for each in gate.assessment.proposals] or [ChangeReason.OTHER]
        await infusions.record_state(db, infusion_id, InfusionState.HELD, by=by, now=now, reason=reasons[0])
    elif decision is not Decision.HOLD and state is InfusionState.HELD and await _held_here(db, gate):
        await infusions.record_state(db, infusion_id, InfusionState.PLANNED, by=by, now=now)


async def _held_here(db: Db, gate: Gate) -> bool:
    """Whether it was the gate that put the infusion on hold: a hold set on the plan is taken back there."""
    since = await infusions.held_since(db, gate.slot.infusion_id)
    return any(each.decision is Decision.HOLD and each.decided_at == since for each in gate.decisions)


def sealed_reason(text: str, gate_check_id: UUID, sealer: Sealer, *, clinic_id: UUID) -> bytes | None:
    """The words of a reason as they are kept; None where there are none."""
    return sealer.seal(text.encode(), bound_to=_binding(clinic_id, gate_check_id)) if text else None


def reason_of(check: GateCheck, sealer: Sealer, *, clinic_id: UUID) -> str | None:
    """The text of a reason, None where none was given. Raises Invalid when it does not open."""
    if check.reason_sealed is None:
        return None
    return sealer.open(check.reason_sealed, bound_to=_binding(clinic_id, check.gate_check_id)).decode()


def _binding(clinic_id: UUID, gate_check_id: UUID) -> str:
    return f"gate_check:{clinic_id}:{gate_check_id}:reason"


async def take_back(db: Db, infusion_id: UUID, record_id: UUID, *, by: UUID, now: datetime) -> UUID:
    """Say that a record was entered in error; the id of the row that says so. Raises NotFound, Conflict."""
    await gate_checks.hold_infusion(db, infusion_id)
    return await gate_recording.take_back(db, infusion_id, record_id, by=by, now=now)
