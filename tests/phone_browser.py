"""A client's phone in a real Chromium: a clinic with one client, pages that connect and answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import msgspec
import pytest_asyncio
from playwright.async_api import Browser, CDPSession, Error, Page, Request, Route, expect

from schemas.course import Substance
from service import database as databases
from service.database import Pool
from service.people import audit, devices
from tests.browser import until, watched_context
from tests.builders import a_client, a_clinic, an_infusion
from tests.house import House

NOT_SENT = "saved on this phone and not sent yet"
# As if the phone had lain for an hour: its access token has to be renewed.
AN_HOUR_LATER = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = (event) => {
    const writing = event.target.result.transaction("kept", "readwrite");
    const kept = writing.objectStore("kept");
    kept.get("device").onsuccess = ({ target: { result } }) =>
      kept.put({ ...result, obtainedAt: result.obtainedAt - 3600000 }, "device");
    writing.oncomplete = resolve;
  };
})
"""
# The phone has written what the page shows.
KEPT = """
([slug, wanted]) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = ({ target: { result } }) => {
    result.transaction("kept").objectStore("kept").get("draft").onsuccess = ({ target }) => {
      result.close();
      resolve(JSON.stringify((target.result || {}).forms || []).includes(wanted) === (wanted !== ""));
    };
  };
})
"""
PHQ9 = "The last two weeks: how you have been"
ARRIVED = "Arrived at your clinic"
SHELL_IS_KEPT = """
async () => navigator.serviceWorker.controller !== null && (await caches.match(location.pathname)) !== undefined
"""


COVER_IS_KEPT = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = ({ target: { result } }) => {
    result.transaction("kept").objectStore("kept").get("covered").onsuccess = ({ target }) => {
      result.close();
      resolve(target.result === true);
    };
  };
})
"""


async def hide(page: Page, here: Here) -> None:
    """One tap, once it is written down, too."""
    await page.get_by_role("button", name="Hide this page").click()
    await until(page, COVER_IS_KEPT, argument=here.slug)


async def an_hour_later(page: Page, slug: str) -> None:
    """As AN_HOUR_LATER, once the page has ended: a round that is under way there would renew the token."""
    await page.goto("/openapi.json")
    await page.evaluate(AN_HOUR_LATER, slug)


# The messages that the system shows for the page.
SHOWN = """
async () => {
  const registration = await navigator.serviceWorker.ready;
  const shown = await registration.getNotifications();
  return shown.map(({ title, body, tag, data }) => ({ title, body, tag, data }));
}
"""


@dataclass
class Here:
    """A clinic with one client, served by a real process to a real browser."""

    address: str
    chromium: Browser
    owner: Pool
    slug: str
    clinic_id: UUID
    client_id: UUID

    async def code(self) -> str:
        async with databases.transaction(self.owner, self.clinic_id) as db:
            return (await devices.issue_code(db, self.client_id, by=None, now=datetime.now(UTC))).code

    async def stored(self) -> list[dict[str, object]]:
        """The check-ins as the database holds them."""
        async with databases.transaction(self.owner, self.clinic_id) as db:
            records = await db.connection.fetch(
                "select check_in_id, craving, mood, anxiety, used, safety from check_in where clinic_id = $1",
                self.clinic_id,
            )
        return [dict(record) for record in records]

    @asynccontextmanager
    async def page(self, *, width: int = 390, script: bool = True) -> AsyncIterator[Page]:
        """A fresh profile's page; what it must not do fails the test when the block ends."""
        async with watched_context(self.chromium, self.address, width=width, script=script) as context:
            yield await context.new_page()

    @asynccontextmanager
    async def connected(self, *, width: int = 390) -> AsyncIterator[Page]:
        """A page that has enrolled by the link."""
        async with self.page(width=width) as page:
            await page.goto(f"/phone/{self.slug}#{await self.code()}")
            await connect_without_a_pin(page)
            await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
            yield page


@pytest_asyncio.fixture(loop_scope="session")
async def here(house: House) -> Here:
    now = datetime.now(UTC)
    clinic = await a_clinic(house.owner, slug=f"harbour-{uuid4().hex[:8]}", now=now)
    async with databases.transaction(house.owner, clinic.clinic_id) as db:
        client_id = await a_client(db, now=now, substances=(Substance.COCAINE, Substance.ALCOHOL))
        await an_infusion(db, client_id, given_at=now - timedelta(days=9), now=now)
    return Here(house.address, house.chromium, house.owner, clinic.slug, clinic.clinic_id, client_id)


@pytest_asyncio.fixture(loop_scope="session")
async def here_with_messages(here: Here, desktop_chromium: Browser) -> Here:
    """The same in a browser that shows messages and keeps push subscriptions."""
    return replace(here, chromium=desktop_chromium)


async def connect_without_a_pin(page: Page) -> None:
    """Spend the code that stands on the form, in whatever language."""
    await page.locator("#connect-form button[type=submit]").click()
    await page.locator("#pin-cancel").click()


async def in_language(page: Page, language: str) -> None:
    """The client, whose phone is connected, taps the page's other language, where this is another one."""
    if await page.locator("html").get_attribute("lang") == language:
        return
    async with page.expect_response("**/v1/phone-settings/language"):
        await page.locator(f"#language a[hreflang={language}]").click()
    await expect(page.locator("html")).to_have_attribute("lang", language)


async def choose(page: Page, name: str, value: int) -> None:
    # The radio lies invisibly over its button, where a finger would find it.
    await page.locator(f'input[name="{name}"][value="{value}"]').check()


async def answer(page: Page, *, mood: int = 4) -> None:
    await choose(page, "craving.cocaine", 6)
    await choose(page, "craving.alcohol", 2)
    await choose(page, "mood", mood)
    await choose(page, "anxiety", 7)
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()


def items_of(request: Request) -> list[dict[str, object]]:
    """The check-ins of a batch that the page sends."""
    return msgspec.convert(request.post_data_json, list[dict[str, object]])


async def no_network(route: Route) -> None:
    await route.abort("internetdisconnected")


async def wake(page: Page, event: str) -> None:
    """What wakes the page; one that loads anew at this moment wakes by that."""
    try:
        await page.evaluate(event)
    except Error as error:
        if "because of a navigation" not in error.message:
            raise


async def look_at(page: Page) -> None:
    """Its tab comes into sight."""
    await wake(page, "document.dispatchEvent(new Event('visibilitychange'))")


async def network_comes_back(page: Page) -> None:
    """The system says so."""
    await wake(page, "window.dispatchEvent(new Event('online'))")


async def online(page: Page) -> None:
    await page.unroute("**/v1/**")
    await network_comes_back(page)


async def told(page: Page) -> dict[str, object]:
    """What the clinic tells of the day in a round that begins now."""
    async with page.expect_response("**/v1/today*") as reply:
        await network_comes_back(page)
    return msgspec.convert(await (await reply.value).json(), dict[str, object])


async def end_all_devices(here: Here) -> None:
    """The clinic ends every phone of the client's."""
    async with databases.transaction(here.owner, here.clinic_id) as db:
        for device in await devices.devices_of(db, here.client_id):
            await devices.revoke(db, device.device_id, by=audit.COMMAND, why="replaced", now=datetime.now(UTC))


async def registration_of(page: Page) -> tuple[CDPSession, str]:
    """Chromium's own hand on the page's worker, and its name for it."""
    session = await page.context.new_cdp_session(page)
    found: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def updated(event: dict[str, list[dict[str, str]]]) -> None:
        for each in event["registrations"]:
            if each["scopeURL"].endswith("/phone/") and not found.done():
                found.set_result(each["registrationId"])

    session.on("ServiceWorker.workerRegistrationUpdated", updated)
    await session.send("ServiceWorker.enable")
    return session, await asyncio.wait_for(found, 20)
