"""Proving that what came back of a clinic is whole: its audit trail, what is sealed, what follows from the facts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from uuid import UUID

from schemas.clinic import Clinic
from service import audit_seals, database, errors, fold, trends
from service.audit_seals import Signer
from service.config import Config
from service.database import Db, Pool
from service.facts import fold_queue
from service.keys.sealing import Sealer
from service.people import clients

CLIENTS_AT_ONCE = 64
SETTLED_AFTER = timedelta(days=2)


@asynccontextmanager
async def a_pool(config: Config) -> AsyncIterator[Pool]:
    """Connections under which a clinic is looked at."""
    pool = await database.open_pool(config.database_url_of("jobs"), size=2, application_name="neap_proof")
    async with pool:
        yield pool


async def of_clinic(pool: Pool, clinic: Clinic, master: Sealer, *, at: datetime) -> tuple[list[str], int]:
    """What is not as it was `at` that time, in words, and how many days of trend were computed again."""
    faults = await _audit_and_key(pool, clinic, master)
    other, compared = await differing_trends(pool, clinic.clinic_id, now=at)
    faults += [f"{clinic.slug}: {other} days of trend are not what the facts give"] if other else []
    return faults, compared


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


async def differing_trends(pool: Pool, clinic_id: UUID, *, now: datetime) -> tuple[int, int]:
    """How many stored days of trend differ from what the facts give, and how many were compared."""
    other, compared = 0, 0
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
