"""Many reminders at the same hour: few are under way at once, each as things stand by then, and clinics take turns."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from jobs import send_reminders
from jobs.work import Clock, Tools
from schemas.alert import Channel
from schemas.clinic import Clinic
from service import database, reminders
from service.alerting.writing import Sending
from service.database import Pool
from service.notify import Message, Result, Sent
from tests.builders import MASTER, a_clinic
from tests.reminding import DUE_AT, a_reminded_client, choose, clinic, counted, run, service, tools
from tests.sinks import MailSink

__all__ = ["clinic", "service", "tools"]


class Held:
    """A mail server that holds whatever is not for `@swift.example`, and tells what it was given and when."""

    channel = Channel.EMAIL
    at_once = 1
    retry_after_seconds: Sequence[float] = ()

    def __init__(self) -> None:
        self.begun = list[str]()
        self.done = list[str]()
        self.full, self.swift, self.free = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def send(self, message: Message, *, now: datetime) -> Result:
        self.begun.append(message.to)
        if message.to.endswith("@swift.example"):
            self.swift.set()
            return Sent()
        if len(self.begun) >= reminders.AT_ONCE:
            self.full.set()
        await self.free.wait()
        self.done.append(message.to)
        return Sent()


def through(tools: Tools, channel: Held) -> Tools:
    return Tools(tools.pool, tools.sweep, Sending({Channel.EMAIL: channel}, MASTER, "https://neap.example"))


async def a_crowd(pool: Pool, clinic: Clinic, count: int) -> list[str]:
    emails = [f"c{each}@x.example" for each in range(count)]
    for email in emails:
        await a_reminded_client(pool, clinic, email=email)
    return emails


async def test_a_process_that_ends_takes_the_reminder_only_from_whom_it_was_sending_to(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    emails, held = await a_crowd(owner_pool, clinic, 10), Held()
    ending = asyncio.create_task(run(through(tools, held)))
    await held.full.wait()
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    assert len(held.begun) == reminders.AT_ONCE
    assert await run(tools, at=DUE_AT + timedelta(minutes=1)) == counted(sent=10 - reminders.AT_ONCE)
    assert {message["To"] for message in mail.messages} == set(emails) - set(held.begun)


async def test_a_clinic_whose_messages_hang_holds_up_no_other(
    owner_pool: Pool, clinic: Clinic, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As few places as a clinic may fill, and one: the other clinic's turn comes.
    monkeypatch.setattr(send_reminders, "AT_ONCE", reminders.AT_ONCE + 1)
    await a_crowd(owner_pool, clinic, 10)
    other = await a_clinic(owner_pool, slug="swift")
    for each in range(10):
        await a_reminded_client(owner_pool, other, email=f"c{each}@swift.example")
    held = Held()
    running = asyncio.create_task(run(through(tools, held)))
    await asyncio.wait_for(held.swift.wait(), 10)
    assert held.done == []
    held.free.set()
    assert await running == counted(sent=20)


async def test_who_turns_it_off_while_others_are_sent_to_is_not_reminded(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    held = Held()
    client_ids = [await a_reminded_client(owner_pool, clinic, email=f"c{each}@x.example") for each in range(12)]
    running = asyncio.create_task(run(through(tools, held)))
    await held.full.wait()
    for client_id in client_ids:
        async with database.transaction(web_pool, clinic.clinic_id) as db:
            await choose(db, client_id, None, now=DUE_AT)
    held.free.set()
    assert await running == counted(sent=reminders.AT_ONCE)


def in_leaps_of(leap: timedelta, held: Held) -> Clock:
    """A clock on which each message takes so long."""
    return lambda: DUE_AT + leap * len(held.begun)


async def test_each_is_claimed_and_sent_at_the_time_it_is_by_then(
    owner_pool: Pool, clinic: Clinic, tools: Tools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminders, "AT_ONCE", 1)
    monkeypatch.setattr(send_reminders, "RUN_LASTS", timedelta(days=1))
    await a_crowd(owner_pool, clinic, 5)
    held = Held()
    held.free.set()
    clock = in_leaps_of(timedelta(minutes=45), held)
    result = await send_reminders.run_once(through(tools, held), now=DUE_AT, clock_from=lambda now: clock)
    assert result.counts == counted(sent=3, late=2)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        sql = "select claimed_at, settled_at from reminder where clinic_id = $1 and state = 'sent' order by claimed_at"
        rows = [tuple(row) for row in await db.connection.fetch(sql, db.clinic_id)]
    starts = [DUE_AT + timedelta(minutes=45) * each for each in range(4)]
    assert rows == list(itertools.pairwise(starts))


async def test_a_run_ends_soon_and_the_next_goes_on(owner_pool: Pool, clinic: Clinic, tools: Tools) -> None:
    await a_crowd(owner_pool, clinic, 12)
    held = Held()
    held.free.set()
    clock = in_leaps_of(timedelta(seconds=10), held)
    first = await send_reminders.run_once(through(tools, held), now=DUE_AT, clock_from=lambda now: clock)
    assert 3 <= first.counts["sent"] < 3 + reminders.AT_ONCE
    again_at = DUE_AT + timedelta(minutes=3)
    assert await run(through(tools, held), at=again_at) == counted(sent=12 - first.counts["sent"])
