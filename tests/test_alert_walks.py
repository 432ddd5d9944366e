"""Random walks of people, findings and clocks over the alerts of a client, in the real tables."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from random import Random
from uuid import UUID

import pytest

from schemas.alert import AlertState, EventKind, NewFinding, Outcome, Rule, Tier
from service import database, errors
from service.alerting import alerts, rounds, undo
from service.database import Db, Pool
from service.people import clients
from tests.builders import MASTER, NOW, a_clinic
from tests.test_ladder import DAY, HOUR, MINUTE, TODAY, a_house, told

FINDINGS = ((Tier.URGENT, Rule.SAFETY), (Tier.TODAY, Rule.WORSENING), (Tier.REVIEW, Rule.SILENCE))


@pytest.fixture
async def db(owner_pool: Pool, web_pool: Pool) -> AsyncIterator[Db]:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


STEPS_OF_A_WALK = 400


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(126))
async def test_no_walk_of_people_and_clocks_leaves_the_machine(db: Db, seed: int) -> None:
    """Over 50,000 random steps in all: see `a_walk`."""
    await a_walk(db, seed, STEPS_OF_A_WALK)


@pytest.mark.parametrize("seed", range(3))
async def test_a_few_walks_of_people_and_clocks(db: Db, seed: int) -> None:
    await a_walk(db, 10_000 + seed, 40)


async def a_walk(db: Db, seed: int, length: int) -> None:
    """Random findings, people and clocks: after every step what must hold of the client's alerts holds."""
    random = Random(seed)
    client_id, people = await a_house(db)
    sealer, now, by = await clients.sealer_of(db, MASTER, client_id), NOW, list(people)
    for number in range(length):
        now += random.choice([MINUTE, 7 * MINUTE, 20 * MINUTE, 3 * HOUR, 2 * DAY])
        every = await alerts.inbox(db, [client_id])
        alert = random.choice(every) if every else None
        match random.randrange(9):
            case 0 | 1:
                tier, rule = random.choice(
                    [(Tier.URGENT, Rule.SAFETY), (Tier.TODAY, Rule.WORSENING), (Tier.REVIEW, Rule.SILENCE)]
                )
                finding = NewFinding(client_day=TODAY + number * DAY, rule=rule, tier=tier, numbers={})
                await alerts.open_or_join(db, client_id, [finding], now=now, rule_set_version=1)
            case 2 if alert:
                await tried(alerts.acknowledge(db, alert.alert_id, by=random.choice(by), now=now))
            case 3 if alert:
                await tried(alerts.snooze(db, alert.alert_id, now + DAY, "why", by=by[0], now=now, sealer=sealer))
            case 4 if alert:
                await tried(alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=by[0], now=now))
            case 8 if alert or (every := await alerts.inbox(db, [client_id], closed=True)):
                mine = alert or random.choice(every)
                await tried(undo.take_back(db, mine.alert_id, by=by[0], now=now))
            case 5:
                await rounds.end_lapsed(db, now=now)
                assert not [
                    each
                    for each in await alerts.inbox(db, [client_id])
                    if min(each.lease_until or now + DAY, each.snoozed_until or now + DAY) <= now
                ]
            case 6:
                await rounds.climb(db, now=now)
                assert await rounds.climb(db, now=now) == 0
            case 7:
                await rounds.auto_resolve(db, now=now)
        if number % 10 == 9:
            await holds(db, client_id, people)


async def tried(attempt: Awaitable[object]) -> None:
    """What the state does not allow is refused, and changes nothing."""
    with suppress(errors.Conflict):
        await attempt


async def holds(db: Db, client_id: UUID, people: dict[UUID, str]) -> None:
    every = [*await alerts.inbox(db, [client_id]), *await alerts.inbox(db, [client_id], closed=True)]
    assert sum(each.tier is Tier.URGENT and each.closed_at is None for each in every) <= 1
    for alert in every:
        assert alert.tier is not Tier.URGENT or alert.state not in (AlertState.SNOOZED, AlertState.AUTO_RESOLVED)
        assert (alert.closed_at is None) == (alert.state not in (AlertState.RESOLVED, AlertState.AUTO_RESOLVED))
        assert (alert.lease_until is not None) == (alert.state is AlertState.ACKNOWLEDGED)
        assert (alert.snoozed_until is not None) == (alert.state is AlertState.SNOOZED)
        escalated = [
            (event.detail["round"], event.detail["step"])
            for event in await alerts.events_of(db, alert.alert_id)
            if event.kind is EventKind.ESCALATED
        ]
        assert len(escalated) == len(set(escalated)), "each step once a round"
        messages = [(number, name) for number, _, name in await told(db, alert.alert_id, people)]
        assert len(messages) == len(set(messages)), "nobody twice in a round"
