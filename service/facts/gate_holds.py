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

    `stands`: the infusion was not given and is on that hold, whether it is to come or was cancelled or missed.
    `answered_at`: the other infusions at whose gates somebody decided while it was proposed there. `settled`: one of
    them was given.
    """

    gate_check_id: UUID
    infusion_id: UUID
    client_id: UUID
    course_id: UUID
    decided_at: datetime
    planned_at: datetime
    infusion_state: InfusionState
    stands: bool
    answered_at: list[UUID]
    settled: bool

    def is_open_for(self, infusion_id: UUID) -> bool:
        """Whether it asks for a decision at that gate. One at another gate answers for that one, until it was given."""
        return self.stands and not self.settled and infusion_id not in self.answered_at


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
  ) as stands,
  array(
    select distinct answer.infusion_id
    from gate_check answer
    where answer.clinic_id = $1
      and answer.client_id = g.client_id
      and g.gate_check_id = any (answer.record_ids)
      and 'held_elsewhere' = any (answer.proposals)
  ) as answered_at,
  exists (
    select
    from gate_check answer
    join infusion o
      on o.clinic_id = answer.clinic_id
      and o.infusion_id = answer.infusion_id
    where answer.clinic_id = $1
      and answer.client_id = g.client_id
      and g.gate_check_id = any (answer.record_ids)
      and 'held_elsewhere' = any (answer.proposals)
      and o.given_at >= answer.decided_at
  ) as settled
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
    holds = await of_clients(db, [client_id])
    return [each for each in holds if each.stands and not each.settled and each.infusion_state in gone]
