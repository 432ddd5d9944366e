"""Clients: the people in treatment, their data keys and their care teams."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from schemas.client import CareTeamMember, Client, RecordOrigin
from schemas.directory import DirectoryClient
from schemas.staff import Role
from service import errors, ids
from service.database import Db
from service.keys.sealing import Sealer

INSERT_CLIENT = """
insert into client
  (clinic_id, client_id, given_name, family_name, time_zone, enrolled_on, source, source_key, origin, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
INSERT_KEY = """
insert into client_key (clinic_id, client_id, wrapped_key, created_at)
values ($1, $2, $3, $4)
"""


async def add(
    db: Db,
    master: Sealer,
    *,
    given_name: str,
    family_name: str,
    time_zone: str,
    enrolled_on: date,
    now: datetime,
    origin: RecordOrigin = RecordOrigin.LIVE,
    source: str | None = None,
    source_key: str | None = None,
    client_id: UUID | None = None,
) -> UUID:
    """Add a client together with the data key of their sealed fields; their id, a fresh one where none is given.

    `source` and `source_key` name where an imported client comes from and what they are called there.
    """
    client_id = client_id or ids.new()
    await db.execute(
        INSERT_CLIENT,
        db.clinic_id,
        client_id,
        given_name,
        family_name,
        time_zone,
        enrolled_on,
        source,
        source_key,
        origin,
        now,
    )
    await db.execute(INSERT_KEY, db.clinic_id, client_id, master.fresh_client_key(db.clinic_id, client_id), now)
    return client_id


GET = """
select client_id, given_name, family_name, time_zone, enrolled_on, origin
from client
where clinic_id = $1
  and client_id = $2
"""


async def find(db: Db, client_id: UUID) -> Client | None:
    """One client, None where there is no such one."""
    return await db.find(Client, GET, db.clinic_id, client_id)


async def get(db: Db, client_id: UUID) -> Client:
    """One client. Raises NotFound."""
    found = await find(db, client_id)
    if found is None:
        raise errors.NotFound("Not found.")
    return found


def refuse_imported(client: Client) -> None:
    """Raises Conflict for somebody who came with an import: their history alerts nobody, nor would what is new."""
    if client.origin is not RecordOrigin.LIVE:
        raise errors.Conflict(
            "This client came with an import and alerts nobody. Add them as a client to treat them here."
        )


NAMED = """
select client_id, given_name, family_name, time_zone, enrolled_on, origin
from client
where clinic_id = $1
  and client_id = any ($2::uuid[])
"""


async def named(db: Db, client_ids: Sequence[UUID]) -> dict[UUID, Client]:
    """Some clients by their ids; those that are none are left out."""
    return {each.client_id: each for each in await db.rows(Client, NAMED, db.clinic_id, list(client_ids))}


ZONES = """
select time_zone, count(*) as number
from client
where clinic_id = $1
group by time_zone
"""


async def zones(db: Db) -> dict[str, int]:
    """How many clients have each zone."""
    records = await db.connection.fetch(ZONES, db.clinic_id)
    return {record["time_zone"]: record["number"] for record in records}


MOVE_TO_ZONE = """
update client
set time_zone = $2
where clinic_id = $1
  and time_zone = any ($3::text[])
"""


async def move_to_zone(db: Db, time_zone: str, former: Sequence[str]) -> None:
    """Give everybody who has one of some zones another."""
    await db.execute(MOVE_TO_ZONE, db.clinic_id, time_zone, list(former))


IDS_OF = """
select client_id
from client
where clinic_id = $1
order by client_id
"""


async def ids_of(db: Db) -> list[UUID]:
    """Every client of the clinic."""
    return [record["client_id"] for record in await db.connection.fetch(IDS_OF, db.clinic_id)]


DIRECTORY = """
select client_id, given_name, family_name, enrolled_on
from client
where clinic_id = $1
  and ($2::uuid is null or client_id > $2)
order by client_id
limit $3
"""


async def directory(db: Db, *, after: UUID | None, limit: int) -> list[DirectoryClient]:
    """The clinic's clients by name, in the order of their ids, from behind `after` on."""
    return await db.rows(DirectoryClient, DIRECTORY, db.clinic_id, after, limit)


WRAPPED_KEY = """
select wrapped_key
from client_key
where clinic_id = $1
  and client_id = $2
"""


async def sealer_of(db: Db, master: Sealer, client_id: UUID) -> Sealer:
    """The sealer of one client's notes and contacts. Raises NotFound."""
    wrapped = await db.value(WRAPPED_KEY, db.clinic_id, client_id)
    if not isinstance(wrapped, bytes):
        raise errors.NotFound("Not found.")
    return master.client_sealer(wrapped, db.clinic_id, client_id)


OLDEST_KEY = """
select client_id, wrapped_key
from client_key
where clinic_id = $1
order by client_id
limit 1
"""


async def oldest_opens(db: Db, master: Sealer) -> bool:
    """Whether there is a client whose key opens (ids are in the order of time). Raises Invalid where it does not."""
    found = await db.connection.fetchrow(OLDEST_KEY, db.clinic_id)
    if found is None:
        return False
    master.client_sealer(found["wrapped_key"], db.clinic_id, found["client_id"])
    return True


CHANGE = """
update client
set given_name = $3,
    family_name = $4,
    time_zone = $5
where clinic_id = $1
  and client_id = $2
"""


async def change(db: Db, client_id: UUID, *, given_name: str, family_name: str, time_zone: str) -> None:
    """Correct a client's name or zone; whoever gives another zone has the trend folded again.

    Raises NotFound.
    """
    if await db.execute(CHANGE, db.clinic_id, client_id, given_name, family_name, time_zone) == 0:
        raise errors.NotFound("Not found.")


HOLD = """
select client_id
from client
where clinic_id = $1
  and client_id = $2
for no key update
"""


async def hold(db: Db, client_id: UUID) -> None:
    """Let whoever does the same for this client wait until this transaction ends; check-ins do not wait."""
    await db.execute(HOLD, db.clinic_id, client_id)


ASSIGN = """
insert into care_team_member (clinic_id, client_id, staff_id, role, from_at, until_at)
select $1, $2, $3, $4, $5, $6::timestamptz
where not exists (
  select
  from care_team_member
  where clinic_id = $1
    and client_id = $2
    and staff_id = $3
    and role = $4
    and from_at <= $5::timestamptz + interval '1 minute'
    and (until_at is null or until_at > $5)
)
on conflict on constraint care_team_member_pkey do nothing
"""


async def assign(
    db: Db, client_id: UUID, staff_id: UUID, role: Role, *, from_at: datetime, until_at: datetime | None = None
) -> None:
    """Put a person on the client's care team from `from_at` on, open-ended unless `until_at` is given.

    Whoever is on it then in that role stays as they are.
    """
    # Two who assign the same person at once do it one after the other; whoever comes second may have looked at the
    # clock first, hence the minute above.
    await hold(db, client_id)
    await db.execute(ASSIGN, db.clinic_id, client_id, staff_id, role, from_at, until_at)


UNASSIGN = """
update care_team_member
set until_at = $4
where clinic_id = $1
  and client_id = $2
  and staff_id = $3
  and from_at < $4
  and (until_at is null or until_at > $4)
"""


async def unassign(db: Db, client_id: UUID, staff_id: UUID, *, now: datetime) -> None:
    """End a person's membership of the care team. Raises NotFound where there is none now."""
    if await db.execute(UNASSIGN, db.clinic_id, client_id, staff_id, now) == 0:
        raise errors.NotFound("Not found.")


CARE_TEAM = """
select client_id, staff_id, role, from_at, until_at
from care_team_member
where clinic_id = $1
  and client_id = $2
  and from_at <= $3
  and (until_at is null or until_at > $3)
order by from_at, staff_id
"""


async def care_team_of(db: Db, client_id: UUID, *, now: datetime) -> list[CareTeamMember]:
    """Whoever is on the client's care team now."""
    return await db.rows(CareTeamMember, CARE_TEAM, db.clinic_id, client_id, now)


THERAPISTS_TIME = """
select staff_id, sum(upper(span) - lower(span)) as time
from (
  select staff_id, unnest(range_agg(tstzrange(greatest(from_at, $2), least(coalesce(until_at, $3), $3)))) as span
  from care_team_member
  where clinic_id = $1
    and role = 'therapist'
    and from_at < $3
    and coalesce(until_at, $3) > $2
  group by staff_id
) as working
group by staff_id
"""


async def therapists_time(db: Db, *, since: datetime, until: datetime) -> dict[UUID, timedelta]:
    """For how long each person was any client's therapist between two instants; nobody who was not."""
    records = await db.connection.fetch(THERAPISTS_TIME, db.clinic_id, since, until)
    return {record["staff_id"]: record["time"] for record in records if record["time"]}
