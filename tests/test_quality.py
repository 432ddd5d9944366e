"""The quality ledger: its figures are those of a recount by hand, and each sees the lines that are theirs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alert import Outcome, Rule, Tier
from schemas.client import RecordOrigin
from schemas.staff import Role
from schemas.trend import Status
from service import database
from service.alerting import alerts
from service.config import Config
from service.database import Db, Pool
from service.desk import quality
from service.people import clients
from tests.builders import a_client, a_clinic
from tests.desk import SignedInAs, a_finding, a_person, a_session, a_trend, a_trend_day
from tests.web import serving

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


class Ledger(NamedTuple):
    """A clinic whose therapist has two clients for two weeks, and an admin."""

    http: httpx.AsyncClient
    owner: Pool
    clinic_id: UUID
    clients: list[UUID]
    therapist: SignedInAs
    admin: SignedInAs


@pytest.fixture
async def ledger(settings: Config, owner_pool: Pool) -> AsyncIterator[Ledger]:
    clinic = await a_clinic(owner_pool, now=NOW)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        therapist = await a_session(db, await a_person(db))
        other = await a_person(db, email="other@clinic.example", name="Idle Person")
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        known = [await a_client(db), await a_client(db)]
        for client_id in known:
            await clients.assign(db, client_id, therapist.staff_id, Role.THERAPIST, from_at=NOW - 14 * DAY)
        await clients.assign(db, known[0], other, Role.NURSE, from_at=NOW - 14 * DAY)
    async with serving(settings) as http:
        yield Ledger(http, owner_pool, clinic.clinic_id, known, therapist, admin)


async def an_alert_of(
    db: Db,
    ledger: Ledger,
    days_ago: int,
    *,
    outcome: Outcome | None = None,
    after_minutes: int = 0,
    rule: Rule = Rule.WORSENING,
    tier: Tier = Tier.TODAY,
    client: int = 0,
    origin: RecordOrigin = RecordOrigin.LIVE,
) -> UUID:
    """An alert, acknowledged and resolved after some minutes where an outcome is given."""
    at = NOW - days_ago * DAY
    finding = a_finding(rule, tier, on=at.date())
    change = await alerts.open_or_join(db, ledger.clients[client], [finding], now=at, rule_set_version=1, origin=origin)
    alert_id = change.opened[0]
    if outcome is not None:
        acted = at + timedelta(minutes=after_minutes)
        await alerts.acknowledge(db, alert_id, by=ledger.therapist.staff_id, now=acted)
        await alerts.resolve(db, alert_id, outcome, by=ledger.therapist.staff_id, now=acted + timedelta(minutes=5))
    return alert_id


async def test_the_figures_are_those_of_a_recount(ledger: Ledger) -> None:
    async with database.transaction(ledger.owner, ledger.clinic_id) as db:
        await an_alert_of(db, ledger, 100, outcome=Outcome.CALLED)
        for days_ago, outcome, minutes in (
            (12, Outcome.CALLED, 10),
            (10, Outcome.NEW_USUAL, 20),
            (8, Outcome.FALSE_ALARM, 30),
            (6, Outcome.NO_ACTION_NEEDED, 40),
        ):
            await an_alert_of(db, ledger, days_ago, outcome=outcome, after_minutes=minutes)
        await an_alert_of(db, ledger, 4)
        await an_alert_of(db, ledger, 3, rule=Rule.OPIOID_USE, tier=Tier.URGENT, client=1)
        await an_alert_of(db, ledger, 5, origin=RecordOrigin.IMPORT, client=1)
        found = await quality.read(db, days=90, now=NOW)
    worsening = next(each for each in found.rules if each.rule is Rule.WORSENING)
    assert (worsening.alerts, worsening.judged, worsening.right, worsening.false_alarms) == (5, 4, 2, 1)
    assert worsening.precision == 0.5
    assert not worsening.asks_for_review
    assert [(each.tier, each.alerts, each.taken_on, each.waiting) for each in found.pace] == [
        (Tier.URGENT, 1, 0, 1),
        (Tier.TODAY, 5, 4, 1),
    ]
    assert found.pace[0].median_minutes is None
    assert found.pace[1].median_minutes == pytest.approx(25)
    assert found.pace[1].p90_minutes == pytest.approx(37)
    [load] = found.therapists
    assert (load.staff_id, load.alerts) == (ledger.therapist.staff_id, 6)
    assert load.weeks == pytest.approx(2)
    assert found.alerts_per_therapist_week == pytest.approx(3)


async def test_clients_over_twice_the_budget_are_counted_among_those_watched_long_enough(ledger: Ledger) -> None:
    async with database.transaction(ledger.owner, ledger.clinic_id) as db:
        today = NOW.date()
        await a_trend(db, ledger.clients[0], [a_trend_day(today - n * DAY) for n in range(70, 0, -1)])
        learning = [a_trend_day(today - n * DAY, status=Status.LEARNING) for n in range(70, 0, -1)]
        await a_trend(db, ledger.clients[1], learning)
        for days_ago in (40, 30, 20):
            await an_alert_of(db, ledger, days_ago, outcome=Outcome.FALSE_ALARM)
            await an_alert_of(db, ledger, days_ago, outcome=Outcome.FALSE_ALARM, client=1)
        found = await quality.read(db, days=90, now=NOW)
    assert (found.budget.clients, found.budget.over_twice) == (1, 1)
    assert found.budget.budget_days == 60


@given(st.integers(0, 400), st.integers(1, 400))
def test_an_interval_holds_its_share_and_narrows_with_more(right: int, judged: int) -> None:
    right = min(right, judged)
    low, high = quality.wilson(right, judged)
    assert 0 <= low <= right / judged + 1e-12
    assert right / judged - 1e-12 <= high <= 1
    wider_low, wider_high = quality.wilson(10 * right, 10 * judged)
    assert wider_high - wider_low < high - low


def test_the_interval_is_the_published_one() -> None:
    """Newcombe 1998 (Statistics in Medicine 17: 857-872), table I, method 3: 81 of 263 and 0 of 20."""
    assert quality.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert quality.wilson(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)


@given(st.dictionaries(st.sampled_from([None, *Outcome]), st.integers(0, 40)))
def test_a_rule_asks_for_review_under_a_quarter_over_fifty(by_outcome: dict[Outcome | None, int]) -> None:
    line = quality.of_rule(Rule.WORSENING, by_outcome)
    assert line.right <= line.judged <= line.alerts
    expected = line.judged >= 50 and line.precision is not None and line.precision < 0.25
    assert line.asks_for_review is expected


async def test_a_therapist_sees_their_own_line_and_an_admin_every_name(ledger: Ledger) -> None:
    async with database.transaction(ledger.owner, ledger.clinic_id) as db:
        second = await a_person(db, email="second@clinic.example", name="Second Person")
        await clients.assign(db, ledger.clients[0], second, Role.THERAPIST, from_at=NOW - 7 * DAY)
    names = {}
    for who in (ledger.therapist, ledger.admin):
        reply = await ledger.http.get("/v1/quality?days=30", headers=who.bearer)
        assert reply.status_code == 200, reply.text
        names[who.staff_id] = [each["name"] for each in reply.json()["therapists"]]
    assert names[ledger.therapist.staff_id] == ["Maren Holt"]
    assert names[ledger.admin.staff_id] == ["Maren Holt", "Second Person"]


async def test_the_page_shows_the_ledger_and_refuses_other_times(ledger: Ledger) -> None:
    async with database.transaction(ledger.owner, ledger.clinic_id) as db:
        await an_alert_of(db, ledger, 4, outcome=Outcome.CALLED)
    page = await ledger.http.get("/quality", headers=ledger.admin.cookie)
    assert page.status_code == 200
    assert "100 %" in page.text
    refused = await ledger.http.get("/v1/quality?days=31", headers=ledger.admin.bearer)
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "days"
