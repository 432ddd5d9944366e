"""What people do to an alert, from the API and from the pages alike: done, and written down."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from schemas.alert import Outcome
from service.alerting import alerts, undo
from service.people import access, clients
from service.web import alert_news
from service.web.desk_session import Desk


async def reached(desk: Desk, alert_id: UUID) -> UUID:
    """The client of an alert that the route's permission reaches; asked before anything is read of a body.

    Raises NotFound.
    """
    return await access.require_alert(desk.db, desk.reach(), alert_id, now=desk.now)


async def acknowledge(desk: Desk, client_id: UUID, alert_id: UUID, *, seen: int | None = None) -> datetime:
    """Take an alert on of which so many events were `seen`; until when. Raises as `alerts.acknowledge` does, and
    Overtaken for what came meanwhile."""
    async with alert_news.in_words(desk, alert_id, seen):
        lease_until = await alerts.acknowledge(desk.db, alert_id, by=desk.who.staff_id, now=desk.now, seen=seen)
    await desk.record("alert.acknowledge", client_id=client_id, object_id=alert_id)
    return lease_until


async def note(
    desk: Desk, client_id: UUID, alert_id: UUID, text: str, *, sent_as: UUID | None = None, seen: int | None = None
) -> None:
    """Write down what was done or seen. Raises as `alerts.note` does."""
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id)
    by, now = desk.who.staff_id, desk.now
    await alerts.note(desk.db, alert_id, text, by=by, now=now, sealer=sealer, sent_as=sent_as, seen=seen)
    await desk.record("alert.note", client_id=client_id, object_id=alert_id)


async def snooze(
    desk: Desk, client_id: UUID, alert_id: UUID, until: datetime, reason: str, *, seen: int | None = None
) -> None:
    """Put it off for a reason. Raises as `alerts.snooze` does, and Overtaken for what came after what was `seen`."""
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id)
    by, now = desk.who.staff_id, desk.now
    async with alert_news.in_words(desk, alert_id, seen):
        await alerts.snooze(desk.db, alert_id, until, reason, by=by, now=now, sealer=sealer, seen=seen)
    await desk.record("alert.snooze", client_id=client_id, object_id=alert_id)


async def resolve(
    desk: Desk,
    client_id: UUID,
    alert_id: UUID,
    outcome: Outcome,
    text: str | None,
    *,
    sent_as: UUID | None = None,
    seen: int | None = None,
) -> None:
    """Close it with what came of it. Raises as `alerts.resolve` does, and Overtaken for what came after what was
    `seen`."""
    sealer = await clients.sealer_of(desk.db, desk.services.master, client_id)
    by, now = desk.who.staff_id, desk.now
    async with alert_news.in_words(desk, alert_id, seen):
        await alerts.resolve(
            desk.db, alert_id, outcome, by=by, now=now, note=text, sent_as=sent_as, sealer=sealer, seen=seen
        )
    await desk.record("alert.resolve", client_id=client_id, object_id=alert_id)


async def take_back(desk: Desk, client_id: UUID, alert_id: UUID) -> datetime | None:
    """Take back what one just did; until when one has the alert, if at all. Raises as `undo.take_back` does."""
    async with alert_news.in_words(desk, alert_id, None):
        lease_until = await undo.take_back(desk.db, alert_id, by=desk.who.staff_id, now=desk.now)
    await desk.record("alert.undo", client_id=client_id, object_id=alert_id)
    return lease_until


async def open_again(desk: Desk, client_id: UUID, alert_id: UUID, why: str | None) -> None:
    """Have on hand again what was resolved by mistake, with a note of `why`. Raises as `undo.open_again` does."""
    async with alert_news.in_words(desk, alert_id, None):
        await undo.open_again(desk.db, alert_id, by=desk.who.staff_id, now=desk.now)
    await desk.record("alert.open_again", client_id=client_id, object_id=alert_id)
    if why is not None:
        await note(desk, client_id, alert_id, why)
