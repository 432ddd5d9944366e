"""Reminders when a server's clock was wrong: whoever asked to be reminded is reminded once it is right again."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from jobs.work import Tools
from schemas.clinic import Clinic
from service import database
from service.database import Pool
from service.people import phone_settings
from tests.reminding import DUE_AT, HOUR, a_reminded_client, choose, clinic, counted, run, service, tools
from tests.sinks import MailSink

__all__ = ["clinic", "service", "tools"]

EMAIL = "someone@x.example"
A_DAY, A_YEAR = timedelta(days=1), timedelta(days=365)
# A minute before the client's hour, at which the clock is wrong for one run.
BEFORE = DUE_AT - timedelta(minutes=1)


@pytest.mark.parametrize("wrong_by", [A_YEAR + timedelta(hours=5), timedelta(days=2), -A_YEAR, -timedelta(days=2)])
async def test_a_clock_that_was_wrong_for_one_run_costs_no_reminder(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, wrong_by: timedelta
) -> None:
    await a_reminded_client(owner_pool, clinic, email=EMAIL)
    assert (await run(tools, at=BEFORE + wrong_by))["sent"] == 0
    await run(tools, at=BEFORE)
    assert mail.messages == [], "it is not yet their hour"
    for days in range(3):
        assert await run(tools, at=DUE_AT + days * A_DAY) == counted(sent=1)
        assert await run(tools, at=DUE_AT + days * A_DAY + timedelta(minutes=1)) == counted()


async def test_a_clock_that_ran_ahead_at_the_hour_itself_costs_that_day_s_reminder_and_no_other(
    owner_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    await a_reminded_client(owner_pool, clinic, email=EMAIL)
    assert await run(tools, at=DUE_AT + A_YEAR + timedelta(hours=5)) == counted(late=1)
    assert [await run(tools, at=DUE_AT + timedelta(minutes=each)) for each in (1, 2)] == [counted()] * 2
    assert await run(tools, at=DUE_AT + A_DAY) == counted(sent=1)


@pytest.mark.parametrize("already_sent", [True, False])
async def test_by_a_clock_that_stands_days_back_nobody_is_reminded_and_by_the_right_one_once(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, already_sent: bool
) -> None:
    await a_reminded_client(owner_pool, clinic, email=EMAIL)
    if already_sent:
        assert await run(tools) == counted(sent=1)
    assert await run(tools, at=DUE_AT - 3 * A_DAY + timedelta(minutes=1)) == counted()
    await run(tools, at=DUE_AT + timedelta(minutes=2))
    assert len(mail.messages) == 1
    assert await run(tools, at=DUE_AT + A_DAY) == counted(sent=1)


async def test_the_same_hour_saved_again_is_never_later_than_the_hour(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email=EMAIL)
    ahead = "update phone_setting set next_at = next_at + interval '1 year' where clinic_id = $1"
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute(ahead, db.clinic_id)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await choose(db, client_id, HOUR, email=EMAIL, now=BEFORE)
        assert await db.value("select next_at from phone_setting where clinic_id = $1", db.clinic_id) == DUE_AT


async def test_after_days_without_a_run_the_hour_that_is_now_counts(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    await a_reminded_client(owner_pool, clinic, email=EMAIL)
    assert await run(tools, at=DUE_AT + 3 * A_DAY + timedelta(minutes=30)) == counted(sent=1)


@pytest.mark.parametrize("zone", ["Antarctica/Troll", "America/Chicago", "Australia/Lord_Howe", "Africa/Casablanca"])
def test_no_next_hour_is_as_far_ahead_as_a_wrong_clock_s(zone: str) -> None:
    there = ZoneInfo(zone)
    for minutes in range(0, 24 * 60, 30):
        at, moment = time(minutes // 60, minutes % 60), datetime(2026, 1, 1, 13, 7, tzinfo=UTC)
        coming = [moment]
        while coming[-1] < moment + A_YEAR:
            coming.append(phone_settings.next_after(coming[-1], at, there))
        assert max(b - a for a, b in itertools.pairwise(coming)) <= phone_settings.FURTHEST - timedelta(hours=1)
