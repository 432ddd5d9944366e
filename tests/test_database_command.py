"""`python -m service database` runs the embedded server for web and jobs until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from service import config, embedded
from service.config import Config
from service.embedded import server
from tests import folders

REPOSITORY = Path(__file__).parent.parent
PATIENCE_SECONDS = 60


@pytest.fixture
def house() -> Iterator[Config]:
    """Settings of a data folder that PostgreSQL's account can enter."""
    folder = Path(tempfile.mkdtemp(prefix="neap-database-", dir=folders.in_memory()))
    folder.chmod(0o711)
    yield config.load({"NEAP_DATA_DIR": str(folder / "data")})
    shutil.rmtree(folder, ignore_errors=True)


async def begun(house: Config, *module_and_arguments: str, **more: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *module_and_arguments),
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "PYTHONUNBUFFERED": "1", "NEAP_DATA_DIR": str(house.data_dir), **more},
        stdout=PIPE,
        stderr=PIPE,
    )


async def ran(house: Config, *module_and_arguments: str, **more: str) -> tuple[int | None, str, str]:
    process = await begun(house, *module_and_arguments, **more)
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


async def line_of(process: Process, stream: asyncio.StreamReader | None, words: str) -> str:
    """Wait for a line that holds the words."""
    assert stream is not None
    async with asyncio.timeout(PATIENCE_SECONDS):
        while words not in (line := (await stream.readline()).decode()):
            assert line, f"it ended before it said {words!r}"
    return line.rstrip("\n")


@asynccontextmanager
async def running(house: Config) -> AsyncIterator[tuple[Process, str]]:
    """The command, and the line it printed; its server is gone in the end however the test went."""
    process = await begun(house, "service", "database")
    try:
        yield process, await line_of(process, process.stdout, "PostgreSQL at 127.0.0.1:")
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()
        if (found := server.found(embedded.cluster_of(house.data_dir))) is not None:
            server.stop(found.process)


async def stopped(process: Process, number: signal.Signals = signal.SIGTERM) -> int | None:
    if process.returncode is None:
        process.send_signal(number)
    async with asyncio.timeout(PATIENCE_SECONDS):
        await process.communicate()
    return process.returncode


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


async def is_ready(port: int) -> bool:
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(f"http://127.0.0.1:{port}/health/ready")).status_code == 200


async def test_web_and_jobs_use_it_and_it_stops_with_nothing_left(house: Config) -> None:
    async with running(house) as (database, said):
        assert said.endswith("; roles, passwords and schema are still to be made; run `python -m service migrate`")
        assert (await ran(house, "service", "migrate"))[0] == 0
        assert database.returncode is None
        port = free_port()
        web = await begun(house, "service", "web", NEAP_PORT=str(port))
        jobs = await begun(house, "jobs")
        try:
            await line_of(jobs, jobs.stderr, "jobs_started")
            await line_of(web, web.stderr, "Uvicorn running on")
            assert await is_ready(port)
        finally:
            assert await stopped(jobs) == 0
            await stopped(web)
        pid = server.found(embedded.cluster_of(house.data_dir))
        assert pid is not None
        assert await stopped(database) == 0
    assert not server.lives(pid.process.pid)
    assert not (embedded.cluster_of(house.data_dir) / "postmaster.pid").exists()
    async with running(house) as (again, said):
        assert said.endswith("; the schema is current")
        assert await stopped(again, signal.SIGINT) == 0


async def test_a_second_one_says_that_it_runs_already(house: Config) -> None:
    async with running(house) as (first, said):
        status, output, errors = await ran(house, "service", "database")
        assert (status, output, len(errors.splitlines())) == (2, "", 1)
        assert errors.startswith(f"neap: {said.split(';')[0]} runs already (process ")
        assert first.returncode is None


async def test_passwords_that_are_not_the_folder_s_are_told_until_migrate_sets_them(house: Config) -> None:
    assert (await ran(house, "service", "migrate"))[0] == 0
    (house.secrets_dir / "web_password").write_text("as in a folder that was restored")
    async with running(house) as (_, said):
        assert "passwords and schema are still to be made" in said
        assert (await ran(house, "service", "migrate"))[0] == 0
    async with running(house) as (_, said):
        assert said.endswith("; the schema is current")


async def test_a_server_that_ends_by_itself_ends_the_command(house: Config) -> None:
    async with running(house) as (database, _):
        found = server.found(embedded.cluster_of(house.data_dir))
        assert found is not None
        found.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, errors = await database.communicate()
        assert (database.returncode, errors.decode()) == (
            1,
            f"neap: PostgreSQL ended by itself; {house.data_dir / 'postgres.log'} says why\n",
        )


async def test_one_that_was_killed_leaves_its_server_to_the_next(house: Config) -> None:
    async with running(house) as (killed, said):
        assert await stopped(killed, signal.SIGKILL) == -signal.SIGKILL
        async with running(house) as (_, again):
            assert again.split(";")[0] == said.split(";")[0]
    assert server.found(embedded.cluster_of(house.data_dir)) is None


async def test_another_server_is_not_for_this_command(house: Config) -> None:
    status, _, errors = await ran(house, "service", "database", NEAP_DATABASE_URL="postgresql://db/neap")
    assert (status, errors) == (
        2,
        "setting: this runs the embedded server only; unset NEAP_DATABASE_URL (or its _FILE)\n",
    )
