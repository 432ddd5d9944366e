"""Reminders on a phone in Chromium: language, zone and browser stay right, whatever happens to the phone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from playwright.async_api import Page, Request, Route, expect

from service import database as databases
from tests.browser import until, watched_context
from tests.phone_browser import ARRIVED, SHELL_IS_KEPT, Here, answer, connect_without_a_pin, here, network_comes_back
from tests.push_browsers import a_browser

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

__all__ = ["here"]

# A browser's push service, which no test may ask: it gives one subscription a key, and refuses a second key meanwhile.
PUSH_SERVICE = """
(() => {
  if (!("PushManager" in window)) return;
  const held = () => JSON.parse(localStorage.getItem("held"));
  const shaped = (kept) => kept && {
    options: { applicationServerKey: Uint8Array.from(kept.key).buffer },
    toJSON: () => ({ endpoint: kept.endpoint, expirationTime: null, keys: %s }),
    unsubscribe: async () => localStorage.removeItem("held"),
  };
  PushManager.prototype.getSubscription = async () => shaped(held());
  PushManager.prototype.subscribe = async ({ applicationServerKey }) => {
    const key = Array.from(applicationServerKey);
    if (held() && String(held().key) !== String(key)) throw new DOMException("another key", "InvalidStateError");
    const count = Number(localStorage.getItem("count")) + (held() ? 0 : 1);
    localStorage.setItem("count", count);
    if (!held()) localStorage.setItem("held", JSON.stringify({ key, endpoint: `https://push.example/${count}` }));
    return shaped(held());
  };
})()
"""
KEYS = msgspec.json.encode(msgspec.json.decode(a_browser(9).subscription)["keys"]).decode()
UNDER_ANOTHER_KEY = """
() => localStorage.setItem("held", JSON.stringify({ key: [1, 2, 3], endpoint: "https://push.example/old" }))
"""


@asynccontextmanager
async def a_page(
    here: Here, *, zone: str | None = None, locale: str | None = None, workers: bool = True, push: bool = False
) -> AsyncIterator[Page]:
    """A fresh profile that is connected; with `push`, its browser may show messages."""
    async with watched_context(here.chromium, here.address, zone=zone, locale=locale, workers=workers) as context:
        if push:
            await context.grant_permissions(["notifications"])
            await context.add_init_script(PUSH_SERVICE % KEYS)
        page = await context.new_page()
        await connect(page, here)
        yield page


async def connect(page: Page, here: Here) -> None:
    await page.goto(f"/phone/{here.slug}#{await here.code()}")
    await connect_without_a_pin(page)
    await expect(page.locator("#check-in")).to_be_visible()


async def ask_for_a_reminder(page: Page, *, email: str = "") -> None:
    await page.locator("#this-phone summary").first.click()
    await page.locator("#remind-at").fill("19:30")
    await page.locator("#remind-email").fill(email)
    async with page.expect_response("**/v1/phone-settings/reminder"):
        await page.locator("#remind-form button[type=submit]").click()


async def chosen(here: Here, column: str) -> object:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        return await db.value(f"select {column} from phone_setting where clinic_id = $1", here.clinic_id)


async def forget_push(here: Here) -> None:
    """As when the push service has said that the browser is gone."""
    async with databases.transaction(here.owner, here.clinic_id) as db:
        assert await db.execute("delete from phone_push where clinic_id = $1", here.clinic_id) == 1


def endpoints_told(page: Page) -> list[str]:
    """The endpoints that the page tells the clinic from now on."""
    told: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/v1/phone-settings/push") and request.method == "PUT":
            told.append(msgspec.json.decode(request.post_data or "", type=dict[str, Any])["endpoint"])

    page.on("request", note)
    return told


async def test_a_client_is_reminded_in_the_language_that_they_read_without_choosing_one(here: Here) -> None:
    async with a_page(here, locale="es-ES") as page:
        await ask_for_a_reminder(page, email="someone@x.example")
        await expect(page.locator("#remind-said")).to_have_text("Activados, como mucho una vez al día: por correo")
        assert await chosen(here, "language") == "es"


async def test_a_phone_that_was_connected_anew_still_follows_the_client_s_zone(here: Here) -> None:
    async with a_page(here, zone="America/New_York") as page:
        await ask_for_a_reminder(page, email="someone@x.example")
    assert await chosen(here, "time_zone") == "America/New_York"
    async with watched_context(here.chromium, here.address, zone="Europe/Madrid") as context:
        page = await context.new_page()
        async with page.expect_response("**/v1/phone-settings/reminder"):
            await connect(page, here)
    assert await chosen(here, "time_zone") == "Europe/Madrid"
    assert await chosen(here, "email_sealed is not null") is True


async def test_a_zone_that_the_clinic_refuses_is_told_once_and_holds_up_no_answer(here: Here) -> None:
    async with a_page(here, zone="America/New_York") as page:
        await ask_for_a_reminder(page, email="someone@x.example")
        refused: list[Route] = []

        async def refuse(route: Route) -> None:
            refused.append(route)
            await route.fulfill(status=400, content_type="application/problem+json", body='{"type": "/problems/no"}')

        await page.context.route("**/v1/phone-settings/reminder", refuse)
        async with databases.transaction(here.owner, here.clinic_id) as db:
            sql = "update phone_setting set time_zone = 'Europe/Madrid' where clinic_id = $1"
            assert await db.execute(sql, db.clinic_id) == 1
        await page.reload()
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        async with page.expect_response("**/v1/today**"):
            await network_comes_back(page)
        assert len(refused) == 1


async def test_what_the_push_service_ended_is_made_anew_when_the_page_opens(here_with_messages: Here) -> None:
    here = here_with_messages
    async with a_page(here, push=True) as page:
        await until(page, SHELL_IS_KEPT)
        told = endpoints_told(page)
        await ask_for_a_reminder(page)
        await expect(page.locator("#remind-said")).to_have_text("On, at most once a day: in this browser")
        assert told == ["https://push.example/1"]
        async with page.expect_response("**/v1/phone-settings"):
            await page.reload()
        await forget_push(here)
        async with page.expect_response("**/v1/phone-settings/push"):
            await page.reload()
        assert told == ["https://push.example/1"] * 2, "it is told only where the clinic has none"
        await page.evaluate("localStorage.removeItem('held')")
        async with page.expect_response("**/v1/phone-settings/push"):
            await page.reload()
        assert told[2:] == ["https://push.example/2"]
        await page.evaluate(UNDER_ANOTHER_KEY)
        async with page.expect_response("**/v1/phone-settings/push"):
            await page.reload()
        assert told[3:] == ["https://push.example/3"]


async def test_without_a_worker_the_e_mail_is_kept_all_the_same(here: Here) -> None:
    async with a_page(here, push=True, workers=False) as page:
        await ask_for_a_reminder(page, email="someone@x.example")
        await expect(page.locator("#remind-said")).to_have_text("On, at most once a day: by e-mail")


async def test_permission_is_asked_for_within_the_tap(here: Here) -> None:
    async with a_page(here, push=True) as page:
        await page.locator("#this-phone summary").first.click()
        await expect(page.locator("#remind-form")).to_be_visible()
        await page.evaluate(
            """() => {
              Notification.requestPermission = async () => {
                window.askedWhile = navigator.userActivation.isActive;
                return "denied";
              };
              window.fetch = () => new Promise(() => {});
            }"""
        )
        await page.locator("#remind-at").fill("19:30")
        await page.locator("#remind-form button[type=submit]").click()
        await until(page, "async () => window.askedWhile === true")
