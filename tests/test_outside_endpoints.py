"""An endpoint outside the clinic is told only of clients who consented; the care team is told in any case."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from jobs.work import Tools
from schemas.alert import Channel, Delivery, DeliveryState, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database
from service.alerting import alerts, deliveries
from service.alerting.writing import Sending
from service.database import Db, Pool
from service.notify import Notifier
from service.notify.email import Email
from service.notify.webhook import Webhook
from service.people import clients, consents, staff, webhook_endpoints
from tests import senders
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.sinks import HookSink, MailSink

deliver_email = partial(senders.deliver_everywhere, channel=Channel.EMAIL)
deliver_webhook = partial(senders.deliver_everywhere, channel=Channel.WEBHOOK)
MINUTE = timedelta(minutes=1)


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def tools(jobs_pool: Pool, sweep_pool: Pool, mail: MailSink, hooks: HookSink) -> Tools:
    email = Email(host="127.0.0.1", port=mail.port, security="none", sender="neap@x.example", user=None, password=None)
    channels: Mapping[Channel, Notifier] = {
        Channel.EMAIL: email,
        Channel.WEBHOOK: Webhook(allowed={f"127.0.0.1:{hooks.port}"}),
    }
    return Tools(jobs_pool, sweep_pool, Sending(channels, MASTER, "https://neap.example"))


async def an_endpoint(pool: Pool, clinic: Clinic, hooks: HookSink, *, outside: bool = True) -> UUID:
    url = f"http://127.0.0.1:{hooks.port}/{'outside' if outside else 'inside'}"
    async with database.transaction(pool, clinic.clinic_id) as db:
        return (await webhook_endpoints.add(db, MASTER, url, outside=outside, now=NOW))[0]


async def an_urgent_finding(db: Db, client_id: UUID, rule: Rule = Rule.SAFETY, *, now: datetime = NOW) -> UUID:
    finding = NewFinding(client_day=NOW.date(), rule=rule, tier=Tier.URGENT, numbers={})
    change = await alerts.open_or_join(db, client_id, [finding], now=now, rule_set_version=1)
    return (change.opened + change.joined)[0]


async def an_alert(pool: Pool, clinic: Clinic) -> tuple[UUID, UUID]:
    """A client of Tamsin's and an urgent alert of theirs, its messages queued."""
    async with database.transaction(pool, clinic.clinic_id) as db:
        tamsin = await staff.add(db, email="tamsin@x.example", name="Tamsin", roles=[Role.THERAPIST], now=NOW)
        client_id = await a_client(db)
        await clients.assign(db, client_id, tamsin, Role.THERAPIST, from_at=NOW - timedelta(days=9))
        return client_id, await an_urgent_finding(db, client_id)


async def say(pool: Pool, clinic: Clinic, client_id: UUID, given: bool, *, now: datetime = NOW) -> None:
    async with database.transaction(pool, clinic.clinic_id) as db:
        tamsin = next(each for each in await staff.all_of(db) if each.name == "Tamsin")
        await consents.record(db, client_id, given=given, by=tamsin.staff_id, now=now)


async def told_endpoints(pool: Pool, clinic: Clinic, alert_id: UUID) -> list[Delivery]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return [each for each in await deliveries.of_alert(db, alert_id) if each.webhook_endpoint_id is not None]


DISCLOSED = """
select actor_kind, client_id, object_id, reason is null as it_is_known
from audit_event
where clinic_id = $1
  and action = 'alert.disclose'
order by audit_event_id
"""


async def disclosed(pool: Pool, clinic: Clinic) -> list[tuple[object, ...]]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return [tuple(row) for row in await db.connection.fetch(DISCLOSED, db.clinic_id)]


async def test_without_consent_nothing_goes_out_that_is_recorded_and_the_care_team_is_told(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, hooks: HookSink
) -> None:
    await an_endpoint(web_pool, clinic, hooks)
    _, alert_id = await an_alert(web_pool, clinic)
    result = await deliver_webhook(tools, now=NOW)
    assert (result.counts["sent"], result.counts["blocked"]) == (0, 1)
    assert hooks.hooks == []
    [withheld] = await told_endpoints(web_pool, clinic, alert_id)
    assert (withheld.state, withheld.problem) == (DeliveryState.BLOCKED, consents.NOT_GIVEN)
    assert await disclosed(owner_pool, clinic) == []
    await deliver_email(tools, now=NOW)
    assert [each["to"] for each in mail.messages] == ["tamsin@x.example"]


async def test_with_consent_it_goes_out_and_the_disclosure_stands_in_the_audit_trail(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    endpoint_id = await an_endpoint(web_pool, clinic, hooks)
    client_id, alert_id = await an_alert(web_pool, clinic)
    await say(web_pool, clinic, client_id, given=True)
    hooks.answers = ["503"]
    await deliver_webhook(tools, now=NOW)
    tried = ("job", client_id, endpoint_id, False)
    assert await disclosed(owner_pool, clinic) == [tried], "it may have been read"
    assert (await deliver_webhook(tools, now=NOW + MINUTE)).counts["sent"] == 1
    [sent] = await told_endpoints(web_pool, clinic, alert_id)
    assert (sent.state, sent.problem) == (DeliveryState.SENT, None)
    assert await disclosed(owner_pool, clinic) == [tried, ("job", client_id, endpoint_id, True)]


@pytest.mark.parametrize("tried_before", [False, True])
async def test_consent_withdrawn_while_a_message_waits_keeps_it_back(
    owner_pool: Pool,
    web_pool: Pool,
    clinic: Clinic,
    tools: Tools,
    mail: MailSink,
    hooks: HookSink,
    *,
    tried_before: bool,
) -> None:
    endpoint_id = await an_endpoint(web_pool, clinic, hooks)
    client_id, alert_id = await an_alert(web_pool, clinic)
    await say(web_pool, clinic, client_id, given=True)
    if tried_before:
        hooks.answers = ["503"]
        assert (await deliver_webhook(tools, now=NOW)).counts["failed"] == 1
    await say(web_pool, clinic, client_id, given=False, now=NOW + MINUTE)
    assert (await deliver_webhook(tools, now=NOW + MINUTE)).counts["blocked"] == 1
    [withheld] = await told_endpoints(web_pool, clinic, alert_id)
    assert (withheld.state, withheld.problem) == (DeliveryState.BLOCKED, consents.NOT_GIVEN)
    assert len(hooks.hooks) == int(tried_before)
    assert await disclosed(owner_pool, clinic) == [("job", client_id, endpoint_id, False)] * tried_before
    assert (await deliver_email(tools, now=NOW + MINUTE)).counts["sent"] == 1
    assert [each["to"] for each in mail.messages] == ["tamsin@x.example"]


async def test_consent_given_again_holds_from_the_next_message_on(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    endpoint_id = await an_endpoint(web_pool, clinic, hooks)
    client_id, alert_id = await an_alert(web_pool, clinic)
    for given in (True, False):
        await say(web_pool, clinic, client_id, given=given)
    for deliver in (deliver_webhook, deliver_email):
        await deliver(tools, now=NOW)
    await say(web_pool, clinic, client_id, given=True, now=NOW + MINUTE)
    assert (await deliver_webhook(tools, now=NOW + MINUTE)).counts["sent"] == 0, "what was withheld stays so"
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await an_urgent_finding(db, client_id, Rule.OPIOID_USE, now=NOW + 2 * MINUTE)
    assert (await deliver_webhook(tools, now=NOW + 2 * MINUTE)).counts["sent"] == 1
    told = await told_endpoints(web_pool, clinic, alert_id)
    assert [each.state for each in told] == [DeliveryState.BLOCKED, DeliveryState.SENT]
    assert await disclosed(owner_pool, clinic) == [("job", client_id, endpoint_id, True)]


async def test_an_endpoint_of_the_clinics_own_is_told_whatever_the_client_said(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    own = await an_endpoint(web_pool, clinic, hooks, outside=False)
    await an_endpoint(web_pool, clinic, hooks)
    client_id, alert_id = await an_alert(web_pool, clinic)
    await say(web_pool, clinic, client_id, given=False)
    result = await deliver_webhook(tools, now=NOW)
    assert (result.counts["sent"], result.counts["blocked"]) == (1, 1)
    [sent] = [each for each in await told_endpoints(web_pool, clinic, alert_id) if each.state is DeliveryState.SENT]
    assert sent.webhook_endpoint_id == own
    assert await disclosed(owner_pool, clinic) == []


async def test_whose_an_endpoint_is_counts_as_it_stands_when_a_message_is_sent(
    web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    endpoint_id = await an_endpoint(web_pool, clinic, hooks, outside=False)
    await an_alert(web_pool, clinic)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await webhook_endpoints.set_outside(db, endpoint_id, outside=True)
    assert (await deliver_webhook(tools, now=NOW)).counts["blocked"] == 1
    assert hooks.hooks == []


async def test_consent_is_each_clients_own_and_each_clinics(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, hooks: HookSink
) -> None:
    there = await a_clinic(owner_pool, slug="lakeside")
    for each in (clinic, there):
        await an_endpoint(web_pool, each, hooks)
    client_id, _ = await an_alert(web_pool, there)
    await say(web_pool, there, client_id, given=True)
    await an_alert(web_pool, clinic)
    async with database.transaction(web_pool, there.clinic_id) as db:
        await an_urgent_finding(db, await a_client(db, given_name="Per"))
    result = await deliver_webhook(tools, now=NOW)
    assert (result.counts["sent"], result.counts["blocked"]) == (1, 2)
    assert await disclosed(owner_pool, clinic) == []
    assert [row[1] for row in await disclosed(owner_pool, there)] == [client_id]
