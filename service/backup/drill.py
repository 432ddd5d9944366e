"""A restore drill: restore the newest backup somewhere else, prove what came back, and throw it away.

RPO (recovery point objective) here is what a loss of the server would have cost: from the last transaction that came
back to the last that the running server had. RTO (recovery time objective) is the time until what came back was
restored, running and held against its backup's contents.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from service import database, embedded, errors
from service.backup import contents, proof, restore
from service.backup.base_backup import Backup
from service.backup.restore import Restored
from service.config import Config, embedded_url
from service.embedded.contents import refuse_foreign
from service.embedded.lock import held
from service.keys import root_key
from service.people import clinics
from service.storage import roles, schema

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
    async with proof.a_pool(config) as pool:
        async with database.across_clinics(pool) as connection:
            every = await clinics.all_clinics(connection)
            try:
                master = await root_key.sealer(connection, config.master_key())
            except errors.NotReady as error:
                faults.append(error.message)
                return 0
        for clinic in every:
            found, compared = await proof.of_clinic(pool, clinic, master, at=datetime.now(UTC))
            faults += found
            days += compared
            tell(f"{clinic.slug}: audit trail, sealed data and {compared} days of trend looked at")
    return days
