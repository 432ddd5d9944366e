"""What the page says of the answers that were sent, and of what is planned: true also later, elsewhere, and offline."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, Route, expect

from service import database as databases
from tests.builders import an_answer
from tests.phone_browser import ARRIVED, NOT_SENT, Here, answer, no_network, told
from tests.phone_pin import PIN, connect_with_a_pin, fill_pin

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# The wall clock of the phone at an instant.
ON_THIS_CLOCK = """
(at) => new Date(new Date(at) - new Date(at).getTimezoneOffset() * 60000).toISOString().slice(0, 16)
"""
SEEN = "Your team has seen your answers."


async def of_today(page: Page, **told_so: object) -> None:
    """From the next round on the clinic tells this of the day."""
    today = await told(page) | told_so

    async def other(route: Route) -> None:
        await route.fulfill(json=today)

    await page.route("**/v1/today*", other)
    await told(page)


async def test_that_the_team_has_seen_the_answers_is_not_said_of_one_that_came_after(here: Here) -> None:
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await of_today(page, seen_at=datetime.now(UTC).isoformat())
        await expect(page.get_by_text(SEEN)).to_be_visible()
        await page.route("**/v1/**", no_network)
        await page.get_by_role("button", name="Answer again").click()
        await answer(page, mood=1)
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        await expect(page.get_by_text(SEEN)).to_be_hidden()
        await page.reload()
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        await expect(page.get_by_text(SEEN)).to_be_hidden()


async def test_nor_of_one_that_the_clinic_did_not_take(here: Here) -> None:
    async def refuse(route: Route) -> None:
        problem = {"type": "/problems/invalid", "title": "Invalid", "status": 422, "detail": "No.", "errors": []}
        await route.fulfill(json={"results": [{"status": 422, "problem": problem}]})

    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await of_today(page, seen_at=datetime.now(UTC).isoformat())
        await expect(page.get_by_text(SEEN)).to_be_visible()
        await page.route("**/v1/check-ins/batch", refuse)
        await page.get_by_role("button", name="Answer again").click()
        await answer(page, mood=1)
        await expect(page.locator("#refused")).to_contain_text("The clinic did not take it.")
        await told(page)
        await expect(page.get_by_text(SEEN)).to_be_hidden()


async def test_a_planned_infusion_is_told_by_the_clinic_s_clock_and_only_while_it_lies_ahead(here: Here) -> None:
    async with here.connected() as page:
        words = page.locator("#next-infusion")
        planned_at = (datetime.now(UTC) + timedelta(hours=30)).replace(minute=30, second=0, microsecond=0)
        here_at = datetime.fromisoformat(await page.evaluate(ON_THIS_CLOCK, planned_at.isoformat()))
        for there_at, also_said in ((here_at, ""), (here_at + timedelta(hours=13), " By the clinic's clock.")):
            told_so = {"planned_at": planned_at.isoformat(), "at_clinic": there_at.isoformat(timespec="minutes")}
            await of_today(page, next_infusion=told_so)
            said = rf" {there_at.day}, {there_at:%I:%M}\s{there_at:%p}\.{also_said}$"
            await expect(words).to_have_text(re.compile(said))
        await page.route("**/v1/**", no_network)
        await page.clock.set_fixed_time(planned_at + timedelta(minutes=1))
        await page.reload()
        await expect(page.get_by_role("button", name="Send", exact=True)).to_be_visible()
        await expect(words).to_be_hidden()


async def test_a_note_sent_after_the_day_s_answers_takes_them_out_of_no_chart(here: Here) -> None:
    async with here.connected() as page:
        await answer(page, mood=4)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name="Answer again").click()
        await page.locator("#more summary").click()
        await page.get_by_label("Note for your care team").fill("One more thing")
        await page.get_by_label("Cocaine", exact=True).check()
        send = page.get_by_role("button", name="Send", exact=True)
        await send.click()
        await expect(page.locator("#answers-fault")).to_contain_text("Not answered")
        await send.click()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name="Your answers so far").click()
        await fill_pin(page, "4711", again="4711")
        # Two cravings, mood and anxiety.
        await expect(page.locator("#history svg circle")).to_have_count(4)
        await page.get_by_text("As a list").click()
        await expect(page.locator("#history-table")).to_contain_text("Used since last time: Cocaine")
        await page.locator("#history-close").click()
        await page.get_by_role("button", name="Answer again").click()
        await expect(page.locator("#answers .score.last")).to_have_count(4)
        await page.reload()
        await told(page)
        await page.get_by_role("button", name="Answer again").click()
        await expect(page.locator("#answers .score.last")).to_have_count(4)


async def test_the_chart_holds_all_of_its_days_however_much_was_sent_in_the_last_ones(here: Here) -> None:
    today = datetime.now(UTC).date()
    async with databases.transaction(here.owner, here.clinic_id) as db:
        for ago in [20, *[2] * 205]:
            await an_answer(db, here.client_id, today - timedelta(days=ago))
    async with here.page() as page:
        await connect_with_a_pin(page, here)
        await answer(page)
        await page.get_by_role("button", name="Your answers so far").click()
        await fill_pin(page, PIN)
        await expect(page.locator("#history svg[aria-label^=Mood] circle")).to_have_count(3)
