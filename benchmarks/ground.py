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
from service import config, database, embedded
from service.config import Config, embedded_url
from service.storage import preparing
from tests import builders

KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()  # that of tests.builders
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
    """Where to measure: settings of our processes, PostgreSQL's process and its superuser, access tokens of phones."""

    config: Config
    environ: dict[str, str]
    postgres_pid: int
    superuser_url: str
    access_tokens: list[str]


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="neap-bench-") as made:
        Path(made).chmod(0o711)  # PostgreSQL may have to run as another account, which must be able to enter
        yield Path(made)


@asynccontextmanager
async def served(**overrides: str) -> AsyncIterator[Ground]:
    """A server of this run's own with fsync and synchronous_commit on, migrated and empty; removed afterwards."""
    with folder() as home:
        environ = {
            "NEAP_DATA_DIR": f"{home}/data",
            "NEAP_KEY": KEY,
        }
        settings = config.load(environ)
        async with embedded.running(settings, overrides={"max_connections": "120", **overrides}) as cluster:
            await preparing.prepare(settings, admin_url=cluster.superuser_url)
            superuser_url = embedded_url(settings.data_dir, "postgres", "neap")
            await _refuse_volatile(superuser_url)
            yield Ground(settings, environ, cluster.pid, superuser_url, [])
        embedded.remove(settings)


@asynccontextmanager
async def prepared() -> AsyncIterator[Ground]:
    """A server with clinics full of phones, and the peers' table beside ours."""
    async with served() as ground:
        say(f"filling {CLINICS} clinics with {CLIENTS_OF_A_CLINIC} fictional clients each")
        yield msgspec.structs.replace(ground, access_tokens=await _filled(ground.config))


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


def mailing_to(port: int) -> dict[str, str]:
    """The settings under which e-mail goes to a server on this port of loopback."""
    return {
        "NEAP_SMTP_HOST": "127.0.0.1",
        "NEAP_SMTP_PORT": str(port),
        "NEAP_SMTP_SECURITY": "none",
        "NEAP_MAIL_FROM": "neap@bench.example",
    }
