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

from schemas.clinic import Clinic
from service import database, fold, ids
from service.database import Db, Pool
from service.facts import checkins, fold_queue
from service.import_history import course, people
from service.import_history import use as import_use
from service.import_history.file import History, HistoryDay
from service.import_history.people import Importing
from service.import_history.use import ReportedUse
from service.keys.sealing import Sealer
from service.people import audit, clinics

ANSWERED = time(12)
MADE_ZONE = "UTC"
CHUNK_DAYS = 2_000
CHUNK_CLIENTS = 50


class Counts(msgspec.Struct, kw_only=True):
    """What became of the days of a file; `alerts`: how many stand in the history of its clients.

    `clients_before`: how many the source had already.
    """

    clients_before: int = 0
    clients: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    alerts: int = 0

    @property
    def days(self) -> int:
        """Every day that was taken."""
        return self.written + self.unchanged

    @property
    def written(self) -> int:
        """Every day that is other now than it was."""
        return self.new + self.changed

    def count(self, stood: bool, *, changed: bool) -> None:
        """Count one day: whether a version of it stood already, and whether anything about it is different now."""
        self.new += changed and not stood
        self.changed += changed and stood
        self.unchanged += not changed

    def add(self, other: Counts) -> None:
        """Count a further chunk."""
        self.clients += other.clients
        self.new += other.new
        self.changed += other.changed
        self.unchanged += other.unchanged


class StoredDay(msgspec.Struct, frozen=True, kw_only=True):
    """The version of a day that stands."""

    check_in_id: UUID
    client_id: UUID
    client_day: date
    content_hash: bytes


class FreshDay(msgspec.Struct, frozen=True):
    """A version of a day that does not stand yet: the arguments of its insert, and the use it reports."""

    arguments: tuple[object, ...]
    use: ReportedUse


async def bring_in(
    pool: Pool,
    clinic: Clinic,
    master: Sealer,
    history: History,
    *,
    source: str,
    now: datetime,
    done: Callable[[int], object],
) -> Counts:
    """Bring a history in: facts, then trends, findings and alerts; `done` hears after each chunk how many days it had.

    A chunk's trends are folded after its facts are committed; what a kill left unfolded is still due at the next run.
    """
    importing = Importing(
        clinic_id=clinic.clinic_id,
        zone=ZoneInfo(clinic.time_zone),
        source=source,
        primary=history.map.primary_substance,
        now=now,
    )
    counts = Counts()
    async with database.transaction(pool, clinic.clinic_id) as db:
        counts.clients_before = await _count_clients(db, source)
    for chunk in _chunks(sorted([*history.days, *history.blank], key=lambda day: (day.client, day.day))):
        async with database.transaction(pool, clinic.clinic_id) as db:
            client_ids, chunk_counts = await _store(db, master, importing, chunk)
        await fold.fold_many(pool, clinic.clinic_id, client_ids, now=now)
        counts.add(chunk_counts)
        done(sum(len(days) for days in chunk.values()))
    async with database.transaction(pool, clinic.clinic_id) as db:
        counts.alerts = await _count_alerts(db, source, sorted({day.client for day in history.days}))
    return counts


COUNT_CLIENTS = """
select count(*)
from client
where clinic_id = $1
  and source = $2
"""


async def _count_clients(db: Db, source: str) -> int:
    count = await db.value(COUNT_CLIENTS, db.clinic_id, source)
    assert isinstance(count, int)
    return count


COUNT_ALERTS = """
select count(*)
from alert a
join client c
  on c.clinic_id = a.clinic_id
  and c.client_id = a.client_id
where a.clinic_id = $1
  and a.origin = 'import'
  and c.source = $2
  and c.source_key = any($3::text[])
"""


async def _count_alerts(db: Db, source: str, keys: list[str]) -> int:
    count = await db.value(COUNT_ALERTS, db.clinic_id, source, keys)
    assert isinstance(count, int)
    return count


async def find_or_make_clinic(pool: Pool, slug: str, *, now: datetime) -> tuple[Clinic, bool]:
    """The clinic of that slug and whether it had to be made. Raises Invalid for a slug of the wrong shape."""
    async with pool.acquire() as connection:
        found = await clinics.find_by_slug(connection, slug)
    if found is not None:
        return found, False
    async with database.transaction(pool, clinics.new_id()) as db:
        made = await clinics.create(db, slug=slug, name=f"Imported histories ({slug})", time_zone=MADE_ZONE, now=now)
    return made, True


async def zone_of(pool: Pool, slug: str) -> ZoneInfo:
    """The zone of the clinic of that slug, or that of one which an import would make."""
    async with pool.acquire() as connection:
        found = await clinics.find_by_slug(connection, slug)
    return ZoneInfo(MADE_ZONE if found is None else found.time_zone)


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
    # Somebody of whom nothing was ever told is no client.
    first_days = {key: told[0] for key, days in chunk.items() if (told := [day.day for day in days if day.told])}
    clients = await people.find_or_add(db, master, importing, list(chunk), first_days)
    standing = await _standing_days(db, importing, [client.client_id for client in clients.values()])
    counts = Counts(clients=len(clients))
    fresh: list[FreshDay] = []
    for key, client in sorted(clients.items()):
        days = chunk[key]
        sealer = master.client_sealer(client.wrapped_key, importing.clinic_id, client.client_id)
        kept = await course.keep(
            db, client.client_id, days, primary=importing.primary, zone=importing.zone, now=importing.now
        )
        touched = [*kept.course_days, *kept.infusion_days]
        for day in days:
            before = standing.get((client.client_id, day.day))
            row = _fresh_day(importing, client.client_id, sealer, day, before)
            if row is not None:
                fresh.append(row)
                touched.append(day.day)
            changed = row is not None or day.day in kept.infusion_days
            if day.told or changed or before is not None:
                counts.count(before is not None or not day.told, changed=changed)
        if touched:
            await fold_queue.mark_due(db, client.client_id, from_day=min(touched), now=importing.now)
            await audit.record(db, audit.COMMAND, "history.import", now=importing.now, client_id=client.client_id)
    await db.execute_many(INSERT_CHECK_IN, [day.arguments for day in fresh])
    await import_use.find(db, [day.use for day in fresh if day.use.used], now=importing.now)
    return [client.client_id for client in clients.values()], counts


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


def _fresh_day(
    importing: Importing, client_id: UUID, sealer: Sealer, day: HistoryDay, before: StoredDay | None
) -> FreshDay | None:
    """The day's next version; None when it stands already as it is, or neither was nor is answered.

    An answer that is taken back becomes a version without one.
    """
    answer = {"craving": day.craving, "mood": day.mood, "anxiety": day.anxiety, "used": day.used, "note": day.note}
    digest = sealer.keyed_hash(msgspec.json.encode(answer, order="deterministic"), purpose="check_in.import")
    if (before is None and not day.answered) or (before is not None and before.content_hash == digest):
        return None
    check_in_id = ids.new()
    bound_to = checkins.note_binding(importing.clinic_id, check_in_id)
    arguments = (
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
        None if day.note is None else sealer.seal(day.note.encode(), bound_to=bound_to),
        checkins.SCALE_VERSION,
        importing.source,
        None if before is None else before.check_in_id,
        digest,
    )
    use = ReportedUse(client_id=client_id, check_in_id=check_in_id, client_day=day.day, used=day.used or [])
    return FreshDay(arguments, use)
