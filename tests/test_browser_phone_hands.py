"""The page under a thumb: nothing lies over what is tapped or moves away under it, and a reminder leads to it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from schemas.course import Substance
from service import database as databases
from tests.browser import until
from tests.builders import a_client, a_clinic
from tests.house import House
from tests.phone_browser import SHELL_IS_KEPT, SHOWN, Here, answer, in_language, registration_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NARROW = 320
# What lies below the bar, in sight, and does not get the tap at its own centre.
COVERED = """
() => {
  // What arrives takes all taps away for a moment; here it is about what lies where.
  document.body.classList.remove("held");
  const bar = document.querySelector(".top").getBoundingClientRect();
  const tapped = document.querySelectorAll(":is(main, footer) :is(button, a, summary, .score, .tick, textarea)");
  return Array.from(tapped).filter((one) => {
    const { left, top, width, height } = one.getBoundingClientRect();
    const [x, y] = [left + width / 2, top + height / 2];
    // Half a pixel at the edge belongs to neither side.
    if (!width || y <= bar.bottom + 1 || y >= innerHeight - 1) return false;
    const hit = document.elementFromPoint(x, y);
    return !(one.contains(hit) || (hit && hit.contains(one) && hit.matches("label, button")));
  }).map((one) => `${scrollY}: ${one.outerHTML.slice(0, 80)}`);
}
"""
APART = """
() => {
  const [hide, help] = ["#hide", ".help-word"].map((one) => document.querySelector(one).getBoundingClientRect());
  return hide.right < help.left && hide.left >= 0 && help.right <= innerWidth && hide.height >= 44;
}
"""


@pytest_asyncio.fixture(loop_scope="session")
async def here(house: House) -> Here:
    """A clinic with one client of whom questionnaires are due."""
    now = datetime.now(UTC)
    clinic = await a_clinic(house.owner, slug=f"harbour-{uuid4().hex[:8]}", now=now)
    async with databases.transaction(house.owner, clinic.clinic_id) as db:
        began = (now - timedelta(days=1)).date()
        both = (Substance.COCAINE, Substance.ALCOHOL)
        client_id = await a_client(db, now=now, substances=both, started_on=began)
    return Here(house.address, house.chromium, house.owner, clinic.slug, clinic.clinic_id, client_id)


async def covered_anywhere(page: Page) -> list[str]:
    """Every control that something lies over, at every scroll position."""
    await page.evaluate("document.querySelectorAll('main details, footer details').forEach((one) => (one.open = true))")
    found: list[str] = []
    end = await page.evaluate("document.documentElement.scrollHeight - innerHeight")
    assert end > 0
    for at in [*range(0, end, 23), end]:
        await page.evaluate("(at) => window.scrollTo(0, at)", at)
        found += await page.evaluate(COVERED)
    return found


@pytest.mark.parametrize("language", ["en", "es"])
async def test_nothing_lies_over_anything_that_is_tapped_wherever_the_page_is_scrolled(
    here: Here, language: str
) -> None:
    async with here.connected(width=NARROW) as page:
        await in_language(page, language)
        await expect(page.locator("#check-in")).to_be_visible()
        assert await covered_anywhere(page) == []
        for width in (320, 360, 384, 390, 412, 430):
            await page.set_viewport_size({"width": width, "height": 844})
            assert await page.evaluate(APART), width
        await page.set_viewport_size({"width": NARROW, "height": 844})
        # Help and hiding stay at hand at the far end of the page.
        for name in ("#hide", ".help summary"):
            await expect(page.locator(name)).to_be_in_viewport()
        await page.locator("#now").click()
        await expect(page.locator("#moment")).to_be_visible()
        await page.set_viewport_size({"width": NARROW, "height": 400})
        assert await covered_anywhere(page) == []


async def test_keyboard_focus_is_never_hidden_under_the_bar(here: Here) -> None:
    async with here.connected(width=NARROW) as page:
        await page.set_viewport_size({"width": NARROW, "height": 400})
        await page.locator("#now").focus()
        below_the_bar = """
        () => {
          const bar = document.querySelector(".top");
          const { top } = document.activeElement.getBoundingClientRect();
          return bar.contains(document.activeElement) ? null : top - bar.getBoundingClientRect().bottom;
        }
        """
        distances = []
        while True:
            await page.keyboard.press("Shift+Tab")
            distance = await page.evaluate(below_the_bar)
            if distance is None:
                break
            distances.append(distance)
        assert len(distances) >= 6
        assert min(distances) >= 0


WATCH = """
() => {
  window.moves = [];
  new MutationObserver(() => {
    const now = document.getElementById("now").getBoundingClientRect();
    const hit = document.elementFromPoint(window.finger.x, window.finger.y);
    const held = document.body.classList.contains("held");
    const tapped = Boolean(hit.closest("button, label, a"));
    window.moves.push({ held, tapped, moved: Math.round(now.top - window.finger.top) });
  }).observe(document.body, { attributes: true, attributeFilter: ["class"] });
}
"""
FINGER = """
() => {
  const { left, top, width, height } = document.getElementById("now").getBoundingClientRect();
  window.finger = { x: left + width / 2, y: top + height / 2, top };
}
"""


async def test_what_arrives_and_moves_the_buttons_takes_no_tap_for_a_moment(here: Here) -> None:
    async with here.connected() as page:
        may_arrive = asyncio.Event()

        async def later(route: Route) -> None:
            await may_arrive.wait()
            await route.continue_()

        await page.route("**/v1/check-ins/batch", later)
        await answer(page)
        await page.locator("#now").scroll_into_view_if_needed()
        await page.evaluate(FINGER)
        await page.evaluate(WATCH)
        may_arrive.set()
        await until(page, "async () => window.moves.length > 1")
        moves = await page.evaluate("window.moves")
        # The line about what waits is shorter once it has arrived.
        assert moves[0]["held"]
        assert moves[0]["moved"] < 0
        assert moves[0]["tapped"] is False
        assert moves[-1]["held"] is False


# A program cannot tap what the system shows: the worker hears of the tap as it would, and says where it leads.
TAP = """
async () => {
  const led = new Promise((resolve) => {
    self.clients.openWindow = async (path) => resolve(path);
    self.clients.matchAll = async () => [];
  });
  const [notification] = await self.registration.getNotifications();
  self.dispatchEvent(new NotificationEvent("notificationclick", { notification }));
  const path = await led;
  return [path, (await self.registration.getNotifications()).length];
}
"""


async def test_a_push_message_shows_neutral_words_once_and_a_tap_leads_to_the_page(here_with_messages: Here) -> None:
    here = here_with_messages
    async with here.connected() as page:
        await page.context.grant_permissions(["notifications"])
        await until(page, SHELL_IS_KEPT)
        session, registration = await registration_of(page)
        said = {"title": "Neap", "body": "This page is ready.", "link": f"{here.address}/phone/{here.slug}"}
        for _ in range(2):
            await session.send(
                "ServiceWorker.deliverPushMessage",
                {"origin": here.address, "registrationId": registration, "data": json.dumps(said)},
            )
        await until(page, "async () => (await (" + SHOWN.strip() + ")()).length > 0")
        assert await page.evaluate(SHOWN) == [
            {"title": "Neap", "body": "This page is ready.", "tag": "reminder", "data": {"link": said["link"]}}
        ]
        (worker,) = page.context.service_workers
        assert await worker.evaluate(TAP) == [f"/phone/{here.slug}", 0]
