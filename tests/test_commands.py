"""`python -m service …`: a fault outside is one line, and a command that is stopped leaves nothing behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from service import config
from service.config import DatabaseUrls
from service.embedded import server
from tests import folders
from tests.conftest import A_MASTER_KEY

REPOSITORY = Path(__file__).parents[1]
NOBODY_LISTENS = "postgresql://neap_owner:guess@127.0.0.1:1/neap"


async def ran(*arguments: str, **settings: str) -> tuple[int, list[str]]:
    """The exit status and the lines on standard error."""
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "service", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "NEAP_KEY": A_MASTER_KEY, **settings},
    )
    return done.returncode, done.stderr.splitlines()


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder that PostgreSQL's account can enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="neap-commands-", dir=folders.in_memory()) as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "data"


async def test_a_database_that_is_not_there_is_one_line() -> None:
    status, said = await ran("rebuild", NEAP_OWNER_DATABASE_URL=NOBODY_LISTENS, NEAP_JOBS_DATABASE_URL=NOBODY_LISTENS)
    assert (status, len(said)) == (1, 1)
    assert said[0].startswith("neap: ")


@pytest.mark.parametrize("command", ["rebuild", "migrate"])
async def test_a_wrong_password_is_told_as_such_and_not_repeated(database: DatabaseUrls, command: str) -> None:
    place = database.owner.partition("@")[2]
    status, said = await ran(command, NEAP_OWNER_DATABASE_URL=f"postgresql://neap_owner:guess@{place}")
    assert (status, len(said)) == (1, 1)
    assert "password" in said[0]
    assert "guess" not in said[0]
    assert "create" not in said[0]


async def test_a_database_that_was_never_made_is_told_with_what_makes_it(database: DatabaseUrls) -> None:
    status, said = await ran("migrate", NEAP_OWNER_DATABASE_URL=database.owner.replace("/test_", "/nowhere_"))
    assert status == 1
    assert "there is no database nowhere_" in said[0]
    assert "create role neap_owner" not in "".join(said)


async def test_a_data_folder_that_is_a_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    for arguments in (["migrate"], ["demo"], ["demo", "--reset"]):
        status, said = await ran(*arguments, NEAP_DATA_DIR=str(tmp_path / "data"))
        assert status in (1, 2)
        assert len(said) == 1
        assert str(tmp_path / "data") in said[0]


async def test_the_web_process_names_every_missing_setting_at_once(tmp_path: Path) -> None:
    status, said = await ran("web", NEAP_KEY="", NEAP_DATA_DIR=str(tmp_path))
    assert status == 2
    assert [line.startswith("setting: ") for line in said] == [True, True]
    assert "NEAP_KEY" in said[1]


def test_a_command_that_is_told_to_stop_stops_the_server_it_started(data_dir: Path) -> None:
    command = subprocess.Popen(
        [sys.executable, "-m", "service", "migrate"],
        cwd=REPOSITORY,
        env={"PATH": os.environ["PATH"], "NEAP_DATA_DIR": str(data_dir)},
        stderr=subprocess.PIPE,
    )
    while not (data_dir / "embedded.json").exists():
        with contextlib.suppress(subprocess.TimeoutExpired):
            command.wait(0.02)
            pytest.fail("it ended before it was told to")
    command.send_signal(signal.SIGTERM)
    _, said = command.communicate(timeout=60)
    assert command.returncode == 130, said
    # The driver may warn of a statement that it was about to send; of us there is no word.
    assert b"Traceback" not in said
    assert b"neap:" not in said
    place = config.load({"NEAP_DATA_DIR": str(data_dir)}).data_dir
    assert server.found(place / "postgres") is None
    assert not (place / "postgres" / "postmaster.pid").exists()
