"""The states of an alert: which event may follow in which state, and the one place that writes either."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from schemas.alert import AlertState, EventKind, Tier
from service import errors, ids
from service.database import Db

CLOSED = frozenset({AlertState.RESOLVED, AlertState.AUTO_RESOLVED})
UNTAKEN = frozenset({AlertState.OPEN, AlertState.DISPATCHED})
"""Nobody has said yet that they have it."""
_OPEN = frozenset(AlertState) - CLOSED
_EVERY = frozenset(AlertState)
_NOT_URGENT = frozenset(Tier) - {Tier.URGENT}


class Transition(NamedTuple):
    """In which states and tiers an event may happen, and the state it leads to (None: the state stays)."""

    states: frozenset[AlertState]
    leads_to: AlertState | None = None
    tiers: frozenset[Tier] = frozenset(Tier)


TRANSITIONS: Mapping[EventKind, Transition] = {
    EventKind.DISPATCHED: Transition(frozenset({AlertState.OPEN}), AlertState.DISPATCHED),
    EventKind.ACKNOWLEDGED: Transition(_OPEN - {AlertState.ACKNOWLEDGED}, AlertState.ACKNOWLEDGED),
    # Tier 1 is never put off, grouped away or closed by itself.
    EventKind.SNOOZED: Transition(_OPEN - {AlertState.SNOOZED}, AlertState.SNOOZED, _NOT_URGENT),
    EventKind.RESOLVED: Transition(_OPEN, AlertState.RESOLVED),
    EventKind.AUTO_RESOLVED: Transition(_OPEN, AlertState.AUTO_RESOLVED, frozenset({Tier.REVIEW})),
    # Whoever pressed the wrong button has it on hand again.
    EventKind.UNDONE: Transition(frozenset({AlertState.RESOLVED, AlertState.SNOOZED}), AlertState.ACKNOWLEDGED),
    # They did not mean to take it on: it goes on where it stood, see `undo`.
    EventKind.GIVEN_BACK: Transition(frozenset({AlertState.ACKNOWLEDGED}), AlertState.OPEN),
    # A tier-1 finding joined, or tier 3 became 2: people must be told again, so what was acknowledged is open again.
    EventKind.REOPENED: Transition(_OPEN, AlertState.OPEN),
    EventKind.RAISED: Transition(_OPEN, AlertState.OPEN),
    # Whoever took the alert on let their time run out; the time it was put off for is over.
    EventKind.LEASE_LAPSED: Transition(frozenset({AlertState.ACKNOWLEDGED}), AlertState.OPEN),
    EventKind.SNOOZE_ENDED: Transition(frozenset({AlertState.SNOOZED}), AlertState.OPEN, _NOT_URGENT),
    # Nobody took it on in a whole round.
    EventKind.UNTAKEN: Transition(UNTAKEN, AlertState.OPEN, frozenset({Tier.URGENT})),
    # Nobody took it on in the time of a step of the ladder.
    EventKind.ESCALATED: Transition(UNTAKEN, None, frozenset({Tier.URGENT, Tier.TODAY})),
    EventKind.JOINED: Transition(_OPEN),
    EventKind.NOTED: Transition(_EVERY),
    EventKind.RECALCULATED: Transition(_EVERY),
    EventKind.UNROUTABLE: Transition(_OPEN),
}


class MovedOn(errors.Conflict):
    """The alert is in a state in which this cannot happen to it: somebody was faster."""


class TooLate(MovedOn):
    """What somebody would take back cannot be taken back any more."""


class Stood(msgspec.Struct, frozen=True, kw_only=True):
    """How an alert stood when somebody took it on: kept with that event, so that it can go on from there."""

    state: AlertState
    next_step_at: datetime | None
    snoozed_until: datetime | None
    acknowledged_by: UUID | None
    acknowledged_at: datetime | None
    lease_until: datetime | None


def after(state: AlertState, event: EventKind, tier: Tier) -> AlertState:
    """The state after `event`. Raises Conflict, naming what stands against it, where it may not happen."""
    transition = TRANSITIONS[event]
    if tier not in transition.tiers:
        raise errors.Conflict(f"An alert that is marked {tier.word} cannot be {event.replace('_', ' ')}.")
    if state not in transition.states:
        raise MovedOn(f"The alert is {state.replace('_', ' ')}; it cannot be {event.replace('_', ' ')}.")
    return transition.leads_to or state


LAST_EVENT = """
select alert_event_id
from alert_event
where clinic_id = $1
  and alert_id = $2
order by alert_event_id desc
limit 1
"""


async def next_event_id(db: Db, alert_id: UUID) -> UUID:
    """The id of the alert's next event, after those it has, whichever host's clock made them. Under its lock."""
    last = await db.value(LAST_EVENT, db.clinic_id, alert_id)
    return ids.after(last if isinstance(last, UUID) else None)


INSERT_EVENT = """
insert into alert_event (
  clinic_id, alert_event_id, alert_id, kind, staff_id, finding_id, detail, note_sealed, happened_at
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""


async def record(
    db: Db,
    alert_id: UUID,
    kind: EventKind,
    *,
    now: datetime,
    by: UUID | None = None,
    finding_id: UUID | None = None,
    detail: Mapping[str, object] | None = None,
    event_id: UUID | None = None,
    note_sealed: bytes | None = None,
) -> None:
    """Append what happened to an alert, and who did it; `event_id` where `next_event_id` gave it before."""
    await db.execute(
        INSERT_EVENT,
        db.clinic_id,
        event_id or await next_event_id(db, alert_id),
        alert_id,
        kind,
        by,
        finding_id,
        dict(detail or {}),
        note_sealed,
        now,
    )


MARK_DISPATCHED = """
update alert
set state = 'dispatched'
where clinic_id = $1
  and alert_id = $2
  and state = 'open'
"""


async def dispatch(db: Db, alert_id: UUID, *, now: datetime, delivery_id: UUID) -> None:
    """Record that a first message went out; nothing where the alert had moved on already."""
    if await db.execute(MARK_DISPATCHED, db.clinic_id, alert_id):
        await record(db, alert_id, EventKind.DISPATCHED, now=now, detail={"delivery_id": str(delivery_id)})
