"""What is chosen and not sent yet, and what Back does: nothing that was tapped is lost, and Back leaves one view."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from schemas.course import Substance
from service import database as databases
from tests.browser import until
from tests.builders import a_client, a_clinic
from tests.house import House
from tests.phone_browser import ARRIVED, KEPT, PHQ9, Here, answer, choose, connect_without_a_pin, hide

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NOTE = "Slept badly, argued with nobody."
# Nothing at all is written.
NONE_KEPT = """
([slug]) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = ({ target: { result } }) => {
    result.transaction("kept").objectStore("kept").get("draft").onsuccess = ({ target }) => {
      result.close();
      resolve(target.result === undefined);
    };
  };
})
"""


@pytest_asyncio.fixture(loop_scope="session")
async def here(house: House) -> Here:
    """A clinic with one client in treatment for two substances, of whom questionnaires are due."""
    now = datetime.now(UTC)
    clinic = await a_clinic(house.owner, slug=f"harbour-{uuid4().hex[:8]}", now=now)
    async with databases.transaction(house.owner, clinic.clinic_id) as db:
        began = (now - timedelta(days=1)).date()
        both = (Substance.COCAINE, Substance.ALCOHOL)
        client_id = await a_client(db, now=now, substances=both, started_on=began)
    return Here(house.address, house.chromium, house.owner, clinic.slug, clinic.clinic_id, client_id)


async def half_answered(page: Page, here: Here) -> None:
    await choose(page, "craving.cocaine", 6)
    await choose(page, "mood", 2)
    await page.get_by_role("radio", name="Yes").check()
    await page.get_by_text("Add a note, or something you used").click()
    await page.get_by_label("Alcohol", exact=True).check()
    await page.get_by_label("Note for your care team").fill(NOTE)
    await until(page, KEPT, argument=[here.slug, NOTE])


async def test_a_reload_in_the_middle_loses_nothing_and_shows_the_contacts_again(here: Here) -> None:
    async with here.connected() as page:
        await half_answered(page, here)
        await page.reload()
        await expect(page.get_by_label("Note for your care team")).to_have_value(NOTE)
        await expect(page.get_by_role("alert").get_by_role("link", name="988")).to_be_visible()
        for name, value in (("craving.cocaine", "6"), ("mood", "2"), ("safety", "yes"), ("used", "alcohol")):
            await expect(page.locator(f'input[name="{name}"]:checked')).to_have_value(value)
        assert await page.locator('input[name="anxiety"]:checked').count() == 0
        assert await here.stored() == []
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await until(page, NONE_KEPT, argument=[here.slug])
        await page.reload()
        await page.get_by_role("button", name="Answer again").click()
        assert await page.locator("#answers input:checked").count() == 0
        await expect(page.get_by_label("Note for your care team")).to_have_value("")


async def test_leaving_the_page_and_coming_back_finds_what_was_chosen(here: Here) -> None:
    async with here.connected() as page:
        await half_answered(page, here)
        await page.goto("/health/live")
        await page.go_back()
        await expect(page.locator('input[name="craving.cocaine"]:checked')).to_have_value("6")
        await expect(page.get_by_label("Note for your care team")).to_have_value(NOTE)


async def test_covering_the_page_takes_nothing_that_was_chosen_also_where_it_is_loaded_anew(here: Here) -> None:
    async with here.connected() as page:
        await half_answered(page, here)
        await hide(page, here)
        await page.reload()
        await expect(page.get_by_role("button", name="Notes")).to_be_visible()
        await expect(page.locator("#check-in")).to_be_hidden()
        await expect(page.locator("#crisis")).to_be_hidden()
        await page.get_by_role("button", name="Notes").dblclick()
        await expect(page.locator("#check-in")).to_be_visible()
        for name, value in (("craving.cocaine", "6"), ("mood", "2"), ("safety", "yes"), ("used", "alcohol")):
            await expect(page.locator(f'input[name="{name}"]:checked')).to_have_value(value)
        await expect(page.get_by_label("Note for your care team")).to_have_value(NOTE)
        await expect(page.locator("#crisis")).to_be_visible()


async def test_another_client_day_begins_empty(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await page.clock.set_fixed_time(start)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        await choose(page, "mood", 2)
        await until(page, KEPT, argument=[here.slug, '"mood","2"'])
        await page.clock.set_fixed_time(start + timedelta(days=1))
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        assert await page.locator("#answers input:checked").count() == 0
        await until(page, NONE_KEPT, argument=[here.slug])


@pytest.mark.parametrize("is_loaded_anew", [True, False])
async def test_a_questionnaire_that_was_left_a_day_ago_begins_empty_whatever_was_tapped_since(
    here: Here, is_loaded_anew: bool
) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await page.clock.set_fixed_time(start)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name=PHQ9).click()
        await page.locator('input[name="item.3"][value="2"]').check()
        await until(page, KEPT, argument=[here.slug, '"item.3","2"'])
        await page.locator("#questions-later").click()
        await page.clock.set_fixed_time(start + timedelta(days=1))
        if is_loaded_anew:
            await page.reload()
            await expect(page.locator("#check-in")).to_be_visible()
        else:
            await page.get_by_role("button", name="Answer again").click()
        await choose(page, "mood", 2)
        await until(page, KEPT, argument=[here.slug, '"mood","2"'])
        await answer(page)
        await page.get_by_role("button", name=PHQ9).click()
        await expect(page.locator("#questions")).to_be_visible()
        await expect(page.locator("#items input").first).to_be_attached()
        assert await page.locator("#items input:checked").count() == 0


async def test_another_code_on_this_phone_finds_nothing_of_before(here: Here) -> None:
    async with here.connected() as page:
        await half_answered(page, here)
        await page.goto("/health/live")
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        assert await page.locator("#answers input:checked").count() == 0


async def test_back_leaves_a_moment_for_the_day_whose_answers_are_still_there(here: Here) -> None:
    async with here.connected() as page:
        await half_answered(page, here)
        await page.get_by_role("button", name="Log a craving now").click()
        await choose(page, "now.alcohol", 9)
        await page.reload()
        # A moment that was begun is still the one.
        await expect(page.locator('input[name="now.alcohol"]:checked')).to_have_value("9")
        await page.go_back()
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(page.locator('input[name="craving.cocaine"]:checked')).to_have_value("6")
        await expect(page.get_by_label("Note for your care team")).to_have_value(NOTE)
        assert page.url == f"{here.address}/phone/{here.slug}"
        await page.get_by_role("button", name="Log a craving now").click()
        assert await page.locator("#moment-form input:checked").count() == 0
        # "Not now" leaves it, too, and leaves no step behind that Back would have to undo.
        await page.locator("#moment-later").click()
        await expect(page.locator("#check-in")).to_be_visible()
        await until(page, "async () => history.state === null")


async def at_step(page: Page, number: int) -> None:
    """Chromium hears of a step a little after the page has taken it; Back before that goes from the one before."""
    session = await page.context.new_cdp_session(page)
    async with asyncio.timeout(10):
        while (await session.send("Page.getNavigationHistory"))["currentIndex"] != number:
            pass
    await session.detach()


async def test_back_leaves_questions_and_history_one_by_one(here: Here) -> None:
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name=PHQ9).click()
        await page.locator('input[name="item.3"][value="2"]').check()
        await page.go_back()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await page.get_by_role("button", name=PHQ9).click()
        await expect(page.locator('input[name="item.3"]:checked')).to_have_value("2")
        await at_step(page, 2)
        await page.reload()
        await expect(page.locator('input[name="item.3"]:checked')).to_have_value("2")
        await expect(page.locator("#questions")).to_be_visible()
        await at_step(page, 2)
        await page.go_back()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()

        await page.get_by_role("button", name="Answer again").click()
        await page.get_by_role("button", name="Log a craving now").click()
        await page.go_back()
        await expect(page.locator("#check-in")).to_be_visible()
        await page.go_back()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()

        await page.get_by_role("button", name="Your answers so far").click()
        for label in ("Four to eight digits", "The same again"):
            await page.get_by_label(label).fill("4711")
        await page.get_by_role("button", name="Continue", exact=True).click()
        await expect(page.locator("#history svg").first).to_be_visible()
        await page.go_back()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        assert await page.locator("#history svg").count() == 0


async def test_a_view_that_does_not_come_again_leaves_no_step_that_back_would_go_unseen(here: Here) -> None:
    async with here.connected() as page:
        await page.goto("/health/live")
        await page.goto(f"/phone/{here.slug}")
        await page.get_by_role("button", name="Log a craving now").click()
        await expect(page.locator("#moment")).to_be_visible()
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await until(page, "async () => history.state === null")
        await page.go_back()
        await expect(page).to_have_url(f"{here.address}/health/live")
