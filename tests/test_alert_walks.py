"""People, findings and clocks over the alerts of a client, in whatever order, in the real tables.

A state machine of Hypothesis: what breaks a promise is made as short as it can be, and said step by step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import hypothesis
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from schemas.alert import Alert, AlertState, EventKind, NewFinding, Outcome, Rule, Tier
from schemas.clinic import Clinic
from service import database, errors
from service.alerting import alerts, rounds, undo
from service.config import Config
from service.database import Db, Pool
from service.keys.sealing import Sealer
from service.people import clients
from tests.builders import MASTER, NOW, a_clinic
from tests.climbing import DAY, HOUR, MINUTE, TODAY, a_house, told

T = TypeVar("T")
FINDINGS = [(Tier.URGENT, Rule.SAFETY), (Tier.TODAY, Rule.WORSENING), (Tier.REVIEW, Rule.SILENCE)]
WAITS = st.sampled_from([MINUTE, 7 * MINUTE, 20 * MINUTE, 3 * HOUR, 2 * DAY])
# Which of whoever or whatever there is, counted around.
WHICH = st.integers(0, 50)


@dataclass
class World:
    """A loop of our own, a clinic, and the pool that the web process would have."""

    runner: asyncio.Runner
    pool: Pool
    clinic: Clinic
    steps: int = 0

    def run(self, told_to: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(told_to)


@pytest.fixture
def world(settings: Config) -> Iterator[World]:
    with asyncio.Runner() as runner:

        async def open_pool(role: str) -> Pool:
            url = settings.database_url_of("web" if role == "web" else "owner")
            return await database.open_pool(url, size=2, application_name="neap_tests")

        owner, web = runner.run(open_pool("owner")), runner.run(open_pool("web"))
        yield World(runner, web, runner.run(a_clinic(owner)))
        runner.run(owner.close())
        runner.run(web.close())


class Undone(Exception):
    """Ends a walk's transaction without a trace."""


class LifeCycle(RuleBasedStateMachine):
    """Each walk is one transaction of the world that `life_cycle_in` gives it, undone at its end."""

    world: ClassVar[World]
    entered: AbstractAsyncContextManager[Db]
    db: Db
    client_id: UUID
    people: dict[UUID, str]
    sealer: Sealer

    @initialize()
    def begin(self) -> None:
        self.now, self.number = NOW, 0
        self.entered = database.transaction(self.world.pool, self.world.clinic.clinic_id)
        self.db = self.world.run(self.entered.__aenter__())
        self.client_id, self.people = self.world.run(a_house(self.db))
        self.sealer = self.world.run(clients.sealer_of(self.db, MASTER, self.client_id))

    def teardown(self) -> None:
        if hasattr(self, "entered"):
            with suppress(Undone):
                self.world.run(self.entered.__aexit__(Undone, Undone(), None))

    def after(self, wait: timedelta) -> None:
        self.now += wait
        self.number += 1

    def who(self, which: int) -> UUID:
        return list(self.people)[which % len(self.people)]

    def one_of(self, which: int, *, closed: bool = False) -> Alert | None:
        every = self.world.run(alerts.inbox(self.db, [self.client_id], closed=closed))
        return every[which % len(every)] if every else None

    def attempt(self, tried: Coroutine[Any, Any, object]) -> None:
        """What the state does not allow is refused, and changes nothing."""
        with suppress(errors.Conflict):
            self.world.run(tried)

    @rule(finding=st.sampled_from(FINDINGS), wait=WAITS)
    def something_is_found(self, finding: tuple[Tier, Rule], wait: timedelta) -> None:
        self.after(wait)
        tier, found = finding
        new = NewFinding(client_day=TODAY + self.number * DAY, rule=found, tier=tier, numbers={})
        self.world.run(alerts.open_or_join(self.db, self.client_id, [new], now=self.now, rule_set_version=1))

    @rule(which=WHICH, by=WHICH, wait=WAITS)
    def somebody_acknowledges(self, which: int, by: int, wait: timedelta) -> None:
        self.after(wait)
        if alert := self.one_of(which):
            self.attempt(alerts.acknowledge(self.db, alert.alert_id, by=self.who(by), now=self.now))

    @rule(which=WHICH, by=WHICH, wait=WAITS)
    def somebody_puts_it_off(self, which: int, by: int, wait: timedelta) -> None:
        self.after(wait)
        if alert := self.one_of(which):
            until, person = self.now + DAY, self.who(by)
            self.attempt(
                alerts.snooze(self.db, alert.alert_id, until, "why", by=person, now=self.now, sealer=self.sealer)
            )

    @rule(which=WHICH, by=WHICH, wait=WAITS)
    def somebody_resolves(self, which: int, by: int, wait: timedelta) -> None:
        self.after(wait)
        if alert := self.one_of(which):
            person = self.who(by)
            self.attempt(alerts.resolve(self.db, alert.alert_id, Outcome.CALLED, by=person, now=self.now))

    @rule(which=WHICH, by=WHICH, closed=st.booleans())
    def somebody_takes_it_back(self, which: int, by: int, *, closed: bool) -> None:
        if alert := self.one_of(which, closed=closed):
            self.attempt(undo.take_back(self.db, alert.alert_id, by=self.who(by), now=self.now))

    @rule(which=WHICH, by=WHICH, wait=WAITS)
    def somebody_opens_it_again(self, which: int, by: int, wait: timedelta) -> None:
        self.after(wait)
        if alert := self.one_of(which, closed=True):
            self.attempt(undo.open_again(self.db, alert.alert_id, by=self.who(by), now=self.now))

    @rule(wait=WAITS)
    def leases_end(self, wait: timedelta) -> None:
        self.after(wait)
        self.world.run(rounds.end_lapsed(self.db, now=self.now))
        far = self.now + DAY
        for each in self.world.run(alerts.inbox(self.db, [self.client_id])):
            assert min(each.lease_until or far, each.snoozed_until or far) > self.now

    @rule(wait=WAITS)
    def the_ladder_is_climbed(self, wait: timedelta) -> None:
        self.after(wait)
        self.world.run(rounds.climb(self.db, now=self.now))
        assert self.world.run(rounds.climb(self.db, now=self.now)) == 0

    @rule(wait=WAITS)
    def what_is_for_review_closes(self, wait: timedelta) -> None:
        self.after(wait)
        self.world.run(rounds.auto_resolve(self.db, now=self.now))

    @invariant()
    def holds(self) -> None:
        self.world.steps += 1
        self.world.run(_holds(self.db, self.client_id, self.people))


def life_cycle_in(world: World) -> type[LifeCycle]:
    """The machine in a world."""
    return type("LifeCycle", (LifeCycle,), {"world": world})


async def _holds(db: Db, client_id: UUID, people: dict[UUID, str]) -> None:
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


def walked(walks: int, steps: int) -> hypothesis.settings:
    """So many walks of so many steps, the same ones each time."""
    return hypothesis.settings(
        max_examples=walks,
        stateful_step_count=steps,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


def test_no_order_of_people_and_clocks_leaves_the_machine(world: World) -> None:
    run_state_machine_as_test(life_cycle_in(world), settings=walked(40, 25))


@pytest.mark.slow
def test_no_order_of_people_and_clocks_leaves_the_machine_in_fifty_thousand_steps(world: World) -> None:
    run_state_machine_as_test(life_cycle_in(world), settings=walked(1_200, 50))
    assert world.steps >= 50_000
