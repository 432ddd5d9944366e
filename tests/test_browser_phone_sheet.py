"""A questionnaire that is left open: whose day it is, what is kept of it, and the contacts beside an urgent answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from playwright.async_api import Page, expect

from service.facts import client_day
from tests.browser import until, watched_context
from tests.phone_browser import ARRIVED, KEPT, PHQ9, Here, answer, connect_without_a_pin, network_comes_back

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

RESPONSE = "**/v1/instrument-responses/**"
# Four in the morning of tomorrow, on the phone's clock.
NEXT_FOUR = """
() => {
  const at = new Date();
  at.setDate(at.getDate() + (at.getHours() < 4 ? 0 : 1));
  at.setHours(4, 0, 0, 0);
  return at.getTime();
}
"""
DAYS_OF = """
async (instants) => {
  const { dayOf } = await import(document.querySelector("script[type=module]").src);
  return instants.map((at) => dayOf(new Date(at)));
}
"""


async def tap(page: Page, item: int, value: int = 0) -> None:
    await page.locator(f'input[name="item.{item}"][value="{value}"]').check()


async def begun(page: Page, here: Here, *, before_four: timedelta) -> datetime:
    """A page whose clock stands so long before the day's end, with the first item of the PHQ-9 tapped; that end."""
    four = datetime.fromtimestamp(await page.evaluate(NEXT_FOUR) / 1000, UTC)
    await page.clock.set_fixed_time(four - before_four)
    await page.goto(f"/phone/{here.slug}#{await here.code()}")
    await connect_without_a_pin(page)
    await answer(page)
    await expect(page.locator("#sent")).to_contain_text(ARRIVED)
    await page.get_by_role("button", name=PHQ9).click()
    await tap(page, 1)
    await until(page, KEPT, argument=[here.slug, '"item.1","0"'])
    return four


@pytest.mark.parametrize("zone", ["America/Chicago", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago"])
async def test_the_phone_s_client_day_is_the_clinic_s_on_each_night(here: Here, zone: str) -> None:
    async with watched_context(here.chromium, here.address, zone=zone) as context:
        page = await context.new_page()
        await page.goto(f"/phone/{here.slug}")
        first = datetime(2026, 1, 1, tzinfo=UTC)
        instants = [first + timedelta(minutes=30 * i) for i in range(2 * 24 * 366)]
        told = await page.evaluate(DAYS_OF, [at.timestamp() * 1000 for at in instants])
    here_days = [client_day.of(at, ZoneInfo(zone)).isoformat() for at in instants]
    assert [pair for pair in zip(instants, told, here_days, strict=True) if pair[1] != pair[2]] == []


async def test_one_begun_before_four_and_sent_after_it_is_of_the_day_on_which_it_was_begun(here: Here) -> None:
    async with here.page() as page:
        four = await begun(page, here, before_four=timedelta(minutes=2))
        await page.clock.set_fixed_time(four + timedelta(minutes=2))
        await page.reload()
        for item in range(2, 10):
            await tap(page, item)
        async with page.expect_request(RESPONSE) as sent:
            await page.locator("#questions-form button[type=submit]").click()
        body = msgspec.convert((await sent.value).post_data_json, dict[str, object])
        assert str(body["answered_at"])[11:16] == "03:58"


@pytest.mark.parametrize("woken", [True, False])
async def test_one_left_overnight_is_not_the_new_day_s(here: Here, woken: bool) -> None:
    async with here.page() as page:
        four = await begun(page, here, before_four=timedelta(hours=6))
        await tap(page, 8, 2)
        await page.clock.set_fixed_time(four + timedelta(hours=4))
        if woken:
            await network_comes_back(page)
        else:
            await page.locator('input[name="item.2"][value="0"]').click()
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(page.locator("#answers-fault")).to_have_text("A new day has begun. Please answer for today.")
        await answer(page)
        await page.get_by_role("button", name=PHQ9).click()
        await expect(page.locator("#items fieldset")).to_have_count(9)
        await expect(page.locator("#items input:checked")).to_have_count(0)


async def test_one_with_an_urgent_answer_stays_for_the_client_to_send_and_is_of_the_day_on_which_it_was_begun(
    here: Here,
) -> None:
    async with here.page() as page:
        four = await begun(page, here, before_four=timedelta(hours=6))
        await tap(page, 9, 2)
        await page.clock.set_fixed_time(four + timedelta(hours=4))
        await network_comes_back(page)
        await tap(page, 2, 1)
        await expect(page.locator("#questions #crisis")).to_be_visible()
        async with page.expect_request(RESPONSE) as sent:
            await page.locator("#questions-form button[type=submit]").click()
        body = msgspec.json.decode((await sent.value).post_data or "")
        before = await page.evaluate(
            "(at) => new Date(at).toTimeString().slice(0, 2)", (four - timedelta(hours=6)).timestamp() * 1000
        )
        assert body["answered_at"][11:13] == before
        assert body["answers"] == {"1": 0, "2": 1, "9": 2}
        await expect(page.locator("#crisis")).to_be_visible()


async def test_not_now_keeps_what_was_tapped_and_the_contacts_and_holds_after_a_reload(here: Here) -> None:
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name=PHQ9).click()
        await tap(page, 9, 3)
        await expect(page.locator("#questions #crisis")).to_be_visible()
        await page.locator("#questions-later").click()
        await expect(page.locator("#done #crisis")).to_be_visible()
        await until(page, VIEW_KEPT, argument=here.slug)
        await page.reload()
        await expect(page.locator("#done")).to_be_visible()
        await page.get_by_role("button", name=PHQ9).click()
        await expect(page.locator('input[name="item.9"][value="3"]')).to_be_checked()
        await expect(page.locator("#questions #crisis")).to_be_visible()


# The draft knows that the questionnaire was left.
VIEW_KEPT = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = ({ target: { result } }) => {
    result.transaction("kept").objectStore("kept").get("draft").onsuccess = ({ target }) => {
      result.close();
      resolve(Boolean(target.result) && target.result.view === "done");
    };
  };
})
"""
