"""A client's page says that it is old as soon as anything that stands on it is another, and not before."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from html import unescape
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest

from schemas.alert import Rule, Tier
from schemas.staff import Role
from service import database
from service.alerting import alerts
from service.config import Config
from service.database import Db, Pool
from service.people import clients
from tests.appointments import a_planned_infusion, a_reading, a_session_of
from tests.builders import a_client, an_answer
from tests.desk import a_person, a_trend, a_trend_day, an_alert
from tests.desk_visit import Desk, a_desk, days_before

DAY = timedelta(days=1)


class Scene(NamedTuple):
    """A desk, and a client with an infusion to come and an urgent alert."""

    desk: Desk
    client_id: UUID
    infusion_id: UUID
    alert_id: UUID

    async def changed(self, version: str) -> bool:
        reply = await self.desk.get(f"/clients/{self.client_id}/changed?seen={version}")
        assert reply.status_code in (204, 200), reply.text
        return reply.status_code == 200

    async def version(self, days: str = "") -> str:
        page = await self.desk.get(f"/clients/{self.client_id}{days}")
        found = re.search(r"/changed\?seen=(\w+)", page.text)
        assert found is not None
        return found[1]


@pytest.fixture
async def scene(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Scene]:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_client(db)
            await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC) - DAY)
            await a_trend(db, client_id, [a_trend_day(at.date()) for at in days_before(30)])
            await an_answer(db, client_id, datetime.now(UTC).date(), craving=3)
            infusion_id = await a_planned_infusion(db, client_id)
            alert_id = await an_alert(db, client_id, Rule.SAFETY, Tier.URGENT)
        yield Scene(desk, client_id, infusion_id, alert_id)


async def a_blood_pressure(db: Db, scene: Scene) -> None:
    await a_reading(db, scene.client_id, scene.infusion_id, by=scene.desk.person.staff_id)


async def another_answer_alike(db: Db, scene: Scene) -> None:
    await an_answer(db, scene.client_id, datetime.now(UTC).date(), craving=3, at=time(19))


async def a_colleague_on_the_team(db: Db, scene: Scene) -> None:
    colleague = await a_person(db, email="jonas@clinic.example", name="Jonas Feld", roles=[Role.NURSE])
    await clients.assign(db, scene.client_id, colleague, Role.NURSE, from_at=datetime.now(UTC) - DAY)


async def a_booking(db: Db, scene: Scene) -> None:
    await a_session_of(db, scene.client_id)


async def a_message_opened(db: Db, scene: Scene) -> None:
    now = datetime.now(UTC)
    done = await db.execute(
        "update delivery set state = 'opened', settled_at = $2, opened_at = $2 where clinic_id = $1", db.clinic_id, now
    )
    assert done


async def somebody_takes_it_on(db: Db, scene: Scene) -> None:
    await alerts.acknowledge(db, scene.alert_id, by=scene.desk.person.staff_id, now=datetime.now(UTC))


async def a_new_urgent_alert(db: Db, scene: Scene) -> None:
    await an_alert(db, scene.client_id, Rule.OPIOID_USE, Tier.URGENT)


async def everything_is_closed(db: Db, scene: Scene) -> None:
    closed = "update alert set state = 'resolved', outcome = 'called', closed_at = now() where clinic_id = $1"
    assert await db.execute(closed + " and client_id = $2", db.clinic_id, scene.client_id)


CHANGES: list[Callable[[Db, Scene], Awaitable[None]]] = [
    a_blood_pressure,
    another_answer_alike,
    a_colleague_on_the_team,
    a_booking,
    a_message_opened,
    somebody_takes_it_on,
]


@pytest.mark.parametrize("change", CHANGES)
async def test_a_page_is_old_when_anything_on_it_is_another(
    scene: Scene, change: Callable[[Db, Scene], Awaitable[None]]
) -> None:
    version = await scene.version()
    assert not await scene.changed(version)
    async with database.transaction(scene.desk.owner, scene.desk.clinic.clinic_id) as db:
        await change(db, scene)
    assert await scene.changed(version)
    assert not await scene.changed(await scene.version())


async def test_a_page_is_as_old_however_many_days_are_drawn(scene: Scene) -> None:
    versions = {await scene.version(f"?days={each}") for each in ("28", "70", "all", "infusion")}
    assert versions == {await scene.version()}


@pytest.mark.parametrize("place", ["caseload", "client"])
async def test_a_page_that_was_told_of_something_harmless_tells_of_a_new_urgent_alert_all_the_same(
    scene: Scene, place: str
) -> None:
    desk = scene.desk
    page = "/caseload" if place == "caseload" else f"/clients/{scene.client_id}"
    found = re.search(r'hx-get="([^"]+/changed[^"]+)"', (await desk.get(page)).text)
    assert found is not None
    asked = unescape(found[1])

    async def tells(words: str, title: str = "") -> None:
        nonlocal asked
        told = await desk.get(asked)
        assert told.status_code == 200
        assert words in told.text
        assert (f"<title>{title} ·" in told.text) if title else ("<title>" not in told.text)
        so_far = re.search(r'name="told" value="([^"]+)"', told.text)
        assert so_far is not None
        asked = f"{asked.partition('&told=')[0]}&told={so_far[1]}"
        assert (await desk.get(asked)).status_code == 204, "nothing is told twice"

    async def happens(change: Callable[[Db, Scene], Awaitable[None]]) -> None:
        async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await change(db, scene)

    await happens(everything_is_closed)
    await tells("Something changed: show it")
    await happens(a_new_urgent_alert)
    await tells("1 new urgent alert: show it", "1 new urgent alert")
    await happens(everything_is_closed)
    await tells("Something changed: show it", "Something changed")
