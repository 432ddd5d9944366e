"""A restore drill: restore the newest backup somewhere else, prove what came back, and throw it away.

RPO (recovery point objective) here is what a loss of the server would have cost: from the last transaction that came
back to the last that the running server had. RTO (recovery time objective) is the time until what came back was
restored, running and held against its backup's contents.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

import msgspec

from schemas.clinic import Clinic
from service import audit_seals, database, embedded, errors, fold, roles, root_key, schema, trends
from service.audit_seals import Signer
from service.backup import contents, restore
from service.backup.base_backup import Backup
from service.backup.restore import Restored
from service.config import Config, embedded_url
from service.database import Db, Pool
from service.embedded.contents import refuse_foreign
from service.embedded.lock import held
from service.facts import fold_queue
from service.people import clients, clinics
from service.sealing import Sealer

CLIENTS_AT_ONCE = 64
SETTLED_AFTER = timedelta(days=2)
Tell = Callable[[str], None]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a drill showed. `faults` is empty where everything came back; `rpo` is None without a running server to
    compare with, or anything in it.
    """

    taken_at: datetime
    last_commit_at: datetime | None
    rpo: timedelta | None
    rto: timedelta
    proved: timedelta
    rows: int
    trend_days: int
    faults: list[str]


async def run(backup: Backup, config: Config, backup_dir: Path, *, newest_at: datetime | None, tell: Tell) -> Outcome:
    """Restore and prove; what was restored is deleted, however it ends. `newest_at`: of the running server.

    Raises BackupFault where the backup is not whole, EmbeddedError where it cannot be restored.
    """
    with held(backup_dir / "drill.lock", errors.Conflict("Another drill over these backups is running.")):
        place = backup_dir / "drill"
        if place.exists() and any(place.iterdir()):
            refuse_foreign(place)
            restore.discard(place)
        began = time.monotonic()
        restored = await restore.into(backup, backup_dir, place)
        tell(f"restored up to {_moment(restored.last_commit_at)}")
        try:
            return await _proved(backup, config, place, restored, newest_at, began, tell)
        finally:
            restore.discard(place)
            place.rmdir()


def _moment(at: datetime | None) -> str:
    return "the base backup itself" if at is None else at.astimezone(UTC).isoformat(timespec="seconds")


async def _proved(
    backup: Backup,
    config: Config,
    place: Path,
    restored: Restored,
    newest_at: datetime | None,
    began: float,
    tell: Tell,
) -> Outcome:
    # The master key stays in memory: it is not to lie beside what it opens.
    key = base64.urlsafe_b64encode(config.master_key()).decode()
    here = msgspec.structs.replace(config, data_dir=place, backup_dir=None, database_url=None, key=key)
    async with embedded.running(here) as cluster:
        await roles.make(cluster.superuser_url, here)
        there = await contents.read(embedded_url(place, "postgres"))
        faults = [] if restored.fault is None else [restored.fault]
        faults += contents.missing_of(backup.contents, there)
        lost = await contents.lacks_heads(embedded_url(place, "postgres"), backup.contents.audit_heads)
        faults += [f"the audit trail of clinic {each} ends too early" for each in lost]
        if there.migrations != schema.versions():
            faults.append("the schema is another program's; the rest was not looked at")
        rto = time.monotonic() - began
        tell(f"{sum(table.rows for table in there.tables.values())} rows in {len(there.tables)} tables, {rto:.0f} s")
        trend_days = 0
        if there.migrations == schema.versions():
            trend_days = await _prove_clinics(here, faults, tell)
    return Outcome(
        taken_at=backup.taken_at,
        last_commit_at=restored.last_commit_at,
        rpo=_lost(there.newest_at, newest_at),
        rto=timedelta(seconds=rto),
        proved=timedelta(seconds=time.monotonic() - began),
        rows=sum(table.rows for table in there.tables.values()),
        trend_days=trend_days,
        faults=faults,
    )


def _lost(restored: datetime | None, running: datetime | None) -> timedelta | None:
    return None if restored is None or running is None else max(running - restored, timedelta(0))


async def _prove_clinics(config: Config, faults: list[str], tell: Tell) -> int:
    """Look at each clinic's audit trail, sealed data and trends; the days of trend that were computed again."""
    days = 0
    async with _pool(config) as pool:
        async with database.across_clinics(pool) as connection:
            every = await clinics.all_clinics(connection)
            try:
                master = await root_key.sealer(connection, config.master_key())
            except errors.NotReady as error:
                faults.append(error.message)
                return 0
        for clinic in every:
            faults += await _audit_and_key(pool, clinic, master)
            other, compared = await differing_trends(pool, clinic.clinic_id)
            faults += [f"{clinic.slug}: {other} days of trend are not what the facts give"] if other else []
            days += compared
            tell(f"{clinic.slug}: audit trail, sealed data and {compared} days of trend looked at")
    return days


@asynccontextmanager
async def _pool(config: Config) -> AsyncIterator[Pool]:
    pool = await database.open_pool(config.database_url_of("jobs"), size=2, application_name="neap_drill")
    async with pool:
        yield pool


async def _audit_and_key(pool: Pool, clinic: Clinic, master: Sealer) -> list[str]:
    faults = []
    async with database.transaction(pool, clinic.clinic_id) as db:
        verdict = await audit_seals.verify(db, Signer(master).public)
        if verdict.fault is not None:
            faults.append(f"{clinic.slug}: the audit trail is not what was sealed ({verdict.fault.kind})")
        client_ids = await clients.ids_of(db)
        try:
            for client_id in client_ids[:1]:
                await clients.sealer_of(db, master, client_id)
        except errors.DomainError:
            faults.append(f"{clinic.slug}: the master key does not open what is sealed")
    return faults


async def differing_trends(pool: Pool, clinic_id: UUID) -> tuple[int, int]:
    """How many stored days of trend differ from what the facts give, and how many were compared."""
    other, compared = 0, 0
    now = datetime.now(UTC)
    async with database.transaction(pool, clinic_id) as db:
        client_ids = await clients.ids_of(db)
        waiting = set(await fold_queue.due(db, now=now))
    settled = [each for each in client_ids if each not in waiting]
    for start in range(0, len(settled), CLIENTS_AT_ONCE):
        async with database.transaction(pool, clinic_id) as db:
            differing, looked_at = await _compare(db, settled[start : start + CLIENTS_AT_ONCE], now)
        other, compared = other + differing, compared + looked_at
    return other, compared


async def _compare(db: Db, client_ids: Sequence[UUID], now: datetime) -> tuple[int, int]:
    again = await fold.recomputed(db, client_ids, now=now)
    other, compared = 0, 0
    for client_id in client_ids:
        by_day = {each.client_day: trends.as_stored(each) for each in again.get(client_id, [])}
        stored = {
            each.client_day: each for each in await trends.of(db, client_id, from_day=date.min, until_day=date.max)
        }
        other += sum(by_day.get(day) != each for day, each in stored.items())
        # The days that have just ended may not have been folded yet.
        missing = {day for day in by_day if day not in stored and day < now.date() - SETTLED_AFTER}
        other += len(missing)
        compared += len(stored) + len(missing)
    return other, compared
