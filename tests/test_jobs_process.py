"""The jobs process: starts only where it may, wakes on hints, stops cleanly, survives being killed, tells its times."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from jobs import hints, process
from jobs.__main__ import main
from jobs.timetable import DAILIES, PERIODS
from jobs.work import Period, Result, Tools
from schemas.alert import Channel, DeliveryState, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, hint, trends
from service.alerting import alerts, deliveries
from service.alerting.writing import Sending
from service.config import Config
from service.database import Pool
from service.notify import Template
from service.notify.texts import TEXTS
from service.people import clients, staff
from tests.builders import MASTER, a_client, a_clinic, days_of
from tests.jobs_processes import REPOSITORY, environment
from tests.sinks import MailSink

PATIENCE_SECONDS = 30


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


async def started(settings: Config, *arguments: str, **more: str) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "jobs",
        *arguments,
        cwd=REPOSITORY,
        env=environment(settings, **more),
        stdout=PIPE,
        stderr=PIPE,
    )


async def said(settings: Config, *arguments: str, **more: str) -> tuple[int | None, str, str]:
    """Status, output and error output of a command."""
    running = await started(settings, *arguments, **more)
    async with asyncio.timeout(PATIENCE_SECONDS):
        output, errors = await running.communicate()
    return running.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def the_clock(settings: Config, **more: str) -> AsyncIterator[Process]:
    """A jobs process that has started; killed at the end where it still runs."""
    running = await started(settings, **more)
    assert running.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while b"jobs_started" not in (line := await running.stderr.readline()):
                assert line, "it ended before it began"
        yield running
    finally:
        if running.returncode is None:
            running.kill()
        await running.communicate()


async def a_relapse(pool: Pool, clinic: Clinic) -> UUID:
    """A client of Tamsin's, much worse since two days, up to today."""
    now = datetime.now(UTC)
    async with database.transaction(pool, clinic.clinic_id) as db:
        therapist = await staff.add(db, email="tamsin@harbour.example", name="Tamsin", roles=[Role.THERAPIST], now=now)
        client_id = await a_client(db, started_on=now.date() - timedelta(days=65), now=now)
        await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=now - timedelta(days=30))
        await days_of(
            db,
            client_id,
            until=(now - timedelta(hours=12)).date(),
            craving=[3, 4, 2, 3, 3, 5, 2, 3, 4, 3] * 6 + [9, 10],
            mood=[6] * 60 + [1, 0],
            anxiety=[3, 4] * 30 + [9, 9],
        )
    return client_id


def of_alerts(mail: MailSink) -> set[str]:
    """The ids of the messages about alerts; by the hour of the day a digest comes, too."""
    return {each["message-id"] for each in mail.messages if each["subject"] == TEXTS[Template.ALERT].subject}


async def an_alert_arrives(mail: MailSink) -> None:
    while not of_alerts(mail):
        mail.arrived.clear()
        await mail.arrived.wait()


async def test_a_clock_folds_opens_an_alert_sends_it_and_stops_when_asked(
    settings: Config, owner_pool: Pool, clinic: Clinic, mail: MailSink
) -> None:
    client_id = await a_relapse(owner_pool, clinic)
    smtp = {"NEAP_SMTP_HOST": "127.0.0.1", "NEAP_SMTP_PORT": str(mail.port), "NEAP_SMTP_SECURITY": "none"}
    async with the_clock(settings, **smtp, NEAP_MAIL_FROM="neap@harbour.example") as running:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await an_alert_arrives(mail)
        running.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            _, errors = await running.communicate()
        assert running.returncode == 0
    assert b"jobs_stopped" in errors
    assert (len(of_alerts(mail)), set(mail.recipients)) == (1, {"tamsin@harbour.example"})
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        [alert] = await alerts.inbox(db, [client_id])
        assert [each.state for each in await deliveries.of_alert(db, alert.alert_id)] == [DeliveryState.SENT]


@pytest.mark.slow
async def test_a_clock_killed_at_any_moment_loses_nothing(
    settings: Config, owner_pool: Pool, clinic: Clinic, mail: MailSink
) -> None:
    """kill -9 again and again, each time a little later; the last one may finish."""
    client_id = await a_relapse(owner_pool, clinic)
    smtp = {"NEAP_SMTP_HOST": "127.0.0.1", "NEAP_SMTP_PORT": str(mail.port), "NEAP_SMTP_SECURITY": "none"}
    for milliseconds in range(0, 400, 40):
        async with the_clock(settings, **smtp, NEAP_MAIL_FROM="neap@harbour.example") as running:
            await asyncio.wait([asyncio.create_task(running.wait())], timeout=milliseconds / 1000)
            running.kill()
    lease = "update delivery set leased_until = null where clinic_id = $1"
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute(lease, clinic.clinic_id)
    async with the_clock(settings, **smtp, NEAP_MAIL_FROM="neap@harbour.example") as running:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await an_alert_arrives(mail)
        running.send_signal(signal.SIGTERM)
        await running.communicate()
    assert len(of_alerts(mail)) == 1
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert len(await alerts.inbox(db, [client_id])) == 1
        rows = await trends.of(db, client_id, from_day=date(2000, 1, 1), until_day=date(2100, 1, 1))
    assert sum(row.crossing for row in rows) == 1
    assert len(rows) >= 62


async def test_the_timetable_is_printed_without_a_database() -> None:
    running = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "jobs", "timetable", cwd=REPOSITORY, env={"PATH": os.environ["PATH"]}, stdout=PIPE
    )
    output, _ = await running.communicate()
    assert running.returncode == 0
    assert len(output.decode().splitlines()) == len(PERIODS) + len(DAILIES)


@pytest.mark.parametrize(
    "arguments",
    [
        ("jump",),
        ("run",),
        ("run", "wash_dishes"),
        ("run", "close_client_days", "--day", "yesterday"),
        ("run", "close_client_days", "--day", "2999-01-01"),
        ("run", "close_client_days", "--clinic", "nowhere"),
        ("run", "fold_check_ins", "--day", "2026-11-22"),
        ("run", "deliver_email", "--clinic", "harbour"),
    ],
)
async def test_wrong_input_is_told_in_one_line(settings: Config, clinic: Clinic, arguments: tuple[str, ...]) -> None:
    status, output, errors = await said(settings, *arguments)
    assert (status, output) == (2, "")
    assert len(errors.splitlines()) == 1
    assert errors.startswith(("jobs: ", "jobs run: "))


async def test_a_job_is_run_by_hand_for_a_day_and_a_clinic(settings: Config, clinic: Clinic, owner_pool: Pool) -> None:
    await a_clinic(owner_pool, slug="elsewhere")
    yesterday = (datetime.now(UTC) - timedelta(days=2)).date().isoformat()
    arguments = ("run", "close_client_days", "--day", yesterday, "--clinic", "harbour")
    for _ in range(2):
        status, output, _ = await said(settings, *arguments)
        assert (status, output.splitlines()[0].split()[:2]) == (0, ["close_client_days", "harbour"])
    status, output, _ = await said(settings, "run", "fold_check_ins")
    assert (status, output.split()[0]) == (0, "fold_check_ins")
    async with owner_pool.acquire() as connection:
        await database.begin(connection, clinic.clinic_id)
        rows = await connection.fetch("select local_date, claimed_by, state from job_run")
        await connection.execute("rollback")
    assert [(str(row["local_date"]), row["claimed_by"], row["state"]) for row in rows] == [
        (yesterday, "by hand", "done")
    ]


async def test_a_day_closed_by_hand_closes_no_later_one(settings: Config, clinic: Clinic, owner_pool: Pool) -> None:
    today = datetime.now(UTC).date()
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=today - timedelta(days=30))
        await days_of(db, client_id, until=today - timedelta(days=20), craving=[3, 4, 3, 2, 3, 3, 4])
    chosen = today - timedelta(days=9)
    status, output, _ = await said(settings, "run", "close_client_days", "--day", chosen.isoformat())
    assert status == 0, output
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        rows = await trends.of(db, client_id, from_day=date(2000, 1, 1), until_day=date(2100, 1, 1))
    assert chosen - timedelta(days=2) <= rows[-1].client_day <= chosen


async def test_what_a_job_left_undone_is_told_once(settings: Config) -> None:
    status, output, _ = await said(settings, "run", "deliver_email")
    assert status == 0
    assert output.count("failed=") == 1


async def test_a_clock_refuses_a_schema_that_is_not_current(settings: Config, owner_pool: Pool) -> None:
    async with owner_pool.acquire() as connection:
        await connection.execute(
            "delete from schema_migrations where version = (select max(version) from schema_migrations)"
        )
    status, _, errors = await said(settings)
    assert status == 1
    assert "run `python -m service migrate`" in errors


async def test_a_clock_refuses_a_role_that_could_step_past_row_security(settings: Config) -> None:
    status, _, errors = await said(settings, NEAP_JOBS_DATABASE_URL=settings.database_url_of("owner"))
    assert status == 1
    assert "owns tables" in errors


async def test_a_clock_without_its_settings_says_which(settings: Config) -> None:
    status, _, errors = await said(settings, NEAP_KEY="short")
    assert (status, errors.startswith("setting: NEAP_KEY")) == (2, True)


async def test_a_hint_wakes_and_a_lost_connection_comes_back(settings: Config, owner_pool: Pool) -> None:
    heard: asyncio.Queue[None] = asyncio.Queue()
    url = settings.database_url_of("jobs")
    listening = asyncio.create_task(hints.listen(url, lambda: heard.put_nowait(None)))
    sender = await asyncpg.connect(settings.database_url_of("web"))
    killer = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await heard.get()
            await sender.execute(hint.NOTIFY)
            await heard.get()
            await killer.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'neap_hints'"
            )
            await heard.get()  # connected again: what was said meanwhile may be lost
            await sender.execute(hint.NOTIFY)
            await heard.get()
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
        await sender.close()
        await killer.close()


async def test_a_loop_whose_work_fails_goes_on_at_the_next_tick(jobs_pool: Pool, sweep_pool: Pool) -> None:
    runs: list[datetime] = []
    thrice = asyncio.Event()

    async def fails_once(tools: Tools, *, now: datetime) -> Result:
        runs.append(now)
        if len(runs) == 1:
            raise ZeroDivisionError
        if len(runs) == 3:
            thrice.set()
        return Result({})

    tools = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))
    period = Period("fail_once", fails_once, 0.05, "for the test")
    clock = process.Process(tools, hint_url=None, periods=[period], dailies=[])
    running = asyncio.create_task(clock.run())
    async with asyncio.timeout(PATIENCE_SECONDS):
        await thrice.wait()
        clock.stop()
        await running


async def test_a_finding_committed_before_a_crash_is_still_told(
    settings: Config, owner_pool: Pool, web_pool: Pool, clinic: Clinic, mail: MailSink
) -> None:
    """The urgent road needs no scheduler to write its messages, and any clock that comes later sends them."""
    now = datetime.now(UTC)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await staff.add(db, email="ada@harbour.example", name="Ada", roles=[Role.ADMIN], now=now)
        client_id = await a_client(db, now=now)
        finding = NewFinding(client_day=now.date(), rule=Rule.SAFETY, tier=Tier.URGENT, numbers={})
        change = await alerts.open_or_join(db, client_id, [finding], now=now, rule_set_version=1)
    smtp = {"NEAP_SMTP_HOST": "127.0.0.1", "NEAP_SMTP_PORT": str(mail.port), "NEAP_SMTP_SECURITY": "none"}
    status, output, _ = await said(settings, "run", "deliver_email", **smtp, NEAP_MAIL_FROM="neap@harbour.example")
    assert (status, "sent=1" in output) == (0, True)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        [message] = await deliveries.of_alert(db, change.opened[0])
    assert (message.channel, message.state) == (Channel.EMAIL, DeliveryState.SENT)


def test_what_looks_at_now_is_run_for_no_other_day(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["run", "watch_appointments", "--day", "2026-11-01"])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "jobs: watch_appointments looks at what is now; it takes no --day\n"
