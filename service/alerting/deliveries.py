"""The outbox: which person or endpoint is to be told of an alert, written in the transaction that opens it.

Sending is somebody else's work, later and at least once: see `outbox`.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from schemas.alert import AlertState, Delivery, DeliveryKind, EventKind, Tier
from schemas.client import RecordOrigin
from service import ids
from service.alerting import alert_states, channels, waiting
from service.database import Db

log = logging.getLogger(__name__)

FIRST_STEP = 0
TAKEN_ON = "somebody had taken it on first"
# So many failed tries (at once, after half a minute, after two more) are as good as none when somebody must act now.
URGENT_TRIES = 3
NEVER = 1_000
# When every message of a round died, they are tried once more after a pause, which grows with the alert's age.
LEAST_PAUSE = timedelta(minutes=30)
MOST_PAUSE = timedelta(hours=6)


class Routed(msgspec.Struct, frozen=True, kw_only=True):
    """What routing needs to know of an alert."""

    alert_id: UUID
    client_id: UUID
    tier: Tier
    state: AlertState
    origin: RecordOrigin
    round: int
    step: int


HOLD = """
select alert_id, client_id, tier, state, origin, round, step
from alert
where clinic_id = $1
  and alert_id = $2
for no key update
"""


async def hold(db: Db, alert_id: UUID) -> Routed:
    """The alert as routing sees it, locked. Whoever changes an alert's messages holds it first. Raises NotFound."""
    return await db.get(Routed, HOLD, db.clinic_id, alert_id)


ROUTED = """
select alert_id, client_id, tier, state, origin, round, step
from alert
where clinic_id = $1
  and alert_id = $2
"""


async def routed(db: Db, alert_id: UUID) -> Routed:
    """The alert as routing sees it. Raises NotFound."""
    return await db.get(Routed, ROUTED, db.clinic_id, alert_id)


class Recipient(msgspec.Struct, frozen=True, kw_only=True):
    """A person who is to be told, and their address; `reachable`: nothing says that messages do not get through."""

    staff_id: UUID
    email: str
    reachable: bool


# Nearest first: the assigned therapists, or whoever covers them; else whoever else is on the care team or covers; else
# whoever is on call, or the clinic's coordinators where nobody is; else its admins. Whoever is away and covered is left
# out of the first three, unless their cover does not work here any more. A step of the ladder for each; everybody as
# far as the alert has come, and at least as far as the nearest in which somebody can be reached; all, where nobody can.
# Whose e-mail, the last of everybody's channels, died in this round or the one before is out of reach unless another
# channel's message was seen, and for an urgent alert whoever's keeps failing.
RECIPIENTS = """
with away as (
  select staff_id
  from cover_in_force
  where clinic_id = $1
    and from_at <= $3
    and until_at > $3
), called as (
  select staff_id
  from on_call
  where clinic_id = $1
    and shift_until_at > $3
    and from_at <= $3
    and until_at > $3
), team as (
  select m.staff_id, bool_or(m.role = 'therapist') as is_therapist
  from care_team_reach m
  where m.clinic_id = $1
    and m.client_id = $2
    and m.from_at <= $3
    and (m.until_at is null or m.until_at > $3)
    and m.staff_id not in (select staff_id from away)
  group by m.staff_id
), candidate as (
  select s.staff_id, s.email,
    case
      when team.is_therapist then 1
      when team.staff_id is not null then 2
      when s.staff_id in (select staff_id from called) then 3
      when 'coordinator' = any (s.roles) and not exists (select from called) then 3
      when 'admin' = any (s.roles) then 4
    end as nearness,
    not exists (
      select from delivery d
      where d.clinic_id = $1
        and d.alert_id = $4
        and d.staff_id = s.staff_id
        and d.round >= $5 - 1
        and d.channel = 'email'
        and (d.state = 'dead' or (d.state = 'failed' and d.attempts >= $6))
        and not exists (
          select from delivery other
          where other.clinic_id = $1
            and other.alert_id = $4
            and other.staff_id = s.staff_id
            and other.round = d.round
            and other.state in ('delivered', 'opened')
        )
    ) as reachable
  from staff s
  left join team
    on team.staff_id = s.staff_id
  where s.clinic_id = $1
    and s.disabled_at is null
)
select staff_id, email, reachable
from candidate
where nearness <= greatest($7, coalesce((select min(nearness) from candidate where reachable), 4))
order by nearness, staff_id
"""


async def recipients_of(db: Db, alert: Routed, *, now: datetime) -> list[Recipient]:
    """Whoever is to be told of an alert in its present round, as assignments and lost messages stand now."""
    tries = URGENT_TRIES if alert.tier is Tier.URGENT else NEVER
    args = (alert.client_id, now, alert.alert_id, alert.round, tries, alert.step + 1)
    return await db.rows(Recipient, RECIPIENTS, db.clinic_id, *args)


# Whoever has a message of this step already is told by it, on whichever channel; an urgent alert is told on every one.
# Whoever was told by an earlier step of the round is not told again for others being told as well. What is urgent does
# not wait for a clock that runs ahead of the database's.
PLAN_PERSON = """
insert into delivery (
  clinic_id, delivery_id, kind, alert_id, channel, staff_id, round, step, state, due_at, created_at, held
)
select $1::uuid, $2::uuid, 'alert', $3::uuid, $8::text, $4::uuid, $5::smallint, $6::smallint, 'queued',
  case when $9::boolean then least($10::timestamptz, now()) else $10::timestamptz end, $7::timestamptz,
  $10::timestamptz > $7::timestamptz
where not exists (
    select
    from delivery d
    where d.clinic_id = $1
      and d.alert_id = $3
      and d.staff_id = $4
      and d.round = $5
      and (d.step < $6 or (d.step = $6 and not $9::boolean))
  )
on conflict do nothing
"""
# What was blocked while its recipient was not to be told waits again now that they are. Rows in any other state are
# not touched, nor locked: their senders may be about to hold the alert.
QUEUE_BLOCKED = """
update delivery d
set state = 'queued',
    due_at = told.due_at,
    held = told.due_at > $6,
    attempts = 0,
    failing_since = null,
    leased_until = null,
    problem = null,
    settled_at = null
from unnest($4::uuid[], $5::timestamptz[]) as told (staff_id, due_at)
where d.clinic_id = $1
  and d.alert_id = $2
  and d.round = $3
  and d.staff_id = told.staff_id
  and d.state = 'blocked'
"""


async def plan(db: Db, alert_id: UUID, *, now: datetime) -> int:
    """Queue this round's messages of an alert that nobody has taken on; how many were new or were blocked.

    Tier 3 is read in the inbox and an imported alert is history: neither is sent. May be called again: a message that
    is queued already stays one, one that was sent stays sent, and whose message died gives way to the next. Where
    nobody can be reached, the alert says so ("unroutable") and an error is logged.
    """
    alert = await routed(db, alert_id)
    if alert.tier is Tier.REVIEW or alert.origin is RecordOrigin.IMPORT or alert.state not in alert_states.UNTAKEN:
        return 0
    recipients = await recipients_of(db, alert, now=now)
    told = [recipient.staff_id for recipient in recipients]
    urgent = alert.tier is Tier.URGENT
    due_at = dict.fromkeys(told, now) if urgent else await waiting.until_of_each(db, told, now=now)
    planned = await db.execute(
        QUEUE_BLOCKED, db.clinic_id, alert_id, alert.round, list(due_at), list(due_at.values()), now
    )
    for staff_id, own in (await channels.of_each(db, DeliveryKind.ALERT, told)).items():
        for channel in own if urgent else own[:1]:
            args = (db.clinic_id, ids.new(), alert_id, staff_id, alert.round, alert.step, now, channel, urgent)
            planned += await db.execute(PLAN_PERSON, *args, due_at[staff_id])
    if not any(recipient.reachable for recipient in recipients):
        await _tell_unroutable(db, alert, now=now)
    return planned + await _plan_webhooks(db, alert, now=now)


class _Endpoint(msgspec.Struct, frozen=True):
    webhook_endpoint_id: UUID


ENABLED_ENDPOINTS = """
select webhook_endpoint_id
from webhook_endpoint
where clinic_id = $1
  and disabled_at is null
order by webhook_endpoint_id
"""
PLAN_WEBHOOK = """
insert into delivery (
  clinic_id, delivery_id, kind, alert_id, channel, webhook_endpoint_id, round, step, state, due_at, created_at
)
values ($1, $2, 'alert', $3, 'webhook', $4, $5, $6, 'queued', $7, $7)
on conflict do nothing
"""


async def _plan_webhooks(db: Db, alert: Routed, *, now: datetime) -> int:
    planned = 0
    for endpoint in await db.rows(_Endpoint, ENABLED_ENDPOINTS, db.clinic_id):
        planned += await db.execute(
            PLAN_WEBHOOK,
            db.clinic_id,
            ids.new(),
            alert.alert_id,
            endpoint.webhook_endpoint_id,
            alert.round,
            alert.step,
            now,
        )
    return planned


UNROUTABLE_TOLD = """
select exists (
  select from alert_event
  where clinic_id = $1
    and alert_id = $2
    and kind = 'unroutable'
    and (detail ->> 'round')::integer = $3
)
"""


async def _tell_unroutable(db: Db, alert: Routed, *, now: datetime) -> None:
    log.error("alert_unroutable", extra={"clinic_id": db.clinic_id, "alert_id": alert.alert_id, "round": alert.round})
    # Not every caller holds it; the ids of its events give the order in which they came.
    await hold(db, alert.alert_id)
    if not await db.value(UNROUTABLE_TOLD, db.clinic_id, alert.alert_id, alert.round):
        await alert_states.record(db, alert.alert_id, EventKind.UNROUTABLE, now=now, detail={"round": alert.round})


UNTOLD = """
select a.alert_id, a.client_id, a.tier, a.state, a.origin, a.round, a.step
from alert a
where a.clinic_id = $1
  and a.state in ('open', 'dispatched')
  and a.tier <= 2
  and a.origin = 'live'
  and not exists (
    select
    from delivery d
    join staff s
      on s.clinic_id = $1
      and s.staff_id = d.staff_id
      and s.disabled_at is null
    where d.clinic_id = $1
      and d.alert_id = a.alert_id
      and d.round = a.round
      and d.state not in ('blocked', 'dead')
  )
order by a.tier, a.opened_at
"""


async def plan_untold(db: Db, *, now: datetime) -> int:
    """Queue what no person was told of and somebody may be told of by now; how many messages.

    People come and go: whoever is enabled or joins a care team hears of what waits for them. Mail servers come and go,
    too: where everybody's message died, all of them are tried again after a pause. What still reaches nobody has said
    so already (see `plan`).
    """
    planned = 0
    for alert in await db.rows(Routed, UNTOLD, db.clinic_id):
        if any(each.reachable for each in await recipients_of(db, alert, now=now)):
            planned += await plan(db, alert.alert_id, now=now)
        else:
            planned += await _try_the_dead_again(db, alert, now=now)
    return planned


TRY_AGAIN = """
update delivery
set state = 'queued',
    due_at = $4,
    leased_until = null,
    settled_at = null
where clinic_id = $1
  and alert_id = $2
  and round = $3
  and staff_id is not null
  and state = 'dead'
  and settled_at + least(greatest(settled_at - created_at, $5), $6) <= $4
"""


async def _try_the_dead_again(db: Db, alert: Routed, *, now: datetime) -> int:
    return await db.execute(TRY_AGAIN, db.clinic_id, alert.alert_id, alert.round, now, LEAST_PAUSE, MOST_PAUSE)


# Neither a webhook nor a retry that has to wait its turn reaches anybody now. What a sender holds already may have
# gone out before this moment.
ABOUT_TO_BE_TOLD = """
select exists (
  select from delivery
  where clinic_id = $1
    and alert_id = $2
    and round = $3
    and staff_id is not null
    and state in ('queued', 'failed')
    and due_at <= $4
    and (leased_until is null or leased_until <= $4)
)
"""


async def about_to_tell(db: Db, alert_id: UUID, *, in_round: int, now: datetime) -> bool:
    """Whether a message of this round is to go out to a person right now."""
    return await db.value(ABOUT_TO_BE_TOLD, db.clinic_id, alert_id, in_round, now) is True


OF_ALERT = """
select delivery_id, alert_id, channel, staff_id, webhook_endpoint_id, round, step, state, due_at, attempts, problem,
  settled_at, delivered_at, opened_at
from delivery
where clinic_id = $1
  and alert_id = any ($2::uuid[])
order by created_at, delivery_id
"""


async def of_alerts(db: Db, alert_ids: Sequence[UUID]) -> list[Delivery]:
    """Every message of some alerts, as it stands."""
    return await db.rows(Delivery, OF_ALERT, db.clinic_id, list(alert_ids))


async def of_alert(db: Db, alert_id: UUID) -> list[Delivery]:
    """Every message of an alert, as it stands."""
    return await of_alerts(db, [alert_id])
