"""Every state of the connected phone in every language, light and dark: axe finds nothing, nothing is too wide."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from schemas.course import Substance
from service import database as databases
from tests.axe import faults
from tests.builders import a_client, a_clinic, an_infusion
from tests.house import House
from tests.phone_browser import Here, choose, items_of, no_network

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PIN = "4711"


@pytest_asyncio.fixture(loop_scope="session")
async def here(house: House) -> Here:
    """A clinic with one client who has everything that the page can show: infusions, two substances, questionnaires."""
    now = datetime.now(UTC)
    clinic = await a_clinic(house.owner, slug=f"harbour-{uuid4().hex[:8]}", now=now)
    async with databases.transaction(house.owner, clinic.clinic_id) as db:
        began = (now - timedelta(days=9)).date()
        both = (Substance.COCAINE, Substance.ALCOHOL)
        client_id = await a_client(db, now=now, substances=both, started_on=began)
        await an_infusion(db, client_id, given_at=now - timedelta(days=9), now=now)
    return Here(house.address, house.chromium, house.owner, clinic.slug, clinic.clinic_id, client_id)


class Looked:
    """The states that were looked at, and what was wrong with each."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.states: list[str] = []
        self.faults: list[str] = []

    async def at(self, state: str, visible: str) -> None:
        await expect(self._page.locator(visible)).to_be_visible()
        self.states.append(state)
        self.faults += [f"{state}: {fault}" for fault in await faults(self._page)]


async def enter_pin(page: Page, *, new: bool = False) -> None:
    await page.locator("#pin-first").fill(PIN)
    if new:
        await page.locator("#pin-again").fill(PIN)
    await page.locator("#pin-form button[type=submit]").click()


async def submit(page: Page, form: str) -> None:
    await page.locator(f"#{form} button[type=submit]").click()


async def fill(page: Page) -> None:
    for name, value in (("craving.cocaine", 6), ("craving.alcohol", 2), ("mood", 4), ("anxiety", 7)):
        await choose(page, name, value)


async def look_at_the_day(page: Page, looked: Looked) -> None:
    await looked.at("check-in", "#check-in")
    await fill(page)
    await page.locator('input[name="safety"][value="yes"]').check()
    await page.locator("#more > summary").click()
    await page.locator('input[name="used"][value="alcohol"]').check()
    await page.locator(".help summary").click()
    await looked.at("check-in with an answer, contacts and help", "#crisis")
    await page.locator(".help summary").click()
    await page.locator("#now").click()
    await submit(page, "moment-form")
    await looked.at("moment with a fault", "#moment-fault")
    await page.locator("#moment-later").click()
    await submit(page, "answers")
    await looked.at("done with contacts and questionnaires", "#due")


async def look_at_questions(page: Page, looked: Looked) -> None:
    for number in range(await page.locator("#due-list button").count()):
        await page.locator("#due-list button").nth(number).click()
        await submit(page, "questions-form")
        await looked.at(f"questionnaire {number}", "#questions-fault")
        await page.locator("#questions-later").click()


async def look_behind_the_pin(page: Page, looked: Looked) -> None:
    await page.locator("#history-open").click()
    await looked.at("PIN", "#pin")
    await enter_pin(page)
    await page.locator("#history-table summary").click()
    await looked.at("history", "#history svg >> nth=0")
    await page.locator("#history-close").click()
    await page.locator("#this-phone summary").click()
    await page.locator("#monitoring-change").click()
    await looked.at("this phone", "#monitoring-sure")
    await page.locator("#hide").click()
    await page.locator("#cover summary").click()
    await looked.at("cover", "#cover")
    await page.locator("#uncover").dblclick()
    await enter_pin(page)
    await expect(page.locator("#cover")).to_be_hidden()


async def look_at_trouble(page: Page, looked: Looked) -> None:
    async def spoil(route: Route) -> None:
        await route.continue_(post_data=[item | {"mood": 11} for item in items_of(route.request)])

    await page.route("**/v1/check-ins/batch", spoil)
    await page.locator("#again").click()
    await fill(page)
    await submit(page, "answers")
    await looked.at("refused", "#refused")
    await page.unroute("**/v1/check-ins/batch")
    await page.route("**/v1/**", no_network)
    await page.locator("#again").click()
    await fill(page)
    await submit(page, "answers")
    await page.locator("#log summary").click()
    await looked.at("not sent yet", "#log-list .waiting")
    await page.locator("#history-open").click()
    await page.locator("#pin-old").click()
    await looked.at("connect again", "#connect-cancel")


@pytest.mark.parametrize("language", ["en", pytest.param("es", marks=pytest.mark.slow)])
async def test_every_state_of_a_connected_phone_can_be_read_and_used(here: Here, language: str) -> None:
    async with here.page(width=320) as page:
        await page.emulate_media(reduced_motion="reduce")
        await page.goto(f"/phone/{here.slug}?language={language}")
        looked = Looked(page)
        await looked.at("connect", "#connect")
        await page.locator("#code").fill(await here.code())
        await submit(page, "connect-form")
        await looked.at("offer of a PIN", "#pin-new")
        await enter_pin(page, new=True)
        await look_at_the_day(page, looked)
        await look_at_questions(page, looked)
        await look_behind_the_pin(page, looked)
        await look_at_trouble(page, looked)
        assert looked.faults == []
        assert len(looked.states) >= 14
        assert await page.evaluate("document.documentElement.lang") == language
