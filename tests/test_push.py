"""Push messages reach a person's browsers, neutral and for them alone; where they do not, the next channel is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
import pytest
from py_vapid import Vapid02

from jobs import plan_untold
from jobs.work import Tools
from schemas.alert import Channel, DeliveryKind, DeliveryState, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import MessageTimes, Role
from service import base64url, database, errors, notify
from service.alerting import alerts, channels, deliveries, receipts
from service.config import Config
from service.database import Db, Pool
from service.notify import Message, Sent
from service.notify.endpoint import Refused
from service.notify.push import Push, VapidKey, read_subscription
from service.people import clients, message_times, staff, staff_addresses
from tests import senders
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.push_browsers import KEY, Browser, a_browser, push_and_email
from tests.sinks import HookSink, MailSink, a_hook_sink
from tests.wording import HEALTH_WORDS


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def service() -> AsyncIterator[HookSink]:
    """The push service."""
    async with a_hook_sink() as sink:
        yield sink


@pytest.fixture
async def tools(jobs_pool: Pool, sweep_pool: Pool, service: HookSink, mail: MailSink) -> Tools:
    return Tools(jobs_pool, sweep_pool, push_and_email(push_port=service.port, mail_port=mail.port))


async def subscribed(db: Db, staff_id: UUID, browser: Browser) -> UUID:
    address_id, _ = await staff_addresses.add(
        db,
        MASTER,
        staff_id,
        Channel.PUSH,
        browser.subscription,
        known_by=browser.endpoint,
        label="Firefox on Linux",
        now=NOW,
    )
    return address_id


async def an_alert(pool: Pool, clinic: Clinic, *browsers: Browser, urgent: bool = False) -> tuple[UUID, UUID]:
    """An alert of a client of Tamsin's, who has these browsers; alert and Tamsin."""
    async with database.transaction(pool, clinic.clinic_id) as db:
        tamsin = await staff.add(db, email="tamsin@x.example", name="Tamsin", roles=[Role.THERAPIST], now=NOW)
        for browser in browsers:
            await subscribed(db, tamsin, browser)
        client_id = await a_client(db)
        await clients.assign(db, client_id, tamsin, Role.THERAPIST, from_at=NOW - timedelta(days=30))
        rule, tier = (Rule.SAFETY, Tier.URGENT) if urgent else (Rule.WORSENING, Tier.TODAY)
        finding = NewFinding(client_day=NOW.date(), rule=rule, tier=tier, numbers={})
        change = await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)
    return change.opened[0], tamsin


async def send(tools: Tools, *, now: datetime = NOW) -> None:
    """A run of every sender; twice, for one's failure is the other's work."""
    for channel in (Channel.PUSH, Channel.EMAIL):
        await senders.deliver_everywhere(tools, channel, now=now)


async def states(pool: Pool, clinic: Clinic, alert_id: UUID) -> dict[Channel, DeliveryState]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return {each.channel: each.state for each in await deliveries.of_alert(db, alert_id)}


@pytest.mark.parametrize("unreadable", [True, False])
async def test_whose_browser_is_gone_or_cannot_be_opened_is_told_by_e_mail(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink, unreadable: bool
) -> None:
    alert_id, tamsin = await an_alert(web_pool, clinic, a_browser(service.port))
    spoil = "update staff_address set address_sealed = 'x' where clinic_id = $1"
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        if unreadable:
            await db.execute(spoil, clinic.clinic_id)
        else:
            [address] = await staff_addresses.of(db, [tamsin])
            await staff_addresses.end(db, address.staff_address_id, why="by hand", now=NOW)
    await send(tools)
    assert service.hooks == []
    assert mail.recipients == ["tamsin@x.example"]
    assert await states(web_pool, clinic, alert_id) == {
        Channel.PUSH: DeliveryState.BLOCKED,
        Channel.EMAIL: DeliveryState.SENT,
    }


async def test_a_browser_decrypts_a_neutral_message_and_its_service_knows_who_sent_it(
    web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    browser = a_browser(service.port)
    alert_id, _ = await an_alert(web_pool, clinic, browser)
    await send(tools)
    [hook] = service.hooks
    said = browser.read(hook)
    assert (said["title"], said["body"]) == ("New alert in the inbox", "There is a new alert in your inbox.")
    assert said["link"] == f"https://neap.example/messages/{said['id']}"
    assert not [word for word in HEALTH_WORDS if word in f"{said['title']} {said['body']}".lower()]
    assert receipts.read(said["receipt"], MASTER) == (clinic.clinic_id, UUID(said["id"]))
    assert Vapid02.verify(hook.headers["authorization"])
    assert f"k={KEY.public}" in hook.headers["authorization"]
    assert (hook.headers["ttl"], hook.headers["content-encoding"]) == ("14400", "aes128gcm")
    assert b"alert" not in hook.body
    assert await states(web_pool, clinic, alert_id) == {Channel.PUSH: DeliveryState.SENT}
    assert mail.messages == [], "one channel is enough while it works"


async def told_by_e_mail_at_once(web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, answer: str) -> UUID:
    """Who is told of an alert whose push was answered like that: by e-mail, in the same run."""
    alert_id, tamsin = await an_alert(web_pool, clinic, a_browser(service.port))
    service.answers = [answer]
    await send(tools)
    told = {Channel.PUSH: DeliveryState.DEAD, Channel.EMAIL: DeliveryState.SENT}
    assert await states(web_pool, clinic, alert_id) == told
    return tamsin


@pytest.mark.parametrize("answer", ["404", "410"])
async def test_a_browser_that_is_gone_is_dropped_and_the_e_mail_goes_at_once(
    web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink, answer: str
) -> None:
    tamsin = await told_by_e_mail_at_once(web_pool, clinic, tools, service, answer)
    assert mail.recipients == ["tamsin@x.example"]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert await staff_addresses.of(db, [tamsin]) == []
        assert (await channels.of_each(db, DeliveryKind.ALERT, [tamsin]))[tamsin] == [Channel.EMAIL]


@pytest.mark.parametrize("answer", ["400", "401", "403", "413"])
async def test_a_push_service_that_would_say_no_each_time_is_asked_once_and_the_e_mail_goes_at_once(
    web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink, answer: str
) -> None:
    tamsin = await told_by_e_mail_at_once(web_pool, clinic, tools, service, answer)
    assert (len(service.hooks), mail.recipients) == (1, ["tamsin@x.example"])
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert len(await staff_addresses.of(db, [tamsin])) == 1, "it may be our clock that is wrong"


async def test_one_of_two_browsers_is_enough_and_only_the_one_that_is_gone_is_dropped(
    web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    browsers = [a_browser(service.port, "one"), a_browser(service.port, "two")]
    alert_id, tamsin = await an_alert(web_pool, clinic, *browsers)
    service.answers = ["410"]
    await send(tools)
    assert await states(web_pool, clinic, alert_id) == {Channel.PUSH: DeliveryState.SENT}
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert len(await staff_addresses.of(db, [tamsin])) == 1
    assert (len(service.hooks), mail.messages) == (2, [])


async def test_a_push_service_out_of_order_delays_the_e_mail_by_less_than_three_minutes(
    web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    await an_alert(web_pool, clinic, a_browser(service.port))
    service.answers = ["500"] * 4
    now = NOW
    for wait in (*Push.retry_after_seconds, 0):
        await send(tools, now=now)
        now += timedelta(seconds=wait)
    assert now - NOW < timedelta(minutes=3)
    assert (len(service.hooks), len(mail.messages)) == (4, 1)


async def test_an_urgent_alert_goes_out_on_every_channel_at_once(
    web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    alert_id, _ = await an_alert(web_pool, clinic, a_browser(service.port), urgent=True)
    await send(tools)
    assert await states(web_pool, clinic, alert_id) == dict.fromkeys((Channel.PUSH, Channel.EMAIL), DeliveryState.SENT)


async def test_what_no_browser_showed_goes_by_e_mail_after_five_minutes_and_what_was_shown_does_not(
    web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    alert_id, _ = await an_alert(web_pool, clinic, a_browser(service.port))
    await send(tools)
    later = NOW + channels.UNSEEN_AFTER
    await plan_untold.run_once(tools, now=later - timedelta(seconds=1))
    assert await states(web_pool, clinic, alert_id) == {Channel.PUSH: DeliveryState.SENT}
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        [message] = await deliveries.of_alert(db, alert_id)
        assert await receipts.mark_delivered(db, message.delivery_id, now=NOW)
        assert not await receipts.mark_delivered(db, message.delivery_id, now=NOW), "known already"
    await plan_untold.run_once(tools, now=later)
    assert await states(web_pool, clinic, alert_id) == {Channel.PUSH: DeliveryState.DELIVERED}
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await db.execute("update delivery set state = 'sent' where clinic_id = $1", db.clinic_id)
    for _ in range(2):
        await plan_untold.run_once(tools, now=later)
        await send(tools, now=later)
    assert await states(web_pool, clinic, alert_id) == dict.fromkeys((Channel.PUSH, Channel.EMAIL), DeliveryState.SENT)
    assert len(mail.messages) == 1


async def test_whose_push_was_seen_is_reached_although_their_e_mail_died(
    web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    alert_id, tamsin = await an_alert(web_pool, clinic, a_browser(service.port), urgent=True)
    mail.answers = ["550 No such mailbox"]
    await senders.deliver_everywhere(tools, Channel.PUSH, now=NOW)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await staff.add(db, email="cleo@x.example", name="Cleo", roles=[Role.COORDINATOR], now=NOW)
        pushed = next(each for each in await deliveries.of_alert(db, alert_id) if each.channel is Channel.PUSH)
        await receipts.mark_delivered(db, pushed.delivery_id, now=NOW)
    await send(tools)
    await send(tools)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert {each.staff_id for each in await deliveries.of_alert(db, alert_id)} == {tamsin}


async def test_who_wants_e_mail_first_gets_it_first_and_the_browser_where_it_fails(
    web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    _, tamsin = await an_alert(web_pool, clinic)
    await send(tools)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await subscribed(db, tamsin, a_browser(service.port))
        await message_times.choose(db, tamsin, MessageTimes(first_channel="email"))
        for_letters = await channels.of_each(db, DeliveryKind.DIGEST, [tamsin])
        await message_times.choose(db, tamsin, MessageTimes(first_channel="push"))
        assert await channels.of_each(db, DeliveryKind.DIGEST, [tamsin]) == for_letters == {tamsin: [Channel.EMAIL]}
        await message_times.choose(db, tamsin, MessageTimes(first_channel="email"))
        client_id = await a_client(db)
        await clients.assign(db, client_id, tamsin, Role.THERAPIST, from_at=NOW - timedelta(days=30))
        finding = NewFinding(client_day=NOW.date(), rule=Rule.WORSENING, tier=Tier.TODAY, numbers={})
        [alert_id] = (await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)).opened
    mail.answers = ["550 No such mailbox"]
    await send(tools)
    await send(tools)
    told = {Channel.EMAIL: DeliveryState.DEAD, Channel.PUSH: DeliveryState.SENT}
    assert await states(web_pool, clinic, alert_id) == told


async def test_a_browser_belongs_to_whoever_subscribed_it_last(web_pool: Pool, clinic: Clinic) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        people = [
            await staff.add(db, email=f"{name}@x.example", name=name, roles=[Role.NURSE], now=NOW)
            for name in ("ann", "bea")
        ]
        browser = a_browser(9)
        first = await subscribed(db, people[0], browser)
        assert await subscribed(db, people[0], browser) == first
        second = await subscribed(db, people[1], browser)
        held = await staff_addresses.of(db, people)
        assert [(each.staff_id, each.staff_address_id) for each in held] == [(people[1], second)]


def test_the_deployment_s_key_is_the_same_after_every_start_and_another_s_is_another() -> None:
    assert VapidKey(bytes(32)).public == KEY.public
    assert VapidKey(b"\x01" * 32).public != KEY.public
    assert len(KEY.public) == 87


@pytest.mark.parametrize(
    ("mail_from", "base_url", "contact"),
    [
        ("Neap <neap@x.example>", "https://neap.example", "mailto:neap@x.example"),
        (None, "https://neap.example:8443", "https://neap.example:8443"),
        (None, "http://127.0.0.1:8080", "mailto:neap@localhost"),
    ],
)
async def test_a_push_service_is_told_whom_to_ask_about_us_also_where_no_mail_is_sent(
    service: HookSink, mail_from: str | None, base_url: str, contact: str
) -> None:
    allowed = f"127.0.0.1:{service.port}"
    config = Config(mail_from=mail_from, base_url=base_url, webhook_allow=frozenset({allowed}))
    browser = a_browser(service.port)
    message = Message(delivery_id=UUID(int=1), to=browser.subscription, link="https://neap.example", written_at=NOW)
    assert await notify.notifiers(config, KEY)[Channel.PUSH].send(message, now=NOW) == Sent()
    token = service.hooks[0].headers["authorization"].partition("t=")[2].partition(",")[0]
    claims = msgspec.json.decode(base64url.decode(token.split(".")[1]), type=dict[str, str | int])
    assert (claims["sub"], claims["aud"]) == (contact, f"http://{allowed}")


NO_SUBSCRIPTION = [
    "", "{}", "[]", '{"endpoint": "https://push.example/x"}',
    '{"endpoint": "https://push.example/x", "keys": {"p256dh": "AAAA", "auth": "AAAA"}}',
]  # fmt: skip


@pytest.mark.parametrize("text", NO_SUBSCRIPTION)
def test_what_is_no_subscription_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        read_subscription(text, allowed=set())


@pytest.mark.parametrize(
    "endpoint", ["http://push.example/x", "https://127.0.0.1/x", "https://10.0.0.1/", "https://a@b/"]
)
def test_a_subscription_does_not_lead_into_our_own_net(endpoint: str) -> None:
    browser = a_browser(9)
    browser.endpoint = endpoint
    with pytest.raises(Refused):
        read_subscription(browser.subscription, allowed=set())
    browser.endpoint = "https://push.example/x"
    assert read_subscription(browser.subscription, allowed=set()).endpoint == "https://push.example/x"


async def test_a_receipt_of_another_key_or_message_is_refused() -> None:
    good = receipts.receipt_of(MASTER, UUID(int=1), UUID(int=2))
    assert receipts.read(good, MASTER) == (UUID(int=1), UUID(int=2))
    other = receipts.receipt_of(MASTER, UUID(int=1), UUID(int=3))
    for forged in ("", good[:-1], good[:-43] + other[-43:], good.replace("0001_", "0009_")):
        with pytest.raises(errors.Unauthenticated):
            receipts.read(forged, MASTER)
