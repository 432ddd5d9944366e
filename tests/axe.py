"""What axe-core finds on a page: the rules of WCAG 2.2 AA and its best practice."""

from __future__ import annotations

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
NARROW = 320


async def violations(page: Page, axe: Axe, only: dict[str, list[str]]) -> list[str]:
    """Each rule that is broken, with the first place where."""
    found = await axe.run(page, options={"resultTypes": ["violations"], **only})
    return [f"{each['id']}: {each['help']}: {each['nodes'][0]['html'][:160]}" for each in found.response["violations"]]


async def faults(page: Page) -> list[str]:
    """What axe finds on the whole page at once, in light and in dark, and whether it is wider than a narrow phone."""
    size = page.viewport_size
    assert size is not None
    # Colours on their way from one to another are neither.
    await page.emulate_media(reduced_motion="reduce")
    await page.set_viewport_size({"width": NARROW, "height": 3000})
    found = await violations(page, Axe(), {"runOnly": WCAG})
    await page.emulate_media(color_scheme="dark")
    found += await violations(page, Axe(), {"runOnly": ["color-contrast"]})
    await page.emulate_media(color_scheme="light")
    width = await page.evaluate("document.documentElement.scrollWidth")
    await page.set_viewport_size(size)
    return found + ([f"{width} wide"] if width > NARROW else [])
