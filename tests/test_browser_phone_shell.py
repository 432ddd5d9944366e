"""What the phone keeps of the page so that it opens without a network, and how much that is."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import Page

from service.web import languages
from tests.browser import until
from tests.phone_browser import Here, in_language

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

SHELL_BYTES = 20 * 1024
WANTED = "Array.from(document.querySelectorAll('link[rel=manifest]'), (one) => one.href)"
KEPT = """
() => caches.open(`shell ${location.pathname}`).then((shell) => shell.keys()).then((all) => all.map((one) => one.url))
"""


async def wire_bytes(page: Page, url: str) -> int:
    """How much comes over the network for a file: compressed by the server where it does that."""
    async with httpx.AsyncClient() as http, http.stream("GET", url, headers=await as_asked(page)) as reply:
        return sum([len(part) async for part in reply.aiter_raw()])


async def as_asked(page: Page) -> dict[str, str]:
    cookies = "; ".join(f"{each['name']}={each['value']}" for each in await page.context.cookies())
    return {"Accept-Encoding": "gzip", "Cookie": cookies}


async def test_everything_that_an_opening_takes_is_at_most_20_kilobytes_in_every_language(here: Here) -> None:
    async with here.connected() as page:
        for language in languages.names():
            await in_language(page, language)
            asked: set[str] = set()
            page.on("request", lambda request: asked.add(request.url))  # noqa: B023
            async with page.expect_request("**/phone_questions.js"):
                await page.reload()
            await until(page, SHELL_IS_KEPT_IN, argument=language)
            kept = set(await page.evaluate(KEPT))
            assert f"{here.address}/phone/{here.slug}" in kept
            # The worker, the manifest, and whatever an opening asks for; not the answers of the API.
            beside = {url for url in asked if "/v1/" not in url and "language=" not in url}
            shell = kept | beside | {f"{here.address}/phone/worker.js", *await page.evaluate(WANTED)}
            # What asks a questionnaire is fetched where one is due, after the opening.
            shell = {url for url in shell if not url.endswith((".png", "/phone_questions.js"))}
            sizes = {url: await wire_bytes(page, url) for url in shell}
            assert sum(sizes.values()) <= SHELL_BYTES, (sum(sizes.values()), sizes)
            assert any(url.endswith("/phone.js") for url in sizes)


# All of it, of this language alone: what was kept of another one goes when the last file of this one has come.
SHELL_IS_KEPT_IN = """
async (language) => {
  const wanted = document.querySelector("script[src]").src;
  const shell = await caches.open(`shell ${location.pathname}`);
  const urls = (await shell.keys()).map((one) => one.url);
  const folder = wanted.slice(0, wanted.lastIndexOf("/") + 1);
  const ours = urls.filter((url) => url.endsWith(".js")).every((url) => url.startsWith(folder));
  return document.documentElement.lang === language && urls.includes(wanted) && ours;
}
"""
