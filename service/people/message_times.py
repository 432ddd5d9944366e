"""How soon each person wants to be told of what is not urgent, when not, and by which channel first."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import time
from uuid import UUID

from schemas.staff import MessageTimes
from service import errors
from service.database import Db


class _Times(MessageTimes, frozen=True, kw_only=True):
    staff_id: UUID


OF = """
select
  staff_id, tempo, to_char(quiet_from, 'HH24:MI') as quiet_from, to_char(quiet_until, 'HH24:MI') as quiet_until,
  first_channel
from staff
where clinic_id = $1
  and staff_id = any ($2::uuid[])
"""


async def of(db: Db, staff_ids: Sequence[UUID]) -> dict[UUID, MessageTimes]:
    """The times of some people."""
    return {each.staff_id: each for each in await db.rows(_Times, OF, db.clinic_id, list(staff_ids))}


CHOOSE = """
update staff
set tempo = $3,
    quiet_from = $4,
    quiet_until = $5,
    first_channel = $6
where clinic_id = $1
  and staff_id = $2
"""


async def choose(db: Db, staff_id: UUID, times: MessageTimes) -> None:
    """Tell the person so from now on. Raises Invalid for quiet hours without beginning or end, or of no length."""
    if (times.quiet_from is None) != (times.quiet_until is None):
        field = "quiet_until" if times.quiet_until is None else "quiet_from"
        raise errors.Invalid("Quiet hours begin and end.", fields=(errors.FieldFault(field, "needed with the other"),))
    if times.quiet_from is not None and times.quiet_from == times.quiet_until:
        fault = errors.FieldFault("quiet_until", "another time than their beginning")
        raise errors.Invalid("These quiet hours have no length.", fields=(fault,))
    quiet = [None if text is None else time.fromisoformat(text) for text in (times.quiet_from, times.quiet_until)]
    await db.execute(CHOOSE, db.clinic_id, staff_id, times.tempo, *quiet, times.first_channel)
