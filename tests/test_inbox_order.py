"""The order of the open inbox: the most urgent, of these whoever nobody has, of these the longest waiting; its end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from schemas.alert import Rule, Tier
from schemas.staff import Role
from service import database
from service.alerting import alerts
from service.config import Config
from service.database import Db, Pool
from service.desk import inbox
from service.people import access
from tests.builders import a_client
from tests.desk import a_person, an_alert
from tests.desk_visit import Desk, a_desk

MINUTE = timedelta(minutes=1)


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


async def an_alert_of(db: Db, name: str, tier: Tier, opened_at: datetime) -> UUID:
    rule = Rule.SAFETY if tier is Tier.URGENT else Rule.WORSENING
    return await an_alert(db, await a_client(db, given_name=name, family_name="Marlow"), rule, tier, now=opened_at)


async def test_of_a_tier_whoever_nobody_has_and_who_has_waited_longest_comes_first(
    desk: Desk, owner_pool: Pool
) -> None:
    now = datetime.now(UTC)
    async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
        other = await a_person(db, Role.NURSE, name="Tom Okafor")
        taken = await an_alert_of(db, "Taken", Tier.URGENT, now - 90 * MINUTE)
        lapsed = await an_alert_of(db, "Lapsed", Tier.URGENT, now - 60 * MINUTE)
        await an_alert_of(db, "Newest", Tier.URGENT, now - 1 * MINUTE)
        await an_alert_of(db, "Waiting", Tier.URGENT, now - 50 * MINUTE)
        await an_alert_of(db, "Today", Tier.TODAY, now - 600 * MINUTE)
        await alerts.acknowledge(db, taken, by=other, now=now - 2 * MINUTE)
        await alerts.acknowledge(db, lapsed, by=other, now=now - 45 * MINUTE)
        who = access.Reach(staff_id=other, scopes=frozenset({access.Scope.CLINIC}))
        page = await inbox.read(db, who, findings_for=None, closed=False, now=now)
    order = [entry.row.given_name for entry in page.entries]
    assert order == ["Lapsed", "Waiting", "Newest", "Taken", "Today"]
    assert not page.cut


async def test_an_inbox_that_does_not_show_all_says_how_many_are_open(
    desk: Desk, owner_pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST_OPEN", 3)
    now = datetime.now(UTC)
    said = "The first 3 of 4 that are open, the most urgent first."
    async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
        for number in range(3):
            await an_alert_of(db, f"Client{number}", Tier.TODAY, now - number * MINUTE)
    assert "The first" not in (await desk.get("/inbox")).text
    async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
        await an_alert_of(db, "Urgent", Tier.URGENT, now)
    page = (await desk.get("/inbox")).text
    assert said in page
    assert page.index("Urgent Marlow") < page.index("Client2") < page.index("Client1")
    assert "Client0" not in page
