"""Cover: who is told, and may see the clients, in the place of somebody who is away. Nobody covers for a cover."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from schemas.rota import Cover, CoverForm
from schemas.staff import CLINICAL_ROLES
from service import errors
from service.database import Db
from service.people import spans, staff

LONGEST = timedelta(days=366)

INSERT = """
insert into cover (clinic_id, cover_id, staff_id, covered_by, from_at, until_at, recorded_by, recorded_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (clinic_id, cover_id) do nothing
"""


async def arrange(db: Db, cover_id: UUID, form: CoverForm, *, by: UUID, now: datetime) -> bool:
    """Arrange cover, once for each id; whether it was arranged just now.

    Raises Invalid for people or times that cannot be, or a cover who is away then; Conflict for an id in use otherwise
    or for two covers of one person at one time.
    """
    await staff.hold(db, form.staff_id)
    if (before := await find(db, cover_id)) is not None:
        if before.staff_id != form.staff_id or before.covered_by != form.covered_by or before.from_at != form.from_at:
            raise errors.Conflict("This id is already in use for another cover.")
        return False
    await _refuse_odd(db, form, now=now)
    if await _is_away(db, form.staff_id, form, now=now):
        faults = [errors.FieldFault(name, "outside the cover that is arranged") for name in ("from_at", "until_at")]
        raise errors.Conflict("This person is covered at that time already. End that first.", fields=faults)
    args = (form.staff_id, form.covered_by, form.from_at, form.until_at, by, now)
    await db.execute(INSERT, db.clinic_id, cover_id, *args)
    return True


async def _refuse_odd(db: Db, form: CoverForm, *, now: datetime) -> None:
    faults = spans.faults_of(form.from_at, form.until_at, longest=LONGEST, now=now)
    if form.covered_by == form.staff_id:
        faults.append(errors.FieldFault("covered_by", "somebody else"))
    people = {each.staff_id: each for each in await staff.at_work(db)}
    if form.staff_id not in people:
        faults.append(errors.FieldFault("staff_id", "somebody who works here"))
    stands_in = people.get(form.covered_by)
    if stands_in is None or not set(CLINICAL_ROLES) & set(stands_in.roles):
        faults.append(errors.FieldFault("covered_by", "a therapist, prescriber or nurse who works here"))
    # Nobody covers for a cover: of these clients no therapist would be told at all. Who is to cover somebody may still
    # fall ill, so the other way round it is arranged, and the rota says what it leaves open.
    elif await _is_away(db, form.covered_by, form, now=now):
        faults.append(errors.FieldFault("covered_by", "somebody who is not away, and covered, at that time"))
    if faults:
        raise errors.Invalid("This cover cannot be arranged.", fields=faults)


def away_during(standing: Sequence[Cover], staff_id: UUID, from_at: datetime, until_at: datetime) -> list[Cover]:
    """The covers under which somebody is away at some time between two instants."""
    return [
        each for each in standing if each.staff_id == staff_id and each.from_at < until_at and from_at < each.until_at
    ]


async def _is_away(db: Db, staff_id: UUID, form: CoverForm, *, now: datetime) -> bool:
    return bool(away_during(await of_staff(db, staff_id, now=now), staff_id, form.from_at, form.until_at))


END = """
update cover
set until_at = greatest(from_at, least(until_at, $3))
where clinic_id = $1
  and cover_id = $2
"""


async def end(db: Db, cover_id: UUID, *, now: datetime) -> None:
    """End it now; one that has not begun never was. Raises NotFound."""
    if await db.execute(END, db.clinic_id, cover_id, now) == 0:
        raise errors.NotFound("Not found.")


FIND = """
select cover_id, staff_id, covered_by, from_at, until_at, recorded_by, recorded_at
from cover
where clinic_id = $1
  and cover_id = $2
"""


async def find(db: Db, cover_id: UUID) -> Cover | None:
    """One cover by its id."""
    return await db.find(Cover, FIND, db.clinic_id, cover_id)


OF_STAFF = """
select cover_id, staff_id, covered_by, from_at, until_at, recorded_by, recorded_at
from cover
where clinic_id = $1
  and staff_id = $2
  and until_at > $3
  and until_at > from_at
order by from_at, cover_id
"""


async def of_staff(db: Db, staff_id: UUID, *, now: datetime) -> list[Cover]:
    """The covers of one person that hold now or are to come, by time."""
    return await db.rows(Cover, OF_STAFF, db.clinic_id, staff_id, now)


STANDING = """
select cover_id, staff_id, covered_by, from_at, until_at, recorded_by, recorded_at
from cover
where clinic_id = $1
  and until_at > $2
  and until_at > from_at
order by from_at, cover_id
"""


async def standing(db: Db, *, now: datetime) -> list[Cover]:
    """Every cover that holds now or is to come, by time."""
    return await db.rows(Cover, STANDING, db.clinic_id, now)
