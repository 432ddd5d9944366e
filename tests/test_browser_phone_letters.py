"""The client's page for eyes that need large letters: what the browser is set to holds for all of it, and all fits."""

from __future__ import annotations

from dataclasses import replace

import pytest
from playwright.async_api import expect

from tests.browser import browser
from tests.phone_browser import Here, in_language

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("letters", [24, 32])
async def test_large_letters_hold_for_the_questions_too_and_run_nowhere_out_of_the_screen(
    here: Here, letters: int
) -> None:
    async with browser(letters=letters) as chromium, replace(here, chromium=chromium).connected(width=320) as page:
        await in_language(page, "es")
        yes = page.locator("input[name=safety][value=yes]")
        await yes.check()
        card = page.locator("#crisis")
        await expect(card).to_be_visible()
        for words in (page.locator("#safety legend"), card.locator("p").first, card.locator("li span").first):
            assert await words.evaluate("words => getComputedStyle(words).fontSize") == f"{letters}px"
        for link in await card.locator("a").all():
            box = await link.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 320
        hide = await page.locator("#hide").bounding_box()
        word = await page.locator(".help-word").bounding_box()
        assert hide is not None
        assert word is not None
        assert hide["y"] + hide["height"] <= word["y"] or hide["x"] + hide["width"] <= word["x"]
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320
        await page.locator("#answers button[type=submit]").click()
        for part in ("#due .big", "#items .score"):
            await expect(page.locator(part).first).to_be_visible()
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320, part
            await page.locator(part).first.click()
