"""Shifts: who is on call for the whole clinic, and when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import NAMESPACE_OID, UUID, uuid5
from zoneinfo import ZoneInfo

from schemas.rota import OnCall, Shift, ShiftForm
from schemas.staff import CARE_TEAM_ROLES
from service import errors
from service.database import Db
from service.people import spans, staff

LONGEST = timedelta(days=14)
WEEK = timedelta(days=7)

INSERT = """
insert into shift (clinic_id, shift_id, staff_id, from_at, until_at, recorded_by, recorded_at)
values ($1, $2, $3, $4, $5, $6, $7)
on conflict (clinic_id, shift_id) do nothing
"""


async def give(
    db: Db, shift_id: UUID, form: ShiftForm, *, zone: ZoneInfo, by: UUID, now: datetime
) -> tuple[list[Shift], bool]:
    """Put somebody on call, once for each id; the shifts, and whether they were given just now.

    Of several weeks, each begins and ends at the same times of the clinic's clock; the id of each further one follows
    from the first. Raises Invalid for a person or times that cannot be, Conflict for an id in use otherwise or for
    somebody who is on call then already.
    """
    await staff.hold(db, form.staff_id)
    if (before := await find(db, shift_id)) is not None:
        if before.staff_id != form.staff_id or before.from_at != form.from_at:
            raise errors.Conflict("This id is already in use for another shift.")
        stored = [await find(db, _id_in(shift_id, week)) for week in range(form.weeks)]
        return [each for each in stored if each is not None], False
    await _refuse_odd(db, form, now=now)
    wanted = [
        Shift(
            shift_id=_id_in(shift_id, week),
            staff_id=form.staff_id,
            from_at=_weeks_later(form.from_at, week, zone),
            until_at=_weeks_later(form.until_at, week, zone),
            recorded_by=by,
            recorded_at=now,
        )
        for week in range(form.weeks)
    ]
    await _refuse_twice(db, wanted, now=now)
    for each in wanted:
        args = (each.shift_id, each.staff_id, each.from_at, each.until_at, by, now)
        await db.execute(INSERT, db.clinic_id, *args)
    return wanted, True


def _id_in(shift_id: UUID, week: int) -> UUID:
    return shift_id if week == 0 else uuid5(NAMESPACE_OID, f"{shift_id}:{week}")


def _weeks_later(at: datetime, weeks: int, zone: ZoneInfo) -> datetime:
    """The same time on the clinic's clock, so that a night shift stays one when the clocks change."""
    wall = at.astimezone(zone).replace(tzinfo=None) + weeks * WEEK
    return at if weeks == 0 else wall.replace(tzinfo=zone)


# Whoever is on call sees every client's scores: not for those whose role keeps them from all of it.
async def _refuse_odd(db: Db, form: ShiftForm, *, now: datetime) -> None:
    faults = spans.faults_of(form.from_at, form.until_at, longest=LONGEST, now=now)
    if not faults and form.weeks > 1 and form.until_at - form.from_at > WEEK:
        faults.append(errors.FieldFault("until_at", "within a week, where it comes every week"))
    if form.staff_id not in {each.staff_id for each in await staff.at_work(db, CARE_TEAM_ROLES)}:
        faults.append(errors.FieldFault("staff_id", "a therapist, prescriber, nurse or coordinator who works here"))
    if faults:
        raise errors.Invalid("This shift cannot be given.", fields=faults)


async def _refuse_twice(db: Db, wanted: Sequence[Shift], *, now: datetime) -> None:
    own = [each for each in await standing(db, now=now) if each.staff_id == wanted[0].staff_id]
    if any(one.from_at < other.until_at and other.from_at < one.until_at for one in own for other in wanted):
        faults = [
            errors.FieldFault(name, "outside the shifts that this person has") for name in ("from_at", "until_at")
        ]
        raise errors.Conflict("This person is on call at that time already. End that first.", fields=faults)


END = """
update shift
set until_at = greatest(from_at, least(until_at, $3))
where clinic_id = $1
  and shift_id = $2
"""


async def end(db: Db, shift_id: UUID, *, now: datetime) -> None:
    """End it now; one that has not begun never was. Raises NotFound."""
    if await db.execute(END, db.clinic_id, shift_id, now) == 0:
        raise errors.NotFound("Not found.")


FIND = """
select shift_id, staff_id, from_at, until_at, recorded_by, recorded_at
from shift
where clinic_id = $1
  and shift_id = $2
"""


async def find(db: Db, shift_id: UUID) -> Shift | None:
    """One shift by its id."""
    return await db.find(Shift, FIND, db.clinic_id, shift_id)


STANDING = """
select shift_id, staff_id, from_at, until_at, recorded_by, recorded_at
from shift
where clinic_id = $1
  and until_at > $2
  and until_at > from_at
order by from_at, shift_id
"""


async def standing(db: Db, *, now: datetime) -> list[Shift]:
    """Every shift that runs now or is to come, by time."""
    return await db.rows(Shift, STANDING, db.clinic_id, now)


TOLD = """
select shift_id, staff_id, from_at, until_at
from on_call
where clinic_id = $1
  and shift_until_at > $2
  and until_at > $2
order by from_at, shift_id
"""


async def told(db: Db, *, now: datetime) -> list[OnCall]:
    """When somebody on call is told, now or to come, by time: as `service/alerting/deliveries.py:RECIPIENTS` has it."""
    return await db.rows(OnCall, TOLD, db.clinic_id, now)
