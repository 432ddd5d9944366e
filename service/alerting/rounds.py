"""Rounds: each begins at the foot of the ladder, climbs while nobody takes the alert on, and the next begins when
whoever did let it lapse, or where an urgent one reached the top and nobody did."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol
from uuid import UUID

import msgspec

from schemas.alert import Alert, AlertState, EventKind, Tier
from service.alerting import alert_states, deliveries, ladder
from service.database import Db


async def begin_first(db: Db, alert: Alert, *, now: datetime) -> None:
    """Tell of an alert that was opened now: its first round."""
    due_at = await ladder.next_step_at(db, alert.tier, step=deliveries.FIRST_STEP, begin=now)
    await _stand_at(db, alert.alert_id, deliveries.FIRST_STEP, due_at)
    await deliveries.plan(db, alert.alert_id, now=now)


STAND_AT = """
update alert
set step = $3,
    next_step_at = $4
where clinic_id = $1
  and alert_id = $2
"""


async def _stand_at(db: Db, alert_id: UUID, step: int, next_step_at: datetime | None) -> None:
    await db.execute(STAND_AT, db.clinic_id, alert_id, step, next_step_at)


class Standing(Protocol):
    """What of an alert the next round goes on from."""

    @property
    def alert_id(self) -> UUID: ...
    @property
    def tier(self) -> Tier: ...
    @property
    def state(self) -> AlertState: ...
    @property
    def round(self) -> int: ...


TELL_AGAIN = """
update alert
set state = $3,
    round = round + 1
where clinic_id = $1
  and alert_id = $2
"""


async def tell_again(db: Db, alert: Standing, event: EventKind, *, now: datetime) -> None:
    """Begin the next round of an alert that nobody has taken on, where the ladder stands: everybody up there is told
    again, and it climbs on at its pace. Whoever reports again and again would else keep it at its foot.

    The caller holds the alert. Raises Conflict like `begin`.
    """
    state = alert_states.after(alert.state, event, alert.tier)
    await db.execute(TELL_AGAIN, db.clinic_id, alert.alert_id, state)
    await _go_round(db, alert, alert.tier, event, now=now)


async def _go_round(db: Db, alert: Standing, tier: Tier, event: EventKind, *, now: datetime) -> None:
    """Record that its next round began, of this tier, and queue the messages."""
    detail = {"round": alert.round + 1, "from_tier": alert.tier, "to_tier": tier, "from_state": alert.state}
    await alert_states.record(db, alert.alert_id, event, now=now, detail=detail)
    await deliveries.plan(db, alert.alert_id, now=now)


BEGIN = """
update alert
set tier = $3,
    state = $4,
    round = round + 1,
    round_began_at = $7,
    step = $5,
    next_step_at = $6,
    acknowledged_by = null,
    acknowledged_at = null,
    lease_until = null,
    snoozed_until = null
where clinic_id = $1
  and alert_id = $2
"""


async def begin(db: Db, alert: Standing, tier: Tier, event: EventKind, *, now: datetime) -> None:
    """Begin the next round of an alert that the caller holds. Raises Conflict where `event` may not happen to it."""
    state = alert_states.after(alert.state, event, alert.tier)
    due_at = await ladder.next_step_at(db, tier, step=deliveries.FIRST_STEP, begin=now)
    await db.execute(BEGIN, db.clinic_id, alert.alert_id, tier, state, deliveries.FIRST_STEP, due_at, now)
    await _go_round(db, alert, tier, event, now=now)


OVER = """
select alert_id, client_id, tier, state, origin, opened_at, round, acknowledged_by, acknowledged_at, lease_until,
  snoozed_until, recalculated_at, closed_at, outcome
from alert a
where clinic_id = $1
  and (
    state = 'acknowledged'
    and (
      lease_until <= $2
      or not exists (
        select
        from alert_holder_reach r
        where r.clinic_id = a.clinic_id
          and r.alert_id = a.alert_id
          and r.from_at <= greatest(a.acknowledged_at, $2)
          and (r.until_at is null or r.until_at > $2)
      )
    )
    or state = 'snoozed' and snoozed_until <= $2
  )
order by tier, coalesce(lease_until, snoozed_until)
for update skip locked
"""


async def end_lapsed(db: Db, *, now: datetime) -> int:
    """Open again what was taken on and let lapse, or put off until now: the next round tells people; how many.

    So is what is with somebody who reaches it no longer: a cover or a shift is over, they left, or lost a role.
    """
    over = await db.rows(Alert, OVER, db.clinic_id, now)
    for alert in over:
        ended = EventKind.SNOOZE_ENDED if alert.state is AlertState.SNOOZED else EventKind.LEASE_LAPSED
        await begin(db, alert, alert.tier, ended, now=now)
    return len(over)


class _Climbing(msgspec.Struct, frozen=True, kw_only=True):
    alert_id: UUID
    tier: Tier
    state: AlertState
    round: int
    step: int
    round_began_at: datetime


CLIMBING = """
select alert_id, tier, state, round, step, round_began_at
from alert
where clinic_id = $1
  and next_step_at <= $2
  and state in ('open', 'dispatched')
order by tier, next_step_at
for update skip locked
"""


async def climb(db: Db, *, now: datetime) -> int:
    """Take what nobody has taken on in its time to the next step of the ladder, or into the next round; how many steps.

    After a standstill several steps may be due at once: each is recorded, and everybody up to the last is told. Rounds
    that went by meanwhile are not made up for: one begins.
    """
    steps = 0
    for alert in await db.rows(_Climbing, CLIMBING, db.clinic_id, now):
        if ladder.is_last(alert.tier, alert.step):
            await begin(db, alert, alert.tier, EventKind.UNTAKEN, now=now)
            steps += 1
        else:
            steps += await _go_up(db, alert, now=now)
    return steps


async def _go_up(db: Db, alert: _Climbing, *, now: datetime) -> int:
    step = alert.step
    due_at: datetime | None = now
    while due_at is not None and due_at <= now and not ladder.is_last(alert.tier, step):
        step += 1
        alert_states.after(alert.state, EventKind.ESCALATED, alert.tier)
        detail = {"round": alert.round, "step": step}
        await alert_states.record(db, alert.alert_id, EventKind.ESCALATED, now=now, detail=detail)
        due_at = await ladder.next_step_at(db, alert.tier, step=step, begin=alert.round_began_at)
    if due_at is not None and due_at <= now:
        # Whoever is told late, after a standstill, gets their time.
        due_at = now + ladder.URGENT_REST
    await _stand_at(db, alert.alert_id, step, due_at)
    await deliveries.plan(db, alert.alert_id, now=now)
    return step - alert.step


QUIET_AGAIN = """
select a.alert_id
from alert a
where a.clinic_id = $1
  and a.tier = 3
  and a.origin = 'live'
  and a.state not in ('resolved', 'auto_resolved')
  and a.opened_at <= $2::timestamptz - interval '7 days'
  and not exists (
    select from finding f
    where f.clinic_id = $1
      and f.alert_id = a.alert_id
      and f.found_at > $2::timestamptz - interval '7 days'
  )
  and (
    select count(*) filter (where lately.status = 'on_track')
    from (
      select t.status
      from trend t
      where t.clinic_id = $1
        and t.client_id = a.client_id
      order by t.client_day desc
      limit 7
    ) as lately
  ) = 7
order by a.opened_at
for update of a skip locked
"""
CLOSE = """
update alert
set state = $3,
    closed_at = $4,
    lease_until = null,
    snoozed_until = null,
    next_step_at = null
where clinic_id = $1
  and alert_id = $2
  and state = $5
"""


async def auto_resolve(db: Db, *, now: datetime) -> int:
    """Close what was for review and whose client has been on track for seven days; how many. Nothing else, ever."""
    closed = 0
    for record in await db.connection.fetch(QUIET_AGAIN, db.clinic_id, now):
        alert = await deliveries.hold(db, record["alert_id"])
        state = alert_states.after(alert.state, EventKind.AUTO_RESOLVED, alert.tier)
        closed += await db.execute(CLOSE, db.clinic_id, alert.alert_id, state, now, alert.state)
        await alert_states.record(
            db, alert.alert_id, EventKind.AUTO_RESOLVED, now=now, detail={"why": "seven days on track"}
        )
    return closed
