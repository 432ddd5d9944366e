"""Bringing daily histories in: the days of a foreign file become facts of origin import.

The key of a day is (source, client, day). An equal day is skipped, a changed one becomes a new version that supersedes,
so that a second run changes nothing. Each chunk of clients is one transaction: killed anywhere, a re-run completes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from itertools import groupby
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.client import RecordOrigin
from schemas.clinic import Clinic
from schemas.course import Substance
from service import audit, checkins, clinics, database, fold_queue, ids, import_course
from service.database import Db, Pool
from service.import_file import History, HistoryDay
from service.sealing import Sealer

ANSWERED = time(12)
CHUNK_DAYS = 2_000
CHUNK_CLIENTS = 50


class Counts(msgspec.Struct, kw_only=True):
    """What became of the days of a file."""

    clients: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0

    @property
    def days(self) -> int:
        """Every day that was taken."""
        return self.new + self.changed + self.unchanged

    def add(self, other: Counts) -> None:
        """Count a further chunk."""
        self.clients += other.clients
        self.new += other.new
        self.changed += other.changed
        self.unchanged += other.unchanged


class ImportedClient(msgspec.Struct, frozen=True, kw_only=True):
    """A client of the source, with the wrapped key of their sealed fields."""

    client_id: UUID
    source_key: str
    wrapped_key: bytes


class StoredDay(msgspec.Struct, frozen=True, kw_only=True):
    """The version of a day that stands."""

    check_in_id: UUID
    client_id: UUID
    client_day: date
    content_hash: bytes


class Importing(msgspec.Struct, frozen=True, kw_only=True):
    """What every step of one import shares."""

    clinic_id: UUID
    zone: ZoneInfo
    source: str
    primary: Substance
    now: datetime


async def bring_in(
    pool: Pool,
    clinic: Clinic,
    master: Sealer,
    history: History,
    *,
    source: str,
    now: datetime,
    stored: Callable[[list[UUID], int], object],
) -> Counts:
    """Store the facts of a history; `stored` hears after each chunk which clients, and how many days of the file."""
    importing = Importing(
        clinic_id=clinic.clinic_id,
        zone=ZoneInfo(clinic.time_zone),
        source=source,
        primary=history.map.primary_substance,
        now=now,
    )
    counts = Counts()
    for chunk in _chunks(history.days):
        async with database.transaction(pool, clinic.clinic_id) as db:
            client_ids, chunk_counts = await _store(db, master, importing, chunk)
        counts.add(chunk_counts)
        stored(client_ids, sum(len(days) for days in chunk.values()))
    return counts


async def find_or_make_clinic(pool: Pool, slug: str, *, now: datetime) -> tuple[Clinic, bool]:
    """The clinic of that slug and whether it had to be made. Raises Invalid for a slug of the wrong shape."""
    async with pool.acquire() as connection:
        found = await clinics.find_by_slug(connection, slug)
    if found is not None:
        return found, False
    async with database.transaction(pool, clinics.new_id()) as db:
        made = await clinics.create(db, slug=slug, name=f"Imported histories ({slug})", time_zone="UTC", now=now)
    return made, True


def _chunks(days: Sequence[HistoryDay]) -> Iterator[dict[str, list[HistoryDay]]]:
    """Whole clients, so many that a transaction stays short; `days` are sorted by client."""
    chunk: dict[str, list[HistoryDay]] = {}
    size = 0
    for client, its_days in groupby(days, key=lambda day: day.client):
        chunk[client] = list(its_days)
        size += len(chunk[client])
        if size >= CHUNK_DAYS or len(chunk) >= CHUNK_CLIENTS:
            yield chunk
            chunk, size = {}, 0
    if chunk:
        yield chunk


async def _store(
    db: Db, master: Sealer, importing: Importing, chunk: dict[str, list[HistoryDay]]
) -> tuple[list[UUID], Counts]:
    clients = await _find_or_add_clients(db, master, importing, chunk)
    standing = await _standing_days(db, importing, [client.client_id for client in clients.values()])
    counts = Counts(clients=len(chunk))
    rows: list[tuple[object, ...]] = []
    for key, days in chunk.items():
        client = clients[key]
        sealer = master.client_sealer(client.wrapped_key, importing.clinic_id, client.client_id)
        touched = await import_course.keep(
            db, client.client_id, days, primary=importing.primary, zone=importing.zone, now=importing.now
        )
        for day in days:
            before = standing.get((client.client_id, day.day))
            row = _check_in(importing, client.client_id, sealer, day, before)
            if row is None:
                counts.unchanged += 1
                continue
            rows.append(row)
            touched.append(day.day)
            counts.new += before is None
            counts.changed += before is not None
        if touched:
            await fold_queue.mark_due(db, client.client_id, from_day=min(touched), now=importing.now)
            await audit.record(db, audit.COMMAND, "history.import", now=importing.now, client_id=client.client_id)
    await db.execute_many(INSERT_CHECK_IN, rows)
    return [client.client_id for client in clients.values()], counts


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
for update of c
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


async def _find_or_add_clients(
    db: Db, master: Sealer, importing: Importing, chunk: dict[str, list[HistoryDay]]
) -> dict[str, ImportedClient]:
    """The clients of this chunk by their key in the source, locked until the transaction ends."""
    keys = list(chunk)
    found = await db.rows(ImportedClient, CLIENTS_OF_SOURCE, importing.clinic_id, importing.source, keys)
    missing = chunk.keys() - {client.source_key for client in found}
    fresh = {key: ids.new() for key in sorted(missing)}
    zone, origin = importing.zone.key, RecordOrigin.IMPORT
    await db.execute_many(
        INSERT_CLIENT,
        [
            (importing.clinic_id, client_id, key, zone, chunk[key][0].day, importing.source, origin, importing.now)
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
        found = await db.rows(ImportedClient, CLIENTS_OF_SOURCE, importing.clinic_id, importing.source, keys)
    await db.execute_many(
        ENROL_EARLIER, [(importing.clinic_id, each.client_id, chunk[each.source_key][0].day) for each in found]
    )
    return {client.source_key: client for client in found}


STANDING_DAYS = """
select c.check_in_id, c.client_id, c.client_day, c.content_hash
from check_in c
where c.clinic_id = $1
  and c.client_id = any($2::uuid[])
  and c.source = $3
  and not exists (
    select
    from check_in newer
    where newer.clinic_id = $1
      and newer.supersedes = c.check_in_id
  )
"""


async def _standing_days(db: Db, importing: Importing, client_ids: list[UUID]) -> dict[tuple[UUID, date], StoredDay]:
    rows = await db.rows(StoredDay, STANDING_DAYS, importing.clinic_id, client_ids, importing.source)
    return {(row.client_id, row.client_day): row for row in rows}


INSERT_CHECK_IN = """
insert into check_in (
  clinic_id, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
  client_day, craving, mood, anxiety, used, note_sealed, scale_version, origin, source, supersedes, content_hash
)
values (
  $1, $2, $3, 'daily', $4, $4, $5, least($4::timestamptz, $5::timestamptz), $6, true,
  $7, $8, $9, $10, $11, $12, $13, 'import', $14, $15, $16
)
"""


def _check_in(
    importing: Importing, client_id: UUID, sealer: Sealer, day: HistoryDay, before: StoredDay | None
) -> tuple[object, ...] | None:
    """The arguments of the day's insert, None when it stands already as it is (or was and is not answered)."""
    answer = {"craving": day.craving, "mood": day.mood, "anxiety": day.anxiety, "used": day.used, "note": day.note}
    digest = sealer.keyed_hash(msgspec.json.encode(answer, order="deterministic"), purpose="check_in.import")
    if (before is None and not day.answered) or (before is not None and before.content_hash == digest):
        return None
    check_in_id = ids.new()
    bound_to = checkins.note_binding(importing.clinic_id, check_in_id)
    note = None if day.note is None else sealer.seal(day.note.encode(), bound_to=bound_to)
    return (
        importing.clinic_id,
        check_in_id,
        client_id,
        datetime.combine(day.day, ANSWERED, importing.zone),
        importing.now,
        importing.zone.key,
        day.day,
        day.craving,
        day.mood,
        day.anxiety,
        day.used,
        note,
        checkins.SCALE_VERSION,
        importing.source,
        None if before is None else before.check_in_id,
        digest,
    )
