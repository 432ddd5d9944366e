"""What stands between a client's phone and whoever picks it up: the PIN, and the ways out for the client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from schemas.course import PauseReason
from service import database as databases
from service.facts import pauses
from service.people import devices
from tests.axe import faults
from tests.builders import an_answer
from tests.phone_browser import (
    ARRIVED,
    NOT_SENT,
    Here,
    answer,
    hide,
    no_network,
    online,
)
from tests.phone_pin import PIN, connect_with_a_pin, fill_pin

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

OUT_OF_SIGHT = """
() => {
  Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
  delete document.visibilityState;
}
"""

PIN_IS_KEPT = """
async () => (await (await caches.open("parts")).keys()).some(({ url }) => url.endsWith("/phone_pin.js"))
"""
EARLIER = timedelta(days=3)


async def answered_earlier(here: Here) -> None:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        await an_answer(db, here.client_id, (datetime.now(UTC) - EARLIER).date(), mood=8)


async def open_history(page: Page, pin: str) -> None:
    await page.get_by_role("button", name="Your answers so far").click()
    await fill_pin(page, pin)
    await expect(page.locator("#history svg").first).to_be_visible()
    await page.get_by_text("As a list").click()


async def wrong_pins(page: Page, times: int) -> None:
    for left in range(4, 4 - times, -1):
        await fill_pin(page, "0000")
        expected = f"Not right. Tries left: {left}." if left else "Too many wrong ones. Next try:"
        await expect(page.locator("#pin-fault")).to_contain_text(expected)


async def test_a_pin_chosen_while_connecting_opens_everything(here: Here) -> None:
    await answered_earlier(here)
    async with here.page() as page:
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await page.locator("#connect-form button[type=submit]").click()
        await expect(page.get_by_role("heading", name="Choose a PIN")).to_be_visible()
        assert await faults(page) == []
        await fill_pin(page, "47", again="47")
        await expect(page.locator("#pin-fault")).to_have_text("Only digits, at least four.")
        await fill_pin(page, "abcd", again="abcd")
        await expect(page.locator("#pin-fault")).to_have_text("Only digits, at least four.")
        await fill_pin(page, PIN, again="4712")
        await expect(page.locator("#pin-fault")).to_have_text("The two are not the same.")
        await fill_pin(page, PIN, again=PIN)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await open_history(page, PIN)
        await expect(page.locator("#history td", has_text="Mood 8")).to_have_count(1)
        await expect(page.locator("#history td", has_text="Mood 4")).to_have_count(1)
        await expect(page.locator("#history-words")).not_to_contain_text("new code")
        assert await faults(page) == []
        await page.get_by_role("button", name="Close and lock").click()
        assert await page.locator("#history svg").count() == 0


async def test_whoever_chooses_a_pin_later_reads_nothing_from_before_until_the_clinic_gives_a_code(here: Here) -> None:
    await answered_earlier(here)
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name="Your answers so far").click()
        await expect(page.locator("#pin-why")).to_contain_text("from today on")
        await fill_pin(page, "1234", again="1234")
        await page.get_by_text("As a list").click()
        await expect(page.locator("#history td", has_text="Mood 4")).to_have_count(1)
        assert "Mood 8" not in await page.locator("#history").inner_text()
        await expect(page.locator("#history-words")).to_contain_text(
            "Earlier ones open with a new code from your clinic."
        )
        await page.get_by_role("button", name="Close and lock").click()
        # The client does not know this PIN. Their clinic's code ends it.
        await page.get_by_role("button", name="Your answers so far").click()
        await page.get_by_role("button", name="I forgot my PIN").click()
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await page.locator("#connect-form button[type=submit]").click()
        await fill_pin(page, PIN, again=PIN)
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await open_history(page, PIN)
        await expect(page.locator("#history td", has_text="Mood 8")).to_have_count(1)


async def test_a_clock_that_is_set_back_opens_nothing_of_before(here: Here) -> None:
    await answered_earlier(here)
    async with here.connected() as page:
        await page.clock.set_fixed_time(datetime.now(UTC) - timedelta(days=27))
        await page.reload()
        await answer(page)
        await page.get_by_role("button", name="Your answers so far").click()
        await expect(page.locator("#pin-why")).to_contain_text("from today on")
        await fill_pin(page, "1234", again="1234")
        await expect(page.locator("#history-words")).to_contain_text(
            "Earlier ones open with a new code from your clinic."
        )
        assert "Mood 8" not in await page.locator("#history").inner_text()


async def test_the_offer_of_a_pin_survives_a_reload_and_is_made_once(here: Here) -> None:
    async with here.page() as page:
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await page.locator("#connect-form button[type=submit]").click()
        await expect(page.locator("#pin")).to_be_visible()
        await page.reload()
        await page.locator("#pin-cancel").click()
        await expect(page.locator("#check-in")).to_be_visible()
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(page.locator("#pin")).to_be_hidden()


async def hidden_at_the_offer(page: Page, here: Here) -> None:
    await page.goto(f"/phone/{here.slug}#{await here.code()}")
    await page.locator("#connect-form button[type=submit]").click()
    await expect(page.locator("#pin-first")).to_be_focused()
    await hide(page, here)


async def test_help_and_hide_stay_in_reach_while_a_pin_is_asked_and_whoever_hides_declines_nothing(here: Here) -> None:
    async with here.page(width=320) as page:
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await page.locator("#connect-form button[type=submit]").click()
        await page.get_by_text("Need help now?").click()
        await expect(page.locator("#pin #help-card").get_by_role("link", name="988")).to_be_visible()
        await page.get_by_text("Need help now?").click()
        await hide(page, here)
        for each in ("#pin", ".top"):
            await expect(page.locator(each)).to_be_hidden()
        # The page that is hidden says nothing of a PIN, either.
        await page.reload()
        await expect(page.get_by_role("button", name="Notes")).to_be_visible()
        await page.get_by_role("button", name="Notes").dblclick()
        await expect(page.locator("body > .top")).to_be_visible()
        await expect(page.locator("#check-in")).to_be_visible()
        await page.reload()
        await fill_pin(page, "4711", again="4711")
        await expect(page.locator("#pin")).to_be_hidden()


async def test_a_pin_that_was_chosen_after_hiding_the_offer_is_replaced_by_nobody(here: Here) -> None:
    async with here.page() as page:
        await hidden_at_the_offer(page, here)
        await page.get_by_role("button", name="Notes").dblclick()
        await answer(page)
        await page.get_by_role("button", name="Your answers so far").click()
        await fill_pin(page, "4711", again="4711")
        await expect(page.locator("#history svg").first).to_be_visible()
        await page.reload()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await expect(page.locator("#pin")).to_be_hidden()


async def test_nor_by_another_window_in_which_the_offer_still_stands(here: Here) -> None:
    async with here.page() as page:
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await page.locator("#connect-form button[type=submit]").click()
        await expect(page.locator("#pin")).to_be_visible()
        second = await page.context.new_page()
        await second.goto(f"/phone/{here.slug}")
        await fill_pin(second, "4711", again="4711")
        await expect(second.locator("#pin")).to_be_hidden()
        await fill_pin(page, "1234", again="1234")
        await expect(page.locator("#pin-fault")).to_contain_text("chosen in another window")
        await page.locator("#pin-cancel").click()
        await hide(page, here)
        await page.get_by_role("button", name="Notes").dblclick()
        await fill_pin(page, "4711")
        await expect(page.locator("body > .top")).to_be_visible()
        await second.close()


async def test_who_opens_the_page_after_it_was_closed_on_the_offer_chooses_for_later_answers_only(here: Here) -> None:
    await answered_earlier(here)
    async with here.page() as page:
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await page.locator("#connect-form button[type=submit]").click()
        await expect(page.locator("#pin-why")).to_contain_text("past answers")
        other = await page.context.new_page()
        await page.close()
        await other.goto(f"/phone/{here.slug}")
        await expect(other.locator("#pin-why")).to_contain_text("from today on")
        await fill_pin(other, "1234", again="1234")
        await answer(other)
        await expect(other.locator("#sent")).to_contain_text(ARRIVED)
        await open_history(other, "1234")
        await expect(other.locator("#history td", has_text="Mood 4")).to_have_count(1)
        assert "Mood 8" not in await other.locator("#history").inner_text()


@pytest.mark.parametrize("is_open", [True, False])
async def test_an_offer_that_has_lain_open_for_minutes_opens_nothing_of_before(here: Here, is_open: bool) -> None:
    await answered_earlier(here)
    async with here.page() as page:
        start = datetime.now(UTC)
        await page.clock.set_fixed_time(start)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await page.locator("#connect-form button[type=submit]").click()
        await expect(page.locator("#pin-why")).to_contain_text("past answers")
        await page.clock.set_fixed_time(start + timedelta(minutes=11))
        if not is_open:
            await page.reload()
            await expect(page.locator("#pin-why")).to_contain_text("from today on")
        await fill_pin(page, "1234", again="1234")
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await open_history(page, "1234")
        assert "Mood 8" not in await page.locator("#history").inner_text()


async def test_wrong_pins_cost_time_and_never_an_answer_or_the_connection(here: Here) -> None:
    async with here.page() as page:
        start = datetime.now(UTC)
        await page.clock.set_fixed_time(start)
        await connect_with_a_pin(page, here)
        await page.route("**/v1/**", no_network)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        await page.get_by_role("button", name="Your answers so far").click()
        await wrong_pins(page, 4)
        # Closing the page in between saves no try.
        await page.reload()
        await page.get_by_role("button", name="Your answers so far").click()
        await fill_pin(page, "0000")
        await expect(page.locator("#pin-fault")).to_contain_text("Too many wrong ones. Next try:")
        await fill_pin(page, PIN)
        await expect(page.locator("#pin-fault")).to_contain_text("Too many wrong ones. Next try:")
        await expect(page.locator("#pin")).to_be_visible()
        await page.get_by_role("button", name="Not now").click()
        await online(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1
        await page.clock.set_fixed_time(start + timedelta(minutes=6))
        await page.get_by_role("button", name="Your answers so far").click()
        await fill_pin(page, PIN)
        await expect(page.locator("#history svg")).to_have_count(4)
        # A right one ends the counting.
        await page.get_by_role("button", name="Close and lock").click()
        await page.get_by_role("button", name="Your answers so far").click()
        await wrong_pins(page, 1)


async def test_leaving_and_disconnecting_ask_for_the_pin_where_there_is_one(here: Here) -> None:
    async with here.page() as page:
        await connect_with_a_pin(page, here)
        await page.locator("#this-phone summary").click()
        await page.get_by_role("button", name="Leave monitoring").click()
        await page.get_by_role("button", name="Yes, leave").click()
        await wrong_pins(page, 1)
        await page.locator("#pin-cancel").click()
        disconnect = page.get_by_role("button", name="Disconnect this phone")
        await disconnect.click()
        await disconnect.click()
        await expect(page.locator("#pin")).to_be_visible()
        await page.locator("#pin-cancel").click()
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert await pauses.of(db, here.client_id) == []
            assert [each.revoked_why for each in await devices.devices_of(db, here.client_id)] == [None]
        await page.get_by_role("button", name="Yes, leave").click()
        await fill_pin(page, PIN)
        await expect(page.locator("#monitoring-said")).to_contain_text("You left.")
        await page.get_by_role("button", name="Come back").click()
        await expect(page.locator("#monitoring-said")).to_contain_text("Your team looks for changes")
        await disconnect.click()
        await fill_pin(page, PIN)
        await expect(page.get_by_text("what it kept is deleted")).to_be_visible()
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert [each.revoked_why for each in await devices.devices_of(db, here.client_id)] == ["by_client"]


async def test_the_address_of_reminders_is_behind_the_pin_where_there_is_one(here: Here) -> None:
    async with here.page() as page:
        await connect_with_a_pin(page, here)
        await page.locator("#this-phone summary").click()
        change = page.get_by_role("button", name="Change reminders")
        await change.click()
        await fill_pin(page, PIN)
        await page.get_by_label("Every day at").fill("19:30")
        await page.locator("#remind-email").fill("maria@example.org")
        await page.get_by_role("button", name="Remind me").click()
        await expect(page.locator("#remind-said")).to_contain_text("On, at most once a day")
        await page.reload()
        await page.locator("#this-phone summary").click()
        await expect(page.locator("#remind-said")).to_contain_text("On, at most once a day")
        assert await faults(page) == []
        await change.click()
        await page.locator("#pin-cancel").click()
        await expect(page.locator("#remind-said")).to_contain_text("On, at most once a day")
        await expect(page.locator("#remind-form")).to_be_hidden()
        await expect(page.locator("#remind-email")).to_have_value("")
        await change.click()
        await fill_pin(page, PIN)
        await expect(page.locator("#remind-email")).to_have_value("maria@example.org")
        await expect(page.locator("#remind-form")).to_be_visible()
        # Out of sight for a moment, as where the phone is laid down.
        await page.evaluate(OUT_OF_SIGHT)
        await expect(page.locator("#remind-form")).to_be_hidden()
        await expect(page.locator("#remind-email")).to_have_value("")
        await expect(change).to_be_visible()
        # Opened once more by whoever holds the phone, where the clinic does not answer.
        await page.locator("#this-phone summary").click()
        await page.route("**/v1/**", no_network)
        await page.locator("#this-phone summary").click()
        await expect(page.locator("#remind-said")).to_have_text("This needs a connection. Please try again.")
        await expect(page.locator("#remind-form")).to_be_hidden()
        await expect(page.locator("#remind-email")).to_have_value("")


async def test_a_client_leaves_monitoring_with_a_second_tap_and_comes_back(here: Here) -> None:
    async with here.connected() as page:
        await page.locator("#this-phone summary").click()
        await expect(page.locator("#monitoring-said")).to_contain_text("Your team looks for changes")
        await page.get_by_role("button", name="Leave monitoring").click()
        await page.get_by_role("button", name="Stay").click()
        await page.get_by_role("button", name="Leave monitoring").click()
        assert await faults(page) == []
        await page.get_by_role("button", name="Yes, leave").click()
        await expect(page.locator("#monitoring-said")).to_contain_text("You left.")
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert [each.reason for each in await pauses.of(db, here.client_id)] == [PauseReason.LEFT_MONITORING]
        await page.get_by_role("button", name="Come back").click()
        await expect(page.locator("#monitoring-said")).to_contain_text("Your team looks for changes")
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert await pauses.of(db, here.client_id) == []
