"""A storm of alerts, each tenth of them for today, with an urgent one in its midst: how soon that one is told while a
slow mail server works through the others, and how often anybody is told of one client."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
from aiosmtpd.smtp import SMTP, Envelope, Session

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
from tests.sinks import MailSink, a_mail_sink

FULL_ALERTS = 5_000
QUICK_ALERTS = 200
AT_ONCE = 4
# Alerts for review tell nobody; of these, one message each has to go out before it is counted who was told how often.
TODAY_EACH = 10
MAIL_SECONDS = 0.1
SETTLE_SECONDS = 300.0
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
WAITING = "select count(*) from delivery where state in ('queued', 'failed')"
MESSAGES = """
select a.client_id, d.staff_id
from delivery d
join alert a
  on a.clinic_id = d.clinic_id
  and a.alert_id = d.alert_id
where d.state = 'sent'
"""


class BusyMail(MailSink):
    """A mail server that takes its time."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        """Answer after a while."""
        await asyncio.sleep(MAIL_SECONDS)
        return await super().handle_DATA(server, session, envelope)


async def measure(*, quick: bool) -> None:
    """Show how soon the urgent alert's first message was out, ms, and the most that one person got of one client."""
    number = QUICK_ALERTS if quick else FULL_ALERTS
    async with ground.served(track_commit_timestamp="on") as here, a_mail_sink(BusyMail()) as mail:
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
                    urgent_ms, told = await _told(here)
    show(
        Figure(
            figure="urgent_told_amid_a_storm",
            value=urgent_ms,
            unit="ms",
            foreign_cpus=others.cpus,
            notes={
                "alerts": number,
                "storm_s": round(lasted, 1),
                "messages": told.total(),
                "most_messages_per_client_and_person": max(told.values()),
            },
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
    """Open an alert of each client, a transaction each, and in the middle an urgent one."""
    waiting = list(enumerate(client_ids))

    async def open_the_next() -> None:
        while waiting:
            place, client_id = waiting.pop(0)
            now = datetime.now(UTC)
            found = [NewFinding(client_day=now.date(), rule=Rule.SILENCE, tier=Tier.REVIEW, numbers={})]
            if place == len(client_ids) // 2:
                found.append(NewFinding(client_day=now.date(), rule=Rule.SAFETY, tier=Tier.URGENT, numbers={}))
            elif place % TODAY_EACH == 0:
                found.append(NewFinding(client_day=now.date(), rule=Rule.WORSENING, tier=Tier.TODAY, numbers={}))
            async with database.transaction(owner, clinic_id) as db:
                await alerts.open_or_join(db, client_id, found, now=now, rule_set_version=1)

    await asyncio.gather(*(open_the_next() for _ in range(AT_ONCE)))


async def _told(here: Ground) -> tuple[float, Counter[tuple[UUID, UUID]]]:
    """Milliseconds until the urgent one was told; and, once nothing waits any more, how many messages each person got
    of each client."""
    connection = await asyncpg.connect(here.superuser_url)
    try:
        for _ in range(int(SETTLE_SECONDS / POLL_SECONDS)):
            if await connection.fetchval(WAITING) == 0:
                break
            await asyncio.sleep(POLL_SECONDS)
        took_ms = await connection.fetchval(OF_THE_URGENT)
        sent = Counter((record["client_id"], record["staff_id"]) for record in await connection.fetch(MESSAGES))
    finally:
        await connection.close()
    if took_ms is None:
        raise RuntimeError("the urgent alert was told to nobody")
    return float(took_ms), sent
