"""From a check-in's commit to its trend row and to the alert it opens, with the jobs process at work."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import asyncpg
import msgspec

from benchmarks import driving, ground, processes
from benchmarks.driving import drive
from benchmarks.figures import Figure, say, show, watching_others
from benchmarks.ground import Ground
from benchmarks.latency import percentile
from schemas.staff import Role
from service import database, fold
from service.facts import client_day
from service.people import clients, staff
from tests import builders

PER_SECOND = 20.0
FULL_SECONDS = 17.0
QUICK_SECONDS = 4.0
# Each client answers once, and a Poisson process may well send more than its mean.
CLIENTS_PER_SECOND = 26
HISTORY_DAYS = 35
USUAL = (3, 4, 2, 3, 3, 5, 2)
# So much worse than usual that this one answer crosses the limit.
WORSE = {"craving": {"alcohol": 10}, "mood": 0, "anxiety": 10}
SETTLE_SECONDS = 20.0
POLL_SECONDS = 0.1

DELAYS = """
select
  1000 * extract(epoch from pg_xact_commit_timestamp(t.xmin) - pg_xact_commit_timestamp(c.xmin))::float8 as trend_ms,
  1000 * extract(epoch from pg_xact_commit_timestamp(e.xmin) - pg_xact_commit_timestamp(c.xmin))::float8 as alert_ms
from check_in c
left join trend t
  on t.clinic_id = c.clinic_id
  and t.client_id = c.client_id
  and t.client_day = c.client_day
left join alert a
  on a.clinic_id = c.clinic_id
  and a.client_id = c.client_id
left join alert_event e
  on e.clinic_id = a.clinic_id
  and e.alert_id = a.alert_id
  and e.kind = 'opened'
where c.device_id is not null
"""


async def measure(*, quick: bool) -> None:
    """Show the p99 over check-ins that come at 20 a second, each the one that crosses its client's limit; ms."""
    seconds = QUICK_SECONDS if quick else FULL_SECONDS
    async with ground.served(track_commit_timestamp="on") as here:
        say("filling a clinic with histories")
        count = int(CLIENTS_PER_SECOND * (seconds + driving.WARM_UP_SECONDS))
        here = msgspec.structs.replace(here, access_tokens=await with_histories(here, count))
        with watching_others() as others:
            async with processes.running("jobs", environ=here.environ), driving.neap(here) as web:
                await drive(
                    here, web, seconds=seconds, per_second=PER_SECOND, most_per_second=CLIENTS_PER_SECOND, answers=WORSE
                )
                delays = await _delays(here)
    trend_ms, alert_ms = [trend for trend, _ in delays if trend], [alert for _, alert in delays if alert]
    show(
        Figure(
            figure="check_in_to_trend_and_alert_p99",
            value=percentile([max(trend, alert or 0) for trend, alert in delays if trend], 99),
            unit="ms",
            foreign_cpus=others.cpus,
            notes={
                "check_ins": len(delays),
                "trends": len(trend_ms),
                "alerts": len(alert_ms),
                "trend_p50_ms": round(percentile(trend_ms, 50), 1),
                "alert_p50_ms": round(percentile(alert_ms, 50), 1) if alert_ms else "none",
            },
        )
    )


async def with_histories(here: Ground, count: int) -> list[str]:
    """Fill a clinic with clients who were as usual up to yesterday, fold that, and give their access tokens."""
    now, access_tokens, client_ids = datetime.now(UTC), [], []
    owner_url = here.config.database_url_of("owner")
    async with await database.open_pool(owner_url, size=1, application_name="bench") as owner:
        clinic = await builders.a_clinic(owner, now=now)
        async with database.transaction(owner, clinic.clinic_id) as db:
            therapist_id = await staff.add(
                db, email="asta@bench.example", name="Asta Lind (fictional)", roles=[Role.THERAPIST], now=now
            )
        yesterday = client_day.last_closed(now, ZoneInfo(clinic.time_zone))
        for _ in range(count):
            async with database.transaction(owner, clinic.clinic_id) as db:
                client_id = await builders.a_client(
                    db, started_on=yesterday - timedelta(days=HISTORY_DAYS - 1), now=now
                )
                await clients.assign(db, client_id, therapist_id, Role.THERAPIST, from_at=now)
                scores = USUAL * (HISTORY_DAYS // len(USUAL))
                await builders.days_of(db, client_id, until=yesterday, craving=scores, mood=[10 - s for s in scores])
                access_tokens.append((await builders.a_phone(db, client_id, now=now)).access_token)
                client_ids.append(client_id)
        await fold.fold_many(owner, clinic.clinic_id, client_ids, now=now)
        await owner.execute("analyze")
    return access_tokens


async def _delays(here: Ground) -> list[tuple[float | None, float | None]]:
    """Milliseconds from each check-in's commit to that of its trend row and of its alert, once all are folded."""
    connection = await asyncpg.connect(here.superuser_url)
    try:
        for _ in range(int(SETTLE_SECONDS / POLL_SECONDS)):
            if not await connection.fetchval("select exists (select from fold_due)"):
                return [(record["trend_ms"], record["alert_ms"]) for record in await connection.fetch(DELAYS)]
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await connection.close()
    raise RuntimeError("check-ins were left unfolded")
