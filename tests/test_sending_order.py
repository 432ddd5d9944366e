"""Which message goes first, and what waits for no other: the senders' lanes, batches and leases."""

from __future__ import annotations

import asyncio
import itertools
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from jobs import deliver_messages
from jobs.work import Tools
from schemas.alert import AlertState, Channel, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database
from service.alerting import alerts, deliveries, outbox, rounds, writing
from service.alerting.outbox import Lane
from service.alerting.writing import Sending
from service.database import Pool
from service.notify import Message, Sent, email, outward
from service.notify.email import Email
from service.people import staff
from tests import senders
from tests.builders import MASTER, NOW, a_clinic
from tests.outbox import a_told_alert, clinic, deliver_email, deliver_webhook, messages_of, sending, tools
from tests.sinks import HookSink, MailSink

__all__ = ["clinic", "sending", "tools"]


async def test_what_is_less_urgent_waits_where_not_all_can_go_at_once(
    web_pool: Pool, clinic: Clinic, jobs_pool: Pool
) -> None:
    for _ in range(2):
        await a_told_alert(web_pool, clinic)
    urgent, _ = await a_told_alert(web_pool, clinic, rule=Rule.SAFETY, tier=Tier.URGENT)
    async with database.transaction(jobs_pool, clinic.clinic_id) as db:
        first = await outbox.claim(db, Channel.EMAIL, Lane.ALL, at_once=2, now=NOW)
        assert (len(first), first[0].alert_id) == (2, urgent)
        assert await outbox.claim(db, Channel.EMAIL, Lane.URGENT, at_once=2, now=NOW) == []


class Held:
    """An e-mail channel that sends nothing until it is released."""

    channel = Channel.EMAIL
    at_once = 3
    retry_after_seconds = (5.0,)

    def __init__(self) -> None:
        self.asked, self.released = asyncio.Event(), asyncio.Event()
        self.told: list[UUID | None] = []

    async def send(self, message: Message, *, now: datetime) -> Sent:
        self.asked.set()
        await self.released.wait()
        self.told.append(message.alert_id)
        return Sent()


async def test_an_urgent_message_waits_for_no_other_of_its_clinic_whose_mail_server_is_slow(
    web_pool: Pool, clinic: Clinic, jobs_pool: Pool, sweep_pool: Pool
) -> None:
    slow = Held()
    tools = Tools(jobs_pool, sweep_pool, Sending({Channel.EMAIL: slow}, MASTER, "https://neap.example"))
    for _ in range(Held.at_once + 1):
        await a_told_alert(web_pool, clinic)
    others = asyncio.create_task(senders.by(Channel.EMAIL, Lane.ALL)(tools, now=NOW))
    await slow.asked.wait()
    urgent, _ = await a_told_alert(web_pool, clinic, rule=Rule.SAFETY, tier=Tier.URGENT)
    quick = Held()
    quick.released.set()
    beside = Tools(jobs_pool, sweep_pool, Sending({Channel.EMAIL: quick}, MASTER, "https://neap.example"))
    assert (await senders.by(Channel.EMAIL, Lane.URGENT)(beside, now=NOW)).counts["sent"] == 1
    assert quick.told == [urgent]
    assert slow.told == []
    slow.released.set()
    assert (await others).counts["sent"] == Held.at_once + 1


async def test_an_urgent_message_waits_for_no_other_urgent_one_that_hangs(
    web_pool: Pool, clinic: Clinic, jobs_pool: Pool, sweep_pool: Pool
) -> None:
    stuck, _ = await a_told_alert(web_pool, clinic, rule=Rule.SAFETY, tier=Tier.URGENT)
    arrived = asyncio.Event()

    class Hangs(Held):
        async def send(self, message: Message, *, now: datetime) -> Sent:
            if message.alert_id != stuck:
                arrived.set()
                return Sent()
            return await super().send(message, now=now)

    channel = Hangs()
    tools = Tools(jobs_pool, sweep_pool, Sending({Channel.EMAIL: channel}, MASTER, "https://neap.example"))
    run = asyncio.create_task(senders.by(Channel.EMAIL, Lane.URGENT)(tools, now=NOW))
    await channel.asked.wait()
    await a_told_alert(web_pool, clinic, rule=Rule.SAFETY, tier=Tier.URGENT)
    await arrived.wait()
    assert not run.done()
    channel.released.set()
    assert (await run).counts["sent"] == 2


async def test_what_comes_elsewhere_while_a_clinic_hangs_goes_out_in_the_same_run(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, jobs_pool: Pool, sweep_pool: Pool
) -> None:
    elsewhere = await a_clinic(owner_pool, slug="elsewhere")
    first, _ = await a_told_alert(web_pool, clinic)
    arrived = asyncio.Event()

    class Hangs(Held):
        async def send(self, message: Message, *, now: datetime) -> Sent:
            if message.alert_id != first:
                arrived.set()
                return Sent()
            return await super().send(message, now=now)

    channel = Hangs()
    tools = Tools(jobs_pool, sweep_pool, Sending({Channel.EMAIL: channel}, MASTER, "https://neap.example"))
    run = asyncio.create_task(senders.by(Channel.EMAIL, Lane.ALL)(tools, now=NOW))
    await channel.asked.wait()
    await a_told_alert(web_pool, elsewhere)
    await arrived.wait()
    assert not run.done()
    channel.released.set()
    assert (await run).counts["sent"] == 2


async def test_each_batch_of_a_long_run_is_sent_at_the_time_it_is_by_then(
    web_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    """A lease that began with the run would be over before the last batches are sent, and they would be sent twice."""
    ticks = itertools.count()
    job = deliver_messages.by(
        Channel.EMAIL, Lane.ALL, clock_from=lambda now: lambda: now + next(ticks) * timedelta(seconds=1)
    )
    alert_ids = [(await a_told_alert(web_pool, clinic))[0] for _ in range(2 * Email.at_once)]
    await job(tools, now=NOW)
    settled = [(await messages_of(web_pool, clinic, each))[Channel.EMAIL].settled_at for each in alert_ids]
    first, second = settled[: Email.at_once], settled[Email.at_once :]
    assert len({*first}) == len({*second}) == 1
    assert first != second


async def test_a_machine_that_was_told_is_nobody_who_can_act(
    web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    alert_id, _ = await a_told_alert(web_pool, clinic, webhook_port=hooks.port, rule=Rule.SAFETY, tier=Tier.URGENT)
    await deliver_webhook(tools, now=NOW)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert (await alerts.get(db, alert_id)).state is AlertState.OPEN
    await deliver_email(tools, now=NOW)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert (await alerts.get(db, alert_id)).state is AlertState.DISPATCHED


@pytest.mark.parametrize(("put_off", "problem"), [(False, deliveries.TAKEN_ON), (True, writing.PUT_OFF)])
async def test_what_somebody_took_on_or_put_off_is_told_to_nobody_else_meanwhile(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, put_off: bool, problem: str
) -> None:
    alert_id, therapist = await a_told_alert(web_pool, clinic)
    until = NOW + timedelta(hours=3)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        if put_off:
            await alerts.snooze(db, alert_id, until, "at three", by=therapist, now=NOW, sealer=MASTER)
        else:
            until = await alerts.acknowledge(db, alert_id, by=therapist, now=NOW)
    await deliver_email(tools, now=NOW)
    assert mail.messages == []
    assert (await messages_of(web_pool, clinic, alert_id))[Channel.EMAIL].problem == problem
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert await rounds.end_lapsed(db, now=until) == 1
    await deliver_email(tools, now=until)
    assert len(mail.messages) == 1, "the next round tells it"


async def test_who_is_next_hears_although_the_sender_was_killed_at_the_last_try(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    """The try that would have told others was claimed, and nobody was left to write down that it failed."""
    alert_id, _ = await a_told_alert(web_pool, clinic, rule=Rule.SAFETY, tier=Tier.URGENT)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await staff.add(db, email="rue@harbour.example", name="Rue", roles=[Role.COORDINATOR], now=NOW)
        lost = "update delivery set attempts = $2, state = 'failed', leased_until = $3 where clinic_id = $1"
        await db.execute(lost, db.clinic_id, deliveries.URGENT_TRIES, NOW)
    mail.answers = ["451 Later"]
    await senders.by(Channel.EMAIL, Lane.URGENT)(tools, now=NOW)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert len(await deliveries.of_alert(db, alert_id)) == 2


def test_a_lease_outlasts_whatever_a_message_may_take() -> None:
    for seconds in (email.TIMEOUT_SECONDS, outward.TIMEOUT_SECONDS):
        assert timedelta(seconds=seconds) <= outbox.LEASE / 2
