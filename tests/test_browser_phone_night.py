"""A form that is on the screen when the client day ends: whose day its answers are, and what is left of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from tests.phone_browser import ARRIVED, Here, choose, connect_without_a_pin, items_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BEFORE_FOUR = "() => { const at = new Date(); at.setHours(3, 58, 0, 0); return at.getTime(); }"
BATCH = "**/v1/check-ins/batch"


async def connected_at(page: Page, here: Here, start: datetime) -> None:
    await page.clock.set_fixed_time(start)
    await page.goto(f"/phone/{here.slug}#{await here.code()}")
    await connect_without_a_pin(page)


async def four_taps(page: Page) -> None:
    for name, value in (("craving.cocaine", 6), ("craving.alcohol", 2), ("mood", 4), ("anxiety", 7)):
        await choose(page, name, value)


async def send(page: Page, form: str = "answers") -> None:
    await page.locator(f"#{form} button[type=submit]").click()


async def write(page: Page, note: str) -> None:
    await page.locator("#more summary").click()
    await page.get_by_label("Note for your care team").fill(note)


async def a_round(page: Page) -> None:
    async with page.expect_response("**/v1/today*"):
        await page.evaluate("window.dispatchEvent(new Event('online'))")


async def test_answers_begun_before_four_and_sent_after_it_are_sent_whole_for_the_day_they_were_given(
    here: Here,
) -> None:
    async with here.page() as page:
        start = datetime.fromtimestamp(await page.evaluate(BEFORE_FOUR) / 1000, UTC)
        await connected_at(page, here, start)
        await four_taps(page)
        await write(page, "Half an hour of writing")
        await page.locator("input[name=safety][value=yes]").check()
        day = await page.locator("#day").inner_text()
        await page.clock.set_fixed_time(start + timedelta(minutes=4))
        await a_round(page)
        await page.reload()
        await expect(page.locator("#check-in input:checked")).to_have_count(5)
        await expect(page.locator("#day")).to_have_text(day)
        async with page.expect_request(BATCH) as sent:
            await send(page)
        local = await page.evaluate("(at) => new Date(at).toTimeString().slice(0, 5)", start.timestamp() * 1000)
        (item,) = items_of(await sent.value)
        assert str(item["answered_at"])[11:16] == local
        assert (item["safety"], item["note"]) == (True, "Half an hour of writing")
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        # And the new day has its own questions.
        await page.reload()
        await expect(page.locator("#day")).not_to_have_text(day)
        await expect(page.locator("#check-in input:checked")).to_have_count(0)


async def test_an_empty_form_of_yesterday_is_the_day_s_on_which_it_is_begun(here: Here) -> None:
    async with here.page() as page:
        start = datetime.fromtimestamp(await page.evaluate(BEFORE_FOUR) / 1000, UTC)
        await connected_at(page, here, start)
        day = await page.locator("#day").inner_text()
        await page.clock.set_fixed_time(start + timedelta(minutes=4))
        await four_taps(page)
        await expect(page.locator("#day")).not_to_have_text(day)
        await send(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.reload()
        await expect(page.locator("#done")).to_be_visible()


async def test_a_form_left_open_overnight_is_not_the_new_day_s(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await connected_at(page, here, start)
        await four_taps(page)
        await page.clock.set_fixed_time(start + timedelta(hours=30))
        await send(page)
        await expect(page.locator("#answers-fault")).to_contain_text("A new day has begun.")
        await expect(page.locator("#check-in input:checked")).to_have_count(0)
        assert await here.stored() == []
        await four_taps(page)
        await send(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)


async def test_neither_is_one_left_beneath_another_view_and_what_nobody_has_heard_stays_in_sight(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await connected_at(page, here, start)
        await four_taps(page)
        await write(page, "Please call me")
        await page.locator("input[name=safety][value=yes]").check()
        await page.get_by_role("button", name="Log a craving now").click()
        await page.clock.set_fixed_time(start + timedelta(hours=30))
        await page.locator("#moment-later").click()
        await expect(page.locator("#answers-fault")).to_contain_text("A new day has begun.")
        await expect(page.locator("#check-in input:checked")).to_have_count(1)
        await expect(page.locator("#note")).to_have_value("Please call me")
        await expect(page.locator("input[name=safety][value=yes]")).to_be_checked()
        await expect(page.locator("#crisis")).to_be_visible()
        await four_taps(page)
        await send(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [(row["mood"], row["safety"]) for row in await here.stored()] == [(4, True)]


async def test_a_craving_of_right_now_is_asked_again_where_it_was_tapped_an_hour_ago(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await connected_at(page, here, start)
        await page.get_by_role("button", name="Log a craving now").click()
        await choose(page, "now.cocaine", 9)
        await page.clock.set_fixed_time(start + timedelta(minutes=61))
        await send(page, "moment-form")
        await expect(page.locator("#moment-fault")).to_have_text("Please tap a number.")
        await choose(page, "now.cocaine", 3)
        await send(page, "moment-form")
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        (stored,) = await here.stored()
        assert "3" in str(stored["craving"]), stored
