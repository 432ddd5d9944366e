"""What came to an alert meanwhile, in people's words: who did what and when, and that a reason joined.

Which reason, and what came of it, stands on the page alone: what is refused is told in an error, which holds no health
data.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from schemas.alert import AlertEvent, AlertState, EventKind
from service import errors
from service.alerting import alerts, news
from service.alerting.alert_states import MovedOn, TooLate
from service.desk import told
from service.web.desk_session import Desk
from service.web.pages import clock, moment

# What is told of at all; messages that went out, and further steps of the ladder, change nothing that somebody decides.
WORDS: Mapping[EventKind, str] = MappingProxyType(
    {
        EventKind.JOINED: "a new reason joined at {at}",
        EventKind.RAISED: "it became more urgent at {at}",
        EventKind.ACKNOWLEDGED: "{who} took it on at {at}",
        EventKind.NOTED: "{who} wrote a note at {at}",
        EventKind.SNOOZED: "{who} put it off at {at}",
        EventKind.SNOOZE_ENDED: "the time that it was put off for ended at {at}",
        EventKind.RESOLVED: "{who} closed it at {at}",
        EventKind.AUTO_RESOLVED: "it closed by itself at {at}",
        EventKind.UNDONE: "{who} opened it again at {at}",
        EventKind.GIVEN_BACK: "{who} gave it back at {at}",
        EventKind.LEASE_LAPSED: "the time ran out for which somebody had it, at {at}",
        EventKind.RECALCULATED: "a reason was taken back at {at}",
    }
)
# By which event an alert came into a state, in which nothing more can be done that somebody wanted to do.
CAME_BY: Mapping[AlertState, frozenset[EventKind]] = MappingProxyType(
    {
        AlertState.ACKNOWLEDGED: frozenset({EventKind.ACKNOWLEDGED, EventKind.UNDONE}),
        AlertState.SNOOZED: frozenset({EventKind.SNOOZED}),
        AlertState.RESOLVED: frozenset({EventKind.RESOLVED}),
        AlertState.AUTO_RESOLVED: frozenset({EventKind.AUTO_RESOLVED}),
    }
)


@asynccontextmanager
async def in_words(desk: Desk, alert_id: UUID, seen: int | None) -> AsyncIterator[None]:
    """What is done within is refused, where something came meanwhile, with what that is. Raises Overtaken."""
    try:
        yield
    except news.Unread:
        came = "; ".join(await since(desk, alert_id, seen or 0))
        raise errors.Overtaken(f"Since you opened this page: {came}. Look at it, then press again.") from None
    except MovedOn as refusal:
        stands = await _stands(desk, alert_id)
        said = f"{refusal.message} {stands}".rstrip() if isinstance(refusal, TooLate) else stands or refusal.message
        raise errors.Overtaken(said) from None


async def since(desk: Desk, alert_id: UUID, seen: int) -> list[str]:
    """What came after the first `seen` events, what came more than once by its last time."""
    events = [event for event in await news.since(desk.db, alert_id, seen) if event.kind in WORDS]
    names = await told.names_of(desk.db, (event.staff_id for event in events))
    last = {(event.kind, event.staff_id): event for event in events}
    return [_words(desk, event, names) for event in last.values()]


def _words(desk: Desk, event: AlertEvent, names: Mapping[UUID, str]) -> str:
    own = event.staff_id == desk.who.staff_id
    who = "you" if own else names.get(event.staff_id, "somebody") if event.staff_id else "somebody"
    return WORDS[event.kind].format(who=who, at=_at(desk, event.happened_at))


def _at(desk: Desk, instant: datetime) -> str:
    zone = desk.view.zone
    return (clock if instant.astimezone(zone).date() == desk.today else moment)(instant, zone)


async def _stands(desk: Desk, alert_id: UUID) -> str:
    """Who was first, and until when they have it: "Maren Holt took it on at 21:11 and has it until 21:41."."""
    alert = await alerts.get(desk.db, alert_id)
    came_by = CAME_BY.get(alert.state, frozenset())
    event = next((each for each in reversed(await alerts.events_of(desk.db, alert_id)) if each.kind in came_by), None)
    if event is None:
        return ""
    said = _words(desk, event, await told.names_of(desk.db, [event.staff_id]))
    until = alert.lease_until or alert.snoozed_until
    if until is not None:
        has = "have" if event.staff_id == desk.who.staff_id else "has"
        said += f", until {_at(desk, until)}" if alert.snoozed_until else f" and {has} it until {_at(desk, until)}"
    return f"{said[0].upper()}{said[1:]}."
