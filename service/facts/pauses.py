"""Pauses: client days without reminders, silence and charts. Append-only; the highest version of a pause stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.course import Pause, PauseReason
from service import errors, ids
from service.database import Db
from service.facts import fold_queue
from service.people import clients


async def begin(
    db: Db,
    client_id: UUID,
    *,
    from_on: date,
    until_on: date | None,
    reason: PauseReason,
    by: UUID | None,
    now: datetime,
    pause_id: UUID | None = None,
) -> Pause:
    """Pause a client, also on days that are over: the trend is due from the first of them.

    Raises Invalid where it would end before it begins, Conflict where another pause has a day of it.
    """
    _refuse_backwards(from_on, until_on)
    # One after the other, so that two pauses cannot both find the same days free.
    await clients.hold(db, client_id)
    wanted = Pause(
        pause_id=pause_id or ids.new(),
        version=1,
        client_id=client_id,
        from_on=from_on,
        until_on=until_on,
        reason=reason,
        withdrawn=False,
        recorded_by=None,
        recorded_at=now,
    )
    if any(_share_a_day(wanted, standing) for standing in await of(db, client_id)):
        raise errors.Conflict("Some of these days are paused already.")
    return await _record(db, wanted, by=by, now=now)


def _refuse_backwards(from_on: date, until_on: date | None) -> None:
    if until_on is not None and until_on < from_on:
        raise errors.Invalid(
            "A pause ends on its first day or later.",
            fields=(errors.FieldFault("until_on", "not before the first day"),),
        )


def _share_a_day(one: Pause, other: Pause) -> bool:
    return one.covers(other.from_on) or other.covers(one.from_on)


INSERT = """
insert into pause
  (clinic_id, pause_id, version, client_id, from_on, until_on, reason, withdrawn, recorded_by, recorded_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def _record(db: Db, pause: Pause, *, by: UUID | None, now: datetime) -> Pause:
    """Store it as its newest version, and give it as it is read: with the name of whoever said it, at this time."""
    await db.execute(
        INSERT,
        db.clinic_id,
        pause.pause_id,
        pause.version,
        pause.client_id,
        pause.from_on,
        pause.until_on,
        pause.reason,
        pause.withdrawn,
        by,
        now,
    )
    await fold_queue.mark_due(db, pause.client_id, from_day=pause.from_on, now=now)
    stored = await find(db, pause.pause_id)
    assert stored is not None
    return stored


async def end(db: Db, pause_id: UUID, *, until_on: date | None, by: UUID | None, now: datetime) -> Pause:
    """Give a pause another last day, or (None) withdraw it as never having been; what was said before stays.

    Raises NotFound, Invalid where it would end before it begins, Conflict for one that is withdrawn or would reach
    into another.
    """
    standing = await find(db, pause_id)
    if standing is None:
        raise errors.NotFound("Not found.")
    await clients.hold(db, standing.client_id)
    standing = await find(db, pause_id)
    assert standing is not None
    if standing.withdrawn:
        raise errors.Conflict("This pause was withdrawn.")
    if until_on is not None:
        _refuse_backwards(standing.from_on, until_on)
    changed = msgspec.structs.replace(
        standing,
        version=standing.version + 1,
        until_on=standing.until_on if until_on is None else until_on,
        withdrawn=until_on is None,
    )
    await _refuse_taken_days(db, changed)
    return await _record(db, changed, by=by, now=now)


async def restate(db: Db, pause_id: UUID, *, until_on: date | None, reason: PauseReason, now: datetime) -> None:
    """Make a pause's last day and reason as an import tells them, as a further version. Raises as `end` does."""
    standing = await find(db, pause_id)
    if standing is None:
        raise errors.NotFound("Not found.")
    changed = msgspec.structs.replace(
        standing, version=standing.version + 1, until_on=until_on, reason=reason, withdrawn=False
    )
    _refuse_backwards(changed.from_on, until_on)
    await _refuse_taken_days(db, changed)
    await _record(db, changed, by=None, now=now)


async def _refuse_taken_days(db: Db, changed: Pause) -> None:
    others = [each for each in await of(db, changed.client_id) if each.pause_id != changed.pause_id]
    if not changed.withdrawn and any(_share_a_day(changed, other) for other in others):
        raise errors.Conflict("Some of these days are paused already.")


FIND = """
select p.pause_id, p.version, p.client_id, p.from_on, p.until_on, p.reason, p.withdrawn, s.name as recorded_by,
  p.recorded_at
from pause p
left join staff s
  on s.clinic_id = p.clinic_id
  and s.staff_id = p.recorded_by
where p.clinic_id = $1
  and p.pause_id = $2
order by p.version desc
limit 1
"""


async def find(db: Db, pause_id: UUID) -> Pause | None:
    """A pause as it stands, withdrawn ones too."""
    return await db.find(Pause, FIND, db.clinic_id, pause_id)


STANDING = """
select newest.pause_id, newest.version, newest.client_id, newest.from_on, newest.until_on, newest.reason,
  newest.withdrawn, s.name as recorded_by, newest.recorded_at
from (
  select distinct on (pause_id)
    pause_id, version, client_id, from_on, until_on, reason, withdrawn, recorded_by, recorded_at
  from pause
  where clinic_id = $1
    and client_id = any ($2::uuid[])
  order by pause_id, version desc
) newest
left join staff s
  on s.clinic_id = $1
  and s.staff_id = newest.recorded_by
where not newest.withdrawn
order by newest.client_id, newest.from_on
"""


async def of_many(db: Db, client_ids: Sequence[UUID]) -> list[Pause]:
    """The pauses of some clients that stand, by client and day."""
    return await db.rows(Pause, STANDING, db.clinic_id, list(client_ids))


async def of(db: Db, client_id: UUID) -> list[Pause]:
    """The client's pauses that stand, by day."""
    return await of_many(db, [client_id])


HISTORY = """
select p.pause_id, p.version, p.client_id, p.from_on, p.until_on, p.reason, p.withdrawn, s.name as recorded_by,
  p.recorded_at
from pause p
left join staff s
  on s.clinic_id = p.clinic_id
  and s.staff_id = p.recorded_by
where p.clinic_id = $1
  and p.client_id = $2
order by p.recorded_at, p.pause_id, p.version
"""


async def history_of(db: Db, client_id: UUID) -> list[Pause]:
    """Everything that was ever said about the client's pauses, the oldest first."""
    return await db.rows(Pause, HISTORY, db.clinic_id, client_id)


def covering(pauses: Sequence[Pause], day: date) -> Pause | None:
    """The pause in which that client day lies, None where it is not paused."""
    return next((each for each in pauses if each.covers(day)), None)


def last_day_before(pauses: Sequence[Pause], day: date) -> date | None:
    """The last paused client day before `day`, None where there is none."""
    ended = [min(each.until_on or day, day - timedelta(days=1)) for each in pauses if each.from_on < day]
    return max(ended, default=None)


def uncovered(pauses: Sequence[Pause], first: date, last: date) -> list[tuple[date, date]]:
    """The stretches, from their first to their last day, of the days from `first` to `last` that no pause covers."""
    stretches: list[tuple[date, date]] = []
    for ahead in range((last - first).days + 1):
        day = first + timedelta(days=ahead)
        if covering(pauses, day) is None:
            goes_on = stretches and stretches[-1][1] == day - timedelta(days=1)
            stretches[-1:] = [(stretches[-1][0], day)] if goes_on else [*stretches[-1:], (day, day)]
    return stretches
