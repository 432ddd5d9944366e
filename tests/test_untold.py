"""An alert that told nobody is told as soon as somebody can be told; nothing is dropped in silence."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from jobs import end_lapsed_leases, plan_untold
from jobs.work import Tools
from schemas.alert import Channel, DeliveryState, EventKind, NewFinding, Outcome, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, ids
from service.alerting import alerts, deliveries
from service.alerting.writing import Sending
from service.database import Pool
from service.notify import Dead, Message, Result, Retry, Sent
from service.people import clients, staff
from tests import senders
from tests.builders import MASTER, NOW, a_client, a_clinic

LATER = NOW + timedelta(hours=1)


class Postbox:
    """An e-mail channel that keeps whom it wrote to."""

    channel = Channel.EMAIL
    at_once = 3
    retry_after_seconds = (30, 120, 300, 900)

    def __init__(self) -> None:
        self.written: list[str] = []
        self.answer: Result = Sent()
        self.answers: dict[str, Result] = {}

    async def send(self, message: Message, *, now: datetime) -> Result:
        """Keep the address."""
        self.written.append(message.to)
        return self.answers.get(message.to, self.answer)


@pytest.fixture
def postbox() -> Postbox:
    return Postbox()


@pytest.fixture
async def tools(jobs_pool: Pool, sweep_pool: Pool, postbox: Postbox) -> Tools:
    return Tools(jobs_pool, sweep_pool, Sending({Channel.EMAIL: postbox}, MASTER, "https://neap.example"))


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


async def a_colleague(pool: Pool, clinic: Clinic, name: str, role: Role = Role.THERAPIST) -> UUID:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return await staff.add(db, email=f"{name}@harbour.example", name=name.title(), roles=[role], now=NOW)


async def an_alert(
    pool: Pool, clinic: Clinic, therapist: UUID | None, tier: Tier = Tier.URGENT, rule: Rule = Rule.SAFETY
) -> tuple[UUID, UUID]:
    """An open alert and its client, on whose team `therapist` is."""
    async with database.transaction(pool, clinic.clinic_id) as db:
        client_id = await a_client(db)
        if therapist is not None:
            await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=NOW)
        finding = NewFinding(client_day=NOW.date(), rule=rule, tier=tier, numbers={})
        change = await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)
    return change.opened[0], client_id


async def disabled(pool: Pool, clinic: Clinic, staff_id: UUID) -> None:
    async with database.transaction(pool, clinic.clinic_id) as db:
        await staff.disable(db, staff_id, by=ids.new(), now=NOW)


async def test_whoever_is_enabled_again_is_sent_what_was_blocked_meanwhile(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    therapist = await a_colleague(web_pool, clinic, "tamsin")
    alert_id, _ = await an_alert(web_pool, clinic, therapist)
    await disabled(web_pool, clinic, therapist)
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW)
    assert (await plan_untold.run_once(tools, now=NOW)).counts == {"planned": 0}
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        [blocked] = await deliveries.of_alert(db, alert_id)
        kinds = [event.kind for event in await alerts.events_of(db, alert_id)]
        await staff.enable(db, therapist, now=LATER)
    assert (blocked.state, kinds) == (DeliveryState.BLOCKED, [EventKind.OPENED, EventKind.UNROUTABLE])
    assert (await plan_untold.run_once(tools, now=LATER)).counts == {"planned": 1}
    assert (await plan_untold.run_once(tools, now=LATER)).counts == {"planned": 0}
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=LATER)
    assert postbox.written == ["tamsin@harbour.example"]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        [sent] = await deliveries.of_alert(db, alert_id)
    assert (sent.delivery_id, sent.state, sent.problem) == (blocked.delivery_id, DeliveryState.SENT, None)
    assert (await plan_untold.run_once(tools, now=LATER)).counts == {"planned": 0}


async def test_whoever_joins_the_team_is_sent_what_could_reach_nobody(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    _, client_id = await an_alert(web_pool, clinic, None)
    nurse = await a_colleague(web_pool, clinic, "nadia", Role.NURSE)
    assert (await plan_untold.run_once(tools, now=NOW)).counts == {"planned": 0}
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await clients.assign(db, client_id, nurse, Role.NURSE, from_at=NOW)
    await plan_untold.run_once(tools, now=LATER)
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=LATER)
    assert postbox.written == ["nadia@harbour.example"]


async def test_what_waits_for_its_retry_was_read_elsewhere_or_was_closed_is_not_planned_again(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    therapist = await a_colleague(web_pool, clinic, "tamsin")
    postbox.answer = Retry("later")
    await an_alert(web_pool, clinic, therapist)
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW)
    await an_alert(web_pool, clinic, None, Tier.REVIEW, Rule.SILENCE)
    taken, _ = await an_alert(web_pool, clinic, None)
    closed, _ = await an_alert(web_pool, clinic, None)
    admin = await a_colleague(web_pool, clinic, "ada", Role.ADMIN)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await alerts.acknowledge(db, taken, by=admin, now=NOW)
        await alerts.resolve(db, closed, Outcome.CALLED, by=admin, now=NOW)
    assert (await plan_untold.run_once(tools, now=NOW)).counts == {"planned": 0}


@pytest.mark.parametrize("answer", [Sent(), Retry("later")])
async def test_where_whoever_was_told_has_left_others_are_told_in_the_same_round(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox, answer: Result
) -> None:
    therapist = await a_colleague(web_pool, clinic, "tamsin")
    await a_colleague(web_pool, clinic, "ada", Role.ADMIN)
    postbox.answer = answer
    alert_id, _ = await an_alert(web_pool, clinic, therapist)
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW)
    await disabled(web_pool, clinic, therapist)
    assert (await plan_untold.run_once(tools, now=NOW)).counts == {"planned": 1}
    assert (await plan_untold.run_once(tools, now=NOW)).counts == {"planned": 0}
    postbox.answer = Sent()
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW)
    assert postbox.written == ["tamsin@harbour.example", "ada@harbour.example"]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert {each.round for each in await deliveries.of_alert(db, alert_id)} == {1}


async def test_whose_message_died_gives_way_to_the_next_in_the_same_round(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    therapist = await a_colleague(web_pool, clinic, "tamsin")
    await a_colleague(web_pool, clinic, "cleo", Role.COORDINATOR)
    alert_id, _ = await an_alert(web_pool, clinic, therapist)
    postbox.answers["tamsin@harbour.example"] = Dead("no such mailbox")
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW)
    assert postbox.written == ["tamsin@harbour.example", "cleo@harbour.example"]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        messages = await deliveries.of_alert(db, alert_id)
        kinds = [event.kind for event in await alerts.events_of(db, alert_id)]
    assert [(each.state, each.round) for each in messages] == [(DeliveryState.DEAD, 1), (DeliveryState.SENT, 1)]
    assert kinds == [EventKind.OPENED, EventKind.DISPATCHED]
    assert (await plan_untold.run_once(tools, now=LATER)).counts == {"planned": 0}


async def test_when_every_message_died_the_alert_says_that_nobody_could_be_told(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    alert_id, _ = await an_alert(web_pool, clinic, await a_colleague(web_pool, clinic, "tamsin"))
    await a_colleague(web_pool, clinic, "ada", Role.ADMIN)
    postbox.answer = Dead("no such mailbox")
    for _ in range(3):
        await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW)
    assert postbox.written == ["tamsin@harbour.example", "ada@harbour.example"]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        kinds = [event.kind for event in await alerts.events_of(db, alert_id)]
    assert kinds == [EventKind.OPENED, EventKind.UNROUTABLE]


async def test_two_whose_messages_die_at_once_lose_nobodys_message(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    """Both give way in transactions of their own, at the same moment; a third client's message goes out beside them."""
    for client in range(4):
        therapists = [await a_colleague(web_pool, clinic, f"{name}{client}") for name in ("tamsin", "tobias")]
        alert_id, client_id = await an_alert(web_pool, clinic, None)
        async with database.transaction(web_pool, clinic.clinic_id) as db:
            for therapist in therapists:
                await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=NOW)
            await deliveries.plan(db, alert_id, now=NOW)
        for name in ("tamsin", "tobias"):
            postbox.answers[f"{name}{client}@harbour.example"] = Dead("no such mailbox")
    await a_colleague(web_pool, clinic, "cleo", Role.COORDINATOR)
    await an_alert(web_pool, clinic, await a_colleague(web_pool, clinic, "nell"))
    delivered = [await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW) for _ in range(2)]
    assert [sum(getattr(each, name) for each in delivered) for name in ("dead", "sent", "failed")] == [8, 5, 0]
    assert sorted(postbox.written).count("cleo@harbour.example") == 4
    assert "nell@harbour.example" in postbox.written


async def test_when_every_message_died_all_are_tried_again_after_a_pause_that_grows(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    await an_alert(web_pool, clinic, await a_colleague(web_pool, clinic, "tamsin"))
    await a_colleague(web_pool, clinic, "ada", Role.ADMIN)
    postbox.answer = Dead("relaying denied")
    tried_after, written = [], 0
    for minutes in range(0, 24 * 60, 10):
        now = NOW + timedelta(minutes=minutes)
        await plan_untold.run_once(tools, now=now)
        for _ in range(2):
            await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=now)
        if len(postbox.written) > written:
            tried_after.append(minutes)
            written = len(postbox.written)
    assert tried_after == [0, 30, 60, 120, 240, 480, 840, 1200]
    postbox.answer = Sent()
    later = NOW + timedelta(days=2)
    await plan_untold.run_once(tools, now=later)
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=later)
    assert postbox.written[-1] == "tamsin@harbour.example", "whoever is nearest hears of it as soon as it gets through"


async def test_the_next_round_remembers_who_could_not_be_reached(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    coordinator = await a_colleague(web_pool, clinic, "cleo", Role.COORDINATOR)
    alert_id, _ = await an_alert(web_pool, clinic, await a_colleague(web_pool, clinic, "tamsin"))
    postbox.answers["tamsin@harbour.example"] = Dead("no such mailbox")
    for _ in range(2):
        await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await alerts.acknowledge(db, alert_id, by=coordinator, now=NOW)
    await end_lapsed_leases.run_once(tools, now=LATER)
    postbox.written.clear()
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=LATER)
    assert sorted(postbox.written) == ["cleo@harbour.example", "tamsin@harbour.example"]


async def test_an_urgent_message_that_keeps_failing_does_not_wait_for_the_end_of_its_tries(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    therapist = await a_colleague(web_pool, clinic, "tamsin")
    await a_colleague(web_pool, clinic, "cleo", Role.COORDINATOR)
    await an_alert(web_pool, clinic, therapist)
    postbox.answers["tamsin@harbour.example"] = Retry("mailbox full")
    for seconds in (0, 30, 150, 151):
        now = NOW + timedelta(seconds=seconds)
        await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=now)
    assert postbox.written == ["tamsin@harbour.example"] * 3 + ["cleo@harbour.example"]
    postbox.answers.clear()
    await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW + timedelta(seconds=450))
    assert postbox.written[-1] == "tamsin@harbour.example", "the nearest is still tried"


async def test_nobody_is_told_and_nothing_gives_way_once_somebody_has_the_alert(
    web_pool: Pool, clinic: Clinic, tools: Tools, postbox: Postbox
) -> None:
    therapist = await a_colleague(web_pool, clinic, "tamsin")
    await a_colleague(web_pool, clinic, "cleo", Role.COORDINATOR)
    alert_id, _ = await an_alert(web_pool, clinic, therapist)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await alerts.acknowledge(db, alert_id, by=therapist, now=NOW)
    postbox.answer = Dead("no such mailbox")
    for _ in range(2):
        await senders.deliver(tools.pool, clinic.clinic_id, tools.sending, now=NOW)
    assert postbox.written == []


async def test_leases_lapse_in_every_clinic_and_people_are_told_again(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    held = []
    for each in (clinic, await a_clinic(owner_pool, slug="cove")):
        therapist = await a_colleague(web_pool, each, "tamsin")
        alert_id, _ = await an_alert(web_pool, each, therapist)
        async with database.transaction(web_pool, each.clinic_id) as db:
            held.append((each, alert_id, await alerts.acknowledge(db, alert_id, by=therapist, now=NOW)))
    assert (await end_lapsed_leases.run_once(tools, now=NOW)).counts == {"lapsed": 0}
    assert (await end_lapsed_leases.run_once(tools, now=LATER)).counts == {"lapsed": 2}
    assert (await end_lapsed_leases.run_once(tools, now=LATER)).counts == {"lapsed": 0}
    for each, alert_id, _ in held:
        async with database.transaction(web_pool, each.clinic_id) as db:
            assert [message.round for message in await deliveries.of_alert(db, alert_id)] == [1, 2]
