"""Taking back what was just done to an alert by mistake: taking it on, resolving it, or putting it off.

Whoever takes back a resolve, or putting off, has the alert on hand; so has whoever finds later that an alert should not
have been closed, and opens it again. Whoever takes back that they took it on has not: it stands as it stood, and the
ladder goes on with the step that was due when it was due.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.alert import AlertState, EventKind
from schemas.client import RecordOrigin
from service import errors
from service.alerting import alert_states, deliveries, leases
from service.alerting.alert_states import Stood
from service.alerting.deliveries import Routed
from service.database import Db
from service.facts import fold_queue

# The page offers it for ten seconds; a click on the way, or a page without a script, has a minute.
OFFERED = timedelta(seconds=10)
TAKEN = timedelta(seconds=60)


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """What a person did last to an alert, the client day that a resolve counts from, how what they took on stood."""

    alert_id: UUID
    state: AlertState
    kind: EventKind
    staff_id: UUID
    client_day: date | None
    stood: Stood | None
    happened_at: datetime

    @property
    def took_back(self) -> bool:
        """Whether it was a taking back itself; what was opened again stands the same."""
        return self.kind in (EventKind.GIVEN_BACK, EventKind.UNDONE)

    def offered_for(self, now: datetime) -> int:
        """For how many seconds from now on a page still offers to take it back."""
        return _seconds_left(self.happened_at + OFFERED, now)

    def taken_for(self, now: datetime) -> int:
        """For how many seconds from now on it can be taken back: what somebody is about to press stays so long."""
        return _seconds_left(self.happened_at + TAKEN, now)


def _seconds_left(until: datetime, now: datetime) -> int:
    return max(0, int((until - now).total_seconds()))


# A note that was written with the outcome comes before it.
LAST = """
select distinct on (e.alert_id)
  e.alert_id, a.state, e.kind, e.staff_id, e.happened_at,
  (e.detail ->> 'client_day')::date as client_day, e.detail -> 'stood' as stood
from alert_event e
join alert a
  on a.clinic_id = $1
  and a.alert_id = e.alert_id
where e.clinic_id = $1
  and e.alert_id = any ($2::uuid[])
  and e.staff_id is not null
order by e.alert_id, e.alert_event_id desc
"""


async def _last_of(db: Db, alert_ids: Sequence[UUID], by: UUID, now: datetime) -> dict[UUID, Last]:
    return {
        last.alert_id: last
        for last in await db.rows(Last, LAST, db.clinic_id, list(alert_ids))
        if last.staff_id == by and now - last.happened_at <= TAKEN
    }


async def offered_of(db: Db, alert_ids: Sequence[UUID], *, to: UUID, now: datetime) -> dict[UUID, Last]:
    """What this person may take back now, of each of these alerts to which they just did something of the kind."""
    return {each: last for each, last in (await _last_of(db, alert_ids, to, now)).items() if _can_be_taken_back(last)}


async def told_of(db: Db, alert_ids: Sequence[UUID], *, to: UUID, now: datetime) -> dict[UUID, Last]:
    """What a page tells this person of what they just did to each of these alerts: what they may take back, and for as
    long as that is offered, that they took something back."""
    return {
        each: last
        for each, last in (await _last_of(db, alert_ids, to, now)).items()
        if _can_be_taken_back(last) or (last.took_back and last.offered_for(now))
    }


def _can_be_taken_back(last: Last) -> bool:
    """Not what was overtaken, nor what was taken on before it was kept how it stood."""
    if last.kind is EventKind.ACKNOWLEDGED:
        return last.state is AlertState.ACKNOWLEDGED and last.stood is not None
    return (last.kind, last.state) in (
        (EventKind.RESOLVED, AlertState.RESOLVED),
        (EventKind.SNOOZED, AlertState.SNOOZED),
    )


async def offered(db: Db, alert_id: UUID, *, to: UUID, now: datetime) -> Last | None:
    """What this person may take back now; None where they did nothing of the kind just now."""
    return (await offered_of(db, [alert_id], to=to, now=now)).get(alert_id)


OPEN_BESIDE = """
select other.alert_id
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


async def open_beside(db: Db, alert_id: UUID) -> UUID | None:
    """The client's open alert beside which this one cannot be opened again, and in which one goes on instead."""
    found = await db.value(OPEN_BESIDE, db.clinic_id, alert_id)
    assert found is None or isinstance(found, UUID)
    return found


async def take_back(db: Db, alert_id: UUID, *, by: UUID, now: datetime) -> datetime | None:
    """Take back what one did oneself in the last minute; until when one has the alert now, None where one has not.

    Raises NotFound, Conflict where there is nothing to be taken back, its minute is over, or the alert moved on or
    another one of the client was opened meanwhile.
    """
    client_id = (await deliveries.routed(db, alert_id)).client_id
    last = await offered(db, alert_id, to=by, now=now)
    if last is not None and last.client_day is not None:
        # Before the alert's row, as `alerts.resolve` does: what the outcome meant for the trend is taken back, too.
        await fold_queue.mark_due(db, client_id, from_day=last.client_day, now=now)
    alert = await deliveries.hold(db, alert_id)
    last = await offered(db, alert_id, to=by, now=now)
    if last is None:
        raise alert_states.TooLate("There is nothing to be taken back any more.")
    if last.stood is not None:
        await _give_back(db, alert, last.stood, by=by, now=now)
        return None
    return await _on_hand(db, alert, by=by, now=now)


RESOLVED_ON = """
select (detail ->> 'client_day')::date
from alert_event
where clinic_id = $1
  and alert_id = $2
  and kind = 'resolved'
order by alert_event_id desc
limit 1
"""


async def open_again(db: Db, alert_id: UUID, *, by: UUID, now: datetime) -> datetime:
    """Have a resolved alert on hand, whoever resolved it and however long ago; until when.

    What its outcome meant for the trend is taken back from that client day on. Raises NotFound, Conflict where it is
    not resolved, is imported history, or another one of the client is open, which is where to go on.
    """
    alert = await deliveries.routed(db, alert_id)
    if alert.origin is not RecordOrigin.LIVE:
        raise errors.Conflict("Imported history alerts nobody: it stays closed.")
    resolved_on = await db.value(RESOLVED_ON, db.clinic_id, alert_id)
    if isinstance(resolved_on, date):
        # Before the alert's row, as `alerts.resolve` does.
        await fold_queue.mark_due(db, alert.client_id, from_day=resolved_on, now=now)
    alert = await deliveries.hold(db, alert_id)
    if alert.state is not AlertState.RESOLVED:
        raise alert_states.TooLate("Only an alert that somebody resolved can be opened again.")
    return await _on_hand(db, alert, by=by, now=now)


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


async def _on_hand(db: Db, alert: Routed, *, by: UUID, now: datetime) -> datetime:
    state = alert_states.after(alert.state, EventKind.UNDONE, alert.tier)
    if await open_beside(db, alert.alert_id) is not None:
        raise errors.CONSTRAINTS["alert_open_key"]
    until = await leases.until(db, alert.tier, now=now)
    await db.execute(UNDO, db.clinic_id, alert.alert_id, state, by, now, until)
    await alert_states.record(db, alert.alert_id, EventKind.UNDONE, by=by, now=now, detail={"from_state": alert.state})
    return until


# Whoever was being told in the meantime was told: it then stands as sent.
GIVE_BACK = """
update alert
set state = case when $3 = 'open' and exists (
      select from delivery d
      where d.clinic_id = $1
        and d.alert_id = $2
        and d.round = alert.round
        and d.staff_id is not null
        and d.state in ('sent', 'delivered', 'opened')
    ) then 'dispatched' else $3 end,
    next_step_at = $4,
    snoozed_until = $5,
    acknowledged_by = $6,
    acknowledged_at = $7,
    lease_until = $8
where clinic_id = $1
  and alert_id = $2
"""


async def _give_back(db: Db, alert: Routed, stood: Stood, *, by: UUID, now: datetime) -> None:
    """Nobody has it, or whoever had it: a lease that had lapsed, a time it was put off to and the next step of the
    ladder hold as if nobody had touched them, and what was not sent for its sake is sent."""
    alert_states.after(alert.state, EventKind.GIVEN_BACK, alert.tier)
    had = (stood.acknowledged_by, stood.acknowledged_at, stood.lease_until)
    args = (db.clinic_id, alert.alert_id, stood.state, stood.next_step_at, stood.snoozed_until, *had)
    await db.execute(GIVE_BACK, *args)
    detail = {"from_state": alert.state, "to_state": stood.state}
    await alert_states.record(db, alert.alert_id, EventKind.GIVEN_BACK, by=by, now=now, detail=detail)
    await _send_after_all(db, alert.alert_id, in_round=alert.round, now=now)
    await deliveries.plan(db, alert.alert_id, now=now)


SEND_AFTER_ALL = """
update delivery
set state = 'queued',
    due_at = greatest(due_at, $4),
    attempts = 0,
    failing_since = null,
    leased_until = null,
    problem = null,
    settled_at = null
where clinic_id = $1
  and alert_id = $2
  and round = $3
  and state = 'blocked'
  and problem = $5
"""


async def _send_after_all(db: Db, alert_id: UUID, *, in_round: int, now: datetime) -> None:
    """Queue what was not sent because somebody had taken the alert on; from now on it is due."""
    await db.execute(SEND_AFTER_ALL, db.clinic_id, alert_id, in_round, now, deliveries.TAKEN_ON)
