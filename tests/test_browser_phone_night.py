"""A form that is on the screen when the client day ends: whose day its answers are, and what is left of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser import until
from tests.phone_browser import ARRIVED, KEPT, Here, choose, connect_without_a_pin, items_of, network_comes_back, told

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

BEFORE_FOUR = "() => { const at = new Date(); at.setHours(3, 58, 0, 0); return at.getTime(); }"
# The day, on the phone's clock, four hours before what that shows.
CLIENT_DAY = """
(at) => {
  const day = new Date(at);
  day.setHours(day.getHours() - 4);
  return new Date(day.getTime() - day.getTimezoneOffset() * 60000).toISOString().slice(0, 10);
}
"""
# The client day that the phone takes to be answered.
ANSWERED_DAY = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = ({ target: { result } }) => {
    result.transaction("kept").objectStore("kept").get("answeredDay").onsuccess = ({ target }) => {
      result.close();
      resolve(target.result);
    };
  };
})
"""
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
        await network_comes_back(page)


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
        await a_round(page)
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        # And the new day has its own questions.
        await page.reload()
        await expect(page.locator("#day")).not_to_have_text(day)
        await expect(page.locator("#check-in input:checked")).to_have_count(0)


async def test_a_form_touched_again_after_four_and_loaded_anew_is_still_the_day_s_for_which_it_was_begun(
    here: Here,
) -> None:
    async with here.page() as page:
        start = datetime.fromtimestamp(await page.evaluate(BEFORE_FOUR) / 1000, UTC)
        await connected_at(page, here, start)
        await four_taps(page)
        day = await page.locator("#day").inner_text()
        await page.clock.set_fixed_time(start + timedelta(minutes=6))
        await write(page, "Half an hour of writing")
        await until(page, KEPT, argument=[here.slug, "Half an hour of writing"])
        await page.clock.set_fixed_time(start + timedelta(minutes=8))
        await page.reload()
        await expect(page.locator("#check-in input:checked")).to_have_count(4)
        await expect(page.locator("#day")).to_have_text(day)
        # Hiding the page and coming back makes it no younger, either.
        await page.get_by_role("button", name="Hide this page").click()
        await page.clock.set_fixed_time(start + timedelta(minutes=40))
        await page.get_by_role("button", name="Notes").dblclick()
        await until(page, KEPT, argument=[here.slug, "Half an hour of writing"])
        await page.reload()
        await expect(page.locator("#day")).to_have_text(day)
        async with page.expect_request(BATCH) as sent:
            await send(page)
        local = await page.evaluate("(at) => new Date(at).toTimeString().slice(0, 5)", start.timestamp() * 1000)
        (item,) = items_of(await sent.value)
        assert str(item["answered_at"])[11:16] == local
        assert item["note"] == "Half an hour of writing"


async def test_a_journey_in_the_middle_of_a_form_leaves_it_the_day_on_which_it_was_begun(here: Here) -> None:
    async with here.page() as page:
        device = await page.context.new_cdp_session(page)
        await device.send("Emulation.setTimezoneOverride", {"timezoneId": "America/Bogota"})
        # 22:30 in Bogotá is 04:30 of the next morning in Lagos; neither has a summer time.
        await connected_at(page, here, datetime.now(UTC).replace(hour=3, minute=30, second=0, microsecond=0))
        await four_taps(page)
        day = await page.locator("#day").inner_text()
        await until(page, KEPT, argument=[here.slug, '"anxiety","7"'])
        await device.send("Emulation.setTimezoneOverride", {"timezoneId": "Africa/Lagos"})
        await page.reload()
        await expect(page.locator("#check-in input:checked")).to_have_count(4)
        await expect(page.locator("#day")).to_have_text(day)
        await write(page, "Landed")
        async with page.expect_request(BATCH) as sent:
            await send(page)
        (item,) = items_of(await sent.value)
        assert (str(item["answered_at"])[10:], item["time_zone"]) == ("T22:30:00-05:00", "America/Bogota")


async def test_an_empty_form_of_yesterday_is_the_day_s_on_which_it_is_begun(here: Here) -> None:
    async with here.page() as page:
        start = datetime.fromtimestamp(await page.evaluate(BEFORE_FOUR) / 1000, UTC)
        await connected_at(page, here, start)
        # The first round is over: whatever the heading says from here on, a tap has made it say.
        await expect(page.locator("#check-in")).to_be_visible()
        day = await page.locator("#day").inner_text()
        await page.clock.set_fixed_time(start + timedelta(minutes=4))
        await four_taps(page)
        await expect(page.locator("#day")).not_to_have_text(day)
        begun = await page.locator("#day").inner_text()
        # Not taken for a form that was left, either, once the morning goes on.
        await page.clock.set_fixed_time(start + timedelta(minutes=70))
        await a_round(page)
        await expect(page.locator("#check-in input:checked")).to_have_count(4)
        await send(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        # What was answered is this day's, as the phone itself knows without the clinic.
        answered = await page.evaluate(ANSWERED_DAY, here.slug)
        assert answered == await page.evaluate(CLIENT_DAY, (start + timedelta(minutes=70)).timestamp() * 1000)
        assert begun != day
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
        await page.locator("input[name=used][value=opioid]").check()
        await page.locator("input[name=safety][value=yes]").check()
        await page.get_by_role("button", name="Log a craving now").click()
        await page.clock.set_fixed_time(start + timedelta(hours=30))
        await page.locator("#moment-later").click()
        await expect(page.locator("#answers-fault")).to_contain_text("A new day has begun.")
        await expect(page.locator("#check-in input:checked")).to_have_count(2)
        await expect(page.locator("#note")).to_have_value("Please call me")
        await expect(page.locator("input[name=safety][value=yes]")).to_be_checked()
        await expect(page.locator("#crisis")).to_be_visible()
        await four_taps(page)
        await send(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [(row["mood"], row["used"], row["safety"]) for row in await here.stored()] == [(4, ["opioid"], True)]


async def test_a_yes_of_yesterday_goes_out_whole_at_the_first_tap(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await connected_at(page, here, start)
        await four_taps(page)
        await page.locator("#more summary").click()
        await page.locator("input[name=used][value=none]").check()
        await page.locator("input[name=safety][value=yes]").check()
        await page.clock.set_fixed_time(start + timedelta(hours=30))
        await send(page)
        await expect(page.locator("#done #crisis")).to_be_visible()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [(row["mood"], row["used"], row["safety"]) for row in await here.stored()] == [(4, [], True)]


async def test_what_nobody_has_heard_outlives_the_night_also_where_the_page_was_loaded_anew(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await connected_at(page, here, start)
        await four_taps(page)
        await write(page, "Please call me")
        await page.locator("input[name=safety][value=yes]").check()
        await until(page, KEPT, argument=[here.slug, '"safety","yes"'])
        await page.clock.set_fixed_time(start + timedelta(hours=30))
        # Once more, as phones do that are short of memory.
        for _ in range(2):
            await page.reload()
            await expect(page.locator("#note")).to_have_value("Please call me")
            await expect(page.locator("#check-in input:checked")).to_have_count(1)
            await expect(page.locator("input[name=safety][value=yes]")).to_be_checked()
            await expect(page.locator("#crisis")).to_be_visible()
        await four_taps(page)
        async with page.expect_request(BATCH) as sent:
            await send(page)
        (item,) = items_of(await sent.value)
        assert (item["safety"], item["note"], item["mood"]) == (True, "Please call me", 4)
        at = datetime.fromisoformat(str(item["answered_at"]))
        assert abs(at - start - timedelta(hours=30)) < timedelta(seconds=1)


async def test_the_scales_of_yesterday_go_with_words_where_the_page_was_loaded_anew(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await connected_at(page, here, start)
        await four_taps(page)
        await until(page, KEPT, argument=[here.slug, '"anxiety","7"'])
        await page.clock.set_fixed_time(start + timedelta(hours=30))
        await page.reload()
        await expect(page.locator("#answers-fault")).to_contain_text("A new day has begun.")
        await expect(page.locator("#check-in input:checked")).to_have_count(0)


async def test_what_nobody_has_heard_stays_in_sight_where_another_phone_has_answered_the_new_day(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await connected_at(page, here, start)
        await write(page, "Please call me")
        day = await page.evaluate(CLIENT_DAY, (start + timedelta(hours=30)).timestamp() * 1000)
        today = await told(page) | {"due": False, "client_day": day}

        async def answered(route: Route) -> None:
            await route.fulfill(json=today)

        await page.clock.set_fixed_time(start + timedelta(hours=30))
        await page.route("**/v1/today*", answered)
        for _ in range(2):
            await a_round(page)
            await expect(page.locator("#answers-fault")).to_contain_text("A new day has begun.")
            await expect(page.locator("#note")).to_be_visible()
            await expect(page.locator("#note")).to_have_value("Please call me")
        # And each time that the page is loaded anew.
        for _ in range(2):
            async with page.expect_response("**/v1/today*"):
                await page.reload()
            await expect(page.locator("#note")).to_be_visible()
            await expect(page.locator("#note")).to_have_value("Please call me")


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
