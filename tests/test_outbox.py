"""The outbox is emptied at least once: leased, sent, settled; whom to tell is read at send time, and failures show."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from jobs.work import Result, Tools
from schemas.alert import AlertState, Channel, DeliveryState, EventKind, NewFinding, Outcome, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database
from service.alerting import alerts, deliveries, outbox, writing
from service.alerting.outbox import Delivered
from service.alerting.writing import Sending
from service.database import Pool
from service.notify.webhook import Webhook
from service.people import staff, webhook_endpoints
from tests import senders
from tests.builders import MASTER, NOW, a_clinic
from tests.outbox import TODAY, a_told_alert, clinic, deliver_email, deliver_webhook, messages_of, sending, tools
from tests.sinks import HookSink, MailSink, a_hook_sink

__all__ = ["clinic", "sending", "tools"]


async def deliver_all(tools: Tools, *, now: datetime) -> Result:
    """A run of both jobs that send."""
    runs = await asyncio.gather(deliver_email(tools, now=now), deliver_webhook(tools, now=now))
    counts = {name: sum(run.counts[name] for run in runs) for name in runs[0].counts}
    return Result(counts, failed=sum(run.failed for run in runs))


async def test_an_alert_is_told_by_every_channel_and_counts_as_dispatched(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, hooks: HookSink
) -> None:
    alert_id, _ = await a_told_alert(web_pool, clinic, webhook_port=hooks.port)
    result = await deliver_all(tools, now=NOW)
    assert (result.counts["sent"], result.failed) == (2, 0)
    assert (len(mail.messages), len(hooks.hooks)) == (1, 1)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert (await alerts.get(db, alert_id)).state is AlertState.DISPATCHED
        kinds = [event.kind for event in await alerts.events_of(db, alert_id)]
        assert kinds == [EventKind.OPENED, EventKind.DISPATCHED]
    assert (await deliver_all(tools, now=NOW)).counts["sent"] == 0
    assert len(mail.messages) == 1


async def test_a_failed_message_is_tried_again_by_its_table_under_the_same_id(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, hooks: HookSink
) -> None:
    alert_id, _ = await a_told_alert(web_pool, clinic, webhook_port=hooks.port)
    mail.answers = ["451 Later"]
    hooks.answers = ["500", "503 retry-after: 900"]
    await deliver_all(tools, now=NOW)
    failed = await messages_of(web_pool, clinic, alert_id)
    assert {each.state for each in failed.values()} == {DeliveryState.FAILED}
    assert failed[Channel.EMAIL].due_at == NOW + timedelta(seconds=30)
    assert failed[Channel.WEBHOOK].due_at == NOW + timedelta(seconds=5)
    assert failed[Channel.WEBHOOK].problem == "the endpoint answered 500"
    assert (await deliver_all(tools, now=NOW + timedelta(seconds=4))).counts == nothing()
    await deliver_all(tools, now=NOW + timedelta(seconds=5))
    again = await messages_of(web_pool, clinic, alert_id)
    assert again[Channel.WEBHOOK].due_at == NOW + timedelta(seconds=905), "the endpoint asked for longer than the table"
    await deliver_all(tools, now=NOW + timedelta(hours=1))
    sent = await messages_of(web_pool, clinic, alert_id)
    assert {(each.state, each.problem) for each in sent.values()} == {(DeliveryState.SENT, None)}
    assert {hook.headers["webhook-id"] for hook in hooks.hooks} == {str(sent[Channel.WEBHOOK].delivery_id)}


def nothing() -> dict[str, int]:
    return {"sent": 0, "failed": 0, "dead": 0, "blocked": 0}


async def test_a_message_that_never_goes_through_is_dead_and_shows_it(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, caplog: pytest.LogCaptureFixture
) -> None:
    alert_id, _ = await a_told_alert(web_pool, clinic)
    attempts = len(tools.sending.notifiers[Channel.EMAIL].retry_after_seconds) + 1
    mail.answers = ["451 Later"] * attempts
    now = NOW
    with caplog.at_level(logging.ERROR):
        for _ in range(attempts):
            assert (await messages_of(web_pool, clinic, alert_id))[Channel.EMAIL].state is not DeliveryState.DEAD
            await deliver_all(tools, now=now)
            now += timedelta(hours=25)
    dead = (await messages_of(web_pool, clinic, alert_id))[Channel.EMAIL]
    assert (dead.state, dead.attempts, dead.problem) == (
        DeliveryState.DEAD,
        attempts,
        "the mail server refused it (451)",
    )
    assert [record.getMessage() for record in caplog.records] == ["delivery_dead", "alert_unroutable"]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert (await alerts.get(db, alert_id)).state is AlertState.OPEN, "nobody was told"


async def found_again(pool: Pool, clinic: Clinic, alert_id: UUID, *, now: datetime) -> None:
    """A further positive safety answer of the alert's client."""
    async with database.transaction(pool, clinic.clinic_id) as db:
        finding = NewFinding(client_day=TODAY, rule=Rule.OPIOID_USE, tier=Tier.URGENT, numbers={})
        client_id = (await alerts.get(db, alert_id)).client_id
        change = await alerts.open_or_join(db, client_id, [finding], now=now, rule_set_version=1)
    assert change.joined == [alert_id]


async def test_a_second_urgent_finding_waits_for_no_retry(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    alert_id, _ = await a_told_alert(web_pool, clinic, rule=Rule.SAFETY, tier=Tier.URGENT)
    mail.answers = ["451 Later"] * 6
    now = NOW
    for _ in range(6):
        await deliver_all(tools, now=now)
        failed = (await messages_of(web_pool, clinic, alert_id))[Channel.EMAIL]
        tried, now = now, failed.due_at
    assert (failed.attempts, failed.due_at - tried) == (6, timedelta(hours=1))
    now = tried + timedelta(minutes=1)
    await found_again(web_pool, clinic, alert_id, now=now)
    assert (await deliver_all(tools, now=now)).counts["sent"] == 1
    assert len(mail.messages) == 1
    await deliver_all(tools, now=failed.due_at)
    assert len(mail.messages) == 1, "the later round has told what the retry would"


async def test_a_webhook_that_waits_tells_no_person_of_a_second_urgent_finding(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, hooks: HookSink
) -> None:
    alert_id, _ = await a_told_alert(web_pool, clinic, webhook_port=hooks.port, rule=Rule.SAFETY, tier=Tier.URGENT)
    mail.answers, hooks.answers = ["550 No such mailbox"], ["500"]
    await deliver_all(tools, now=NOW)
    stood = {channel: each.state for channel, each in (await messages_of(web_pool, clinic, alert_id)).items()}
    assert stood == {Channel.EMAIL: DeliveryState.DEAD, Channel.WEBHOOK: DeliveryState.FAILED}
    await found_again(web_pool, clinic, alert_id, now=NOW + timedelta(seconds=1))
    await deliver_all(tools, now=NOW + timedelta(seconds=1))
    assert len(mail.messages) == 1


async def test_an_endpoint_that_is_gone_is_disabled(
    web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    hooks.answers = ["410"]
    alert_id, _ = await a_told_alert(web_pool, clinic, webhook_port=hooks.port)
    await deliver_all(tools, now=NOW)
    assert (await messages_of(web_pool, clinic, alert_id))[Channel.WEBHOOK].state is DeliveryState.DEAD
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        [endpoint] = await webhook_endpoints.of(db)
    assert (endpoint.disabled_at, endpoint.disabled_why) == (NOW, "the endpoint answered 410")


async def test_an_endpoint_that_was_disabled_meanwhile_is_not_told(
    web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    alert_id, _ = await a_told_alert(web_pool, clinic, webhook_port=hooks.port)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        [endpoint] = await webhook_endpoints.of(db)
        await webhook_endpoints.disable(db, endpoint.webhook_endpoint_id, why="by hand", now=NOW)
    await deliver_all(tools, now=NOW)
    assert hooks.hooks == []
    assert (await messages_of(web_pool, clinic, alert_id))[Channel.WEBHOOK].problem == writing.ENDPOINT_DISABLED


REFUSE_SENT = """
create function refuse() returns trigger language plpgsql as $$ begin raise exception 'out of order'; end $$;
create trigger refuse before update on delivery for each row when (new.state = 'sent') execute function refuse()
"""


async def test_what_was_sent_and_cannot_be_noted_is_sent_again_under_its_id(
    owner_pool: Pool,
    web_pool: Pool,
    clinic: Clinic,
    tools: Tools,
    hooks: HookSink,
    mail: MailSink,
    caplog: pytest.LogCaptureFixture,
) -> None:
    alert_id, _ = await a_told_alert(web_pool, clinic)
    async with owner_pool.acquire() as connection:
        await connection.execute(REFUSE_SENT)
    first = await deliver_all(tools, now=NOW)
    assert (first.counts["sent"], first.counts["failed"]) == (1, 1)
    assert "delivery_not_settled" in [record.getMessage() for record in caplog.records]
    async with owner_pool.acquire() as connection:
        await connection.execute("drop trigger refuse on delivery")
    await deliver_all(tools, now=NOW + timedelta(hours=1))
    assert (await messages_of(web_pool, clinic, alert_id))[Channel.EMAIL].state is DeliveryState.SENT
    assert len({message["Message-ID"] for message in mail.messages}) == 1
    assert len(mail.messages) == 2


async def test_a_person_who_left_is_not_told_and_the_next_one_is(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    alert_id, therapist = await a_told_alert(web_pool, clinic)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        admin = await staff.add(db, email="ada@harbour.example", name="Ada", roles=[Role.ADMIN], now=NOW)
        await staff.disable(db, therapist, by=admin, now=NOW)
    await deliver_all(tools, now=NOW)
    await deliver_all(tools, now=NOW)
    assert mail.recipients == ["ada@harbour.example"]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        told = [(each.staff_id, each.state, each.problem) for each in await deliveries.of_alert(db, alert_id)]
    assert told == [
        (therapist, DeliveryState.BLOCKED, writing.NOT_TO_BE_TOLD),
        (admin, DeliveryState.SENT, None),
    ]


async def test_nothing_is_sent_of_an_alert_that_was_closed_first(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    alert_id, therapist = await a_told_alert(web_pool, clinic)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await alerts.resolve(db, alert_id, Outcome.CALLED, by=therapist, now=NOW)
    await deliver_all(tools, now=NOW)
    assert mail.messages == []
    assert (await messages_of(web_pool, clinic, alert_id))[Channel.EMAIL].problem == writing.CLOSED


async def test_a_sender_killed_before_it_settles_sends_again_under_the_same_id(
    web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    """The endpoint has the message and the process dies before it can write that down."""
    alert_id, _ = await a_told_alert(web_pool, clinic, webhook_port=hooks.port)
    hooks.answers = [None]
    sending = asyncio.create_task(deliver_webhook(tools, now=NOW))
    await hooks.asked.wait()
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    leased = await deliver_webhook(tools, now=NOW + outbox.LEASE / 2)
    assert leased.counts == nothing(), "the lease of the one that died still holds"
    await deliver_webhook(tools, now=NOW + outbox.LEASE)
    assert len({hook.headers["webhook-id"] for hook in hooks.hooks}) == 1
    assert len(hooks.hooks) == 2
    assert (await messages_of(web_pool, clinic, alert_id))[Channel.WEBHOOK].state is DeliveryState.SENT


async def test_two_senders_at_once_send_each_message_once(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    for _ in range(30):
        await a_told_alert(web_pool, clinic)
    results = await asyncio.gather(*(deliver_all(tools, now=NOW) for _ in range(3)))
    assert sum(result.counts["sent"] for result in results) == 30
    assert len({mail["message-id"] for mail in mail.messages}) == len(mail.messages) == 30


async def test_a_channel_that_raises_is_logged_and_tried_again(
    web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(host: str, port: int) -> list[str]:
        raise ZeroDivisionError

    webhook = Webhook(allowed={f"127.0.0.1:{hooks.port}"}, resolve=broken)
    channels = dict(tools.sending.notifiers) | {Channel.WEBHOOK: webhook}
    alert_id, _ = await a_told_alert(web_pool, clinic, webhook_port=hooks.port)
    counts = await senders.deliver(
        tools.pool, clinic.clinic_id, Sending(channels, MASTER, "https://neap.example"), now=NOW
    )
    assert counts == Delivered(sent=1, failed=1)
    assert (await messages_of(web_pool, clinic, alert_id))[Channel.WEBHOOK].problem == "unexpected ZeroDivisionError"
    assert "delivery_raised" in [record.getMessage() for record in caplog.records]


async def test_trouble_in_one_clinic_holds_up_no_other(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink, mail: MailSink
) -> None:
    """A secret sealed with another deployment's key cannot sign: that message is blocked, the rest goes out."""
    alert_id, _ = await a_told_alert(web_pool, clinic, webhook_port=hooks.port)
    elsewhere = await a_clinic(owner_pool, slug="elsewhere")
    await a_told_alert(web_pool, elsewhere, webhook_port=hooks.port)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute("update webhook_endpoint set secret_sealed = 'x' where clinic_id = $1", clinic.clinic_id)
    result = await deliver_all(tools, now=NOW)
    assert (result.counts["sent"], result.counts["blocked"]) == (3, 1)
    assert (await messages_of(web_pool, clinic, alert_id))[Channel.WEBHOOK].problem == writing.UNREADABLE


async def test_a_clinic_s_messages_are_sent_in_that_clinic_only(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    await a_told_alert(web_pool, clinic)
    elsewhere = await a_clinic(owner_pool, slug="elsewhere")
    counts = await senders.deliver(tools.pool, elsewhere.clinic_id, tools.sending, now=NOW)
    assert (counts, mail.messages) == (Delivered(), [])


async def test_an_endpoint_that_hangs_holds_up_neither_e_mails_nor_the_endpoints_of_other_clinics(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink, mail: MailSink
) -> None:
    await a_told_alert(web_pool, clinic, webhook_port=hooks.port)
    hooks.answers = [None]
    hanging = asyncio.create_task(deliver_webhook(tools, now=NOW))
    await hooks.asked.wait()
    elsewhere = await a_clinic(owner_pool, slug="elsewhere")
    alert_id, _ = await a_told_alert(web_pool, elsewhere, webhook_port=hooks.port, rule=Rule.SAFETY, tier=Tier.URGENT)
    result = await deliver_email(tools, now=NOW)
    assert (result.counts["sent"], len(mail.messages)) == (2, 2)
    assert not hanging.done()
    assert (await messages_of(web_pool, elsewhere, alert_id))[Channel.EMAIL].state is DeliveryState.SENT
    hooks.released.set()
    assert (await hanging).counts["sent"] == 2, "what came meanwhile, too"


async def test_clinics_are_served_at_once_although_one_of_them_hangs(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    await a_told_alert(web_pool, clinic, webhook_port=hooks.port)
    elsewhere = await a_clinic(owner_pool, slug="elsewhere")
    async with a_hook_sink() as other:
        channel = Webhook(allowed={f"127.0.0.1:{hooks.port}", f"127.0.0.1:{other.port}"})
        sending = Sending({Channel.WEBHOOK: channel}, MASTER, "https://neap.example")
        await a_told_alert(web_pool, elsewhere, webhook_port=other.port)
        hooks.answers = [None]
        run = asyncio.create_task(deliver_webhook(Tools(tools.pool, tools.sweep, sending), now=NOW))
        await hooks.asked.wait()
        await other.asked.wait()
        assert not run.done()
        hooks.released.set()
        assert (await run).counts["sent"] == 2
