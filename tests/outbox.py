"""A clinic with messages to send, and senders for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from uuid import UUID

import pytest

from jobs.work import Tools
from schemas.alert import Channel, Delivery, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database
from service.alerting import alerts, deliveries
from service.alerting.writing import Sending
from service.database import Pool
from service.notify import Notifier
from service.notify.email import Email
from service.notify.webhook import Webhook
from service.people import clients, staff, webhook_endpoints
from tests import senders
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.sinks import HookSink, MailSink

TODAY = NOW.date()


deliver_email = partial(senders.deliver_everywhere, channel=Channel.EMAIL)


deliver_webhook = partial(senders.deliver_everywhere, channel=Channel.WEBHOOK)


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def sending(mail: MailSink, hooks: HookSink) -> Sending:
    email = Email(host="127.0.0.1", port=mail.port, security="none", sender="neap@x.example", user=None, password=None)
    webhook = Webhook(allowed={f"127.0.0.1:{hooks.port}"})
    channels: Mapping[Channel, Notifier] = {Channel.EMAIL: email, Channel.WEBHOOK: webhook}
    return Sending(channels, MASTER, "https://neap.example")


@pytest.fixture
async def tools(jobs_pool: Pool, sweep_pool: Pool, sending: Sending) -> Tools:
    return Tools(jobs_pool, sweep_pool, sending)


async def a_told_alert(
    pool: Pool,
    clinic: Clinic,
    *,
    webhook_port: int | None = None,
    rule: Rule = Rule.WORSENING,
    tier: Tier = Tier.TODAY,
) -> tuple[UUID, UUID]:
    """An alert of a client of Tamsin's, also announced to a webhook where a port is given; alert and Tamsin."""
    async with database.transaction(pool, clinic.clinic_id) as db:
        email = f"tamsin-{len(await staff.all_of(db))}@harbour.example"
        therapist = await staff.add(db, email=email, name="Tamsin", roles=[Role.THERAPIST], now=NOW)
        client_id = await a_client(db)
        await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=NOW - timedelta(days=30))
        if webhook_port is not None:
            await webhook_endpoints.add(db, MASTER, f"http://127.0.0.1:{webhook_port}/hook", now=NOW)
        finding = NewFinding(client_day=TODAY, rule=rule, tier=tier, numbers={"statistic": 4.2})
        change = await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)
    return change.opened[0], therapist


async def messages_of(pool: Pool, clinic: Clinic, alert_id: UUID) -> dict[Channel, Delivery]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return {each.channel: each for each in await deliveries.of_alert(db, alert_id)}
