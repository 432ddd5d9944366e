"""Before an infusion one reads what is open of the client besides: an urgent alert, and one of today, is no record of
the gate, and stands beside what the gate says, at once and also on a page that stood open."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.alert import Rule, Tier
from schemas.gate import Decision
from schemas.staff import Role
from service import database
from service.alerting import alerts
from service.config import Config
from service.database import Pool
from service.people import access, clients
from service.people.access import Permission
from tests.appointments import a_complete_gate, a_decision, a_planned_infusion
from tests.desk import an_alert
from tests.desk_visit import Desk, a_desk, a_followed_client

ZONE = ZoneInfo("America/Chicago")
ASKS = re.compile(r'hx-get="([^"]+/changed\?seen=[^"]+)"')
ANYWHERE = re.compile(r"<[^>]+>")
CHANGED, AS_IT_WAS = 200, 204
MAY_GO_AHEAD = "May go ahead: everything is recorded, and nothing recorded for the gate speaks for a hold."


class Scene(NamedTuple):
    """A desk, and an infusion that was cleared."""

    desk: Desk
    client_id: UUID
    infusion_id: UUID
    day: date

    @property
    def pages(self) -> tuple[str, str, str]:
        brief = f"/clients/{self.client_id}/brief?for=infusion"
        return f"/infusions/{self.infusion_id}/gate", f"/gates?day={self.day}", brief

    async def alert(self, rule: Rule = Rule.SAFETY, tier: Tier = Tier.URGENT) -> UUID:
        async with database.transaction(self.desk.owner, self.desk.clinic.clinic_id) as db:
            return await an_alert(db, self.client_id, rule, tier)

    async def reads(self, page: str) -> str:
        shown = (await self.desk.get(page)).text
        return " ".join(unescape(ANYWHERE.sub("", shown[shown.index("<main") :])).split())


@pytest.fixture
async def scene(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        client_id, infusion_id = await a_cleared_infusion(desk, "Alma")
        yield Scene(desk, client_id, infusion_id, (datetime.now(UTC) + timedelta(hours=20)).astimezone(ZONE).date())


async def a_cleared_infusion(desk: Desk, given_name: str) -> tuple[UUID, UUID]:
    by = desk.person.staff_id
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db, given_name=given_name)
        for role in (Role.NURSE, Role.PRESCRIBER):
            await clients.assign(db, client_id, by, role, from_at=datetime.now(UTC) - timedelta(days=1))
        infusion_id = await a_planned_infusion(db, client_id)
        await a_complete_gate(db, client_id, infusion_id, by=by)
        await a_decision(db, client_id, infusion_id, by=by)
    return client_id, infusion_id


SINCE = r"alert open since \d+ \w+ \d\d:\d\d\.? "


async def test_an_open_alert_stands_beside_what_the_gate_says_with_its_tier_and_a_link_to_it(scene: Scene) -> None:
    for page in scene.pages:
        shown = await scene.reads(page)
        assert MAY_GO_AHEAD in shown
        assert "alert open since" not in shown
    urgent, today = await scene.alert(), await scene.alert(Rule.WORSENING, Tier.TODAY)
    for page in scene.pages:
        shown = await scene.reads(page)
        assert MAY_GO_AHEAD in shown, "people decide"
        assert re.search(rf"Urgent {SINCE}Not yet acknowledged\. Today {SINCE}Not yet acknowledged\.", shown), shown
        assert shown.index(MAY_GO_AHEAD) < shown.index("Urgent alert open") < shown.index(MAY_GO_AHEAD) + 200
        html = (await scene.desk.get(page)).text
        assert f'href="/alerts/{urgent}"' in html
        assert f'href="/alerts/{today}"' in html


async def test_what_is_for_review_and_what_was_closed_does_not_stand_at_a_gate(scene: Scene) -> None:
    await scene.alert(Rule.SILENCE, Tier.REVIEW)
    for page in scene.pages:
        assert "alert open since" not in await scene.reads(page)
    urgent = await scene.alert()
    assert (await scene.desk.post(f"/alerts/{urgent}/acknowledge")).status_code == 303
    for page in scene.pages:
        assert re.search(rf"Urgent {SINCE}Maren Holt has it\.", await scene.reads(page)), (
            "it is open until it is closed"
        )
    assert (await scene.desk.post(f"/alerts/{urgent}/resolve", outcome="called")).status_code == 303
    for page in scene.pages:
        assert "alert open since" not in await scene.reads(page)


async def test_a_page_that_stood_open_tells_of_an_urgent_alert_and_of_who_takes_it_on(scene: Scene) -> None:
    gate, day, brief = scene.pages
    asked = {page: await asks(scene, page) for page in scene.pages}
    for page in scene.pages:
        assert (await scene.desk.get(asked[page])).status_code == AS_IT_WAS
    urgent = await scene.alert()
    for page in (gate, day):
        told = await scene.desk.get(asked[page])
        assert told.status_code == CHANGED, page
        assert "1 new urgent alert: show it" in told.text
        assert "<title>1 new urgent alert" in told.text
    assert "Something changed: show it" in (await scene.desk.get(asked[brief])).text
    asked = {page: await asks(scene, page) for page in scene.pages}
    for page in scene.pages:
        assert (await scene.desk.get(asked[page])).status_code == AS_IT_WAS, "what stands on the page is no news"
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        await alerts.acknowledge(db, urgent, by=scene.desk.person.staff_id, now=datetime.now(UTC))
    for page in scene.pages:
        assert "Something changed: show it" in (await scene.desk.get(asked[page])).text


async def test_a_new_reason_in_an_alert_that_is_open_already_is_told_with_when_it_came(scene: Scene) -> None:
    gate, day, _ = scene.pages
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        earlier = datetime.now(UTC) - timedelta(days=3)
        await an_alert(db, scene.client_id, Rule.OPIOID_USE, Tier.URGENT, now=earlier)
    asked = {page: await asks(scene, page) for page in scene.pages}
    await scene.alert()
    for page in (gate, day):
        told = await scene.desk.get(asked[page])
        assert "A new reason in 1 urgent alert: show it" in told.text
    for page in scene.pages:
        assert re.search(
            r"alert open since \d+ \w+ \d\d:\d\d, newest reason \d+ \w+ \d\d:\d\d\.", await scene.reads(page)
        )


async def test_that_an_infusion_may_not_go_ahead_is_told_beside_an_urgent_alert(scene: Scene) -> None:
    gate, day, _ = scene.pages
    asked = {page: await asks(scene, page) for page in (gate, day)}
    await scene.alert()
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        by = scene.desk.person.staff_id
        await a_decision(db, scene.client_id, scene.infusion_id, Decision.HOLD, reason="Unwell.", by=by)
    for page in (gate, day):
        told = await scene.desk.get(asked[page])
        assert "1 new urgent alert, and an infusion may not go ahead any more: show them" in told.text
        assert "<title>1 new urgent alert, and an infusion may not go ahead any more" in told.text


async def test_what_is_open_today_does_not_stand_at_an_infusion_that_is_over(scene: Scene) -> None:
    gate, day, _ = scene.pages
    await scene.alert()
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        await db.execute("update infusion set state = 'cancelled' where clinic_id = $1", db.clinic_id)
    for page in (gate, day):
        assert "alert open since" not in await scene.reads(page)


async def asks(scene: Scene, page: str) -> str:
    found = ASKS.search((await scene.desk.get(page)).text)
    assert found is not None, page
    return unescape(found[1])


async def test_a_day_of_many_infusions_asks_for_their_alerts_once(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, day, _ = scene.pages
    await scene.alert()
    asked: list[str] = []
    rows = database.Db.rows

    async def counting(self: database.Db, shape: Any, statement: str, *arguments: Any) -> Any:
        asked.append(statement)
        return await rows(self, shape, statement, *arguments)

    monkeypatch.setattr(database.Db, "rows", counting)
    await scene.desk.get(day)
    alone = len(asked)
    for name in ("Bea", "Carlo"):
        client_id, _ = await a_cleared_infusion(scene.desk, name)
        await scene._replace(client_id=client_id).alert()
    asked.clear()
    assert (await scene.reads(day)).count("Urgent alert open since") == 3
    assert len(asked) == alone


def test_whoever_reads_a_gate_or_a_brief_may_open_the_alerts_of_its_client() -> None:
    alerts_of = access.TABLE[Permission.SEE_ALERTS]
    for permission in (Permission.SEE_GATES, Permission.SEE_CLIENTS):
        for party, scope in access.TABLE[permission].items():
            assert alerts_of.get(party) is scope, (permission, party)
