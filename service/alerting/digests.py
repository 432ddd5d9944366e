"""Each morning's digest to each care-team member, and the audit trail's newest seal to the privacy officer.

A digest comes every day, also when all is quiet: so that its absence says something.
"""

from __future__ import annotations

from datetime import UTC, datetime, time
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import DeliveryKind
from service.alerting import channels
from service.alerting.channels import Told
from service.audit_seals import Signer, head_of
from service.database import Db
from service.keys.sealing import Sealer
from service.notify import Attachment, Counts
from service.people import clinics


class _Reader(msgspec.Struct, frozen=True):
    staff_id: UUID
    kind: DeliveryKind


READERS = """
select s.staff_id, k.kind
from staff s
cross join (values ('digest'), ('audit_head')) as k (kind)
where s.clinic_id = $1
  and s.disabled_at is null
  and case k.kind
    when 'audit_head' then 'privacy_officer' = any (s.roles)
    else exists (
      select
      from care_team_reach m
      where m.clinic_id = $1
        and m.staff_id = s.staff_id
        and m.from_at <= $2
        and (m.until_at is null or m.until_at > $2)
    )
  end
order by s.staff_id, k.kind
"""


async def plan(db: Db, *, now: datetime) -> int:
    """Queue this local morning's digests and seals, each once however often it is asked; how many are new."""
    zone = ZoneInfo((await clinics.get(db)).time_zone)
    morning = datetime.combine(now.astimezone(zone).date(), time(), zone).astimezone(UTC)
    planned = 0
    for reader in await db.rows(_Reader, READERS, db.clinic_id, now):
        channel = channels.ORDER[reader.kind][0]
        told = Told.notice(reader.kind, reader.staff_id, channel, subject_id=None, planned_at=morning)
        planned += await channels.plan(db, told, now=now)
    return planned


# Whatever happened since the digest before, so that a morning that was missed leaves nothing out.
COUNTS = """
select
  count(*) filter (where a.closed_at is null or a.closed_at > $3) as open,
  count(*) filter (where a.opened_at > since.at and a.opened_at <= $3) as new,
  count(*) filter (where a.closed_at > since.at and a.closed_at <= $3) as resolved
from (
  select coalesce(max(d.created_at), $3::timestamptz - interval '1 day') as at
  from delivery d
  where d.clinic_id = $1
    and d.alert_id is null
    and d.kind = 'digest'
    and d.staff_id = $2
    and d.created_at < $3
) since
join alert a
  on a.clinic_id = $1
  and a.origin = 'live'
  and a.opened_at <= $3
  and (a.closed_at is null or a.closed_at > since.at)
  and exists (
    select
    from care_team_reach m
    where m.clinic_id = $1
      and m.client_id = a.client_id
      and m.staff_id = $2
      and m.from_at <= $4
      and (m.until_at is null or m.until_at > $4)
  )
"""


async def counts_for(db: Db, staff_id: UUID, *, at: datetime, now: datetime) -> Counts:
    """How many alerts of the clients whose care team the person is on now: as of `at`, and since the digest before."""
    return await db.get(Counts, COUNTS, db.clinic_id, staff_id, at, now)


async def head_file(db: Db, master: Sealer, *, morning: datetime) -> Attachment | None:
    """The newest seal as `audit verify --head` takes it; None before the first."""
    head = await head_of(db, Signer(master))
    if head is None:
        return None
    clinic = await clinics.get(db)
    day = morning.astimezone(ZoneInfo(clinic.time_zone)).date()
    return Attachment(name=f"audit-head-{clinic.slug}-{day}.json", content=msgspec.json.encode(head) + b"\n")
