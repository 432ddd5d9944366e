"""Bringing a treatment in: the records of a file become facts of an imported client, beside their daily history.

The key of a record is (source, client, kind, its own key). One that stands as it is is skipped, a changed one corrects
what stands, so that a second run changes nothing. The facts are one transaction; trends are folded after it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby

import msgspec

from schemas.clinic import Clinic
from service import database, fold
from service.database import Db, Pool
from service.facts import fold_queue
from service.import_history import course, ledger, people, placing
from service.import_history.ledger import Standing
from service.import_history.people import ImportedClient, Importing
from service.import_history.records import Record, Treatment, day_of
from service.keys.sealing import Sealer
from service.people import audit

PURPOSE = "imported_record.content"
FOLDED_AT_ONCE = 50


class RecordCounts(msgspec.Struct, kw_only=True):
    """What became of the records of a file."""

    clients: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0

    @property
    def records(self) -> int:
        """Every record of the file."""
        return self.new + self.changed + self.unchanged


async def bring_in(
    pool: Pool,
    clinic: Clinic,
    master: Sealer,
    treatment: Treatment,
    *,
    importing: Importing,
    done: Callable[[int], object],
) -> RecordCounts:
    """Bring a treatment in, whole or not at all; `done` hears how many records each client had.

    Raises BadFile for a record that contradicts what stands. What a kill left unfolded is folded by the next run.
    """
    counts = RecordCounts()
    by_client = {key: list(each) for key, each in groupby(treatment.records, key=lambda record: record.client)}
    async with database.transaction(pool, clinic.clinic_id) as db:
        first_days = {
            key: min(day_of(each.row, importing.zone) for each in records) for key, records in by_client.items()
        }
        clients = await people.find_or_add(db, master, importing, list(by_client), first_days)
        for key, client in sorted(clients.items()):
            await _bring_in_one(db, master, importing, treatment, client, by_client[key], counts)
            done(len(by_client[key]))
    client_ids = [client.client_id for client in clients.values()]
    for first in range(0, len(client_ids), FOLDED_AT_ONCE):
        await fold.fold_many(pool, clinic.clinic_id, client_ids[first : first + FOLDED_AT_ONCE], now=importing.now)
    return counts


async def _bring_in_one(
    db: Db,
    master: Sealer,
    importing: Importing,
    treatment: Treatment,
    client: ImportedClient,
    records: list[Record],
    counts: RecordCounts,
) -> None:
    counts.clients += 1
    sealer = master.client_sealer(client.wrapped_key, importing.clinic_id, client.client_id)
    known = await ledger.of(db, client.client_id)
    fresh = []
    for record in records:
        before = known.get((record.kind, record.key))
        digest = sealer.keyed_hash(msgspec.json.encode(record.row, order="deterministic"), purpose=PURPOSE)
        if before is not None and before.content_hash == digest:
            counts.unchanged += 1
        else:
            fresh.append((record, before, digest))
    if not fresh:
        return
    days = [day_of(record.row, importing.zone) for record, _, _ in fresh]
    reached = await course.reach(db, client.client_id, min(days), max(days), now=importing.now)
    place = placing.Place(
        db=db,
        client_id=client.client_id,
        course_id=reached.course_id,
        sealer=sealer,
        zone=importing.zone,
        now=importing.now,
        treatment=treatment,
    )
    for record, before, digest in fresh:
        object_id = await placing.put(place, record, None if before is None else before.object_id)
        standing = Standing(record=record.kind, record_key=record.key, object_id=object_id, content_hash=digest)
        await ledger.write(db, client.client_id, standing, now=importing.now)
        counts.new += before is None
        counts.changed += before is not None
    await fold_queue.mark_due(db, client.client_id, from_day=min(days), now=importing.now)
    await audit.record(db, audit.COMMAND, "treatment.import", now=importing.now, client_id=client.client_id)
