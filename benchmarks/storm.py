"""A storm of alerts for review with an urgent one in its midst: how soon that one is told, and how little else is."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import asyncpg

from benchmarks import ground, processes
from benchmarks.figures import Figure, say, show, watching_others
from benchmarks.ground import Ground
from schemas.alert import NewFinding, Rule, Tier
from schemas.staff import Role
from service import database
from service.alerting import alerts
from service.database import Pool
from service.people import clients, staff
from tests import builders
from tests.sinks import a_mail_sink

FULL_ALERTS = 5_000
QUICK_ALERTS = 200
AT_ONCE = 4
SETTLE_SECONDS = 30.0
POLL_SECONDS = 0.05

OF_THE_URGENT = """
select
  1000 * extract(epoch from pg_xact_commit_timestamp(dispatched.xmin) - pg_xact_commit_timestamp(opened.xmin))::float8
from alert_event opened
join alert a
  on a.clinic_id = opened.clinic_id
  and a.alert_id = opened.alert_id
  and a.tier = 1
join alert_event dispatched
  on dispatched.clinic_id = opened.clinic_id
  and dispatched.alert_id = opened.alert_id
  and dispatched.kind = 'dispatched'
where opened.kind = 'opened'
"""
MESSAGES = """
select a.client_id, d.staff_id
from delivery d
join alert a
  on a.clinic_id = d.clinic_id
  and a.alert_id = d.alert_id
where d.state = 'sent'
"""


async def measure(*, quick: bool) -> None:
    """Show how soon the urgent alert's first message was out, ms, and the most that one person got of one client."""
    number = QUICK_ALERTS if quick else FULL_ALERTS
    async with ground.served(track_commit_timestamp="on") as here, a_mail_sink() as mail:
        say(f"making {number} clients")
        owner_url = here.config.database_url_of("owner")
        async with await database.open_pool(owner_url, size=AT_ONCE, application_name="bench") as owner:
            clinic_id, client_ids = await _a_clinic_of(owner, number)
            environ = here.environ | ground.mailing_to(mail.port)
            with watching_others() as others:
                async with processes.running("jobs", environ=environ):
                    began = datetime.now(UTC)
                    await _storm(owner, clinic_id, client_ids)
                    lasted = (datetime.now(UTC) - began).total_seconds()
                    urgent_ms, most = await _told(here)
    show(
        Figure(
            figure="urgent_told_amid_a_storm",
            value=urgent_ms,
            unit="ms",
            foreign_cpus=others.cpus,
            notes={"alerts": number, "storm_s": round(lasted, 1), "most_messages_per_client_and_person": most},
        )
    )


async def _a_clinic_of(owner: Pool, number: int) -> tuple[UUID, list[UUID]]:
    """A clinic with one therapist for so many clients."""
    now, client_ids = datetime.now(UTC), []
    clinic = await builders.a_clinic(owner, now=now)
    async with database.transaction(owner, clinic.clinic_id) as db:
        therapist_id = await staff.add(
            db, email="asta@bench.example", name="Asta Lind (fictional)", roles=[Role.THERAPIST], now=now
        )
        for _ in range(number):
            client_ids.append(await builders.a_client(db, now=now))
            await clients.assign(db, client_ids[-1], therapist_id, Role.THERAPIST, from_at=now)
    return clinic.clinic_id, client_ids


async def _storm(owner: Pool, clinic_id: UUID, client_ids: list[UUID]) -> None:
    """Open an alert for review of each client, a transaction each, and in the middle an urgent one."""
    waiting = list(enumerate(client_ids))

    async def open_the_next() -> None:
        while waiting:
            place, client_id = waiting.pop(0)
            now = datetime.now(UTC)
            found = [NewFinding(client_day=now.date(), rule=Rule.SILENCE, tier=Tier.REVIEW, numbers={})]
            if place == len(client_ids) // 2:
                found.append(NewFinding(client_day=now.date(), rule=Rule.SAFETY, tier=Tier.URGENT, numbers={}))
            async with database.transaction(owner, clinic_id) as db:
                await alerts.open_or_join(db, client_id, found, now=now, rule_set_version=1)

    await asyncio.gather(*(open_the_next() for _ in range(AT_ONCE)))


async def _told(here: Ground) -> tuple[float, int]:
    """Milliseconds until the urgent one was told, and the most messages of one client to one person."""
    connection = await asyncpg.connect(here.superuser_url)
    try:
        for _ in range(int(SETTLE_SECONDS / POLL_SECONDS)):
            if (took_ms := await connection.fetchval(OF_THE_URGENT)) is not None:
                sent = Counter(tuple(record) for record in await connection.fetch(MESSAGES))
                return float(took_ms), max(sent.values())
            await asyncio.sleep(POLL_SECONDS)
    finally:
        await connection.close()
    raise RuntimeError("the urgent alert was told to nobody")
