"""Two windows of one phone, and a browser that clears what the page kept: nothing is sent twice, nothing is lost."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from service import database as databases
from tests.browser import until
from tests.phone_browser import ARRIVED, KEPT, PHQ9, Here, answer, choose, connect_without_a_pin, told

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


def sent_by_any_window(page: Page, path: str) -> AbstractAsyncContextManager[object]:
    """Whose round comes first sends what waits, in whichever window it was answered."""
    return page.context.expect_event("response", lambda response: path in response.url)


async def test_a_moment_sent_in_one_window_takes_nothing_of_the_day_s_form_in_another(here: Here) -> None:
    async with here.connected() as page:
        second = await page.context.new_page()
        await second.goto(f"/phone/{here.slug}")
        await expect(second.locator("#check-in")).to_be_visible()
        await page.locator("input[name=safety][value=yes]").check()
        await page.locator("#more summary").click()
        await page.locator("#note").fill("A long note")
        await until(page, KEPT, argument=[here.slug, "A long note"])
        await second.get_by_role("button", name="Log a craving now").click()
        await choose(second, "now.cocaine", 9)
        await until(second, KEPT, argument=[here.slug, '"now.cocaine","9"'])
        await second.locator("#moment-form button[type=submit]").click()
        await expect(second.locator("#sent")).to_contain_text(ARRIVED)
        await second.get_by_role("button", name="Log a craving now").click()
        await second.locator("#moment-later").click()
        await second.close()
        await page.reload()
        await expect(page.locator("input[name=safety][value=yes]")).to_be_checked()
        await expect(page.locator("#note")).to_have_value("A long note")
        assert len(await here.stored()) == 1


async def test_a_window_that_has_sent_takes_nothing_that_another_one_fills_in_later(here: Here) -> None:
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        second = await page.context.new_page()
        await second.goto(f"/phone/{here.slug}")
        await second.get_by_role("button", name="Answer again").click()
        await second.locator("input[name=safety][value=yes]").check()
        await until(second, KEPT, argument=[here.slug, '"safety","yes"'])
        await page.get_by_role("button", name="Log a craving now").click()
        await choose(page, "now.cocaine", 3)
        await until(page, KEPT, argument=[here.slug, '"now.cocaine","3"'])
        await page.locator("#moment-later").click()
        await until(page, KEPT, argument=[here.slug, '"safety","yes"'])
        await second.reload()
        await expect(second.locator("input[name=safety][value=yes]")).to_be_checked()
        await second.close()


async def test_a_questionnaire_that_another_window_has_sent_is_not_sent_twice(here: Here) -> None:
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name=PHQ9).click()
        for item in range(1, 10):
            await page.locator(f'input[name="item.{item}"][value="0"]').check()
        await until(page, KEPT, argument=[here.slug, '"item.9","0"'])
        second = await page.context.new_page()
        await second.goto(f"/phone/{here.slug}")
        await expect(second.locator('input[name="item.9"]:checked')).to_have_value("0")
        async with sent_by_any_window(page, "/v1/instrument-responses/"):
            await page.locator("#questions-form button[type=submit]").click()
        await second.locator("#questions-form button[type=submit]").click()
        await expect(second.locator("#questions-fault")).to_contain_text("answered in another window already")
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert await db.value("select count(*) from instrument_response where clinic_id = $1", here.clinic_id) == 1


async def filled_in_beside_one_that_sends(page: Page, here: Here) -> Page:
    """Another window in which the day's form is filled in, with a mood of 9, while this one sends it with one of 4."""
    second = await page.context.new_page()
    await second.goto(f"/phone/{here.slug}")
    for name in ("craving.cocaine", "craving.alcohol", "mood", "anxiety"):
        await choose(second, name, 9)
    await until(second, KEPT, argument=[here.slug, '"anxiety","9"'])
    await answer(page, mood=4)
    await expect(page.locator("#sent")).to_contain_text(ARRIVED)
    return second


async def moods(here: Here) -> list[str]:
    return sorted(str(row["mood"]) for row in await here.stored())


@pytest.mark.parametrize("reloaded", [False, True])
async def test_a_day_that_another_window_has_sent_is_sent_again_only_where_that_is_meant(
    here: Here, *, reloaded: bool
) -> None:
    async with here.connected() as page:
        second = await filled_in_beside_one_that_sends(page, here)
        send = second.get_by_role("button", name="Send", exact=True)
        for again in (False, reloaded):
            if again:
                await until(second, KEPT, argument=[here.slug, '"anxiety","9"'])
                await second.reload()
            await expect(second.locator("input[name=mood][value='9']")).to_be_checked()
            await send.click()
            await expect(second.locator("#answers-fault")).to_contain_text("answered in another window already")
        assert await moods(here) == ["4"]
        await second.get_by_role("button", name="Answer again").click()
        await expect(second.get_by_role("heading", name="Thank you")).to_be_visible()
        await expect(second.locator("#sent")).to_contain_text(ARRIVED)
        assert await moods(here) == ["4", "9"]
        await second.close()


@pytest.mark.parametrize("left", [True, False])
async def test_that_a_day_was_to_be_answered_again_is_not_meant_of_the_next_one(here: Here, *, left: bool) -> None:
    async with here.connected() as page:
        await answer(page, mood=4)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name="Answer again").click()
        if left:
            await page.evaluate("history.back()")
            await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        tomorrow = datetime.now(UTC) + timedelta(hours=24)
        await page.clock.set_fixed_time(tomorrow)
        await told(page)
        for name in ("craving.cocaine", "craving.alcohol", "mood", "anxiety"):
            await choose(page, name, 9)
        second = await page.context.new_page()
        await second.clock.set_fixed_time(tomorrow)
        await second.goto(f"/phone/{here.slug}")
        await answer(second, mood=1)
        await expect(second.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#answers-fault")).to_contain_text("answered in another window already")
        assert await moods(here) == ["1", "4"]
        await second.close()


async def test_a_yes_is_sent_at_the_first_tap_also_where_another_window_has_sent_the_day(here: Here) -> None:
    async with here.connected() as page:
        second = await filled_in_beside_one_that_sends(page, here)
        await second.locator("input[name=safety][value=yes]").check()
        async with sent_by_any_window(page, "/v1/check-ins/batch"):
            await second.get_by_role("button", name="Send", exact=True).click()
        await expect(second.locator("#done #crisis")).to_be_visible()
        assert await moods(here) == ["4", "9"]
        await second.close()


async def test_an_answer_outlives_a_browser_that_clears_what_the_page_kept(here: Here) -> None:
    async with here.connected() as page:
        await page.locator("input[name=safety][value=yes]").check()
        for name in ("craving.cocaine", "craving.alcohol", "mood", "anxiety"):
            await choose(page, name, 5)
        browser = await page.context.new_cdp_session(page)
        await browser.send("Storage.clearDataForOrigin", {"origin": here.address, "storageTypes": "all"})
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#connect-why")).to_contain_text("no longer connected")
        await expect(page.locator("#connect #crisis").get_by_role("link", name="988")).to_be_visible()
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await connect_without_a_pin(page)
        await page.get_by_role("button", name="Yes, send them").click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [row["safety"] for row in await here.stored()] == [True]
