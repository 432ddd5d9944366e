"""Databases for tests: one PostgreSQL a run, one migrated template, one clone of it a test.

All workers of a run share the server: the first starts it, and stops it when the others have let go of it.
"""

import asyncio
import base64
import fcntl
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import coverage
import httpx
import hypothesis
import msgspec
import psutil
import pytest

from service import config, embedded
from service.config import Config, DatabaseUrls, EmbeddedServer, embedded_url
from service.database import Connection, Pool, open_pool
from service.storage import preparing, roles
from tests import folders, web
from tests.sinks import HookSink, MailSink, a_hook_sink, a_mail_sink

# What an example may take depends on the machine and whatever else it does.
hypothesis.settings.register_profile("neap", deadline=None)
hypothesis.settings.load_profile("neap")
# Where it matters only that a test fails: making the failure short takes longer than finding it.
hypothesis.settings.register_profile(
    "as_found", deadline=None, phases=set(hypothesis.Phase) - {hypothesis.Phase.shrink}
)

# A crash of the machine may lose a test's database.
VOLATILE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "120"}

A_MASTER_KEY = base64.urlsafe_b64encode(bytes(range(32))).decode()

# Fixtures of the browser tests, which share a web process and a Chromium.
pytest_plugins = ["tests.house", "tests.phone_browser", "tests.desk_browser"]

FOLDER_PREFIX = "neap-tests-"

TEMPLATE = "neap"  # the database that the embedded addresses name


def pytest_sessionfinish() -> None:
    """Keep what `make coverage` has measured here: a worker that is told to end has ten seconds, and may need more."""
    if (measured := coverage.Coverage.current()) is not None:
        measured.stop()
        measured.save()


@contextmanager
def locked(file: Path, kind: int) -> Iterator[None]:
    with file.open("w") as held:
        fcntl.flock(held, kind)
        yield


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that all workers of this run share."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def cluster(run_dir: Path) -> Iterator[embedded.Cluster]:
    """The run's server, with the migrated template database in it.

    NEAP_TEST_ADMIN_URL names another one instead, whose superuser it gives: any PostgreSQL that nobody needs.
    """
    server_config = config.load({"NEAP_DATA_DIR": _shared_data_dir(run_dir)})
    foreign = os.environ.get("NEAP_TEST_ADMIN_URL")
    running = _foreign(foreign, server_config) if foreign else embedded.running(server_config, overrides=VOLATILE)
    with asyncio.Runner() as runner:
        with locked(run_dir / "users.lock", fcntl.LOCK_SH):
            found = runner.run(running.__aenter__())
            with locked(run_dir / "template.lock", fcntl.LOCK_EX):
                runner.run(_make_template(server_config, found.superuser_url, own=foreign is None))
            yield found
        if not found.started_by_us:
            runner.run(running.__aexit__(None, None, None))
            return
        with locked(run_dir / "users.lock", fcntl.LOCK_EX):
            runner.run(running.__aexit__(None, None, None))
            embedded.remove(server_config)
            shutil.rmtree(server_config.data_dir, ignore_errors=True)


@asynccontextmanager
async def _foreign(superuser_url: str, server_config: Config) -> AsyncIterator[embedded.Cluster]:
    """A server that is there already, described as if it were the embedded one of the run's data folder."""
    place = urlsplit(superuser_url)
    assert place.hostname is not None
    assert place.port is not None
    server_config.secrets_dir.mkdir(exist_ok=True)
    for role in config.ROLES:
        (server_config.secrets_dir / f"{role}_password").write_text(f"{role}-of-tests")
    record = EmbeddedServer(host=place.hostname, port=place.port, cluster_dir="elsewhere")
    (server_config.data_dir / "embedded.json").write_bytes(msgspec.json.encode(record))
    connection = await asyncpg.connect(superuser_url)
    try:
        yield embedded.Cluster(place.hostname, place.port, 0, False, superuser_url, server_config.data_dir)
    finally:
        await connection.close()


def _shared_data_dir(run_dir: Path) -> str:
    """A folder that an unprivileged account can enter, as pytest's own are not; the first worker makes it."""
    with locked(run_dir / "template.lock", fcntl.LOCK_EX):
        note = run_dir / "data_dir"
        if not note.exists():
            memory = folders.in_memory()
            if memory is not None:
                _clear_leftovers(Path(memory))
            folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=memory))
            folder.chmod(0o711)
            # The process that outlives every worker.
            starter = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
            (folder / "starter").write_text(str(starter))
            note.write_text(str(folder))
        return note.read_text()


def _clear_leftovers(memory: Path) -> None:
    """End the servers of runs that were killed, and give their memory back."""
    for folder in memory.glob(f"{FOLDER_PREFIX}*"):
        starter = folder / "starter"
        if not starter.is_file() or psutil.pid_exists(int(starter.read_text())):
            continue
        for process in psutil.process_iter(["cmdline"]):
            if str(folder / "postgres") in (process.info["cmdline"] or ()):
                process.send_signal(signal.SIGINT)
                process.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


async def _make_template(server_config: Config, superuser_url: str, *, own: bool) -> None:
    connection = await asyncpg.connect(superuser_url)
    try:
        ours = await connection.fetchval("select datistemplate from pg_database where datname = $1", TEMPLATE)
        if ours:
            return
        assert ours is None, (
            f"there is a database {TEMPLATE} on this server, which may be somebody's: name another server"
        )
        await preparing.prepare(server_config, admin_url=superuser_url)
        for role in (*config.ROLES, *(["postgres"] if own else [])):
            await _check_fast(connection, server_config.data_dir, role)
        await connection.execute(f"alter database {TEMPLATE} with is_template true allow_connections false")
    finally:
        await connection.close()


async def _check_fast(connection: Connection, data_dir: Path, role: str) -> None:
    """Store the role's password so that proving it costs a connection one round of hashing, not 4,096 of them."""
    password = (data_dir / "secrets" / f"{role}_password").read_text()
    name = role if role == "postgres" else f"neap_{role}"
    verifier = roles.scram_verifier(password, secrets.token_bytes(16), iterations=1)
    await connection.execute(f"alter role {name} password '{verifier}'")


@asynccontextmanager
async def a_database(cluster: embedded.Cluster) -> AsyncIterator[DatabaseUrls]:
    """A migrated, empty database: its address for each role."""
    name = f"test_{uuid4().hex}"
    connection = await asyncpg.connect(cluster.superuser_url)
    try:
        await connection.execute(f"create database {name} template {TEMPLATE} owner neap_owner strategy file_copy")
        yield DatabaseUrls(**{role: embedded_url(cluster.data_dir, role, name) for role in config.ROLES})
        await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


@pytest.fixture
async def database(cluster: embedded.Cluster) -> AsyncIterator[DatabaseUrls]:
    """A migrated, empty database of this test's own."""
    async with a_database(cluster) as urls:
        yield urls


@pytest.fixture
def settings(database: DatabaseUrls, tmp_path: Path) -> Config:
    """What a process would be told from outside, for this test's database."""
    return config.load(
        {
            "NEAP_DATA_DIR": str(tmp_path / "data"),
            "NEAP_OWNER_DATABASE_URL": database.owner,
            "NEAP_WEB_DATABASE_URL": database.web,
            "NEAP_JOBS_DATABASE_URL": database.jobs,
            "NEAP_SWEEP_DATABASE_URL": database.sweep,
            "NEAP_KEY": A_MASTER_KEY,
        }
    )


@asynccontextmanager
async def a_pool(url: str) -> AsyncIterator[Pool]:
    """Connections of one role."""
    pool = await open_pool(url, size=5, application_name="neap-tests")
    try:
        yield pool
        async with asyncio.timeout(10):  # a connection that a test forgot to release fails here
            await pool.close()
    finally:
        pool.terminate()


@pytest.fixture
async def owner_pool(database: DatabaseUrls) -> AsyncIterator[Pool]:
    """Connections of neap_owner: import, builders of facts."""
    async with a_pool(database.owner) as pool:
        yield pool


@pytest.fixture
async def web_pool(database: DatabaseUrls) -> AsyncIterator[Pool]:
    """Connections of neap_web."""
    async with a_pool(database.web) as pool:
        yield pool


@pytest.fixture
async def jobs_pool(database: DatabaseUrls) -> AsyncIterator[Pool]:
    """Connections of neap_jobs."""
    async with a_pool(database.jobs) as pool:
        yield pool


@pytest.fixture
async def sweep_pool(database: DatabaseUrls) -> AsyncIterator[Pool]:
    """Connections of neap_sweep."""
    async with a_pool(database.sweep) as pool:
        yield pool


@pytest.fixture
async def http(settings: Config) -> AsyncIterator[httpx.AsyncClient]:
    """The web application of this test's database, spoken to over HTTP without a socket."""
    async with web.serving(settings) as client:
        yield client


@pytest.fixture
async def mail() -> AsyncIterator[MailSink]:
    """A mail server on loopback."""
    async with a_mail_sink() as sink:
        yield sink


@pytest.fixture
async def hooks() -> AsyncIterator[HookSink]:
    """A webhook's receiver on loopback."""
    async with a_hook_sink() as sink:
        yield sink
