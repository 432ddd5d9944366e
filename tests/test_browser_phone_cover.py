"""The cover of a client's phone: one tap hides the page, and only the client comes back."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from tests.axe import faults
from tests.browser import until
from tests.phone_browser import ARRIVED, KEPT, SHELL_IS_KEPT, Here, answer, connect_without_a_pin, hide, no_network
from tests.phone_pin import PIN, connect_with_a_pin, fill_pin

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

PIN_IS_KEPT = """
async () => (await (await caches.open("parts")).keys()).some(({ url }) => url.endsWith("/phone_pin.js"))
"""


async def open_history(page: Page, pin: str) -> None:
    await page.get_by_role("button", name="Your answers so far").click()
    await fill_pin(page, pin)
    await expect(page.locator("#history svg").first).to_be_visible()
    await page.get_by_text("As a list").click()


async def test_the_cover_comes_off_without_a_network_also_after_a_new_release(here: Here) -> None:
    async with here.page() as page:
        await connect_with_a_pin(page, here)
        await until(page, SHELL_IS_KEPT)
        # With a new release the parts of the one before go, and its addresses are others: no memory of them helps.
        device = await page.context.new_cdp_session(page)
        await device.send("Network.enable")
        await device.send("Network.setCacheDisabled", {"cacheDisabled": True})
        await page.evaluate("caches.delete('parts')")
        async with page.expect_response("**/phone_pin.js"):
            await page.reload()
        await until(page, PIN_IS_KEPT)
        await hide(page, here)
        await page.context.set_offline(True)
        await page.reload()
        await page.get_by_role("button", name="Notes").dblclick()
        await fill_pin(page, PIN)
        await expect(page.locator("#check-in")).to_be_visible()


async def test_the_cover_says_why_it_stays_where_what_asks_for_the_pin_cannot_be_had(here: Here) -> None:
    async with here.page() as page:
        await connect_with_a_pin(page, here)
        await until(page, SHELL_IS_KEPT)
        await hide(page, here)
        await page.evaluate("caches.delete('parts')")
        await page.context.route("**/phone_pin.js", no_network)
        await page.reload()
        await page.get_by_role("button", name="Notes").dblclick()
        await expect(page.locator("#cover-fault")).to_have_text("This needs a connection. Please try again.")
        await expect(page.locator("#check-in")).to_be_hidden()
        await page.context.unroute("**/phone_pin.js")
        await page.reload()
        await page.get_by_role("button", name="Notes").dblclick()
        await expect(page.locator("#cover-fault")).to_be_empty()
        await fill_pin(page, PIN)
        await expect(page.locator("#check-in")).to_be_visible()


async def test_a_forgotten_pin_shows_no_crisis_card_behind_the_cover_and_takes_no_yes(here: Here) -> None:
    async with here.page() as page:
        await connect_with_a_pin(page, here)
        await page.locator("input[name=safety][value=yes]").check()
        await expect(page.locator("#crisis")).to_be_visible()
        await until(page, KEPT, argument=[here.slug, '"safety","yes"'])
        await page.get_by_role("button", name="Hide this page").click()
        # Once more after a load, which fills in beneath the cover what was tapped.
        for _ in range(2):
            await page.get_by_role("button", name="Notes").dblclick()
            await page.get_by_role("button", name="I forgot my PIN").click()
            await expect(page.get_by_role("heading", name="Connect this phone")).to_be_visible()
            await expect(page.locator("#crisis")).to_be_hidden()
            await page.get_by_role("button", name="Leave everything as it is").click()
            await expect(page.get_by_role("button", name="Notes")).to_be_visible()
            await expect(page.locator("input[name=safety][value=yes]")).to_be_checked()
        await page.get_by_role("button", name="Notes").dblclick()
        await fill_pin(page, PIN)
        await expect(page.locator("#check-in #crisis")).to_be_visible()


async def test_one_tap_covers_the_page_and_only_the_client_comes_back(here: Here) -> None:
    async with here.page() as page:
        await connect_with_a_pin(page, here)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await open_history(page, PIN)
        await hide(page, here)
        await expect(page.locator("#history")).to_be_hidden()
        assert await page.title() == "Notes"
        await page.reload()
        await expect(page.get_by_role("button", name="Notes")).to_be_visible()
        assert "infusion" not in (await page.locator("body").inner_text()).lower()
        await page.locator("#cover summary").click()
        await expect(page.locator("#cover-help a").first).to_be_visible()
        assert await faults(page) == []
        await page.get_by_role("button", name="Notes").dblclick()
        await fill_pin(page, PIN)
        await expect(page.locator("#done")).to_be_visible()
        assert await page.title() == "Neap"


async def test_a_forgotten_pin_shows_nothing_behind_the_cover_and_ends_with_the_clinic_s_code(here: Here) -> None:
    async with here.page() as page:
        await connect_with_a_pin(page, here)
        await page.get_by_role("button", name="Hide this page").click()
        await page.get_by_role("button", name="Notes").dblclick()
        await page.get_by_role("button", name="I forgot my PIN").click()
        await expect(page.get_by_role("heading", name="Connect this phone")).to_be_visible()
        await page.get_by_role("button", name="Leave everything as it is").click()
        await expect(page.get_by_role("button", name="Notes")).to_be_visible()
        await expect(page.locator("#check-in")).to_be_hidden()
        await page.get_by_role("button", name="Notes").dblclick()
        await page.get_by_role("button", name="I forgot my PIN").click()
        await expect(page.get_by_role("heading", name="Connect this phone")).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("button", name="Notes")).to_be_visible()
        await page.get_by_role("button", name="Notes").dblclick()
        await page.get_by_role("button", name="I forgot my PIN").click()
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()


async def test_a_forgotten_pin_shows_nothing_of_what_was_sent_behind_the_cover(here: Here) -> None:
    async with here.page() as page:
        await connect_with_a_pin(page, here)
        await answer(page)
        await expect(page.locator("#log")).to_be_visible()
        await page.get_by_role("button", name="Hide this page").click()
        await page.get_by_role("button", name="Notes").dblclick()
        await page.get_by_role("button", name="I forgot my PIN").click()
        await expect(page.get_by_role("heading", name="Connect this phone")).to_be_visible()
        for hidden in ("#log", "#sent", "#earlier", "#connect .lede", "#monitoring"):
            await expect(page.locator(hidden)).to_be_hidden()
        await page.get_by_role("button", name="Leave everything as it is").click()
        await page.get_by_role("button", name="Notes").dblclick()
        await fill_pin(page, PIN)
        await expect(page.locator("#log")).to_be_visible()
