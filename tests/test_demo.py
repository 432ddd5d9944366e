"""The demonstration end to end: one command, everything runs, an alert comes, nothing is left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import smtplib
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import asyncpg
import httpx
import msgspec
import psutil
import pytest
import standardwebhooks

from service.config import DatabaseUrls
from service.database import Pool, transaction
from service.demo import clinic, house, mail, process, webhook
from service.demo.process import Child, ChildFailed, Keeper
from service.demo.visit import Running
from service.errors import Conflict
from tests.builders import a_clinic

ROOT = Path(__file__).parents[1]
START_SECONDS = 120
STOP_SECONDS = 40
POLL_SECONDS = 0.1


def environ(data_dir: Path, port: int) -> dict[str, str]:
    return {
        **{name: text for name, text in os.environ.items() if not name.startswith("NEAP_")},
        "NEAP_DATA_DIR": str(data_dir),
        "NEAP_PORT": str(port),
        "PYTHONPATH": str(ROOT),
    }


def wait_for(came: Callable[[], bool], demo: subprocess.Popen[str], *, seconds: float) -> None:
    """Look again and again for what the demonstration is to do, while waiting for the end that must not come."""
    ends = time.monotonic() + seconds
    while not came():
        assert time.monotonic() < ends, "it did not come in time"
        with contextlib.suppress(subprocess.TimeoutExpired):
            demo.wait(POLL_SECONDS)
            pytest.fail("the demonstration ended by itself")


@contextmanager
def started(data_dir: Path, port: int) -> Iterator[tuple[subprocess.Popen[str], Running]]:
    """A demonstration that is ready; stopped at the end if it still runs."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "service", "demo"],
        env=environ(data_dir, port),
        cwd="/",
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        file = data_dir / "demo.json"
        wait_for(file.exists, demo, seconds=START_SECONDS)
        yield demo, told(data_dir)
    finally:
        demo.terminate()
        if demo.stdout is not None and not demo.stdout.closed:
            demo.communicate(timeout=STOP_SECONDS)


def create_clinic(data_dir: Path) -> subprocess.CompletedProcess[str]:
    """A real clinic beside the demonstration's, by somebody who does not know on which port it runs."""
    known = environ(data_dir, 0)
    del known["NEAP_PORT"]
    words = "--slug real --name Real --time-zone America/Chicago --admin-email a@clinic.example --admin-name A."
    command = [sys.executable, "-m", "service", "create-clinic", *words.split()]
    return subprocess.run(command, env=known, cwd="/", capture_output=True, text=True, check=False)


def told(data_dir: Path) -> Running:
    return msgspec.json.decode((data_dir / "demo.json").read_bytes(), type=Running)


def processes_of(running: Running) -> list[psutil.Process]:
    pids = (running.pids.postgres, running.pids.web, running.pids.jobs)
    return [psutil.Process(pid) for pid in pids if pid is not None]


def gone(processes: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in processes)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A folder that PostgreSQL's account can enter, as pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="neap-demo-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder) / "data"


async def crossings_since(running: Running, since: datetime) -> int:
    connection = await asyncpg.connect(running.database_url)
    try:
        clinic_id = await connection.fetchval("select clinic_id from clinic where slug = 'demo'")
        await connection.execute(f"set neap.clinic_id = '{clinic_id}'")
        found = await connection.fetchval(
            "select count(*) from alert a join finding f using (clinic_id, alert_id)"
            " where a.state <> 'resolved' and f.rule = 'worsening' and f.found_at >= $1",
            since,
        )
        assert isinstance(found, int)
        return found
    finally:
        await connection.close()


@pytest.fixture
def port() -> int:
    return process.free_port("127.0.0.1", 0)


def test_the_demo_starts_shows_an_alert_within_a_minute_and_leaves_nothing_behind(data_dir: Path, port: int) -> None:
    began = datetime.now(UTC)
    with started(data_dir, port) as (demo, running):
        file = data_dir / "demo.json"
        assert file.stat().st_mode & 0o777 == 0o600
        assert running.base_url == f"http://127.0.0.1:{port}"
        assert httpx.get(f"{running.base_url}/health/ready").status_code == 200
        assert running.enrolment_codes
        made = create_clinic(data_dir)
        assert (made.returncode, made.stdout.startswith(f"{running.base_url}/link/")) == (0, True), made.stderr
        processes = processes_of(running)
        assert len(processes) == 3
        second = subprocess.run(
            [sys.executable, "-m", "service", "demo"], env=environ(data_dir, port), capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert (second.returncode, "a demonstration runs with" in second.stderr) == (1, True)
        wait_for(lambda: asyncio.run(crossings_since(running, began)) > 0, demo, seconds=60)
        wait_for(lambda: any((data_dir / "mail").glob("*.eml")), demo, seconds=20)
        wait_for(lambda: any((data_dir / "webhooks").glob("*.json")), demo, seconds=20)
    assert demo.returncode == 0
    assert gone(processes)
    assert not file.exists()


@pytest.mark.slow
def test_a_killed_demo_takes_its_processes_along_and_starts_again_with_its_data(data_dir: Path, port: int) -> None:
    with started(data_dir, port) as (demo, running):
        processes = processes_of(running)
        demo.kill()
        demo.wait()
        psutil.wait_procs(processes, STOP_SECONDS)
        assert gone(processes)
        assert not (data_dir / "demo.json").exists()
    with started(data_dir, port) as (demo, again):
        assert httpx.get(f"{again.base_url}/health/ready").status_code == 200
        web = again.pids.web
        assert web is not None
        os.kill(web, signal.SIGKILL)
        wait_for(lambda: told(data_dir).pids.web not in (web, None), demo, seconds=STOP_SECONDS)
        postgres = again.pids.postgres
        assert postgres is not None
        os.kill(postgres, signal.SIGKILL)
        said, _ = demo.communicate(timeout=STOP_SECONDS)
        assert demo.returncode == 1
        assert "Traceback" not in said


def test_a_taken_port_is_passed_by() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        assert process.free_port("127.0.0.1", number) > number


async def test_a_process_that_does_not_come_up_is_told_with_the_end_of_its_log(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('no reason'); raise SystemExit(3)"]
    child = Child("web", command, environ=dict(os.environ), log_file=tmp_path / "log")
    await child.start()

    async def never() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ChildFailed, match="no reason"):
        await process.until(child, never(), seconds=20)


async def test_a_caller_that_is_stopped_while_it_stops_waiting_is_stopped(tmp_path: Path) -> None:
    lingering, let_go = asyncio.Event(), asyncio.Event()

    class Lingering(Child):
        async def ended(self) -> int:
            try:
                await asyncio.Event().wait()
            finally:
                lingering.set()
                await let_go.wait()
            return 0

    async def at_once() -> None:
        await asyncio.sleep(0)

    child = Lingering("web", [], environ={}, log_file=tmp_path / "log")
    waiting = asyncio.create_task(process.until(child, at_once(), seconds=20))
    await lingering.wait()
    waiting.cancel()
    let_go.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize("arguments", [["demo"], ["demo", "--reset"]])
def test_the_demo_refuses_a_database_that_is_not_its_own(data_dir: Path, port: int, arguments: list[str]) -> None:
    there = {**environ(data_dir, port), "NEAP_DATABASE_URL": "postgresql://127.0.0.1:1/neap"}
    done = subprocess.run(
        [sys.executable, "-m", "service", *arguments], env=there, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "unset NEAP_DATABASE_URL" in done.stderr
    assert not data_dir.exists()


async def test_the_demo_does_not_move_into_a_data_folder_of_real_clinics(owner_pool: Pool) -> None:
    await house.refuse_real_clinics(owner_pool)
    real = await a_clinic(owner_pool, slug="harbour")
    with pytest.raises(Conflict, match="holds harbour, which no demonstration made"):
        await house.refuse_real_clinics(owner_pool)
    demo = await clinic.find_or_make(owner_pool, now=datetime.now(UTC))
    await house.refuse_real_clinics(owner_pool)  # somebody made or imported another one beside it
    async with transaction(owner_pool, demo.clinic.clinic_id) as db:
        await db.execute("update clinic_setting set fictional = false where clinic_id = $1", db.clinic_id)
    with pytest.raises(Conflict, match=f"holds demo, {real.slug}"):
        await house.refuse_real_clinics(owner_pool)


def test_the_demo_started_on_a_real_folder_says_how_to_start_it(data_dir: Path, port: int) -> None:
    assert create_clinic(data_dir).returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "service", "demo"], env=environ(data_dir, port), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "holds real, which no demonstration made: start it with `python -m service database`" in done.stderr


async def test_the_demo_refuses_a_database_where_another_clinic_s_alerts_wait(
    owner_pool: Pool, database: DatabaseUrls
) -> None:
    other = await a_clinic(owner_pool, slug="harbour")
    await house.refuse_other_deliveries(owner_pool, database.sweep)
    async with transaction(owner_pool, other.clinic_id) as db:
        await db.connection.execute(
            "alter table delivery drop constraint delivery_alert_fkey"
        )  # no alert is needed for this
        await db.connection.execute("alter table delivery drop constraint if exists delivery_staff_fkey")
        await db.execute(
            "insert into delivery (clinic_id, delivery_id, kind, alert_id, channel, staff_id, round, step, state,"
            " due_at, created_at) values ($1, $2, 'alert', $2, 'email', $2, 1, 1, 'queued', now(), now())",
            db.clinic_id,
            uuid4(),
        )
    with pytest.raises(Conflict, match="harbour"):
        await house.refuse_other_deliveries(owner_pool, database.sweep)


async def test_the_keeper_ends_whoever_it_watches_when_we_are_gone_and_nobody_when_let_go(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import signal; signal.pause()"]
    watched = Child("jobs", command, environ=dict(os.environ), log_file=tmp_path / "one")
    spared = Child("web", command, environ=dict(os.environ), log_file=tmp_path / "two")
    await watched.start()
    await spared.start()
    first, second = Keeper(None, tmp_path / "a"), Keeper(None, tmp_path / "b")
    await first.start()
    await first.watch([watched.pid or 0])
    await second.start()
    await second.watch([spared.pid or 0])
    await first.lose()
    assert await watched.ended() == -signal.SIGTERM
    await second.stop()
    assert spared.pid is not None
    await spared.stop()


async def test_caught_mail_is_kept_as_a_file(tmp_path: Path) -> None:
    server = await mail.listen(tmp_path)
    async with server:

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", mail.port_of(server)) as smtp:
                smtp.sendmail("neap@demo.example", ["a@demo.example"], "Subject: New alert\r\n\r\nHello")

        await asyncio.to_thread(send)
        (kept,) = tmp_path.glob("*.eml")
        assert "Subject: New alert" in kept.read_text()


async def test_a_caught_webhook_is_kept_only_when_our_secret_signed_it(tmp_path: Path) -> None:
    secret = bytes(range(32))
    server = await webhook.listen(tmp_path, secret)
    now, body = datetime.now(UTC), '{"type":"alert.opened"}'
    headers = {
        "webhook-id": "m1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": standardwebhooks.Webhook(secret).sign("m1", now, body),
    }
    async with server, httpx.AsyncClient() as http:
        url = f"http://127.0.0.1:{mail.port_of(server)}{webhook.PATH}"
        assert (await http.post(url, content=body, headers=headers)).status_code == 204
        assert (await http.post(url, content=body + " ", headers=headers)).status_code == 401
        assert (await http.post(url + "/x", content=body, headers=headers)).status_code == 404
    (kept,) = tmp_path.glob("*.json")
    assert kept.read_text() == body
