"""A browser that closes or clears what an open page keeps: each Send, and Back, go on all the same."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from service import database as databases
from tests.phone_browser import ARRIVED, PHQ9, Here, answer, choose, connect_without_a_pin, told

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# The page's own connection to its store, to be closed as a browser does where a page was long out of sight.
REMEMBERS = """
const { transaction } = IDBDatabase.prototype;
IDBDatabase.prototype.transaction = function (...given) {
  window.opened = this;
  return transaction.apply(this, given);
};
"""
CLOSES = "window.opened.close()"


async def clear(page: Page, here: Here) -> None:
    """The browser deletes all that pages of this origin keep."""
    browser = await page.context.new_cdp_session(page)
    await browser.send("Storage.clearDataForOrigin", {"origin": here.address, "storageTypes": "all"})


async def connect_anew(page: Page, here: Here) -> None:
    await expect(page.locator("#connect-why")).to_contain_text("no longer connected")
    await page.get_by_label("Code from your clinic").fill(await here.code())
    await connect_without_a_pin(page)


async def responses(here: Here) -> int:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        count = await db.value("select count(*) from instrument_response where clinic_id = $1", here.clinic_id)
    return int(str(count))


async def answer_phq9(page: Page) -> None:
    await page.get_by_role("button", name=PHQ9).click()
    for item in range(1, 10):
        await page.locator(f'input[name="item.{item}"][value="1"]').check()


async def test_a_questionnaire_outlives_a_browser_that_clears_what_the_page_kept(here: Here) -> None:
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await answer_phq9(page)
        await clear(page, here)
        await page.locator("#questions-form button[type=submit]").click()
        await expect(page.locator("#connect #crisis").get_by_role("link", name="988")).to_be_visible()
        await connect_anew(page, here)
        await page.get_by_role("button", name="Yes, send them").click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert await responses(here) == 1


async def test_a_craving_of_now_outlives_a_browser_that_clears_what_the_page_kept(here: Here) -> None:
    async with here.connected() as page:
        await page.get_by_role("button", name="Log a craving now").click()
        await choose(page, "now.cocaine", 9)
        await clear(page, here)
        await page.locator("#moment-form button[type=submit]").click()
        await connect_anew(page, here)
        await page.get_by_role("button", name="Yes, send them").click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1


async def test_back_leaves_a_questionnaire_where_the_browser_has_closed_the_store(here: Here) -> None:
    async with here.page() as page:
        await page.add_init_script(REMEMBERS)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await answer_phq9(page)
        await page.evaluate(CLOSES)
        await page.go_back()
        await expect(page.locator("#done")).to_be_visible()
        await page.get_by_role("button", name=PHQ9).click()
        await page.evaluate(CLOSES)
        async with page.expect_response("**/v1/instrument-responses/**"):
            await page.locator("#questions-form button[type=submit]").click()
        await expect(page.locator("#done")).to_be_visible()
        assert await responses(here) == 1


async def test_a_closed_store_stops_no_round_and_ends_no_connection(here: Here) -> None:
    async with here.page() as page:
        await page.add_init_script(REMEMBERS)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
        await page.evaluate(CLOSES)
        assert (await told(page))["due"] is True
        await page.evaluate(CLOSES)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1
