"""Endpoints that take nothing any more: disabled, and the clinic's admins are told that they were."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from schemas.alert import DeliveryKind
from service.alerting import channels
from service.alerting.channels import Told
from service.database import Db
from service.people import webhook_endpoints

FOR_DAYS = "it failed for days: every try of a message was used up, and nothing else got through meanwhile"

GOT_THROUGH = """
select exists (
  select
  from delivery
  where clinic_id = $1
    and webhook_endpoint_id = $2
    and state in ('sent', 'delivered', 'opened')
    and settled_at >= $3
)
"""


async def give_up(db: Db, endpoint_id: UUID, *, since: datetime, now: datetime) -> None:
    """Disable an endpoint whose message of `since` used up every try, unless others have got through meanwhile."""
    if not await db.value(GOT_THROUGH, db.clinic_id, endpoint_id, since):
        await disable(db, endpoint_id, why=FOR_DAYS, now=now)


class _Admin(msgspec.Struct, frozen=True):
    staff_id: UUID


ADMINS = """
select staff_id
from staff
where clinic_id = $1
  and 'admin' = any (roles)
  and disabled_at is null
order by staff_id
"""


async def disable(db: Db, endpoint_id: UUID, *, why: str, now: datetime) -> None:
    """Send nothing there from now on, and tell the admins; once, however many messages find it so."""
    if not await webhook_endpoints.disable(db, endpoint_id, why=why, now=now):
        return
    kind = DeliveryKind.ENDPOINT
    for admin in await db.rows(_Admin, ADMINS, db.clinic_id):
        channel = channels.ORDER[kind][0]
        told = Told.notice(kind, admin.staff_id, channel, subject_id=endpoint_id, planned_at=now)
        await channels.plan(db, told, now=now)


STILL_DISABLED = """
select true
from webhook_endpoint e
join staff s
  on s.clinic_id = e.clinic_id
  and s.staff_id = $3
  and 'admin' = any (s.roles)
where e.clinic_id = $1
  and e.webhook_endpoint_id = $2
  and e.disabled_at = $4
"""


async def is_news(db: Db, endpoint_id: UUID | None, staff_id: UUID | None, *, disabled_at: datetime | None) -> bool:
    """Whether the endpoint is still disabled since then, and the person still an admin."""
    return await db.value(STILL_DISABLED, db.clinic_id, endpoint_id, staff_id, disabled_at) is True
