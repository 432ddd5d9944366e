"""By which channels a person is told, in which order: the next one where a message died or nobody saw it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import msgspec

from schemas.alert import Channel, DeliveryKind
from service import ids
from service.database import Db
from service.people import message_times, staff_addresses

# Nearest to the person first; e-mail is last and everybody's. A digest is a letter, to be found again.
ORDER: Mapping[DeliveryKind, Sequence[Channel]] = MappingProxyType(
    {
        DeliveryKind.ALERT: (Channel.PUSH, Channel.EMAIL),
        DeliveryKind.BRIEF: (Channel.PUSH, Channel.EMAIL),
        DeliveryKind.COURSE: (Channel.PUSH, Channel.EMAIL),
        DeliveryKind.ENDPOINT: (Channel.EMAIL,),
        DeliveryKind.DIGEST: (Channel.EMAIL,),
        DeliveryKind.AUDIT_HEAD: (Channel.EMAIL,),
    }
)
EVERYBODYS = Channel.EMAIL
# A push service takes messages for browsers that are closed. One that shows them says so at once.
WITH_RECEIPT = (Channel.PUSH,)
UNSEEN_AFTER = timedelta(minutes=5)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One person's message about one thing, on one channel."""

    kind: DeliveryKind
    alert_id: UUID | None
    channel: Channel
    staff_id: UUID
    subject_id: UUID | None
    planned_at: datetime | None
    round: int
    step: int

    @classmethod
    def notice(
        cls,
        kind: DeliveryKind,
        staff_id: UUID,
        channel: Channel,
        *,
        subject_id: UUID | None,
        planned_at: datetime,
        round: int = 0,  # noqa: A002 the column's name
    ) -> Told:
        """A message about no alert: told apart by its subject and time, and by a round where it was not needed and is
        again."""
        return cls(
            kind=kind,
            alert_id=None,
            channel=channel,
            staff_id=staff_id,
            subject_id=subject_id,
            planned_at=planned_at,
            round=round,
            step=0,
        )


async def of_each(db: Db, kind: DeliveryKind, staff_ids: Sequence[UUID]) -> dict[UUID, list[Channel]]:
    """The channels by which each of some people can be told of something: the one they chose, then nearest first;
    e-mail at least.
    """
    held = {(each.staff_id, each.channel) for each in await staff_addresses.of(db, staff_ids)}
    chosen = {staff_id: times.first_channel for staff_id, times in (await message_times.of(db, staff_ids)).items()}
    own = {}
    for staff_id in staff_ids:
        nearest = [each for each in ORDER[kind] if each is EVERYBODYS or (staff_id, each) in held]
        first = [each for each in nearest if each == chosen.get(staff_id)]
        own[staff_id] = list(dict.fromkeys([*first, *nearest]))
    return own


PLAN = """
insert into delivery (
  clinic_id, delivery_id, kind, alert_id, channel, staff_id, subject_id, planned_at, round, step, state, due_at,
  created_at, held
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'queued', $11, $11, exists (
    select
    from delivery d
    where d.clinic_id = $1
      and d.alert_id = $4
      and d.staff_id = $6
      and d.round = $9
      and d.step = $10
      and d.held
  ))
on conflict do nothing
"""


async def plan(db: Db, told: Told, *, now: datetime) -> bool:
    """Queue it; False where it is there already, in whatever state."""
    return await db.execute(PLAN, db.clinic_id, ids.new(), *msgspec.structs.astuple(told), now) > 0


STATE = """
select state
from delivery
where clinic_id = $1
  and kind = $2
  and alert_id is not distinct from $3
  and channel = $4
  and staff_id = $5
  and subject_id is not distinct from $6
  and planned_at is not distinct from $7
  and round = $8
  and step = $9
"""


async def plan_next(db: Db, told: Told, *, now: datetime) -> bool:
    """Queue it on the person's next channel; False where there is none left that could reach them."""
    own = (await of_each(db, told.kind, [told.staff_id]))[told.staff_id]
    # A channel that the person has no more: any other may be the next.
    after = own[own.index(told.channel) + 1 :] if told.channel in own else own
    for channel in after:
        on_next = msgspec.structs.replace(told, channel=channel)
        if await plan(db, on_next, now=now):
            return True
        # It was planned before: an urgent alert goes out on every channel at once.
        if await db.value(STATE, db.clinic_id, *msgspec.structs.astuple(on_next)) not in ("dead", "blocked"):
            return True
    return False


UNSEEN = """
select d.kind, d.alert_id, d.channel, d.staff_id, d.subject_id, d.planned_at, d.round, d.step
from alert a
join delivery d
  on d.clinic_id = $1
  and d.alert_id = a.alert_id
  and d.round = a.round
where a.clinic_id = $1
  and a.state in ('open', 'dispatched')
  and d.state = 'sent'
  and d.channel = any ($2::text[])
  and d.settled_at <= $3
  and d.staff_id is not null
  and not exists (
    select
    from delivery other
    where other.clinic_id = $1
      and other.alert_id = d.alert_id
      and other.staff_id = d.staff_id
      and other.round = d.round
      and other.step = d.step
      and other.channel <> d.channel
  )
order by a.tier, d.settled_at
"""


async def plan_unseen(db: Db, *, now: datetime) -> int:
    """Queue, on their next channels, messages that went out a while ago and were shown nowhere; how many."""
    planned = 0
    for told in await db.rows(Told, UNSEEN, db.clinic_id, list(WITH_RECEIPT), now - UNSEEN_AFTER):
        planned += await plan_next(db, told, now=now)
    return planned
