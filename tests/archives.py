"""An archive of the demonstration's clinic, and reading it into another deployment."""

from __future__ import annotations

import asyncio
import base64
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest

from schemas.audit import AuditHead
from schemas.clinic import Clinic
from service import audit_seals
from service import database as databases
from service.audit_seals import Signer, closing
from service.config import DatabaseUrls
from service.database import Db, Pool
from service.demo import clinic as demo_clinic
from service.embedded import Cluster
from service.people import audit
from tests.builders import MASTER, a_phone
from tests.command_line import environment
from tests.conftest import a_database, a_pool
from tests.demo_days import play
from tests.signing_in import a_link

NOW = datetime.now(UTC)
OTHER_KEY = base64.urlsafe_b64encode(bytes(range(1, 33))).decode()
FORGOTTEN = {"staff_session", "one_time_link", "device_nonce"}
TABLES = """
select c.relname
from pg_class c
join pg_attribute a on a.attrelid = c.oid and a.attname = 'clinic_id'
where c.relnamespace = 'public'::regnamespace and c.relkind = 'r'
"""
# The source is a server that has counted thousands of millions of transactions more than the one that takes over.
COUNTED = """
alter table audit_event
alter column transaction_id set default ((pg_current_xact_id()::text::bigint + {more})::text::xid8)
"""


class Archived(NamedTuple):
    """An archive, and what the deployment that wrote it held of the clinic."""

    folder: Path
    clinic: Clinic
    rows: Mapping[str, list[str]]
    head: AuditHead
    access_token: str


async def rows_of(pool: Pool, clinic_id: UUID) -> dict[str, list[str]]:
    async with databases.transaction(pool, clinic_id) as db:
        names = [record["relname"] for record in await db.connection.fetch(TABLES)]
        return {
            name: [
                record["row"]
                for record in await db.connection.fetch(
                    f"select t::text as row from {name} t where clinic_id = $1 order by 1", clinic_id
                )
            ]
            for name in names
        }


async def lived_in(pool: Pool, urls: DatabaseUrls, patched: pytest.MonkeyPatch) -> tuple[Clinic, AuditHead, str]:
    """The demonstration's clinic as of these days, with some of all that is not to go on, its trail half sealed."""
    await pool.execute(COUNTED.format(more=1_000_000_000))
    demo = await demo_clinic.find_or_make(pool, now=NOW + timedelta(days=75))  # it began lately
    await play(pool, demo, until=NOW.date() - timedelta(days=2))  # a day that has ended everywhere
    clinic = demo.clinic
    async with a_pool(urls.jobs) as jobs, databases.transaction(pool, clinic.clinic_id) as db:
        client_id = await db.value("select client_id from client where clinic_id = $1 limit 1", db.clinic_id)
        assert isinstance(client_id, UUID)
        phone = await a_phone(db, client_id, now=NOW, hours=10**6)
        await waiting(db, phone.device_id)
        patched.setattr(
            closing, "POSITION", closing.POSITION.replace("pg_snapshot_xmin(pg_current_snapshot())", "'1500000000'")
        )
        assert await audit_seals.seal_next(db, Signer(MASTER), now=NOW) > 10
        patched.undo()
        head = await audit_seals.head_of(db, Signer(MASTER))
        assert head is not None
        await db.connection.execute(COUNTED.format(more=2_000_000_000))
        await audit.record(db, audit.COMMAND, "test.not_sealed", now=NOW)
        del jobs
    await a_link(pool, clinic, next(iter(demo.staff_ids.values())))
    return clinic, head, phone.access_token


WAIT = """
update delivery
set state = 'queued', settled_at = null
where clinic_id = $1 and alert_id in (
  select a.alert_id
  from alert a
  join delivery d on d.clinic_id = $1 and d.alert_id = a.alert_id and d.staff_id is not null and d.round = a.round
  where a.clinic_id = $1 and a.tier = 2 and not exists (
    select from alert open
    where open.clinic_id = $1 and open.client_id = a.client_id
      and open.alert_id <> a.alert_id and open.closed_at is null
  )
  limit 1
)
"""
REOPEN = """
update alert
set state = 'open', closed_at = null, outcome = null
where clinic_id = $1
  and alert_id in (select alert_id from delivery where clinic_id = $1 and state = 'queued')
"""


async def waiting(db: Db, device_id: UUID) -> None:
    """Messages that wait, an open alert, a session, a nonce and a code: all from before."""
    await db.execute(WAIT, db.clinic_id)
    await db.execute(REOPEN, db.clinic_id)
    await db.execute(
        "insert into staff_session (clinic_id, session_hash, staff_id, csrf_token, stage, created_at, last_seen_at,"
        " expires_at)"
        " select $1, 'hash', staff_id, 'x', 'full', now(), now(), now() from staff where clinic_id = $1 limit 1",
        db.clinic_id,
    )
    await db.execute(
        "insert into device_nonce (clinic_id, nonce_hash, device_id, created_at, expires_at)"
        " values ($1, 'nonce', $2, now(), now())",
        db.clinic_id,
        device_id,
    )


@pytest.fixture(scope="module")
def archived(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archived]:
    """Written once, by the command; nobody changes it."""
    folder = tmp_path_factory.mktemp("archives") / "harbour"

    async def write(patched: pytest.MonkeyPatch) -> Archived:
        async with a_database(cluster) as urls, a_pool(urls.owner) as pool:
            clinic, head, token = await lived_in(pool, urls, patched)
            done = await command(urls, "archive-clinic", str(folder), "--clinic", clinic.slug)
            assert done.returncode == 0, done.stderr
            return Archived(folder, clinic, await rows_of(pool, clinic.clinic_id), head, token)

    with pytest.MonkeyPatch.context() as patched:
        yield asyncio.run(write(patched))


async def command(urls: DatabaseUrls, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(urls) | more,
    )


async def restored(urls: DatabaseUrls, archived: Archived) -> None:
    done = await command(urls, "restore-clinic", str(archived.folder))
    assert (done.returncode, "FAULT" in done.stdout) == (0, False), done.stdout + done.stderr
