"""The states of an alert: which event may follow in which state, and the one place that writes either."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from schemas.alert import AlertState, EventKind
from service import errors, ids
from service.database import Db

CLOSED = frozenset({AlertState.RESOLVED, AlertState.AUTO_RESOLVED})
_OPEN = frozenset(AlertState) - CLOSED

TRANSITIONS: Mapping[EventKind, tuple[frozenset[AlertState], AlertState | None]] = {
    EventKind.DISPATCHED: (frozenset({AlertState.OPEN}), AlertState.DISPATCHED),
    EventKind.ACKNOWLEDGED: (_OPEN - {AlertState.ACKNOWLEDGED}, AlertState.ACKNOWLEDGED),
    EventKind.RESOLVED: (_OPEN, AlertState.RESOLVED),
    # A tier-1 finding joined, or tier 3 became 2: people must be told again, so what was acknowledged is open again.
    EventKind.REOPENED: (_OPEN, AlertState.OPEN),
    EventKind.RAISED: (_OPEN, AlertState.OPEN),
    # Whoever took the alert on let their time run out.
    EventKind.LEASE_LAPSED: (frozenset({AlertState.ACKNOWLEDGED}), AlertState.OPEN),
    EventKind.JOINED: (_OPEN, None),
    EventKind.NOTED: (frozenset(AlertState), None),
    EventKind.RECALCULATED: (frozenset(AlertState), None),
    EventKind.UNROUTABLE: (_OPEN, None),
}
"""Event → states in which it may happen, and the state it leads to (None: the state stays)."""


def after(state: AlertState, event: EventKind) -> AlertState:
    """The state after `event`. Raises Conflict, naming the state, where it may not happen."""
    allowed, leads_to = TRANSITIONS[event]
    if state not in allowed:
        raise errors.Conflict(f"The alert is {state.replace('_', ' ')}; it cannot be {event.replace('_', ' ')}.")
    return leads_to or state


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
    """Append what happened to an alert, and who did it."""
    await db.execute(
        INSERT_EVENT,
        db.clinic_id,
        event_id or ids.new(),
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


async def dispatch(db: Db, alert_id: UUID, *, now: datetime, delivery_id: UUID) -> bool:
    """Record that a first message went out; False when the alert had moved on already."""
    if await db.execute(MARK_DISPATCHED, db.clinic_id, alert_id) == 0:
        return False
    await record(db, alert_id, EventKind.DISPATCHED, now=now, detail={"delivery_id": str(delivery_id)})
    return True
