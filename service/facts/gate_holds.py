"""Holds that people put on infusions at their gates, and which of them nobody has answered yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from schemas.course import InfusionState
from service.database import Db


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """A hold, with the infusion it was put on as that stands now.

    `unanswered`: the infusion was not given and is on that hold, whether it is to come or was cancelled or missed; and
    since the hold no infusion of the course was given, and nobody decided at another gate knowing of it.
    """

    gate_check_id: UUID
    infusion_id: UUID
    client_id: UUID
    course_id: UUID
    decided_at: datetime
    planned_at: datetime
    infusion_state: InfusionState
    unanswered: bool


HOLDS = """
select
  g.gate_check_id, g.infusion_id, g.client_id, i.course_id, g.decided_at, i.planned_at, i.state as infusion_state,
  i.given_at is null
  and not exists (
    select
    from gate_check later
    where later.clinic_id = $1
      and later.infusion_id = g.infusion_id
      and (later.decided_at, later.gate_check_id) > (g.decided_at, g.gate_check_id)
  )
  and not exists (
    select
    from infusion o
    where o.clinic_id = $1
      and o.course_id = i.course_id
      and o.given_at > g.decided_at
  )
  and not exists (
    select
    from gate_check answer
    where answer.clinic_id = $1
      and answer.client_id = g.client_id
      and g.gate_check_id = any (answer.record_ids)
  ) as unanswered
from gate_check g
join infusion i
  on i.clinic_id = g.clinic_id
  and i.infusion_id = g.infusion_id
where g.clinic_id = $1
  and g.client_id = any ($2::uuid[])
  and g.decision = 'hold'
order by g.decided_at, g.gate_check_id
"""


async def of_clients(db: Db, client_ids: Sequence[UUID]) -> list[Hold]:
    """Every hold that was put on an infusion of these clients, in order."""
    return await db.rows(Hold, HOLDS, db.clinic_id, list(client_ids))


async def left_by_plan(db: Db, client_id: UUID) -> list[Hold]:
    """The holds of infusions that were cancelled or missed, which ask for a decision at the client's next gate."""
    gone = (InfusionState.CANCELLED, InfusionState.MISSED)
    return [each for each in await of_clients(db, [client_id]) if each.unanswered and each.infusion_state in gone]
