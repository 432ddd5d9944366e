"""What the page says follows the client's state: discharged, left, in need of help today, a clock set right."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Error, Page, Route, expect

from schemas.course import Substance
from service import database as databases
from service.facts import courses
from tests.axe import faults
from tests.browser import until
from tests.builders import a_client, a_clinic
from tests.house import House
from tests.phone_browser import (
    ARRIVED,
    NOT_SENT,
    SHELL_IS_KEPT,
    SHOWN,
    Here,
    answer,
    choose,
    connect_without_a_pin,
    hide,
    registration_of,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NOBODY = "Nobody looks for changes in your answers just now."
LEFT = f"{NOBODY} A yes to the question about safety still reaches your team."


@pytest_asyncio.fixture(loop_scope="session")
async def here(house: House) -> Here:
    """A clinic with one client, in the middle of a course."""
    now = datetime.now(UTC)
    clinic = await a_clinic(house.owner, slug=f"harbour-{uuid4().hex[:8]}", now=now)
    async with databases.transaction(house.owner, clinic.clinic_id) as db:
        both = (Substance.COCAINE, Substance.ALCOHOL)
        client_id = await a_client(db, now=now, substances=both, started_on=(now - timedelta(days=20)).date())
    return Here(house.address, house.chromium, house.owner, clinic.slug, clinic.clinic_id, client_id)


async def discharged(here: Here) -> None:
    now = datetime.now(UTC)
    async with databases.transaction(here.owner, here.clinic_id) as db:
        (course,) = await courses.of(db, here.client_id)
        await courses.end(db, course.course_id, ended_on=(now - timedelta(days=3)).date(), now=now)


@pytest.mark.parametrize("language", ["en", "es"])
async def test_a_discharged_client_is_asked_nothing_and_told_where_help_is(here: Here, language: str) -> None:
    async with here.page() as page:
        await page.goto(f"/phone/{here.slug}?language={language}")
        await page.locator("#code").fill(await here.code())
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        await discharged(here)
        await page.reload()
        await expect(page.locator("#over h1")).to_be_visible()
        for hidden in ("#check-in", "#moment", "#now", "#again"):
            await expect(page.locator(hidden)).to_be_hidden()
        await expect(page.locator("#history-open")).to_be_visible()
        await expect(page.locator(".help summary")).to_be_visible()
        assert await faults(page) == []
        async with page.expect_response("**/v1/monitoring"):
            await page.locator("#this-phone summary").click()
        await expect(page.locator("#remind-said")).not_to_be_empty()
        await expect(page.locator("#monitoring-said")).to_have_count(0)
        if language == "en":
            await expect(page.locator("#over")).to_contain_text("Your clinic is still there for you")
            await expect(page.locator("#monitoring")).to_have_text(NOBODY)


async def test_the_notice_at_the_foot_and_on_the_help_card_follows_who_leaves_and_comes_back(here: Here) -> None:
    async with here.connected() as page:
        notices = page.locator("[data-monitoring]")
        before = await page.locator("#monitoring").inner_text()
        assert before not in (NOBODY, LEFT)
        await page.locator("#this-phone summary").click()
        await page.get_by_role("button", name="Leave monitoring").click()
        await page.get_by_role("button", name="Yes, leave").click()
        await expect(notices).to_have_text([LEFT, LEFT])
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(notices).to_have_text([LEFT, LEFT])
        await page.locator("#this-phone summary").click()
        await page.get_by_role("button", name="Come back").click()
        await expect(notices).to_have_text([before, before])


async def yes_to_safety(page: Page) -> None:
    await page.get_by_role("radio", name="Yes").check()
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    await expect(page.locator("#done #crisis")).to_be_visible()


async def test_the_contacts_stay_through_reloads_until_the_client_day_ends(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await page.clock.set_fixed_time(start)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await yes_to_safety(page)
        for _ in range(2):
            await page.reload()
            await expect(page.locator("#done #crisis").get_by_role("link", name="988")).to_be_visible()
        await page.get_by_role("button", name="Answer again").click()
        await page.go_back()
        await expect(page.locator("#done #crisis")).to_be_visible()
        await page.clock.set_fixed_time(start + timedelta(days=1))
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(page.locator("#crisis")).to_be_hidden()


async def test_covering_the_page_drops_the_contacts_from_what_is_kept(here: Here) -> None:
    async with here.connected() as page:
        await yes_to_safety(page)
        await hide(page, here)
        await page.reload()
        await page.get_by_role("button", name="Notes").dblclick()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await expect(page.locator("#crisis")).to_be_hidden()


async def test_a_clock_that_is_set_right_does_not_stop_the_sending(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await page.clock.set_fixed_time(start + timedelta(hours=1))
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()

        async def busy(route: Route) -> None:
            problem = json.dumps({"type": "/problems/busy", "detail": "Busy.", "status": 429})
            headers = {"Retry-After": "1", "Content-Type": "application/problem+json"}
            await route.fulfill(status=429, headers=headers, body=problem)

        await page.route("**/v1/check-ins/batch", busy)
        async with page.expect_response("**/v1/check-ins/batch"):
            await answer(page)
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        await page.clock.set_fixed_time(start)
        await page.unroute("**/v1/check-ins/batch")
        await expect(page.locator("#sent")).to_contain_text(ARRIVED, timeout=15000)


async def test_a_reminder_that_is_shown_goes_when_the_day_is_answered(here_with_messages: Here) -> None:
    here = here_with_messages
    async with here.connected() as page:
        await page.context.grant_permissions(["notifications"])
        await until(page, SHELL_IS_KEPT)
        session, registration = await registration_of(page)
        data = json.dumps({"title": "Neap", "body": "This page is ready.", "link": f"{here.address}/phone/{here.slug}"})
        message = {"origin": here.address, "registrationId": registration, "data": data}
        is_shown = "async () => (await (" + SHOWN.strip() + ")()).length > 0"
        # Chromium drops what it is given while it starts the worker; a push service would hold it.
        for _ in range(6):
            await session.send("ServiceWorker.deliverPushMessage", message)
            with contextlib.suppress(Error):
                await until(page, is_shown, seconds=5)
                break
        await until(page, is_shown, seconds=5)
        await answer(page)
        await until(page, "async () => (await (" + SHOWN.strip() + ")()).length === 0", seconds=15)


async def test_after_a_reload_the_first_step_back_leaves_the_view(here: Here) -> None:
    async with here.page() as page:
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        # Nothing was chosen, so that the view does not come again, nor the step to it.
        await page.get_by_role("button", name="Log a craving now").click()
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await until(page, "async () => history.state === null")
        # Something was chosen: the view comes again, by one step as before.
        await page.get_by_role("button", name="Log a craving now").click()
        steps = await page.evaluate("history.length")
        await choose(page, "now.cocaine", 3)
        await page.reload()
        await expect(page.locator("#moment")).to_be_visible()
        assert await page.evaluate("history.length") == steps
        await page.go_back()
        await expect(page.locator("#check-in")).to_be_visible()
        assert await page.evaluate("history.state") is None


# A tap while the page reads what to show after a round with the clinic.
TAPS_WHILE_IT_READS = """
() => {
  const { get } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.get = function (key) {
    if (key === "lastScores") {
      IDBObjectStore.prototype.get = get;
      document.getElementById("now").click();
    }
    return get.call(this, key);
  };
  window.dispatchEvent(new Event("online"));
}
"""


async def test_a_round_with_the_clinic_closes_no_view_opened_meanwhile(here: Here) -> None:
    async with here.connected() as page:
        await page.evaluate(TAPS_WHILE_IT_READS)
        await expect(page.locator("#moment")).to_be_visible()
        await choose(page, "now.cocaine", 3)
        await page.locator("#moment-form button[type=submit]").click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)


async def test_the_contacts_come_into_sight_at_the_tap_on_a_small_screen(here: Here) -> None:
    async with here.connected() as page:
        await page.set_viewport_size({"width": 320, "height": 480})
        await page.locator("#more summary").click()
        yes = page.locator("input[name=safety][value=yes]")
        # As a thumb leaves it: the question at the lower edge.
        await yes.evaluate("(input) => input.closest('fieldset').scrollIntoView({ block: 'end' })")
        await yes.check()
        await expect(page.locator("#crisis").get_by_role("link", name="988")).to_be_in_viewport()


@pytest.mark.parametrize("width", [320 * 16 // 24, 320 * 16 // 32])
async def test_large_letters_lay_hiding_above_help_and_not_upon_it(here: Here, width: int) -> None:
    """320 px at letters of 24 and 32 px are as many letters wide as these at 16."""
    async with here.page(width=width) as page:
        await page.goto(f"/phone/{here.slug}?language=es")
        hide, helps = page.locator("#hide"), page.locator(".help summary")
        await expect(helps).to_be_visible()
        one, other = await hide.bounding_box(), await page.locator(".help-word").bounding_box()
        assert one is not None
        assert other is not None
        assert one["x"] + one["width"] <= other["x"] or one["y"] + one["height"] <= other["y"]
