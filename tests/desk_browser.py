"""A desk in a real Chromium: a web process, somebody of every role, and one client to look at."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, expect

from schemas.alert import Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from schemas.trend import Status
from service import database as databases
from service.database import Pool
from service.people import clients
from service.web.desk_session import COOKIE
from tests.browser import Web
from tests.builders import a_client, a_clinic, an_answer
from tests.desk import SignedInAs, a_person, a_session, a_trend, a_trend_day, an_alert
from tests.house import House

LIVE = "Live: what changes shows at once"


class Desk(NamedTuple):
    """A running web process and somebody of every role, with one client to look at."""

    web: Web
    started: Browser
    owner: Pool
    clinic: Clinic
    person: SignedInAs
    client_id: UUID

    @property
    def address(self) -> str:
        return self.web.address

    async def sign_in(self, context: BrowserContext) -> None:
        await context.add_cookies(
            [{"name": COOKIE, "value": self.person.token, "domain": "127.0.0.1", "path": "/", "secure": True}]
        )

    async def alert(self, rule: Rule = Rule.WORSENING, tier: Tier = Tier.TODAY) -> UUID:
        async with databases.transaction(self.owner, self.clinic.clinic_id) as db:
            return await an_alert(db, self.client_id, rule, tier)


async def an_alert_of(desk: Desk, name: str, rule: Rule = Rule.WORSENING, tier: Tier = Tier.TODAY) -> UUID:
    """An alert of another client of the person's, by this name."""
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_client(db, given_name=name, family_name="Marlow")
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
        return await an_alert(db, client_id, rule, tier)


async def a_live_inbox(desk: Desk, context: BrowserContext) -> Page:
    """The inbox as it listens, on a clock that the test moves."""
    await desk.sign_in(context)
    page = await context.new_page()
    await page.clock.install()
    await page.goto("/inbox")
    await expect(page.get_by_text(LIVE)).to_be_visible()
    return page


@pytest_asyncio.fixture(loop_scope="session")
async def desk(house: House) -> Desk:
    """The client's newest day is worse than usual."""
    clinic, now = await a_clinic(house.owner, slug=f"harbour-{uuid4().hex[:8]}"), datetime.now(UTC)
    async with databases.transaction(house.owner, clinic.clinic_id) as db:
        staff_id = await a_person(db, roles=list(Role), name="Maren Holt")
        client_id = await a_client(
            db, given_name="Bartholomew Maximilian", family_name="Featherstonehaugh-Cholmondeley"
        )
        await clients.assign(db, client_id, staff_id, Role.THERAPIST, from_at=now)
        days = [a_trend_day((now - timedelta(days=40 - day)).date()) for day in range(40)]
        days[-1] = a_trend_day(days[-1].client_day, craving=8, status=Status.NOT_ON_TRACK)
        await a_trend(db, client_id, days)
        await an_answer(db, client_id, days[-1].client_day, craving=8)
        person = await a_session(db, staff_id)
    return Desk(house.web, house.chromium, house.owner, clinic, person, client_id)
