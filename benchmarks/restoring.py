"""Losing the server: how much, for how long, over a million check-ins; what comes back is proved as by a drill."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Never
from uuid import UUID

from tqdm import tqdm

from benchmarks import ground
from benchmarks.figures import Figure, say, show, watching_others
from service import config, database, embedded, fold
from service.backup import base_backup, contents, drill
from service.backup.drill import Outcome
from service.config import Config, embedded_url
from service.database import Pool
from service.facts import fold_queue
from service.keys.sealing import Sealer
from service.people import audit, clinics
from service.storage import preparing
from tests import builders

CLINICS, DAYS = 4, 200
CLIENTS_OF_A_CLINIC, FEWER = 1250, 25
GOES_ON_SECONDS = 70

# A check-in a client and day, as phones leave them; what they say is invented.
FILL = """
insert into check_in (
  clinic_id, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
  client_day, craving, mood, anxiety, used, safety, scale_version, origin, content_hash
)
select
  $1, gen_random_uuid(), client_id, 'daily', at, at, at, at, 'UTC', true, day,
  jsonb_build_object('alcohol', floor(random() * 11)), floor(random() * 11), floor(random() * 11), '{}', false, 1,
  'phone', sha256(gen_random_uuid()::text::bytea)
from client
cross join generate_series($2::date, $3::date, interval '1 day') as each (day)
cross join lateral (select each.day + interval '18 hours' as at) moment
where clinic_id = $1
"""


async def measure(*, quick: bool) -> None:
    """Show RPO and RTO, seconds, and how long it took until every trend was proved."""
    with ground.folder() as home:
        settings = config.load(
            {
                "NEAP_DATA_DIR": f"{home}/data",
                "NEAP_BACKUP_DIR": f"{home}/backup",
                "NEAP_KEY": ground.KEY,
            }
        )
        with watching_others() as others:
            outcome, check_ins = await _lost_and_restored(settings, FEWER if quick else CLIENTS_OF_A_CLINIC)
        embedded.remove(settings)
    if outcome.faults:
        raise RuntimeError("; ".join(outcome.faults))
    assert outcome.rpo is not None
    proved_s = round(outcome.proved.total_seconds(), 1)
    notes: dict[str, float | str] = {"check_ins": check_ins, "rows": outcome.rows, "proved_s": proved_s}
    for name, value in (("restore_rpo", outcome.rpo), ("restore_rto", outcome.rto)):
        seconds = round(value.total_seconds(), 1)
        show(Figure(figure=name, value=seconds, unit="s", versus={}, ratio={}, foreign_cpus=others.cpus, notes=notes))


async def _lost_and_restored(settings: Config, clients: int) -> tuple[Outcome, int]:
    assert settings.backup_dir is not None
    async with embedded.running(settings) as cluster:
        await preparing.prepare(settings, admin_url=cluster.superuser_url)
        await _fill(settings, clients)
        say("taking the base backup")
        backup = await base_backup.take(cluster, settings.backup_dir, Sealer(settings.master_key()), quiet=True)
        newest = await _goes_on(settings)
        held = await contents.read(embedded_url(settings.data_dir, "postgres"))
        say("restoring it")
        outcome = await drill.run(backup, settings, settings.backup_dir, newest_at=newest, tell=say)
    return outcome, held.tables["check_in"].rows


async def _fill(settings: Config, clients: int) -> None:
    say(f"filling {CLINICS} clinics with {clients} fictional clients and {DAYS} days each, and folding them")
    pool = await database.open_pool(settings.database_url_of("owner"), size=2, application_name="neap_bench")
    now = datetime.now(UTC)
    last = now.date() - timedelta(days=1)
    first = last - timedelta(days=DAYS - 1)
    async with pool:
        with tqdm(total=CLINICS * clients, unit=" clients", disable=None) as bar:
            for number in range(CLINICS):
                clinic = await builders.a_clinic(pool, slug=f"bench-{number}", time_zone="UTC", now=now)
                async with database.transaction(pool, clinic.clinic_id) as db:
                    client_ids = [
                        await builders.a_client(db, started_on=first, time_zone="UTC", now=now) for _ in range(clients)
                    ]
                    await db.connection.execute("set local statement_timeout = 0")
                    await db.connection.execute(FILL, clinic.clinic_id, first, last)
                    for client_id in client_ids:
                        await fold_queue.mark_due(db, client_id, from_day=first, now=now)
                await _fold(pool, clinic.clinic_id, client_ids, now, bar)


async def _fold(pool: Pool, clinic_id: UUID, client_ids: list[UUID], now: datetime, bar: tqdm[Never]) -> None:
    for start in range(0, len(client_ids), 64):
        some = client_ids[start : start + 64]
        await fold.fold_many(pool, clinic_id, some, now=now)
        bar.update(len(some))


async def _goes_on(settings: Config) -> datetime:
    """Something is written each second for a while, and then the disk is lost, whatever was archived; the last time."""
    pool = await database.open_pool(settings.database_url_of("owner"), size=1, application_name="neap_bench")
    async with pool:
        async with database.across_clinics(pool) as connection:
            [clinic, *_] = await clinics.all_clinics(connection)
        say(f"going on for {GOES_ON_SECONDS} seconds")
        for _ in range(GOES_ON_SECONDS):
            await asyncio.sleep(1)
            now = datetime.now(UTC)
            async with database.transaction(pool, clinic.clinic_id) as db:
                await audit.record(db, audit.COMMAND, "bench.goes_on", now=now)
    return now
