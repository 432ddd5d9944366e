"""What waited because its recipient chose so comes as one message; what becomes of it becomes of all it tells of."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from jobs import plan_untold
from jobs.work import Tools
from schemas.alert import AlertState, Channel, Delivery, DeliveryState, NewFinding, Outcome, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import MessageTimes, Role, Tempo
from service import database
from service.alerting import alerts, channels, deliveries, receipts, waiting
from service.alerting.writing import Sending
from service.database import Pool
from service.notify import Dead, Message, Result, Retry, Sent, Template
from service.people import clients, staff, staff_addresses
from tests import senders
from tests.builders import MASTER, NOW, a_client, a_clinic

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MORNING = NOW + 8 * HOUR  # 07:00 at a clinic in UTC


class Postbox:
    """A channel that keeps its messages."""

    at_once = 3
    retry_after_seconds = (30, 120, 300, 900)

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.sent: list[Message] = []
        self.answer: Result = Sent()

    async def send(self, message: Message, *, now: datetime) -> Result:
        """Keep it."""
        self.sent.append(message)
        return self.answer

    @property
    def templates(self) -> list[Template]:
        """What was said."""
        return [message.template for message in self.sent]


@pytest.fixture
def mail() -> Postbox:
    return Postbox(Channel.EMAIL)


@pytest.fixture
def push() -> Postbox:
    return Postbox(Channel.PUSH)


@pytest.fixture
def tools(jobs_pool: Pool, sweep_pool: Pool, mail: Postbox, push: Postbox) -> Tools:
    sending = Sending({Channel.EMAIL: mail, Channel.PUSH: push}, MASTER, "https://neap.example")
    return Tools(jobs_pool, sweep_pool, sending)


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool, time_zone="UTC")


@pytest.fixture
async def tamsin(web_pool: Pool, clinic: Clinic) -> UUID:
    """A therapist who wants to hear of what is not urgent in the morning."""
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        tamsin = await staff.add(db, email="tamsin@x.example", name="Tamsin", roles=[Role.THERAPIST], now=NOW)
        await waiting.choose(db, tamsin, MessageTimes(tempo=Tempo.DAILY), now=NOW)
    return tamsin


async def an_alert(pool: Pool, clinic: Clinic, tamsin: UUID, *, urgent: bool = False) -> UUID:
    async with database.transaction(pool, clinic.clinic_id) as db:
        client_id = await a_client(db)
        await clients.assign(db, client_id, tamsin, Role.THERAPIST, from_at=NOW - DAY)
        rule, tier = (Rule.SAFETY, Tier.URGENT) if urgent else (Rule.WORSENING, Tier.TODAY)
        finding = NewFinding(client_day=NOW.date(), rule=rule, tier=tier, numbers={})
        return (await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)).opened[0]


async def send(tools: Tools, *, now: datetime) -> None:
    for channel in (Channel.PUSH, Channel.EMAIL):
        await senders.deliver_everywhere(tools, channel, now=now)


async def messages_of(pool: Pool, clinic: Clinic, *alert_ids: UUID) -> list[Delivery]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return await deliveries.of_alerts(db, alert_ids)


async def test_what_waited_comes_as_one_message_however_much_it_is(
    web_pool: Pool, clinic: Clinic, tamsin: UUID, tools: Tools, mail: Postbox
) -> None:
    many = [await an_alert(web_pool, clinic, tamsin) for _ in range(Postbox.at_once + 5)]
    urgent = await an_alert(web_pool, clinic, tamsin, urgent=True)
    await send(tools, now=NOW)
    assert [each.alert_id for each in mail.sent] == [urgent], "an urgent one waits for nothing"
    await send(tools, now=MORNING - HOUR)
    await send(tools, now=MORNING)
    assert mail.templates == [Template.ALERT, Template.ALERTS]
    assert {each.state for each in await messages_of(web_pool, clinic, *many)} == {DeliveryState.SENT}
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert {(await alerts.get(db, each)).state for each in many} == {AlertState.DISPATCHED}
        followed = await receipts.mark_opened(db, mail.sent[1].delivery_id, by=tamsin, now=MORNING)
    assert followed is not None
    assert followed.several
    assert {each.state for each in await messages_of(web_pool, clinic, *many)} == {DeliveryState.OPENED}


async def test_one_that_is_left_alone_says_what_one_says(
    web_pool: Pool, clinic: Clinic, tamsin: UUID, tools: Tools, mail: Postbox
) -> None:
    left, closed = [await an_alert(web_pool, clinic, tamsin) for _ in range(2)]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await alerts.resolve(db, closed, Outcome.CALLED, by=tamsin, now=NOW)
    await send(tools, now=MORNING)
    assert [(each.template, each.alert_id) for each in mail.sent] == [(Template.ALERT, left)]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        followed = await receipts.find_own(db, mail.sent[0].delivery_id, staff_id=tamsin)
    assert followed is not None
    assert not followed.several


async def test_what_fails_together_is_tried_again_together_and_dies_together(
    web_pool: Pool, clinic: Clinic, tamsin: UUID, tools: Tools, mail: Postbox
) -> None:
    both = [await an_alert(web_pool, clinic, tamsin) for _ in range(2)]
    mail.answer = Retry("busy")
    await send(tools, now=MORNING)
    mail.answer = Dead("no such mailbox")
    await send(tools, now=MORNING + timedelta(seconds=30))
    assert mail.templates == [Template.ALERTS] * 2
    assert len({each.delivery_id for each in mail.sent}) == 1, "a receiver can drop the second"
    stood = [(each.state, each.problem) for each in await messages_of(web_pool, clinic, *both)]
    assert stood == [(DeliveryState.DEAD, "no such mailbox")] * 2


async def test_what_no_browser_showed_follows_as_one_letter_and_what_one_showed_does_not(
    web_pool: Pool, clinic: Clinic, tamsin: UUID, tools: Tools, mail: Postbox, push: Postbox
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await staff_addresses.add(db, MASTER, tamsin, Channel.PUSH, "{}", known_by="a", label="a", now=NOW)
    for _ in range(2):
        await an_alert(web_pool, clinic, tamsin)
    await send(tools, now=MORNING)
    assert push.templates == [Template.ALERTS]
    unseen = MORNING + channels.UNSEEN_AFTER
    await plan_untold.run_once(tools, now=unseen)
    await send(tools, now=unseen)
    assert mail.templates == [Template.ALERTS]
    for _ in range(2):
        await an_alert(web_pool, clinic, tamsin)
    await send(tools, now=MORNING + DAY)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert await receipts.mark_delivered(db, push.sent[-1].delivery_id, now=MORNING + DAY)
    await plan_untold.run_once(tools, now=unseen + DAY)
    await send(tools, now=unseen + DAY)
    assert mail.templates == [Template.ALERTS]
