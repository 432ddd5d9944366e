"""Sending what the outbox holds: claim under a lease, send, settle. Killed in between, it is sent again.

A message keeps its id over every attempt. We prefer a duplicate to a miss. What a message says and to whom is read when
it is sent: see `writing`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never
from uuid import UUID

import msgspec

from schemas.alert import Channel, Tier
from service import database
from service.alerting import alert_states, channels, deliveries, endpoints, writing
from service.alerting.channels import Told
from service.alerting.writing import Blocked, Claimed, Sending
from service.database import Db, Pool
from service.notify import Dead, Disable, Message, Notifier, Result, Retry, Sent, Template
from service.people import audit, staff_addresses

log = logging.getLogger(__name__)

# Outlasts any batch: its messages go at the same time, and every channel gives up after 10 s.
LEASE = timedelta(seconds=30)


class Lane(StrEnum):
    """Which messages: a sender of urgent ones alone runs beside that of all, so that none of them waits for another."""

    URGENT = "urgent"
    ALL = "all"


class Delivered(msgspec.Struct, kw_only=True):
    """What became of the messages that were due."""

    sent: int = 0
    failed: int = 0
    dead: int = 0
    blocked: int = 0

    def add(self, other: Delivered) -> None:
        """Count a further clinic."""
        self.sent += other.sent
        self.failed += other.failed
        self.dead += other.dead
        self.blocked += other.blocked


# With a message that was held come all others of the person that were, however many: they go out as one.
CLAIM = """
with next as (
  select d.delivery_id, d.staff_id, d.channel, d.held, a.client_id, a.tier, a.state, a.round
  from delivery d
  left join alert a
    on a.clinic_id = $1
    and a.alert_id = d.alert_id
  where d.clinic_id = $1
    and d.channel = $5
    and (a.tier = 1 or not $6)
    and d.state in ('queued', 'failed')
    and d.due_at <= $2
    and (d.leased_until is null or d.leased_until <= $2)
  order by a.tier nulls last, d.due_at, d.delivery_id
  limit $4
  for update of d skip locked
), beside as (
  select d.delivery_id, a.client_id, a.tier, a.state, a.round
  from delivery d
  join alert a
    on a.clinic_id = $1
    and a.alert_id = d.alert_id
  where d.clinic_id = $1
    and d.held
    and (d.staff_id, d.channel) in (select staff_id, channel from next where held)
    and d.delivery_id not in (select delivery_id from next)
    and d.state in ('queued', 'failed')
    and d.due_at <= $2
    and (d.leased_until is null or d.leased_until <= $2)
  for update of d skip locked
)
update delivery d
set leased_until = $3,
    attempts = attempts + 1
from (
  select delivery_id, client_id, tier, state, round
  from next
  union all
  select delivery_id, client_id, tier, state, round
  from beside
) as due
where d.clinic_id = $1
  and d.delivery_id = due.delivery_id
returning
  d.delivery_id, d.kind, d.alert_id, due.client_id, d.channel, d.staff_id, d.webhook_endpoint_id, d.subject_id,
  d.planned_at, d.round, d.step, d.attempts, d.created_at, due.tier as alert_tier, due.state as alert_state,
  due.round as alert_round, d.held
"""
# What is about no alert comes after what is.
LAST = 9


async def claim(db: Db, channel: Channel, lane: Lane, *, at_once: int, now: datetime) -> list[Claimed]:
    """Lease messages of a lane that are due on a channel, `at_once` of them and what goes together with one of them:
    the most urgent first, then the longest due."""
    args = (now, now + LEASE, at_once, channel, lane is Lane.URGENT)
    claimed = await db.rows(Claimed, CLAIM, db.clinic_id, *args)
    return sorted(claimed, key=lambda each: (each.alert_tier or LAST, each.created_at))


async def deliver(
    pool: Pool, clinic_id: UUID, sending: Sending, channel: Channel, lane: Lane, *, now: datetime
) -> Delivered:
    """Send a batch of one clinic's messages that are due, as many as the channel takes at the same time.

    Recipients are read again here, for people come and go while messages wait.
    """
    counts = Delivered()
    async with database.transaction(pool, clinic_id) as db:
        claimed = await claim(db, channel, lane, at_once=sending.notifiers[channel].at_once, now=now)
        ready = [(each, await _written_or_blocked(db, each, sending, counts, now=now)) for each in claimed]
    async with asyncio.TaskGroup() as group:
        for parts, messages in _together(ready):
            group.create_task(_send(pool, clinic_id, sending, parts, messages, counts, now=now))
    return counts


def _together(
    ready: Sequence[tuple[Claimed, Sequence[Message]]],
) -> Iterator[tuple[Sequence[Claimed], Sequence[Message]]]:
    """What there is to send, and of which messages it tells: those of one person that were held go as the first one."""
    held: defaultdict[tuple[UUID | None, Channel], list[tuple[Claimed, Sequence[Message]]]] = defaultdict(list)
    for each, messages in ready:
        if messages and each.held:
            held[each.staff_id, each.channel].append((each, messages))
        elif messages:
            yield [each], messages
    for parts in held.values():
        first = parts[0][1]
        several = [msgspec.structs.replace(message, template=Template.ALERTS) for message in first]
        yield [each for each, _ in parts], several if len(parts) > 1 else first


async def _written_or_blocked(
    db: Db, claimed: Claimed, sending: Sending, counts: Delivered, *, now: datetime
) -> Sequence[Message]:
    written = await writing.write(db, claimed, sending, now=now)
    if not isinstance(written, Blocked):
        return written
    counts.blocked += 1
    await _settle(db, claimed, "blocked", written.problem, now=now)
    if written.next_channel:
        await _go_on(db, claimed, now=now)
    elif written.somebody_else and claimed.alert_id is not None:
        # Whoever is to be told instead gets a message of their own.
        await deliveries.plan(db, claimed.alert_id, now=now)
    return ()


SENT_WITH = """
update delivery
set sent_with = nullif($3::uuid, delivery_id)
where clinic_id = $1
  and delivery_id = any ($2::uuid[])
"""


async def _send(
    pool: Pool,
    clinic_id: UUID,
    sending: Sending,
    parts: Sequence[Claimed],
    messages: Sequence[Message],
    counts: Delivered,
    *,
    now: datetime,
) -> None:
    claimed = parts[0]
    notifier = sending.notifiers[claimed.channel]
    about = {"clinic_id": clinic_id, "delivery_id": claimed.delivery_id}
    outside = any(message.outside for message in messages)

    async def sent(message: Message) -> Result:
        try:
            return await notifier.send(message, now=now)
        except Exception as error:
            log.exception("delivery_raised", extra=about)
            return Retry(f"unexpected {type(error).__name__}")

    results = await asyncio.gather(*(sent(message) for message in messages))
    try:
        async with database.transaction(pool, clinic_id) as db:
            for alert_id in sorted(each.alert_id for each in parts if each.alert_id is not None):
                await deliveries.hold(db, alert_id)
            await _forget_gone(db, messages, results, now=now)
            for each in parts:
                await _keep_result(db, each, notifier, _best_of(results), counts, outside=outside, now=now)
            if claimed.held:
                told_of = [each.delivery_id for each in parts]
                await db.execute(SENT_WITH, db.clinic_id, told_of, claimed.delivery_id)
    except Exception:
        # It is sent again when its lease has ended. The other messages of the batch are not to suffer for it.
        counts.failed += 1
        log.exception("delivery_not_settled", extra=about)


def _best_of(results: Sequence[Result]) -> Result:
    """Of a person's several addresses one is enough; while one can be tried again, it is not over."""
    by_worth = [each for wanted in (Sent, Retry, Dead, Disable) for each in results if isinstance(each, wanted)]
    return by_worth[0]


async def _forget_gone(db: Db, messages: Sequence[Message], results: Sequence[Result], *, now: datetime) -> None:
    for message, result in zip(messages, results, strict=True):
        if isinstance(result, Disable) and message.address_id is not None:
            await staff_addresses.end(db, message.address_id, why=result.problem, now=now)


async def _keep_result(
    db: Db, claimed: Claimed, notifier: Notifier, result: Result, counts: Delivered, *, outside: bool, now: datetime
) -> None:
    match result:
        case Sent():
            counts.sent += 1
            await _settle(db, claimed, "sent", None, now=now)
            if outside:
                await _disclosed(db, claimed, reason=None, now=now)
            # A machine that took it is nobody who can act.
            if claimed.alert_id is not None and claimed.staff_id is not None:
                await alert_states.dispatch(db, claimed.alert_id, now=now, delivery_id=claimed.delivery_id)
        case Retry(problem=problem, after_seconds=after_seconds):
            # It may have been read although its answer was lost, and the next try may be withheld.
            if outside and claimed.attempts == 1:
                await _disclosed(db, claimed, reason="tried; whether it was read is not known", now=now)
            waits = notifier.retry_after_seconds
            if claimed.attempts > len(waits):
                await _bury(db, claimed, problem, counts, now=now)
                if claimed.webhook_endpoint_id is not None:
                    await endpoints.give_up(db, claimed.webhook_endpoint_id, since=claimed.created_at, now=now)
                return
            counts.failed += 1
            wait = max(after_seconds or 0.0, waits[claimed.attempts - 1])
            await db.execute(POSTPONE, db.clinic_id, claimed.delivery_id, now + timedelta(seconds=wait), problem, now)
            if claimed.attempts >= deliveries.URGENT_TRIES:
                await _try_elsewhere(db, claimed, now=now)
        case Dead(problem=problem):
            await _bury(db, claimed, problem, counts, now=now)
        case Disable(problem=problem):
            if claimed.webhook_endpoint_id is not None:
                await endpoints.disable(db, claimed.webhook_endpoint_id, why=problem, now=now)
            await _bury(db, claimed, problem, counts, now=now)
        case _:
            assert_never(result)


async def _disclosed(db: Db, claimed: Claimed, *, reason: str | None, now: datetime) -> None:
    """What somebody outside the clinic was told of stands in the client's audit trail."""
    about, told = claimed.client_id, claimed.webhook_endpoint_id
    await audit.record(db, audit.JOB, "alert.disclose", client_id=about, object_id=told, reason=reason, now=now)


POSTPONE = """
update delivery
set state = 'failed',
    due_at = $3,
    failing_since = coalesce(failing_since, $5),
    leased_until = null,
    problem = $4
where clinic_id = $1
  and delivery_id = $2
  and state in ('queued', 'failed')
"""


async def _bury(db: Db, claimed: Claimed, problem: str, counts: Delivered, *, now: datetime) -> None:
    counts.dead += 1
    log.error("delivery_dead", extra={"clinic_id": db.clinic_id, "delivery_id": claimed.delivery_id})
    await _settle(db, claimed, "dead", problem, now=now)
    # In the same transaction: whoever is next hears of it now, not when somebody reads the log.
    await _go_on(db, claimed, now=now)


async def _try_elsewhere(db: Db, claimed: Claimed, *, now: datetime) -> None:
    """What keeps failing is tried on the person's next channel, too; what is urgent is on all, and goes to others."""
    if claimed.alert_tier is Tier.URGENT:
        await _tell_others(db, claimed, now=now)
    elif claimed.staff_id is not None:
        await channels.plan_next(db, _told(claimed, claimed.staff_id), now=now)


async def _go_on(db: Db, claimed: Claimed, *, now: datetime) -> None:
    """What reached nobody on this channel goes to the person's next one; from the last one on to others."""
    if claimed.staff_id is not None and not await channels.plan_next(db, _told(claimed, claimed.staff_id), now=now):
        await _tell_others(db, claimed, now=now)


def _told(claimed: Claimed, staff_id: UUID) -> Told:
    return Told(
        kind=claimed.kind,
        alert_id=claimed.alert_id,
        staff_id=staff_id,
        channel=claimed.channel,
        subject_id=claimed.subject_id,
        planned_at=claimed.planned_at,
        round=claimed.round,
        step=claimed.step,
    )


async def _tell_others(db: Db, claimed: Claimed, *, now: datetime) -> None:
    if claimed.staff_id is not None and claimed.alert_id is not None:
        await deliveries.plan(db, claimed.alert_id, now=now)


SETTLE = """
update delivery
set state = $3,
    problem = $4,
    settled_at = $5,
    leased_until = null
where clinic_id = $1
  and delivery_id = $2
  and state in ('queued', 'failed')
"""


async def _settle(db: Db, claimed: Claimed, state: str, problem: str | None, *, now: datetime) -> None:
    await db.execute(SETTLE, db.clinic_id, claimed.delivery_id, state, problem, now)
