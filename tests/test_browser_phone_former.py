"""What is still under way for the client before, when the phone is connected for the next one, reaches nobody."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from playwright.async_api import Page, Route, expect

from schemas.course import Substance
from service import database as databases
from service.people import devices
from tests.browser import until, watched_context
from tests.builders import a_client
from tests.phone_browser import ARRIVED, NOT_SENT, Here, answer, connect_without_a_pin, no_network, online

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# What came of the last request for the day is written.
IS_HEARD = "(slug) => navigator.locks.request(`neap-hear-${slug}`, () => null)"
IS_SENT = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = ({ target: { result } }) => {
    result.transaction("queue").objectStore("queue").count().onsuccess = ({ target }) => {
      result.close();
      resolve(target.result === 0);
    };
  };
})
"""


async def link_of_another(here: Here) -> str:
    """The link of a client of the same clinic who is asked about another substance."""
    async with databases.transaction(here.owner, here.clinic_id) as db:
        client_id = await a_client(db, now=datetime.now(UTC), substances=(Substance.OPIOID,))
        return f"/phone/{here.slug}#{(await devices.issue_code(db, client_id, by=None, now=datetime.now(UTC))).code}"


class Held:
    """A request that waits until it may go on."""

    def __init__(self) -> None:
        self.asked, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, route: Route) -> None:
        self.asked.set()
        await self.may_go_on.wait()
        await route.continue_()

    async def is_asked(self) -> None:
        async with asyncio.timeout(30):
            await self.asked.wait()


@asynccontextmanager
async def connected_without_a_worker(here: Here) -> AsyncIterator[Page]:
    """A connected page whose loading anew can be held up: no worker answers it."""
    async with watched_context(here.chromium, here.address, workers=False) as context:
        page = await context.new_page()
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
        yield page


async def connect_for_another(page: Page, here: Here, under_way: str) -> tuple[Held, Held, Page]:
    """Spend another client's code while this request of the one before hangs: that request, and the new page's.

    Chromium's tools wait for a page that is on its way; the third is a page beside it that sees the same store.
    """
    request, new_page = Held(), Held()
    beside = await page.context.new_page()
    await beside.goto("/openapi.json")
    await page.goto("about:blank")
    # What kept it from being sent goes with the page that would have tried again.
    await page.unroute(under_way)
    await page.route(under_way, request, times=1)
    await page.goto(await link_of_another(here))
    await expect(page.locator("#connect-why")).to_contain_text("already connected")
    await request.is_asked()
    await page.route(f"**/phone/{here.slug}*", new_page)
    await page.locator("#connect-form button[type=submit]").click()
    await new_page.is_asked()
    return request, new_page, beside


async def test_the_day_of_the_client_before_is_not_kept_as_the_next_one_s(here: Here) -> None:
    async with connected_without_a_worker(here) as page:
        request, new_page, beside = await connect_for_another(page, here, "**/v1/today*")
        async with page.expect_response("**/v1/today*"):
            request.may_go_on.set()
        await beside.evaluate(IS_HEARD, here.slug)
        await page.route("**/v1/**", no_network)
        new_page.may_go_on.set()
        await page.locator("#pin-cancel").click()
        await expect(page.locator("#waiting")).to_be_visible()
        await online(page)
        await expect(page.locator("#cravings fieldset")).to_have_attribute("data-scale", "craving.opioid")


async def test_an_answer_of_the_client_before_is_not_told_as_sent_to_the_next_one(here: Here) -> None:
    async with connected_without_a_worker(here) as page:
        await page.route("**/v1/check-ins/batch", no_network)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        request, new_page, beside = await connect_for_another(page, here, "**/v1/check-ins/batch")
        request.may_go_on.set()
        await until(beside, IS_SENT, argument=here.slug)
        # The round goes on with the day, which this page is not told any more.
        await beside.evaluate(IS_HEARD, here.slug)
        new_page.may_go_on.set()
        await page.locator("#pin-cancel").click()
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(page.locator("#log")).to_be_hidden()
        await expect(page.locator("#sent")).not_to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1
