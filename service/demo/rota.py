"""Who stands in at the demo clinic: nights on call for the days to come, and one colleague's holiday."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, time, timedelta
from uuid import NAMESPACE_OID, UUID, uuid5

from schemas.rota import CoverForm, ShiftForm
from service import errors
from service.database import Db
from service.demo.clinic import NURSE, PRESCRIBER, DemoClinic
from service.people import covers, shifts

NIGHTS = 7
EVENING, MORNING = time(18), time(8)
AWAY, STANDS_IN, ARRANGES = "priya.anand", "jonas.feld", "ada.whitlock"
HOLIDAY_BEGINS, HOLIDAY = timedelta(days=2), timedelta(days=9)


async def arrange(db: Db, demo: DemoClinic, today: date, *, now: datetime) -> None:
    """Put somebody on call for each of the nights to come, and let a holiday be covered; each once.

    What somebody who tries the demonstration arranged at that time stands as it is.
    """
    by = demo.staff_ids[ARRANGES]
    for ahead in range(NIGHTS):
        day = today + timedelta(days=ahead)
        night = ShiftForm(
            staff_id=demo.staff_ids[(PRESCRIBER, NURSE)[day.toordinal() % 2]],
            from_at=datetime.combine(day, EVENING, demo.zone),
            until_at=datetime.combine(day + timedelta(days=1), MORNING, demo.zone),
        )
        with suppress(errors.Conflict):
            await shifts.give(db, _id_of(demo, "night", day), night, zone=demo.zone, by=by, now=now)
    if not await covers.of_staff(db, demo.staff_ids[AWAY], now=now):
        begins = datetime.combine(today + HOLIDAY_BEGINS, MORNING, demo.zone)
        holiday = CoverForm(
            staff_id=demo.staff_ids[AWAY],
            covered_by=demo.staff_ids[STANDS_IN],
            from_at=begins,
            until_at=begins + HOLIDAY,
        )
        with suppress(errors.Invalid):
            await covers.arrange(db, _id_of(demo, "holiday", today), holiday, by=by, now=now)


def _id_of(demo: DemoClinic, what: str, day: date) -> UUID:
    """The same for the same day, so that a second start arranges nothing anew."""
    return uuid5(NAMESPACE_OID, f"{demo.clinic.clinic_id}:{what}:{day.isoformat()}")
