"""What every measurement stands on: an embedded PostgreSQL that syncs to disk, and clinics full of fictional phones."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import msgspec

from benchmarks.figures import say
from service import config, database, embedded, storage
from service.config import Config
from tests import builders

CLINICS = 4
CLIENTS_OF_A_CLINIC = 500
TOKEN_HOURS = 2.0

# The peers' table: the columns of check_in and the same primary key, without row security, indexes and constraints.
MAKE_PEER_TABLE = """
create schema bench;
create table bench.check_in (like check_in including defaults, primary key (clinic_id, check_in_id));
grant usage on schema bench to neap_web;
grant select, insert on bench.check_in to neap_web
"""


class Ground(msgspec.Struct, frozen=True):
    """Where to measure: settings of our processes, a superuser's address for looking, access tokens of phones."""

    config: Config
    environ: dict[str, str]
    postgres_pid: int
    access_tokens: list[str]


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="neap-bench-") as folder:
        Path(folder).chmod(0o711)  # PostgreSQL may have to run as another account, which must be able to enter
        yield Path(folder)


@asynccontextmanager
async def prepared() -> AsyncIterator[Ground]:
    """A server of this run's own with fsync and synchronous_commit on, its clinics filled; removed afterwards."""
    with _folder() as folder:
        environ = {
            "NEAP_DATA_DIR": f"{folder}/data",
            "NEAP_KEY": base64.urlsafe_b64encode(bytes(range(32))).decode(),  # the key of tests.builders
        }
        settings = config.load(environ)
        async with embedded.running(settings, overrides={"max_connections": "120"}) as cluster:
            await storage.prepare(settings, admin_url=cluster.superuser_url)
            await _refuse_volatile(cluster.superuser_url)
            say(f"filling {CLINICS} clinics with {CLIENTS_OF_A_CLINIC} fictional clients each")
            yield Ground(settings, environ, cluster.pid, await _filled(settings))
        embedded.remove(settings)


async def _refuse_volatile(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            if await connection.fetchval("select current_setting($1)", setting) != "on":
                raise RuntimeError(f"{setting} must be on: only durable check-ins are counted")
    finally:
        await connection.close()


async def _filled(settings: Config) -> list[str]:
    now, tokens = datetime.now(UTC), []
    async with await database.open_pool(settings.database_url_of("owner"), size=1, application_name="bench") as owner:
        await owner.execute(MAKE_PEER_TABLE)
        for number in range(CLINICS):
            clinic = await builders.a_clinic(owner, slug=f"bench-{number}", now=now)
            async with database.transaction(owner, clinic.clinic_id) as db:
                for _ in range(CLIENTS_OF_A_CLINIC):
                    client_id = await builders.a_client(db, now=now)
                    tokens.append((await builders.a_phone(db, client_id, now=now, hours=TOKEN_HOURS)).access_token)
        await owner.execute("analyze")
    return tokens
