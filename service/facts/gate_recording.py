"""Recording at the gate: drug screens, blood pressure and pulse, the list of contraindications.

Never changed: a correction is a further row that supersedes one, and may say that it was entered in error.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from schemas.gate import ChecklistForm, Presence, ScreenForm, ScreenResult, VitalForm
from service import errors, ids
from service.database import Db
from service.facts import gate_records

# The clocks of two machines, and a form that was filled in a moment before it is sent.
CLOCKS_DIFFER = timedelta(minutes=10)
OLDEST = timedelta(days=400)


def _refuse_odd_time(field: str, at: datetime, now: datetime) -> None:
    if at > now + CLOCKS_DIFFER:
        raise errors.Invalid("This lies in the future.", fields=(errors.FieldFault(field, "not later than now"),))
    if at < now - OLDEST:
        fault = errors.FieldFault(field, f"within the last {OLDEST.days} days")
        raise errors.Invalid("This is too long ago.", fields=(fault,))


def _refuse_unknown(supersedes: UUID | None, known: Iterable[UUID], superseded: Iterable[UUID | None]) -> None:
    """A correction names a record of the same infusion, and the newest version of it."""
    if supersedes is None:
        return
    if supersedes not in set(known):
        raise errors.NotFound("Not found.")
    if supersedes in set(superseded):
        raise errors.Conflict("This record was corrected already; correct the newer one.")


async def add_screen(
    db: Db,
    client_id: UUID,
    infusion_id: UUID,
    form: ScreenForm,
    *,
    by: UUID | None,
    now: datetime,
    drug_screen_id: UUID | None = None,
) -> UUID:
    """Record a screen; its id. Raises Invalid, NotFound or Conflict for a correction of what is not there or is old."""
    _refuse_odd_time("collected_at", form.collected_at, now)
    if not set(form.positive) <= set(form.panel):
        fault = errors.FieldFault("positive", "only what the panel looks for")
        raise errors.Invalid("The result does not fit the panel.", fields=(fault,))
    if form.positive and not form.valid:
        fault = errors.FieldFault("valid", "a result that could not be read has no positive")
        raise errors.Invalid("The result does not fit the panel.", fields=(fault,))
    there = await gate_records.screens_of_infusions(db, [infusion_id])
    _refuse_unknown(form.supersedes, (each.drug_screen_id for each in there), (each.supersedes for each in there))
    return await store_screen(db, client_id, infusion_id, form, by=by, now=now, drug_screen_id=drug_screen_id)


INSERT_SCREEN = """
insert into drug_screen (
  clinic_id, drug_screen_id, client_id, infusion_id, panel, positive, result, confirmation, collected_at, recorded_by,
  recorded_at, supersedes, entered_in_error
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, false)
"""


async def store_screen(
    db: Db,
    client_id: UUID,
    infusion_id: UUID | None,
    form: ScreenForm,
    *,
    by: UUID | None,
    now: datetime,
    drug_screen_id: UUID | None = None,
) -> UUID:
    """Append a screen as it is told, however long ago it was and for whichever infusion; its id."""
    drug_screen_id = drug_screen_id or ids.new()
    positive = ScreenResult.POSITIVE if form.positive else ScreenResult.NEGATIVE
    await db.execute(
        INSERT_SCREEN,
        db.clinic_id,
        drug_screen_id,
        client_id,
        infusion_id,
        sorted(set(form.panel)),
        sorted(set(form.positive)),
        positive if form.valid else ScreenResult.INVALID,
        form.confirmation,
        form.collected_at,
        by,
        now,
        form.supersedes,
    )
    return drug_screen_id


async def add_vital(db: Db, client_id: UUID, infusion_id: UUID, form: VitalForm, *, by: UUID, now: datetime) -> UUID:
    """Record a reading; its id. Raises like `add_screen`."""
    _refuse_odd_time("measured_at", form.measured_at, now)
    if form.diastolic >= form.systolic:
        fault = errors.FieldFault("diastolic", "lower than the systolic pressure")
        raise errors.Invalid("The two pressures do not fit each other.", fields=(fault,))
    there = await gate_records.vitals_of_infusions(db, [infusion_id])
    _refuse_unknown(form.supersedes, (each.vital_reading_id for each in there), (each.supersedes for each in there))
    return await store_vital(db, client_id, infusion_id, form, by=by, now=now)


INSERT_VITAL = """
insert into vital_reading (
  clinic_id, vital_reading_id, client_id, infusion_id, systolic, diastolic, pulse, systolic_limit, diastolic_limit,
  measured_at, recorded_by, recorded_at, supersedes, entered_in_error
)
select
  $1, $2::uuid, $3::uuid, $4::uuid, $5::smallint, $6::smallint, $7::smallint, systolic_limit, diastolic_limit,
  $8::timestamptz, $9::uuid, $10::timestamptz, $11::uuid, false
from clinic_setting
where clinic_id = $1
"""


async def store_vital(
    db: Db, client_id: UUID, infusion_id: UUID | None, form: VitalForm, *, by: UUID | None, now: datetime
) -> UUID:
    """Append a reading as it is told, beside the clinic's limits of now; its id."""
    vital_reading_id = ids.new()
    await db.execute(
        INSERT_VITAL,
        db.clinic_id,
        vital_reading_id,
        client_id,
        infusion_id,
        form.systolic,
        form.diastolic,
        form.pulse,
        form.measured_at,
        by,
        now,
        form.supersedes,
    )
    return vital_reading_id


NEVER_INAPPLICABLE = (
    "unstable_cardiovascular_disease",
    "hypertension",
    "ketamine_allergy",
    "raised_intracranial_pressure",
)


async def add_checklist(
    db: Db, client_id: UUID, infusion_id: UUID, form: ChecklistForm, *, by: UUID, now: datetime
) -> UUID:
    """Record the answers of the list; their id. Raises like `add_screen`."""
    _refuse_odd_time("checked_at", form.checked_at, now)
    faults = [
        errors.FieldFault(name, "absent, present or unknown")
        for name in NEVER_INAPPLICABLE
        if getattr(form, name) is Presence.NOT_APPLICABLE
    ]
    if faults:
        raise errors.Invalid("Only pregnancy may not apply.", fields=faults)
    there = await gate_records.checklists_of_infusions(db, [infusion_id])
    known = (each.contraindication_check_id for each in there)
    _refuse_unknown(form.supersedes, known, (each.supersedes for each in there))
    return await store_checklist(db, client_id, infusion_id, form, by=by, now=now)


INSERT_CHECKLIST = """
insert into contraindication_check (
  clinic_id, contraindication_check_id, client_id, infusion_id, unstable_cardiovascular_disease, hypertension,
  pregnancy, ketamine_allergy, raised_intracranial_pressure, checked_at, recorded_by, recorded_at, supersedes,
  entered_in_error
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, false)
"""


async def store_checklist(
    db: Db, client_id: UUID, infusion_id: UUID | None, form: ChecklistForm, *, by: UUID | None, now: datetime
) -> UUID:
    """Append the answers of the list as they are told; their id."""
    contraindication_check_id = ids.new()
    await db.execute(
        INSERT_CHECKLIST,
        db.clinic_id,
        contraindication_check_id,
        client_id,
        infusion_id,
        form.unstable_cardiovascular_disease,
        form.hypertension,
        form.pregnancy,
        form.ketamine_allergy,
        form.raised_intracranial_pressure,
        form.checked_at,
        by,
        now,
        form.supersedes,
    )
    return contraindication_check_id


TAKE_BACK_SCREEN = """
insert into drug_screen (
  clinic_id, drug_screen_id, client_id, infusion_id, panel, positive, result, confirmation, collected_at, recorded_by,
  recorded_at, supersedes, entered_in_error
)
select
  clinic_id, $4::uuid, client_id, infusion_id, panel, positive, result, confirmation, collected_at, $5::uuid,
  $6::timestamptz, drug_screen_id, true
from drug_screen
where clinic_id = $1
  and infusion_id = $2
  and drug_screen_id = $3
"""
TAKE_BACK_VITAL = """
insert into vital_reading (
  clinic_id, vital_reading_id, client_id, infusion_id, systolic, diastolic, pulse, systolic_limit, diastolic_limit,
  measured_at, recorded_by, recorded_at, supersedes, entered_in_error
)
select
  clinic_id, $4::uuid, client_id, infusion_id, systolic, diastolic, pulse, systolic_limit, diastolic_limit,
  measured_at, $5::uuid, $6::timestamptz, vital_reading_id, true
from vital_reading
where clinic_id = $1
  and infusion_id = $2
  and vital_reading_id = $3
"""
TAKE_BACK_CHECKLIST = """
insert into contraindication_check (
  clinic_id, contraindication_check_id, client_id, infusion_id, unstable_cardiovascular_disease, hypertension,
  pregnancy, ketamine_allergy, raised_intracranial_pressure, checked_at, recorded_by, recorded_at, supersedes,
  entered_in_error
)
select
  clinic_id, $4::uuid, client_id, infusion_id, unstable_cardiovascular_disease, hypertension,
  pregnancy, ketamine_allergy, raised_intracranial_pressure, checked_at, $5::uuid, $6::timestamptz,
  contraindication_check_id, true
from contraindication_check
where clinic_id = $1
  and infusion_id = $2
  and contraindication_check_id = $3
"""


async def take_back(db: Db, infusion_id: UUID, record_id: UUID, *, by: UUID, now: datetime) -> UUID:
    """Say that a record of the infusion was entered in error; the id of the row that says so.

    Raises NotFound, Conflict where it was corrected or taken back already.
    """
    for statement in (TAKE_BACK_SCREEN, TAKE_BACK_VITAL, TAKE_BACK_CHECKLIST):
        taken_back = ids.new()
        if await db.execute(statement, db.clinic_id, infusion_id, record_id, taken_back, by, now):
            return taken_back
    raise errors.NotFound("Not found.")
