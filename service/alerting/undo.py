"""Taking back what was just done to an alert by mistake: a resolve, or putting it off."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.alert import EventKind
from service import errors
from service.alerting import alert_states, deliveries, leases
from service.database import Db
from service.facts import fold_queue

# The page offers it for ten seconds; a click on the way, or a page without a script, has a minute.
OFFERED = timedelta(seconds=10)
TAKEN = timedelta(seconds=60)


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did last to an alert, and the client day that a resolve counts from."""

    kind: EventKind
    staff_id: UUID
    client_day: date | None
    happened_at: datetime


# A note that was written with the outcome comes before it.
LAST = """
select kind, staff_id, (detail ->> 'client_day')::date as client_day, happened_at
from alert_event
where clinic_id = $1
  and alert_id = $2
  and staff_id is not null
order by happened_at desc, alert_event_id desc
limit 1
"""


async def offered(db: Db, alert_id: UUID, *, to: UUID, now: datetime) -> Last | None:
    """What this person may take back now; None where they did nothing of the kind just now."""
    last = await db.find(Last, LAST, db.clinic_id, alert_id)
    if last is None or last.staff_id != to or now - last.happened_at > TAKEN:
        return None
    return last if last.kind in (EventKind.RESOLVED, EventKind.SNOOZED) else None


OTHER_OPEN = """
select true
from alert mine
join alert other
  on other.clinic_id = $1
  and other.client_id = mine.client_id
  and (other.tier = 1) = (mine.tier = 1)
  and other.alert_id <> mine.alert_id
  and other.state not in ('resolved', 'auto_resolved')
where mine.clinic_id = $1
  and mine.alert_id = $2
"""


async def _refuse_beside_another(db: Db, alert_id: UUID) -> None:
    if await db.value(OTHER_OPEN, db.clinic_id, alert_id):
        raise errors.CONSTRAINTS["alert_open_key"]


UNDO = """
update alert
set state = $3,
    outcome = null,
    closed_at = null,
    snoozed_until = null,
    acknowledged_by = $4,
    acknowledged_at = $5,
    lease_until = $6
where clinic_id = $1
  and alert_id = $2
"""


async def take_back(db: Db, alert_id: UUID, *, by: UUID, now: datetime) -> datetime:
    """Take back one's own resolve, or putting off, of the last minute; until when one has the alert now.

    Whoever takes it back has it on hand, as if they had taken it on now. Raises NotFound, Conflict where there is
    nothing to be taken back, its minute is over, or another alert of the client was opened meanwhile.
    """
    client_id = (await deliveries.routed(db, alert_id)).client_id
    last = await offered(db, alert_id, to=by, now=now)
    if last is not None and last.client_day is not None:
        # Before the alert's row, as `alerts.resolve` does: what the outcome meant for the trend is taken back, too.
        await fold_queue.mark_due(db, client_id, from_day=last.client_day, now=now)
    alert = await deliveries.hold(db, alert_id)
    if await offered(db, alert_id, to=by, now=now) is None:
        raise errors.Conflict("There is nothing to be taken back any more.")
    state = alert_states.after(alert.state, EventKind.UNDONE, alert.tier)
    await _refuse_beside_another(db, alert_id)
    until = await leases.until(db, alert.tier, now=now)
    await db.execute(UNDO, db.clinic_id, alert_id, state, by, now, until)
    await alert_states.record(db, alert_id, EventKind.UNDONE, by=by, now=now, detail={"from_state": alert.state})
    return until
