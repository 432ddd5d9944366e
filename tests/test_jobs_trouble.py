"""Where one clinic's tables take nothing, every job serves the others, says how many it left, and tries again."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from jobs import climb_ladders, close_client_days, deliver_messages, fold_check_ins, send_reminders
from jobs.work import Result, Tools
from schemas.alert import Channel, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database
from service.alerting import alerts
from service.alerting.outbox import Lane
from service.alerting.writing import Sending
from service.database import Pool
from service.facts import fold_queue
from service.people import clients, phone_settings, staff
from tests.builders import MASTER, NOW, a_client, a_clinic, a_phone, days_of
from tests.senders import an_email_channel
from tests.sinks import MailSink

TODAY = date(2026, 11, 22)
CHICAGO = ZoneInfo("America/Chicago")
LATER = NOW + timedelta(hours=2)

# Nothing of ours has a trigger; this one is the trouble.
REFUSE = """
create function refuse() returns trigger language plpgsql as $$ begin raise exception 'out of order'; end $$;
create trigger refuse before insert or update on {table} for each row
when (new.clinic_id = '{clinic_id}') execute function refuse()
"""


@pytest.fixture
async def tools(jobs_pool: Pool, sweep_pool: Pool, mail: MailSink) -> Tools:
    email = an_email_channel(mail.port)
    return Tools(jobs_pool, sweep_pool, Sending({Channel.EMAIL: email}, MASTER, "https://neap.example"))


async def a_busy_clinic(owner: Pool, slug: str) -> Clinic:
    """A clinic in which each job finds something: days to fold, an urgent alert, a message, a reminder."""
    clinic = await a_clinic(owner, slug=slug)
    async with database.transaction(owner, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=9))
        await days_of(db, client_id, until=TODAY - timedelta(days=1), craving=[3, 4, 3, 2, 3, 3, 4, 3, 3])
        for name, role in (("tamsin", Role.THERAPIST), ("noor", Role.NURSE)):
            staff_id = await staff.add(db, email=f"{name}@{slug}.example", name=name, roles=[role], now=NOW)
            await clients.assign(db, client_id, staff_id, role, from_at=NOW - timedelta(days=1))
        urgent = NewFinding(client_day=TODAY, rule=Rule.SAFETY, tier=Tier.URGENT, numbers={})
        await alerts.open_or_join(db, client_id, [urgent], now=NOW, rule_set_version=1)
        await a_phone(db, client_id, now=NOW)
        await phone_settings.choose_reminder(
            db,
            MASTER,
            client_id,
            remind_time=time(18, 45),
            time_zone=CHICAGO.key,
            zone=CHICAGO,
            email="someone@x.example",
            now=NOW - timedelta(hours=1),
        )
    return clinic


async def close_both(tools: Tools, clinic_ids: list[UUID], *, now: datetime) -> Result:
    runs = [await close_client_days.run_once(tools, each, now=now) for each in clinic_ids]
    return Result(
        {"client_days": sum(run.counts.get("client_days", 0) for run in runs)}, sum(run.failed for run in runs)
    )


async def run_job(job: str, tools: Tools, clinic_ids: list[UUID], *, now: datetime) -> Result:
    everywhere: dict[str, Callable[..., Awaitable[Result]]] = {
        "climb_ladders": climb_ladders.run_once,
        "fold_check_ins": fold_check_ins.run_once,
        "send_reminders": send_reminders.run_once,
        "deliver_email": deliver_messages.by(Channel.EMAIL, Lane.URGENT),
    }
    if job == "close_client_days":
        return await close_both(tools, clinic_ids, now=now)
    return await everywhere[job](tools, now=now)


@pytest.mark.parametrize(
    ("job", "table", "counted", "said"),
    [
        ("climb_ladders", "alert_event", "steps", "step_failed"),
        ("fold_check_ins", "trend", "clients", "fold_failed"),
        ("close_client_days", "trend", "client_days", "closing_left_to_fold_check_ins"),
        ("send_reminders", "reminder", "sent", "reminding_failed"),
        ("deliver_email", "delivery", "sent", "delivering_failed"),
    ],
)
async def test_trouble_in_one_clinic_holds_up_no_other_and_is_tried_again(
    owner_pool: Pool, tools: Tools, caplog: pytest.LogCaptureFixture, job: str, table: str, counted: str, said: str
) -> None:
    troubled, well = [await a_busy_clinic(owner_pool, slug) for slug in ("troubled", "well")]
    both = [troubled.clinic_id, well.clinic_id]
    async with owner_pool.acquire() as connection:
        await connection.execute(REFUSE.format(table=table, clinic_id=troubled.clinic_id))
    with caplog.at_level(logging.ERROR):
        first = await run_job(job, tools, both, now=LATER)
    assert first.failed == 1
    assert first.counts[counted] > 0, first.counts
    told = [record for record in caplog.records if record.getMessage() == said]
    assert {vars(record)["clinic_id"] for record in told} == {troubled.clinic_id}
    async with owner_pool.acquire() as connection:
        await connection.execute(f"drop trigger refuse on {table}")
    # Whoever could not be folded was set aside for a while.
    rest = timedelta(hours=1) if job == "fold_check_ins" else timedelta(minutes=10)
    second = await run_job(job, tools, both, now=LATER + rest)
    assert second.failed == 0
    assert second.counts[counted] == first.counts[counted], "what was left is made up for, and nothing comes twice"


async def test_a_client_who_can_be_neither_folded_nor_set_aside_stays_due_and_holds_up_no_other_clinic(
    owner_pool: Pool, tools: Tools, caplog: pytest.LogCaptureFixture
) -> None:
    troubled, _ = [await a_busy_clinic(owner_pool, slug) for slug in ("troubled", "well")]
    async with owner_pool.acquire() as connection:
        await connection.execute(REFUSE.format(table="trend", clinic_id=troubled.clinic_id))
        await connection.execute(
            f"create trigger refuse before update on fold_due for each row"
            f" when (new.clinic_id = '{troubled.clinic_id}') execute function refuse()"
        )
    result = await fold_check_ins.run_once(tools, now=LATER)
    assert (result.counts["clients"], result.failed) == (1, 1)
    assert "setting_aside_failed" in [record.getMessage() for record in caplog.records]
    async with database.transaction(owner_pool, troubled.clinic_id) as db:
        assert len(await fold_queue.due(db, now=LATER)) == 1


async def test_a_channel_that_nobody_set_up_sends_nothing_and_leaves_its_messages(
    owner_pool: Pool, jobs_pool: Pool, sweep_pool: Pool
) -> None:
    clinic = await a_busy_clinic(owner_pool, "harbour")
    silent = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))
    result = await deliver_messages.by(Channel.EMAIL, Lane.URGENT)(silent, now=LATER)
    assert (set(result.counts.values()), result.failed) == ({0}, 0)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        states = "select array_agg(distinct state) from delivery where clinic_id = $1"
        assert await db.value(states, clinic.clinic_id) == ["queued"]
