"""One run of the crash test, from an empty folder to the verdict."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple
from uuid import UUID

from schemas.staff import Role
from service import database, fold
from service.config import Config
from service.people import clients, staff, webhook_endpoints
from service.storage import preparing
from tests.builders import MASTER, PhoneRow, a_client, a_clinic, a_phone, days_of
from tests.conftest import A_MASTER_KEY
from tests.crash import verdict
from tests.crash.house import House, a_house
from tests.crash.phones import Phones
from tests.crash.trouble import Sinks
from tests.sinks import a_hook_sink, a_mail_sink

CLIENTS = 30
SENDERS = 8
HISTORY_DAYS = 40
MOST_ANSWERS_BETWEEN = 25


class Way(NamedTuple):
    """How a process is killed."""

    signal: signal.Signals
    whole: bool = False

    def __str__(self) -> str:
        return self.signal.name + (", all of it" if self.whole else "")


WAYS = {
    # As an operator who cannot wait; its parent alone; all of it at one moment.
    "PostgreSQL": (Way(signal.SIGQUIT), Way(signal.SIGKILL), Way(signal.SIGKILL, whole=True)),
    "web": (Way(signal.SIGKILL),),
    "jobs": (Way(signal.SIGKILL),),
}
Tell = Callable[[int], object]


@dataclass(frozen=True)
class Outcome:
    """What was killed how often, what there was, and what was broken."""

    kills: Mapping[str, int]
    counts: Mapping[str, int]
    faults: list[str]
    seconds: float


async def run(folder: Path, *, kills: int, seed: int, overrides: Mapping[str, str], tell: Tell) -> Outcome:
    """Kill so many times; the folder keeps the logs."""
    began, random = time.monotonic(), Random(seed)
    async with a_mail_sink() as mail, a_hook_sink() as hooks:
        settings = {
            "NEAP_KEY": A_MASTER_KEY,
            "NEAP_SMTP_HOST": "127.0.0.1",
            "NEAP_SMTP_PORT": str(mail.port),
            "NEAP_SMTP_SECURITY": "none",
            "NEAP_MAIL_FROM": "Neap <neap@harbour.example>",
            "NEAP_WEBHOOK_ALLOW": f"127.0.0.1:{hooks.port}",
        }
        house = a_house(folder, settings, overrides)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(house.database.keep())
            while house.database.pid is None:
                await asyncio.sleep(0.05)
            clinic_id, rows = await _furnish(house.config, f"http://127.0.0.1:{hooks.port}/hook")
            tasks.create_task(house.web.keep())
            tasks.create_task(house.jobs.keep())
            sinks, phones = Sinks(mail, hooks, Random(seed + 1)), Phones(house.base_url, rows, random)
            killed = await _kill(house, phones, sinks, kills=kills, random=random, tell=tell)
            await verdict.settled(house.config)
            faults, counts = await verdict.faults_of(house.config, clinic_id, phones.said, sinks.by_id())
            await house.stop()
    return Outcome(killed, counts | {"refused or late": sinks.refused}, faults, time.monotonic() - began)


async def _furnish(config: Config, hook: str) -> tuple[UUID, list[PhoneRow]]:
    """A clinic whose clients have answered for weeks, with a phone each, and a therapist and a program to be told."""
    async with preparing.at_hand(config):
        pool = await database.open_pool(config.database_url_of("owner"), size=2, application_name="neap_crash")
        now = datetime.now(UTC)
        async with pool:
            clinic = await a_clinic(pool, now=now - timedelta(days=HISTORY_DAYS + 1))
            async with database.transaction(pool, clinic.clinic_id) as db:
                therapist = await staff.add(
                    db, email="tamsin@harbour.example", name="Tamsin Vale", roles=[Role.THERAPIST], now=now
                )
                await webhook_endpoints.add(db, MASTER, hook, now=now)
                rows = [await _client(db, therapist, now) for _ in range(CLIENTS)]
            await fold.fold_many(pool, clinic.clinic_id, [row.client_id for row in rows], now=now)
    return clinic.clinic_id, rows


async def _client(db: database.Db, therapist: UUID, now: datetime) -> PhoneRow:
    today = now.date()
    client_id = await a_client(db, started_on=today - timedelta(days=HISTORY_DAYS), now=now)
    await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=now - timedelta(days=1))
    await days_of(db, client_id, until=today - timedelta(days=1), craving=[4, 5, None, 3] * (HISTORY_DAYS // 5))
    return await a_phone(db, client_id, now=now, hours=6)


async def _kill(
    house: House, phones: Phones, sinks: Sinks, *, kills: int, random: Random, tell: Tell
) -> Mapping[str, int]:
    """Kill at random moments while phones send; afterwards all three run, and every phone was answered."""
    counts = Counter[str]()
    async with asyncio.TaskGroup() as tasks:
        trouble = tasks.create_task(sinks.troubled())
        await house.all_up()
        senders = [tasks.create_task(phones.send_on()) for _ in range(SENDERS)]
        while counts.total() < kills:
            await house.all_up()
            # The moment after an answer was acknowledged is the one that would lose it.
            await phones.said.acknowledged_again(random.randint(1, MOST_ANSWERS_BETWEEN))
            chosen = random.choice(house.every)
            way = random.choice(WAYS[chosen.name])
            if chosen.kill(way.signal, whole=way.whole):
                counts[f"{chosen.name}, {way}"] += 1
                tell(counts.total())
        phones.stopping = True
        await house.all_up()
        await asyncio.wait(senders)
        sinks.stopping.set()
        await trouble
    return counts
