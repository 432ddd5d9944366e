"""A client leaves monitoring and comes back, on their own phone: a pause from today on, of which the team is told.

Leaving is never refused while the course runs. Answers are still taken, and urgent rules stay.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

from schemas.course import Pause, PauseReason
from schemas.device import Monitoring
from service import errors
from service.alerting import notices
from service.database import Db
from service.facts import client_day, client_zone, courses, pauses
from service.people import audit, clients
from service.people.audit import Actor


async def read(db: Db, client_id: UUID, *, now: datetime) -> Monitoring:
    """Whether the client is watched today. Raises Conflict where no course runs."""
    standing, today = await _standing(db, client_id, now=now)
    left = _left_of(standing, today)
    return Monitoring(
        monitored=pauses.covering(standing, today) is None, left_on=None if left is None else left.from_on
    )


async def leave(db: Db, client_id: UUID, *, by: Actor, now: datetime) -> Monitoring:
    """Pause from today on; what the clinic paused on these days gives way. Said again it changes nothing.

    Raises Conflict where no course runs.
    """
    standing, today = await _standing(db, client_id, now=now)
    if (left := _left_of(standing, today)) is not None:
        return Monitoring(monitored=False, left_on=left.from_on)
    for each in standing:
        await _end_before(db, each, today, now=now)
    begun = await pauses.begin(
        db, client_id, from_on=today, until_on=None, reason=PauseReason.LEFT_MONITORING, by=None, now=now
    )
    await audit.record(db, by, "monitoring.leave", client_id=client_id, object_id=begun.pause_id, now=now)
    await notices.tell_team(db, client_id, but=None, now=now)
    return Monitoring(monitored=False, left_on=today)


async def come_back(db: Db, client_id: UUID, *, by: Actor, now: datetime) -> Monitoring:
    """End what `leave` began: today is watched again, unless the clinic paused it. Said again it changes nothing.

    Raises Conflict where no course runs.
    """
    standing, today = await _standing(db, client_id, now=now)
    if (left := _left_of(standing, today)) is not None:
        await _end_before(db, left, today, now=now)
        await audit.record(db, by, "monitoring.come_back", client_id=client_id, object_id=left.pause_id, now=now)
        await notices.tell_team(db, client_id, but=None, now=now)
        standing = await pauses.of(db, client_id)
    return Monitoring(monitored=pauses.covering(standing, today) is None, left_on=None)


async def _standing(db: Db, client_id: UUID, *, now: datetime) -> tuple[list[Pause], date]:
    """The client's pauses and client day, with their course locked: what is done to one is done one after the other."""
    every = await courses.of(db, client_id)
    if not every:
        raise errors.Conflict("No course is under way.")
    courses.refuse_ended(await courses.hold_row(db, every[-1].course_id))
    zone = await client_zone.of(db, await clients.get(db, client_id))
    return await pauses.of(db, client_id), client_day.of(now, zone)


def _left_of(standing: list[Pause], today: date) -> Pause | None:
    found = pauses.covering(standing, today)
    return found if found is not None and found.reason is PauseReason.LEFT_MONITORING else None


async def _end_before(db: Db, pause: Pause, today: date, *, now: datetime) -> None:
    """End a pause with yesterday; one that begins today or later is taken back as never having been."""
    if pause.until_on is not None and pause.until_on < today:
        return
    yesterday = today - timedelta(days=1)
    await pauses.end(db, pause.pause_id, until_on=yesterday if pause.from_on < today else None, by=None, now=now)
