"""What came to an alert since somebody looked at it: nobody closes, puts off or takes on what they have not read.

A page says of how many events it told. Events are only ever added, each while the alert's row is held and under an id
after those it has: so ids give the order in which they came, and a number says how far somebody has read. When they
happened gives no order: what a long fold finds happened before a note that was written meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

import msgspec

from schemas.alert import AlertEvent, EventKind
from service import errors
from service.database import Db

NEW_REASONS = frozenset({EventKind.JOINED, EventKind.RAISED})


class Unread(errors.Conflict):
    """What somebody would close, put off or take on has become more than they have read."""


class _Count(msgspec.Struct, frozen=True):
    alert_id: UUID
    events: int


COUNTS = """
select alert_id, count(*) as events
from alert_event
where clinic_id = $1
  and alert_id = any ($2::uuid[])
group by alert_id
"""


async def counts(db: Db, alert_ids: Sequence[UUID]) -> Mapping[UUID, int]:
    """How many events each of these alerts has: what a page that tells of them has seen."""
    return {each.alert_id: each.events for each in await db.rows(_Count, COUNTS, db.clinic_id, list(alert_ids))}


COUNTS_OF_OPEN = """
select e.alert_id, count(*) as events
from alert a
join alert_event e
  on e.clinic_id = $1
  and e.alert_id = a.alert_id
where a.clinic_id = $1
  and a.state not in ('resolved', 'auto_resolved')
  and ($2::uuid is null or a.client_id = $2)
group by e.alert_id
"""


async def counts_of_open(db: Db, client_id: UUID | None = None) -> Mapping[UUID, int]:
    """The same of every open alert, of one client's where one is named: asked before a page's reasons are read, for
    what comes while it is made must not count as seen. Of one that is opened meanwhile nothing was seen."""
    found = await db.rows(_Count, COUNTS_OF_OPEN, db.clinic_id, client_id)
    return defaultdict(int, {each.alert_id: each.events for each in found})


SINCE = """
select alert_event_id, kind, staff_id, finding_id, detail, note_sealed, happened_at
from alert_event
where clinic_id = $1
  and alert_id = $2
order by alert_event_id
offset $3
"""


async def since(db: Db, alert_id: UUID, seen: int) -> list[AlertEvent]:
    """What came after the first `seen` events, in the order in which it came."""
    return await db.rows(AlertEvent, SINCE, db.clinic_id, alert_id, seen)


async def refuse_unread(db: Db, alert_id: UUID, *, seen: int | None, by: UUID, reasons_only: bool = False) -> None:
    """Raises Unread where a reason joined after the `seen` events, or a colleague did something.

    `reasons_only`: not for what a colleague did. None seen: nothing is known of what was read. Under the alert's lock.
    """
    if seen is None:
        return
    for event in await since(db, alert_id, seen):
        by_colleague = event.staff_id is not None and event.staff_id != by
        if event.kind in NEW_REASONS or (by_colleague and not reasons_only):
            raise Unread("Something came to this alert since you opened it. Look at it, then do it again.")
