"""A new release of the page reaches a phone whole or not at all, however the network is."""

from __future__ import annotations

import asyncio
import re

import pytest
from playwright.async_api import Route, expect

from tests.browser import until
from tests.phone_browser import SHELL_IS_KEPT, Here

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NEXT = "abcdefabcdef"
# The kept page names the files of this release, and all of them are there; nothing else is.
KEPT_WHOLE = """
async (release) => {
  const shell = await caches.open(`shell ${location.pathname}`);
  const page = await (await shell.match(location.pathname)).text();
  const paths = (await shell.keys()).map(({ url }) => new URL(url).pathname).filter((one) => one !== location.pathname);
  const script = page.match(/src="([^"]+phone.js)"/)[1];
  return script.includes(release) && paths.includes(script) && paths.every((one) => one.includes(release));
}
"""


# What the phone keeps beside a release: of that one, and among it a certain file.
PARTS_KEPT = """
async ([release, name]) => {
  const paths = (await (await caches.open("parts")).keys()).map(({ url }) => new URL(url).pathname);
  return paths.every((one) => one.includes(release)) && paths.some((one) => one.endsWith(`/${name}`));
}
"""


def of_the_next_release(page: str) -> str:
    """The page as the next release would name its files; the server takes any release's name."""
    return re.sub(r"/static/[0-9a-f]{12}/", f"/static/{NEXT}/", page)


async def as_the_next_release(route: Route) -> None:
    """The server of the next release says so, whatever else was changed on the way."""
    reply = await route.fetch()
    await route.fulfill(response=reply, headers=reply.headers | {"neap-release": NEXT, "cache-control": "no-store"})


async def test_an_update_over_a_slow_network_keeps_the_new_page_with_its_own_scripts(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        may_come = asyncio.Event()

        async def slowly(route: Route) -> None:
            reply = await route.fetch()
            await may_come.wait()
            await route.fulfill(response=reply, body=of_the_next_release(await reply.text()))

        await page.context.route(f"**/phone/{here.slug}", slowly)
        await page.context.route(f"**/static/{NEXT}/**", as_the_next_release)
        await page.reload()
        # Nobody answered in time: it is the page of before.
        await expect(page.locator("#check-in")).to_be_visible()
        assert NEXT not in await page.content()
        may_come.set()
        await until(page, KEPT_WHOLE, argument=NEXT)
        await page.context.set_offline(True)
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        assert NEXT in await page.content()
        await page.context.set_offline(False)


async def test_an_update_keeps_also_what_was_fetched_beside_an_opening(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        await page.evaluate("caches.delete('parts')")
        await page.evaluate("fetch(document.querySelector('script[src]').src.replace('phone.js', 'phone_pin.js'))")
        await until(page, PARTS_KEPT, argument=["", "phone_pin.js"])

        async def renewed(route: Route) -> None:
            reply = await route.fetch()
            await route.fulfill(response=reply, body=of_the_next_release(await reply.text()))

        await page.context.route(f"**/phone/{here.slug}", renewed)
        await page.context.route(f"**/static/{NEXT}/**", as_the_next_release)
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await until(page, KEPT_WHOLE, argument=NEXT)
        await until(page, PARTS_KEPT, argument=[NEXT, "phone_pin.js"])


async def test_a_new_page_whose_scripts_cannot_be_had_never_replaces_one_that_works(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        refused: list[str] = []

        async def refuse(route: Route) -> None:
            refused.append(route.request.url)
            await route.abort()

        async def renewed(route: Route) -> None:
            reply = await route.fetch()
            await route.fulfill(response=reply, body=of_the_next_release(await reply.text()))

        await page.context.route(f"**/phone/{here.slug}", renewed)
        await page.context.route(f"**/static/{NEXT}/**", refuse)
        for _ in range(2):
            await page.reload()
            await expect(page.locator("#check-in")).to_be_visible()
            assert NEXT not in await page.content()
        assert refused
        await page.context.unroute(f"**/static/{NEXT}/**")
        await page.context.route(f"**/static/{NEXT}/**", as_the_next_release)
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        assert NEXT in await page.content()
        await until(page, KEPT_WHOLE, argument=NEXT)


async def test_a_server_that_is_not_updated_yet_gives_no_file_that_is_kept_as_the_new_one(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)

        async def renewed(route: Route) -> None:
            reply = await route.fetch()
            await route.fulfill(response=reply, body=of_the_next_release(await reply.text()))

        await page.context.route(f"**/phone/{here.slug}", renewed)
        # The page is the next release's, its files come from this one.
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        assert not await page.evaluate(KEPT_WHOLE, NEXT)
        await page.context.unroute(f"**/phone/{here.slug}")
        await page.context.set_offline(True)
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        assert NEXT not in await page.content()
        await page.context.set_offline(False)


async def test_a_full_phone_shows_what_the_network_gives(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        session = await page.context.new_cdp_session(page)
        await session.send("Storage.overrideQuotaForOrigin", {"origin": here.address, "quotaSize": 1000})
        await page.locator("#this-phone summary").click()
        await expect(page.locator("#remind-form")).to_be_visible()

        async def renewed(route: Route) -> None:
            reply = await route.fetch()
            await route.fulfill(response=reply, body=of_the_next_release(await reply.text()))

        await page.context.route(f"**/phone/{here.slug}", renewed)
        await page.context.route(f"**/static/{NEXT}/**", as_the_next_release)
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        assert NEXT in await page.content()
