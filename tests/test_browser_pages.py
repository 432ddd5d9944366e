"""Every page there is, in a real Chromium: axe finds nothing, nothing is external, nothing is wider than a phone.

The pages are taken from the routes themselves: a further one is looked at without being named here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from litestar.handlers import HTTPRouteHandler
from playwright.async_api import BrowserContext, Page

from schemas.alert import Rule, Tier
from schemas.rota import CoverForm, ShiftForm
from schemas.staff import Role
from service import app, config, ids
from service import database as databases
from service.database import Db
from service.keys import tokens
from service.people import clients, covers, shifts
from service.web.desk_session import COOKIE
from tests.appointments import a_planned_infusion
from tests.axe import NARROW, WCAG, violations
from tests.browser import watched_context
from tests.builders import a_client, a_clinic
from tests.conftest import A_MASTER_KEY
from tests.desk import SignedInAs, a_person, a_session, a_trend, a_trend_day, an_alert
from tests.house import House
from tests.telling import a_story

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

HTTP_OK = 200
# What is no page, or none here: spent links, half a sign-in, a calendar, pictures, scripts, the demonstration's mail.
NO_PAGE = re.compile(
    r"^/(v1|health|static|link|calendar|messages|demo-mail|sessions)\b|\.(svg|js|webmanifest)$"
    r"|^/inbox/(count|stream)$|^/sign-in/|^/account/stay$|/changed$"
)


class Visit(NamedTuple):
    """Somebody of every role, and what the addresses of pages name."""

    house: House
    person: SignedInAs
    named: Mapping[str, object]

    async def sign_in(self, context: BrowserContext) -> None:
        await context.add_cookies(
            [{"name": COOKIE, "value": self.person.token, "domain": "127.0.0.1", "path": "/", "secure": True}]
        )


def paths() -> Iterator[str]:
    """The address of every page, with what it names still in braces."""
    nowhere = {"NEAP_DATABASE_URL": "postgresql://127.0.0.1/nowhere", "NEAP_KEY": A_MASTER_KEY}
    for route in app.create(config.load(nowhere)).routes:
        for handler in getattr(route, "route_handlers", ()):
            assert isinstance(handler, HTTPRouteHandler)
            if "GET" in handler.http_methods and not NO_PAGE.search(route.path):
                yield re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)


async def a_full_house(db: Db) -> tuple[UUID, dict[str, object]]:
    """Somebody of every role, and a client about whom there is something on every page."""
    now = datetime.now(UTC)
    person = await a_person(db, roles=list(Role), name="Maren Holt")
    colleague = await a_person(db, email="colleague@clinic.example", name="Tamsin Vale")
    client_id = await a_client(db, given_name="Bartholomew Maximilian", family_name="Featherstonehaugh-Cholmondeley")
    for staff_id in (person, colleague):
        await clients.assign(db, client_id, staff_id, Role.THERAPIST, from_at=now - timedelta(days=30))
    await a_trend(db, client_id, [a_trend_day((now - timedelta(days=30 - day)).date()) for day in range(30)])
    await a_story(db, client_id, now.date())
    urgent = await an_alert(db, client_id, Rule.SAFETY, Tier.URGENT)
    infusion_id = await a_planned_infusion(db, client_id)
    later = now + timedelta(days=3)
    cover = CoverForm(staff_id=person, covered_by=colleague, from_at=now, until_at=later)
    await covers.arrange(db, ids.new(), cover, by=person, now=now)
    shift = ShiftForm(staff_id=colleague, from_at=now, until_at=later)
    await shifts.give(db, ids.new(), shift, zone=ZoneInfo("UTC"), by=person, now=now)
    named = {"client_id": client_id, "alert_id": urgent, "infusion_id": infusion_id, "kind": "conflict"}
    return person, named


@pytest_asyncio.fixture(loop_scope="session")
async def visit(house: House) -> Visit:
    clinic = await a_clinic(house.owner, slug=f"harbour-{uuid4().hex[:8]}")
    async with databases.transaction(house.owner, clinic.clinic_id) as db:
        staff_id, named = await a_full_house(db)
        person = await a_session(db, staff_id)
    token = tokens.text_of("stop", clinic.clinic_id, bytes(32))
    return Visit(house, person, {**named, "slug": clinic.slug, "token": token})


API = "/docs"
# Of some hundred articles of two kinds, which axe looks at for half a minute, a few of each section stand for all.
API_ARTICLES = 4
FEWER = """
(kept) => {
  for (const section of document.querySelectorAll("section")) {
    Array.from(section.querySelectorAll("article")).slice(kept).forEach((each) => each.remove());
  }
}
"""


async def faults_of(page: Page, axe: Axe, address: str) -> list[str]:
    """What axe finds on a page with every fold open, in light and in dark; and whether it is wider than a phone."""
    reply = await page.goto(address)
    assert reply is not None
    if reply.status != HTTP_OK:
        return [f"{address}: {reply.status}"]
    # The client's page looks first at what the phone keeps.
    await page.locator("h1:visible").first.wait_for()
    await page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    if address == API:
        await page.evaluate(FEWER, API_ARTICLES)
    faults = await violations(page, axe, {"runOnly": WCAG})
    await page.emulate_media(color_scheme="dark")
    faults += await violations(page, axe, {"runOnly": ["color-contrast"]})
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size({"width": NARROW, "height": 800})
    width = await page.evaluate("document.documentElement.scrollWidth")
    await page.set_viewport_size({"width": 1280, "height": 900})
    faults += [f"{width} wide on a phone"] if width > NARROW else []
    return [f"{address}: {fault}" for fault in faults]


async def test_no_page_keeps_anybody_out(visit: Visit) -> None:
    axe, faults = Axe(), []
    async with watched_context(visit.house.chromium, visit.house.address, width=1280) as context:
        await visit.sign_in(context)
        page = await context.new_page()
        await page.emulate_media(color_scheme="light", reduced_motion="reduce")
        for path in paths():
            faults += await faults_of(page, axe, path.format(**visit.named))
    assert not faults, "\n".join(faults)
