"""Who an import is about: the clients of a source, found or added, and what every step of one import shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.client import RecordOrigin
from schemas.course import Substance
from service import ids
from service.database import Db
from service.keys.sealing import Sealer


class ImportedClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client of the source, with the wrapped key of their sealed fields."""

    client_id: UUID
    source_key: str
    wrapped_key: bytes


class Importing(msgspec.Struct, frozen=True, kw_only=True):
    """What every step of one import shares."""

    clinic_id: UUID
    zone: ZoneInfo
    source: str
    primary: Substance
    now: datetime


CLIENTS_OF_SOURCE = """
select c.client_id, c.source_key, k.wrapped_key
from client c
join client_key k
  on k.clinic_id = c.clinic_id
  and k.client_id = c.client_id
where c.clinic_id = $1
  and c.source = $2
  and c.source_key = any($3::text[])
order by c.client_id
for no key update of c
"""
INSERT_CLIENT = """
insert into client (
  clinic_id, client_id, given_name, family_name, time_zone, enrolled_on, source, source_key, origin, created_at
)
values ($1, $2, $3, '', $4, $5, $6, $3, $7, $8)
on conflict (clinic_id, source, source_key) do nothing
"""
INSERT_KEY = """
insert into client_key (clinic_id, client_id, wrapped_key, created_at)
select clinic_id, client_id, $3, $4
from client
where clinic_id = $1
  and client_id = $2
"""
ENROL_EARLIER = """
update client
set enrolled_on = $3
where clinic_id = $1
  and client_id = $2
  and enrolled_on > $3
"""


async def find_or_add(
    db: Db, master: Sealer, importing: Importing, keys: Sequence[str], first_days: Mapping[str, date]
) -> dict[str, ImportedClient]:
    """The clients of these keys in the source, locked until the transaction ends.

    Who is missing is added where `first_days` has the first day that was told of them; whoever is there was enrolled on
    that day at the latest.
    """
    wanted = list(keys)
    found = await db.rows(ImportedClient, CLIENTS_OF_SOURCE, importing.clinic_id, importing.source, wanted)
    missing = first_days.keys() - {client.source_key for client in found}
    fresh = {key: ids.new() for key in sorted(missing)}
    zone, origin = importing.zone.key, RecordOrigin.IMPORT
    await db.execute_many(
        INSERT_CLIENT,
        [
            (importing.clinic_id, client_id, key, zone, first_days[key], importing.source, origin, importing.now)
            for key, client_id in fresh.items()
        ],
    )
    await db.execute_many(
        INSERT_KEY,
        [
            (importing.clinic_id, each, master.fresh_client_key(importing.clinic_id, each), importing.now)
            for each in fresh.values()
        ],
    )
    if fresh:
        # Read again: another import may have added one of them meanwhile.
        found = await db.rows(ImportedClient, CLIENTS_OF_SOURCE, importing.clinic_id, importing.source, wanted)
    await db.execute_many(
        ENROL_EARLIER,
        [
            (importing.clinic_id, each.client_id, first_days[each.source_key])
            for each in found
            if each.source_key in first_days
        ],
    )
    return {client.source_key: client for client in found}
