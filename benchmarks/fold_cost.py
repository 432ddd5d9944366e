"""What folding one check-in costs a client of a hundred days and one of a thousand: the history must not matter."""

from __future__ import annotations

import statistics
import time
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from benchmarks import ground
from benchmarks.figures import Figure, say, show, watching_others
from service import database, fold
from service.database import Pool
from service.facts import client_day
from tests import builders

SHORT_DAYS, LONG_DAYS = 100, 1_000
FULL_ROUNDS, QUICK_ROUNDS = 200, 40
USUAL = (3, 4, 2, 3, 3, 5, 2, 3, 4, 3)


async def measure(*, quick: bool) -> None:
    """Show the median milliseconds of a fold at the long history, beside the short one, in alternating turns."""
    now = datetime.now(UTC)
    async with ground.served() as here:
        url = here.config.database_url_of("owner")
        async with await database.open_pool(url, size=1, application_name="bench") as owner:
            clinic = await builders.a_clinic(owner, now=now)
            today = client_day.of(now, ZoneInfo(clinic.time_zone))
            say("filling two histories")
            clients = {
                days: await _a_history(owner, clinic.clinic_id, today, days, now=now)
                for days in (SHORT_DAYS, LONG_DAYS)
            }
            await owner.execute("analyze")
            spent: dict[int, list[float]] = {days: [] for days in clients}
            with watching_others() as others:
                for _ in range(QUICK_ROUNDS if quick else FULL_ROUNDS):
                    for days, client_id in clients.items():
                        spent[days].append(await _fold_one_more(owner, clinic.clinic_id, client_id, today, now=now))
    short, long = (statistics.median(spent[days]) for days in (SHORT_DAYS, LONG_DAYS))
    show(
        Figure(
            figure="fold_of_one_check_in_at_1000_days",
            value=long,
            unit="ms",
            versus={"at 100 days": short},
            ratio={"at 100 days": long / short},
            foreign_cpus=others.cpus,
        )
    )


async def _a_history(owner: Pool, clinic_id: UUID, today: date, days: int, *, now: datetime) -> UUID:
    async with database.transaction(owner, clinic_id) as db:
        client_id = await builders.a_client(db, started_on=today - timedelta(days=days), now=now)
        scores = (USUAL * (days // len(USUAL) + 1))[:days]
        await builders.days_of(db, client_id, until=today - timedelta(days=1), craving=scores)
        await fold.fold_client(db, client_id, now=now)
    return client_id


async def _fold_one_more(owner: Pool, clinic_id: UUID, client_id: UUID, today: date, *, now: datetime) -> float:
    """Milliseconds of the transaction that folds one more check-in of today."""
    async with database.transaction(owner, clinic_id) as db:
        await builders.an_answer(db, client_id, today)
    begin = time.perf_counter()
    async with database.transaction(owner, clinic_id) as db:
        folded = await fold.fold_client(db, client_id, now=now)
    milliseconds = (time.perf_counter() - begin) * 1000
    if folded.clients != 1:
        raise RuntimeError("the check-in was not folded")
    return milliseconds
