"""The crisis card after a yes: how long it stays, in which views, and what else must not take it away."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from service import database as databases
from tests.browser import until
from tests.phone_browser import (
    ARRIVED,
    KEPT,
    PHQ9,
    Here,
    answer,
    choose,
    connect_without_a_pin,
    end_all_devices,
    look_at,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# On the phone's clock.
AT = "([hour, minute]) => { const at = new Date(); at.setHours(hour, minute, 0, 0); return at.getTime(); }"


async def yes_at(page: Page, here: Here, hour: int, minute: int) -> datetime:
    """A day's answers with a yes, sent at that time; returns when."""
    at = datetime.fromtimestamp(await page.evaluate(AT, [hour, minute]) / 1000, UTC)
    await page.clock.set_fixed_time(at)
    await page.goto(f"/phone/{here.slug}#{await here.code()}")
    await connect_without_a_pin(page)
    await page.locator("input[name=safety][value=yes]").check()
    await answer(page)
    return at


@pytest.mark.parametrize(
    ("hour", "minute", "stays", "gone"),
    [
        (3, 58, timedelta(hours=5, minutes=59), timedelta(hours=6, minutes=1)),
        (9, 0, timedelta(hours=18), timedelta(hours=20)),
    ],
    ids=["just before the day ends", "in the morning"],
)
async def test_it_stays_for_six_hours_and_until_the_client_day_ends(
    here: Here, hour: int, minute: int, stays: timedelta, gone: timedelta
) -> None:
    async with here.page() as page:
        at = await yes_at(page, here, hour, minute)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.clock.set_fixed_time(at + stays)
        await page.reload()
        await expect(page.locator("#crisis").get_by_role("link", name="988")).to_be_visible()
        await page.clock.set_fixed_time(at + gone)
        await page.reload()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await expect(page.locator("#crisis")).to_be_hidden()


async def test_a_yes_alone_is_sent_at_the_first_tap_whatever_is_left_out(here: Here) -> None:
    async with here.connected() as page:
        await page.locator("input[name=safety][value=yes]").check()
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#done #crisis")).to_be_visible()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [(row["safety"], row["mood"]) for row in await here.stored()] == [(True, None)]


async def test_it_is_in_sight_in_each_view_that_is_opened_after_a_yes(here: Here) -> None:
    async with here.connected() as page:
        await page.locator("input[name=safety][value=yes]").check()
        number = page.locator("#crisis").get_by_role("link", name="988")
        # Not sent yet.
        await page.get_by_role("button", name="Log a craving now").click()
        await expect(page.locator("#moment #crisis")).to_be_visible()
        await page.go_back()
        await expect(page.locator("#check-in #crisis")).to_be_visible()
        await answer(page)
        await expect(page.locator("#done #crisis")).to_be_visible()
        await page.get_by_role("button", name="Log a craving now").click()
        await expect(number).to_be_in_viewport()
        await page.locator("#moment-later").click()
        await expect(page.locator("#done #crisis")).to_be_visible()
        await page.get_by_role("button", name="Answer again").click()
        await expect(page.locator("#check-in #crisis")).to_be_visible()
        await page.get_by_role("radio", name="No").check()
        await expect(number).to_be_hidden()
        await page.go_back()
        await expect(page.locator("#done #crisis")).to_be_visible()


async def test_it_is_in_sight_above_the_questions_of_a_questionnaire(here: Here) -> None:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        await db.execute("update course set started_on = started_on + 8 where clinic_id = $1", here.clinic_id)
    async with here.connected() as page:
        await page.locator("input[name=safety][value=yes]").check()
        await answer(page)
        await page.get_by_role("button", name=PHQ9).click()
        await expect(page.locator("#questions #crisis")).to_be_visible()
        await expect(page.locator("#questions-title")).to_be_in_viewport()
        await page.locator('input[name="item.1"][value="1"]').check()
        await expect(page.locator("#questions #crisis")).to_be_visible()
        await page.locator("#questions-later").click()
        await expect(page.locator("#done #crisis")).to_be_visible()


async def test_a_form_that_is_being_filled_in_is_not_taken_away_where_the_clinic_ends_the_connection(
    here: Here,
) -> None:
    async with here.connected() as page:
        await page.locator("input[name=safety][value=yes]").check()
        await choose(page, "mood", 1)
        await end_all_devices(here)
        async with page.expect_response("**/v1/device/nonce"):
            await look_at(page)
        await choose(page, "craving.cocaine", 9)
        await expect(page.locator("#check-in #crisis")).to_be_visible()
        await choose(page, "craving.alcohol", 9)
        await choose(page, "anxiety", 9)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#connect-why")).to_contain_text("no longer connected")
        await expect(page.locator("#connect #crisis")).to_be_visible()
        await expect(page.locator("#earlier")).to_contain_text("Not sent yet, kept on this phone: 1.")
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await connect_without_a_pin(page)
        await page.get_by_role("button", name="Yes, send them").click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [row["safety"] for row in await here.stored()] == [True]


async def test_a_form_in_one_window_stays_where_another_finds_the_connection_ended(here: Here) -> None:
    async with here.connected() as page:
        second = await page.context.new_page()
        await second.goto(f"/phone/{here.slug}")
        await expect(second.locator("#check-in")).to_be_visible()
        await page.locator("input[name=safety][value=yes]").check()
        for name in ("craving.cocaine", "craving.alcohol", "mood", "anxiety"):
            await choose(page, name, 5)
        await end_all_devices(here)
        await look_at(second)
        await expect(second.locator("#connect-why")).to_contain_text("no longer connected")
        await look_at(page)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#earlier")).to_contain_text("Not sent yet, kept on this phone: 1.")
        await expect(page.locator("#connect #crisis").get_by_role("link", name="988")).to_be_visible()


async def test_a_form_that_was_left_goes_with_the_connection_and_the_card_of_its_yes_stays(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await page.clock.set_fixed_time(start)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await page.locator("input[name=safety][value=yes]").check()
        await until(page, KEPT, argument=[here.slug, '"safety","yes"'])
        await end_all_devices(here)
        await page.clock.set_fixed_time(start + timedelta(minutes=61))
        await look_at(page)
        await expect(page.locator("#connect-why")).to_contain_text("no longer connected")
        await expect(page.locator("#connect #crisis").get_by_role("link", name="988")).to_be_visible()
