"""A link with a code, followed on a phone that is connected already: nothing begun is lost, nothing waits for it."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from tests.phone_browser import (
    ARRIVED,
    Here,
    choose,
    connect_without_a_pin,
    end_all_devices,
    network_comes_back,
    no_network,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

ALREADY = "This phone is already connected."


async def test_a_form_that_was_begun_is_there_again_where_the_connection_stays(here: Here) -> None:
    async with here.connected() as page:
        await choose(page, "mood", 3)
        await page.locator("#more summary").click()
        await page.locator("#note").fill("A long note")
        await page.locator("input[name=safety][value=yes]").check()
        await page.evaluate("(code) => { location.hash = code; }", await here.code())
        await expect(page.locator("#connect-why")).to_contain_text(ALREADY)
        await page.locator("#connect-cancel").click()
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(page.locator("input[name=mood][value='3']")).to_be_checked()
        await expect(page.locator("input[name=safety][value=yes]")).to_be_checked()
        await expect(page.locator("#note")).to_have_value("A long note")
        await expect(page.locator("#crisis")).to_be_visible()


async def test_what_waits_is_sent_and_the_card_is_in_sight_while_the_code_is_asked_for(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/check-ins/batch", no_network)
        async with page.expect_event("requestfailed", lambda request: request.url.endswith("/batch")):
            await page.locator("input[name=safety][value=yes]").check()
            for name in ("craving.cocaine", "craving.alcohol", "mood", "anxiety"):
                await choose(page, name, 5)
            await page.get_by_role("button", name="Send", exact=True).click()
        await page.unroute("**/v1/check-ins/batch")
        await page.goto("about:blank")
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await expect(page.locator("#connect-why")).to_contain_text(ALREADY)
        await expect(page.locator("#crisis")).to_be_visible()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [row["safety"] for row in await here.stored()] == [True]
        await page.locator("#connect-cancel").click()
        await expect(page.locator("#done")).to_be_visible()
        await expect(page.locator("#crisis")).to_be_visible()


async def test_the_code_of_a_new_link_stays_where_the_connection_before_has_ended(here: Here) -> None:
    async with here.connected() as page:
        await page.goto("about:blank")
        await end_all_devices(here)
        code = await here.code()
        async with page.expect_response("**/v1/device/nonce"):
            await page.goto(f"/phone/{here.slug}#{code}")
        # And at the next round, too.
        async with page.expect_response("**/v1/device/nonce"):
            await network_comes_back(page)
        await expect(page.locator("#code")).to_have_value(code)
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
