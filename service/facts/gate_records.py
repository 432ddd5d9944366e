"""What is recorded at the gate, read: drug screens, blood pressure and pulse, the list of contraindications."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar
from uuid import UUID

from schemas.gate import (
    Analyte,
    Confirmation,
    ContraindicationCheck,
    DrugScreen,
    ScreenForm,
    ScreenResult,
    VitalReading,
)
from service.database import Db


class Superseding(Protocol):
    """What every record has."""

    @property
    def supersedes(self) -> UUID | None:
        """The record that this one corrects."""
        ...

    @property
    def entered_in_error(self) -> bool:
        """Whether it only takes the other one back."""
        ...


Kept = TypeVar("Kept", bound=Superseding)


def standing(records: Iterable[Kept], ids_of: Iterable[UUID]) -> list[Kept]:
    """Those that nothing corrects and that were not entered in error; `ids_of` the records' ids in their order."""
    every = list(records)
    superseded = {each.supersedes for each in every}
    return [
        each
        for each, record_id in zip(every, ids_of, strict=True)
        if record_id not in superseded and not each.entered_in_error
    ]


def standing_screens(records: Sequence[DrugScreen]) -> list[DrugScreen]:
    """The screens that stand."""
    return standing(records, (each.drug_screen_id for each in records))


def by_weight(screens: Iterable[DrugScreen]) -> list[DrugScreen]:
    """Screens that stand, the one that counts most last: an earlier sample before a later one, and of one sample what a
    test strip says before what a laboratory says, whoever recorded which first.
    """
    return sorted(
        screens,
        key=lambda each: (each.collected_at, each.confirmation is Confirmation.CONFIRMED, each.drug_screen_id),
    )


def found_in(screens: Iterable[DrugScreen]) -> dict[Analyte, bool]:
    """Whether each analyte that standing screens looked for was found, by the one that counts most for it."""
    found: dict[Analyte, bool] = {}
    for screen in by_weight(screens):
        if screen.result is not ScreenResult.INVALID:
            found |= {analyte: analyte in screen.positive for analyte in screen.panel}
    return found


def contradicted(screens: Sequence[DrugScreen]) -> list[Analyte]:
    """What two standing results of one sample say differently, in the order of `Analyte`."""
    said: dict[tuple[datetime, Analyte], set[bool]] = {}
    for screen in screens:
        if screen.result is not ScreenResult.INVALID:
            for analyte in screen.panel:
                said.setdefault((screen.collected_at, analyte), set()).add(analyte in screen.positive)
    differing = {analyte for (_, analyte), found in said.items() if len(found) > 1}
    return [each for each in Analyte if each in differing]


def standing_vitals(records: Sequence[VitalReading]) -> list[VitalReading]:
    """The readings that stand."""
    return standing(records, (each.vital_reading_id for each in records))


def standing_checklists(records: Sequence[ContraindicationCheck]) -> list[ContraindicationCheck]:
    """The lists that stand."""
    return standing(records, (each.contraindication_check_id for each in records))


SCREENS_OF_INFUSIONS = """
select
  drug_screen_id, client_id, infusion_id, panel, positive, result, confirmation, collected_at, recorded_by, recorded_at,
  supersedes, entered_in_error
from drug_screen
where clinic_id = $1
  and infusion_id = any ($2::uuid[])
order by recorded_at desc, drug_screen_id desc
"""


async def screens_of_infusions(db: Db, infusion_ids: Sequence[UUID]) -> list[DrugScreen]:
    """Every screen that was recorded for some infusions, the newest record first, superseded ones too."""
    return await db.rows(DrugScreen, SCREENS_OF_INFUSIONS, db.clinic_id, list(infusion_ids))


SCREENS_AROUND = """
select
  drug_screen_id, client_id, infusion_id, panel, positive, result, confirmation, collected_at, recorded_by, recorded_at,
  supersedes, entered_in_error
from drug_screen
where clinic_id = $1
  and client_id = any ($2::uuid[])
  and (infusion_id = any ($3::uuid[]) or collected_at >= $4 or supersedes is not null)
order by recorded_at desc, drug_screen_id desc
"""


async def screens_around(
    db: Db, client_ids: Sequence[UUID], infusion_ids: Sequence[UUID], *, since: datetime
) -> list[DrugScreen]:
    """What was recorded for some infusions, or else for these clients since then; and every correction."""
    return await db.rows(DrugScreen, SCREENS_AROUND, db.clinic_id, list(client_ids), list(infusion_ids), since)


SCREEN = """
select
  drug_screen_id, client_id, infusion_id, panel, positive, result, confirmation, collected_at, recorded_by, recorded_at,
  supersedes, entered_in_error
from drug_screen
where clinic_id = $1
  and drug_screen_id = $2
"""


async def find_screen(db: Db, drug_screen_id: UUID) -> DrugScreen | None:
    """One screen as it was recorded."""
    return await db.find(DrugScreen, SCREEN, db.clinic_id, drug_screen_id)


def says(screen: DrugScreen, form: ScreenForm) -> bool:
    """Whether a screen holds what the form tells."""
    return (
        set(screen.panel) == set(form.panel)
        and set(screen.positive) == set(form.positive)
        and (screen.result is not ScreenResult.INVALID) == form.valid
        and screen.confirmation == form.confirmation
        and screen.collected_at == form.collected_at
        and screen.supersedes == form.supersedes
        and not screen.entered_in_error
    )


SCREENS_OF = """
select
  drug_screen_id, client_id, infusion_id, panel, positive, result, confirmation, collected_at, recorded_by, recorded_at,
  supersedes, entered_in_error
from drug_screen
where clinic_id = $1
  and client_id = $2
order by collected_at desc, drug_screen_id desc
"""


async def screens_of(db: Db, client_id: UUID) -> list[DrugScreen]:
    """Every screen of a client, the newest sample first, superseded ones too."""
    return await db.rows(DrugScreen, SCREENS_OF, db.clinic_id, client_id)


async def was_positive(db: Db, client_id: UUID, analyte: Analyte, *, since: datetime, until: datetime) -> bool:
    """Whether any sample of that time was positive for the analyte, as it stands recorded and confirmed."""
    samples: dict[datetime, list[DrugScreen]] = {}
    for screen in standing_screens(await screens_of(db, client_id)):
        if since <= screen.collected_at <= until:
            samples.setdefault(screen.collected_at, []).append(screen)
    return any(found_in(screens).get(analyte, False) for screens in samples.values())


VITALS_OF_INFUSIONS = """
select
  vital_reading_id, client_id, infusion_id, systolic, diastolic, pulse, systolic_limit, diastolic_limit, measured_at,
  recorded_by, recorded_at, supersedes, entered_in_error
from vital_reading
where clinic_id = $1
  and infusion_id = any ($2::uuid[])
order by recorded_at desc, vital_reading_id desc
"""


async def vitals_of_infusions(db: Db, infusion_ids: Sequence[UUID]) -> list[VitalReading]:
    """Every reading that was recorded for some infusions, the newest record first, superseded ones too."""
    return await db.rows(VitalReading, VITALS_OF_INFUSIONS, db.clinic_id, list(infusion_ids))


VITALS_AROUND = """
select
  vital_reading_id, client_id, infusion_id, systolic, diastolic, pulse, systolic_limit, diastolic_limit, measured_at,
  recorded_by, recorded_at, supersedes, entered_in_error
from vital_reading
where clinic_id = $1
  and client_id = any ($2::uuid[])
  and (infusion_id = any ($3::uuid[]) or measured_at >= $4 or supersedes is not null)
order by recorded_at desc, vital_reading_id desc
"""


async def vitals_around(
    db: Db, client_ids: Sequence[UUID], infusion_ids: Sequence[UUID], *, since: datetime
) -> list[VitalReading]:
    """What was recorded for some infusions, or else for these clients since then; and every correction."""
    return await db.rows(VitalReading, VITALS_AROUND, db.clinic_id, list(client_ids), list(infusion_ids), since)


CHECKLISTS_OF_INFUSIONS = """
select
  contraindication_check_id, client_id, infusion_id, unstable_cardiovascular_disease, hypertension, pregnancy,
  ketamine_allergy, raised_intracranial_pressure, checked_at, recorded_by, recorded_at, supersedes, entered_in_error
from contraindication_check
where clinic_id = $1
  and infusion_id = any ($2::uuid[])
order by recorded_at desc, contraindication_check_id desc
"""


async def checklists_of_infusions(db: Db, infusion_ids: Sequence[UUID]) -> list[ContraindicationCheck]:
    """Every list that was recorded for some infusions, the newest record first, superseded ones too."""
    return await db.rows(ContraindicationCheck, CHECKLISTS_OF_INFUSIONS, db.clinic_id, list(infusion_ids))


CHECKLISTS_AROUND = """
select
  contraindication_check_id, client_id, infusion_id, unstable_cardiovascular_disease, hypertension, pregnancy,
  ketamine_allergy, raised_intracranial_pressure, checked_at, recorded_by, recorded_at, supersedes, entered_in_error
from contraindication_check
where clinic_id = $1
  and client_id = any ($2::uuid[])
  and (infusion_id = any ($3::uuid[]) or checked_at >= $4 or supersedes is not null)
order by recorded_at desc, contraindication_check_id desc
"""


async def checklists_around(
    db: Db, client_ids: Sequence[UUID], infusion_ids: Sequence[UUID], *, since: datetime
) -> list[ContraindicationCheck]:
    """What was recorded for some infusions, or else for these clients since then; and every correction."""
    return await db.rows(
        ContraindicationCheck, CHECKLISTS_AROUND, db.clinic_id, list(client_ids), list(infusion_ids), since
    )
