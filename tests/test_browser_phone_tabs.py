"""Two windows of one phone, and a browser that clears what the page kept: nothing is sent twice, nothing is lost."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from service import database as databases
from tests.browser import until
from tests.phone_browser import ARRIVED, KEPT, PHQ9, Here, answer, choose, connect_without_a_pin

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_a_moment_sent_in_one_window_takes_nothing_of_the_day_s_form_in_another(here: Here) -> None:
    async with here.connected() as page:
        second = await page.context.new_page()
        await second.goto(f"/phone/{here.slug}")
        await expect(second.locator("#check-in")).to_be_visible()
        await page.locator("input[name=safety][value=yes]").check()
        await page.locator("#more summary").click()
        await page.locator("#note").fill("A long note")
        await until(page, KEPT, argument=[here.slug, "A long note"])
        await second.get_by_role("button", name="Log a craving now").click()
        await choose(second, "now.cocaine", 9)
        await until(second, KEPT, argument=[here.slug, '"now.cocaine","9"'])
        await second.locator("#moment-form button[type=submit]").click()
        await expect(second.locator("#sent")).to_contain_text(ARRIVED)
        await second.get_by_role("button", name="Log a craving now").click()
        await second.locator("#moment-later").click()
        await second.close()
        await page.reload()
        await expect(page.locator("input[name=safety][value=yes]")).to_be_checked()
        await expect(page.locator("#note")).to_have_value("A long note")
        assert len(await here.stored()) == 1


async def test_a_questionnaire_that_another_window_has_sent_is_not_sent_twice(here: Here) -> None:
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name=PHQ9).click()
        for item in range(1, 10):
            await page.locator(f'input[name="item.{item}"][value="0"]').check()
        await until(page, KEPT, argument=[here.slug, '"item.9","0"'])
        second = await page.context.new_page()
        await second.goto(f"/phone/{here.slug}")
        await expect(second.locator('input[name="item.9"]:checked')).to_have_value("0")
        # Whichever window's round it is that sends it.
        async with page.context.expect_event("response", lambda response: "/v1/instrument-responses/" in response.url):
            await page.locator("#questions-form button[type=submit]").click()
        await second.locator("#questions-form button[type=submit]").click()
        await expect(second.locator("#questions-fault")).to_contain_text("answered in another window already")
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert await db.value("select count(*) from instrument_response where clinic_id = $1", here.clinic_id) == 1


async def test_an_answer_outlives_a_browser_that_clears_what_the_page_kept(here: Here) -> None:
    async with here.connected() as page:
        await page.locator("input[name=safety][value=yes]").check()
        for name in ("craving.cocaine", "craving.alcohol", "mood", "anxiety"):
            await choose(page, name, 5)
        browser = await page.context.new_cdp_session(page)
        await browser.send("Storage.clearDataForOrigin", {"origin": here.address, "storageTypes": "all"})
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#connect-why")).to_contain_text("no longer connected")
        await expect(page.locator("#connect #crisis").get_by_role("link", name="988")).to_be_visible()
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await connect_without_a_pin(page)
        await page.get_by_role("button", name="Yes, send them").click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [row["safety"] for row in await here.stored()] == [True]
