"""A client's page behind a PIN of their own, for tests that open it, cover it or forget it."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.phone_browser import Here

PIN = "4711"


async def fill_pin(page: Page, pin: str, *, again: str | None = None) -> None:
    await page.get_by_label("Four to eight digits").fill(pin)
    if again is not None:
        await page.get_by_label("The same again").fill(again)
    await page.get_by_role("button", name="Continue", exact=True).click()


async def connect_with_a_pin(page: Page, here: Here, *, pin: str = PIN) -> None:
    await page.goto(f"/phone/{here.slug}#{await here.code()}")
    await page.locator("#connect-form button[type=submit]").click()
    await fill_pin(page, pin, again=pin)
    await expect(page.locator("#pin")).to_be_hidden()
    await expect(page.locator("#waiting")).to_be_hidden()
