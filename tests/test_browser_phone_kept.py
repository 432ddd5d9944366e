"""Answers that did not leave the phone: who may delete them and how, and what the page says of them later."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from playwright.async_api import Page, Route, expect

from schemas.course import Substance
from service import database as databases
from service.people import audit, devices
from tests.axe import faults
from tests.builders import a_client
from tests.phone_browser import (
    ARRIVED,
    NOT_SENT,
    Here,
    answer,
    choose,
    connect_without_a_pin,
    end_all_devices,
    items_of,
    network_comes_back,
    no_network,
    online,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

IN_QUEUE = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = ({ target: { result } }) => {
    result.transaction("queue").objectStore("queue").count().onsuccess = ({ target }) => {
      result.close();
      resolve(target.result);
    };
  };
})
"""


async def kept_by_a_phone_that_the_clinic_ended(page: Page, here: Here) -> None:
    await page.route("**/v1/**", no_network)
    await answer(page)
    await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
    async with databases.transaction(here.owner, here.clinic_id) as db:
        (device,) = await devices.devices_of(db, here.client_id)
        await devices.revoke(db, device.device_id, by=audit.COMMAND, why="by_clinic", now=datetime.now(UTC))
    await online(page)
    await expect(page.locator("#connect-why")).to_contain_text("This phone is no longer connected")


async def test_answers_of_an_earlier_connection_are_deleted_by_a_second_tap_that_says_how_many(here: Here) -> None:
    async with here.connected() as page:
        await kept_by_a_phone_that_the_clinic_ended(page, here)
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        no = page.locator("#earlier .no")
        await expect(no).to_have_text("No, delete them")
        await no.dblclick()
        await expect(no).to_have_text("Tap again to delete 1.")
        assert await page.evaluate(IN_QUEUE, here.slug) == 1
        # A round in between changes nothing of what was tapped.
        async with page.expect_response("**/v1/today*"):
            await network_comes_back(page)
        await expect(no).to_have_text("Tap again to delete 1.")
        await no.click()
        await expect(page.locator("#earlier")).to_be_hidden()
        assert await page.evaluate(IN_QUEUE, here.slug) == 0


async def test_a_refused_answer_is_deleted_by_a_second_tap(here: Here) -> None:
    async with here.connected() as page:

        async def spoil(route: Route) -> None:
            await route.continue_(post_data=[item | {"mood": 11} for item in items_of(route.request)])

        await page.route("**/v1/check-ins/batch", spoil)
        await answer(page)
        delete = page.locator("#refused .delete")
        await delete.dblclick()
        await expect(delete).to_have_text("Tap again to delete 1.")
        assert await page.evaluate(IN_QUEUE, here.slug) == 1
        await delete.click()
        await expect(page.locator("#refused")).to_be_hidden()
        assert await page.evaluate(IN_QUEUE, here.slug) == 0


async def test_why_an_answer_was_refused_is_read_without_a_network_too(here: Here) -> None:
    async with here.connected() as page:
        # The worker has the page by the next opening.
        await page.evaluate("navigator.serviceWorker.ready.then(() => null)")
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()

        async def spoil(route: Route) -> None:
            await route.continue_(post_data=[item | {"mood": 11} for item in items_of(route.request)])

        await page.route("**/v1/check-ins/batch", spoil)
        await answer(page)
        refused = page.locator("#refused-list")
        await expect(refused).to_contain_text("The clinic did not take: Mood.")
        await page.context.set_offline(True)
        await page.reload()
        await expect(refused).to_contain_text("The clinic did not take: Mood.")


async def test_an_ended_phone_says_at_every_opening_why_and_how_many_answers_wait_and_lets_them_go(here: Here) -> None:
    async with here.connected() as page:
        await kept_by_a_phone_that_the_clinic_ended(page, here)
        for _ in range(2):
            await expect(page.locator("#connect-why")).to_contain_text("Ask your clinic for a new code.")
            await expect(page.locator("#earlier")).to_contain_text("Not sent yet, kept on this phone: 1.")
            await expect(page.locator("#earlier .yes")).to_be_hidden()
            assert await faults(page) == []
            await page.reload()
        await page.get_by_role("button", name="Delete", exact=True).click()
        await page.get_by_role("button", name="Tap again to delete 1.").click()
        await expect(page.locator("#earlier")).to_be_hidden()
        assert await page.evaluate(IN_QUEUE, here.slug) == 0
        await page.reload()
        await expect(page.locator("#connect-why")).to_contain_text("no longer connected")
        await expect(page.locator("#earlier")).to_be_hidden()
        # A new code ends the notice.
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await connect_without_a_pin(page)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await expect(page.locator("#connect-why")).to_be_hidden()


async def test_who_disconnected_finds_out_at_the_next_opening_what_stayed(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/check-ins/batch", no_network)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        await page.get_by_text("This phone", exact=True).click()
        disconnect = page.get_by_role("button", name="Disconnect this phone")
        await disconnect.click()
        await expect(page.locator("#disconnect-fault")).to_contain_text("Not sent yet: 1.")
        await disconnect.click()
        for _ in range(2):
            await expect(page.locator("#connect-why")).to_contain_text("what it kept is deleted", ignore_case=True)
            await expect(page.locator("#earlier")).to_contain_text("Not sent yet, kept on this phone: 1.")
            await page.reload()


async def leave_a_yes_unsent(page: Page, here: Here, *, mood: int) -> None:
    """Connect this client's phone, answer with a yes without a network; then the clinic ends the connection."""
    await page.get_by_label("Code from your clinic").fill(await here.code())
    await connect_without_a_pin(page)
    await expect(page.locator("#check-in")).to_be_visible()
    await page.route("**/v1/**", no_network)
    await page.locator("input[name=safety][value=yes]").check()
    await choose(page, "mood", mood)
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
    await end_all_devices(here)
    await online(page)
    await expect(page.locator("#connect-why")).to_contain_text("no longer connected")


async def test_each_connection_s_answers_are_asked_about_apart_and_only_those_that_were_shown_go(here: Here) -> None:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        another = await a_client(db, now=datetime.now(UTC), substances=(Substance.COCAINE,))
    async with here.page() as page:
        await page.goto(f"/phone/{here.slug}")
        await leave_a_yes_unsent(page, here, mood=3)
        await leave_a_yes_unsent(page, replace(here, client_id=another), mood=7)
        groups = page.locator("#earlier div")
        await expect(groups).to_have_count(2)
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await connect_without_a_pin(page)
        for at in range(2):
            await expect(groups.nth(at)).to_contain_text("before this phone was connected again: 1. The last: ")
        for_each = page.get_by_text("Please answer for each.")
        await expect(for_each).to_be_visible()
        assert await faults(page) == []
        async with page.expect_response("**/v1/check-ins/batch"):
            await groups.nth(0).get_by_role("button", name="Yes, send them").click()
        await expect(groups).to_have_count(1)
        await expect(for_each).to_be_hidden()
        await page.locator("#earlier .no").click()
        await page.get_by_role("button", name="Tap again to delete 1.").click()
        await expect(page.locator("#earlier")).to_be_hidden()
        assert await page.evaluate(IN_QUEUE, here.slug) == 0
        assert [row["mood"] for row in await here.stored()] == [3]
