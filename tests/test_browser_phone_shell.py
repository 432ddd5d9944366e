"""What the phone keeps of the page so that it opens without a network, and how much that is."""

from __future__ import annotations

import gzip

import pytest

from service.web import languages
from tests.browser import until
from tests.test_browser_phone import Here, here, house

__all__ = ["here", "house"]

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="module")]

# Spanish needs more letters than English.
SHELL_BYTES = {"en": 20 * 1024, "es": 21 * 1024}


async def test_shell_is_at_most_20_kilobytes_compressed_and_a_little_more_in_spanish(here: Here) -> None:
    async with here.connected() as page:
        for language in languages.names():
            await page.goto(f"/phone/{here.slug}?language={language}")
            await until(page, SHELL_IS_KEPT_IN, argument=language)
            kept = await page.evaluate(
                "caches.open(`shell ${location.pathname}`).then((shell) => shell.keys())"
                ".then((all) => all.map((one) => one.url))"
            )
            assert f"{here.address}/phone/{here.slug}" in kept
            sizes = {url: len(gzip.compress(await (await page.request.get(url)).body())) for url in kept}
            assert sum(sizes.values()) <= SHELL_BYTES[language], sizes


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
