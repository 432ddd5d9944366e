"""An endpoint that takes nothing any more is disabled, and the clinic's admins hear of it, once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from jobs.work import Tools
from schemas.alert import Channel, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database
from service.alerting import alerts, endpoints
from service.alerting.writing import Sending
from service.database import Pool
from service.notify import Notifier, Template
from service.notify.email import Email
from service.notify.texts import TEXTS
from service.notify.webhook import Webhook
from service.people import clients, staff, webhook_endpoints
from service.people.webhook_endpoints import Endpoint
from tests import senders
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.sinks import HookSink, MailSink

deliver_email = partial(senders.deliver_everywhere, channel=Channel.EMAIL)
deliver_webhook = partial(senders.deliver_everywhere, channel=Channel.WEBHOOK)
SUBJECT = TEXTS[Template.ENDPOINT].subject


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    """A clinic with two admins, one of whom left."""
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        ada, gone = [
            await staff.add(db, email=f"{name}@x.example", name=name, roles=[Role.ADMIN], now=NOW)
            for name in ("ada", "gone")
        ]
        await staff.disable(db, gone, by=ada, now=NOW)
        await staff.add(db, email="tamsin@x.example", name="Tamsin", roles=[Role.THERAPIST], now=NOW)
    return clinic


@pytest.fixture
async def tools(jobs_pool: Pool, sweep_pool: Pool, mail: MailSink, hooks: HookSink) -> Tools:
    email = Email(host="127.0.0.1", port=mail.port, security="none", sender="neap@x.example", user=None, password=None)
    channels: Mapping[Channel, Notifier] = {
        Channel.EMAIL: email,
        Channel.WEBHOOK: Webhook(allowed={f"127.0.0.1:{hooks.port}"}),
    }
    return Tools(jobs_pool, sweep_pool, Sending(channels, MASTER, "https://neap.example"))


async def an_alert(pool: Pool, clinic: Clinic, *, now: datetime = NOW) -> None:
    async with database.transaction(pool, clinic.clinic_id) as db:
        client_id = await a_client(db)
        tamsin = next(each for each in await staff.all_of(db) if each.name == "Tamsin")
        await clients.assign(db, client_id, tamsin.staff_id, Role.THERAPIST, from_at=NOW)
        finding = NewFinding(client_day=NOW.date(), rule=Rule.SAFETY, tier=Tier.URGENT, numbers={})
        await alerts.open_or_join(db, client_id, [finding], now=now, rule_set_version=1)


async def an_endpoint(pool: Pool, clinic: Clinic, hooks: HookSink) -> UUID:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return (await webhook_endpoints.add(db, MASTER, f"http://127.0.0.1:{hooks.port}/x", now=NOW))[0]


async def endpoint_of(pool: Pool, clinic: Clinic) -> Endpoint:
    async with database.transaction(pool, clinic.clinic_id) as db:
        [endpoint] = await webhook_endpoints.of(db)
    return endpoint


async def tried_to_the_end(tools: Tools) -> datetime:
    """Every try of what waits, each when it is due; when the last one was."""
    now = NOW
    await deliver_webhook(tools, now=now)
    for seconds in Webhook.retry_after_seconds:
        now += timedelta(seconds=seconds)
        await deliver_webhook(tools, now=now)
    return now


def told(mail: MailSink) -> list[str]:
    return [str(each["to"]) for each in mail.messages if each["subject"] == SUBJECT]


async def test_an_endpoint_that_fails_for_days_is_disabled_and_the_admins_are_told(
    web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink, mail: MailSink
) -> None:
    await an_endpoint(web_pool, clinic, hooks)
    for _ in range(2):
        await an_alert(web_pool, clinic)
    hooks.answers = ["503"] * 100
    ended = await tried_to_the_end(tools)
    assert ended - NOW > timedelta(days=2)
    endpoint = await endpoint_of(web_pool, clinic)
    assert (endpoint.disabled_at, endpoint.disabled_why) == (ended, endpoints.FOR_DAYS)
    for _ in range(2):
        await deliver_email(tools, now=ended)
    assert told(mail) == ["ada@x.example"]


async def test_an_endpoint_to_which_others_got_through_meanwhile_stays(
    web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink, mail: MailSink
) -> None:
    await an_endpoint(web_pool, clinic, hooks)
    await an_alert(web_pool, clinic)
    hooks.answers = ["503"] * len(Webhook.retry_after_seconds)
    await deliver_webhook(tools, now=NOW)
    now = NOW
    for number, seconds in enumerate(Webhook.retry_after_seconds):
        now += timedelta(seconds=seconds)
        if number == len(Webhook.retry_after_seconds) - 1:
            await an_alert(web_pool, clinic, now=now - timedelta(hours=1))
            await deliver_webhook(tools, now=now - timedelta(hours=1))
            hooks.answers = ["503"]
        await deliver_webhook(tools, now=now)
    await deliver_email(tools, now=now)
    assert (await endpoint_of(web_pool, clinic)).disabled_at is None
    assert told(mail) == []


async def test_one_that_says_it_is_gone_is_told_of_too_unless_it_is_enabled_again_first(
    web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink, mail: MailSink
) -> None:
    endpoint_id = await an_endpoint(web_pool, clinic, hooks)
    for now, enabled_again in ((NOW, True), (NOW + timedelta(hours=1), False)):
        await an_alert(web_pool, clinic, now=now)
        hooks.answers = ["410"]
        await deliver_webhook(tools, now=now)
        if enabled_again:
            async with database.transaction(web_pool, clinic.clinic_id) as db:
                await webhook_endpoints.enable(db, endpoint_id)
        await deliver_email(tools, now=now)
        assert told(mail) == ([] if enabled_again else ["ada@x.example"])
