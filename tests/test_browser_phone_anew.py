"""A phone connected anew, perhaps for somebody else: no answer counts as another's, nobody reads another's."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from schemas.course import Substance
from service import database as databases
from service.people import devices
from tests.browser import until
from tests.builders import a_client
from tests.phone_browser import (
    ARRIVED,
    Here,
    an_hour_later,
    answer,
    choose,
    connect_without_a_pin,
    end_all_devices,
    look_at,
    no_network,
    online,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NEVER_PERSISTS = "navigator.storage.persist = () => new Promise(() => {})"


@pytest_asyncio.fixture(loop_scope="session")
async def other(here: Here) -> UUID:
    """Another client of the same clinic."""
    async with databases.transaction(here.owner, here.clinic_id) as db:
        return await a_client(db, now=datetime.now(UTC), substances=(Substance.COCAINE, Substance.ALCOHOL))


async def link_of(here: Here, client_id: UUID) -> str:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        issued = await devices.issue_code(db, client_id, by=None, now=datetime.now(UTC))
    return f"/phone/{here.slug}#{issued.code}"


async def answered_by(here: Here) -> list[tuple[UUID, int]]:
    """Whose the stored answers are, and each one's mood."""
    async with databases.transaction(here.owner, here.clinic_id) as db:
        rows = await db.connection.fetch(
            "select client_id, mood from check_in where clinic_id = $1 order by check_in_id", here.clinic_id
        )
    return [(row["client_id"], row["mood"]) for row in rows]


async def live_devices(here: Here, client_id: UUID) -> int:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        return sum(each.revoked_at is None for each in await devices.devices_of(db, client_id))


async def connect_while_a_renewal_is_under_way(page: Page, link: str) -> None:
    """Spend the link's code after the device before has begun to renew its token, and let that end afterwards."""
    gate, asked = asyncio.Event(), asyncio.Event()

    async def slow(route: Route) -> None:
        asked.set()
        await gate.wait()
        await route.continue_()

    await page.route("**/v1/device/nonce", slow)
    await page.goto(link)
    await expect(page.locator("#connect-why")).to_contain_text("already connected")
    await look_at(page)
    await asyncio.wait_for(asked.wait(), 20)
    await page.locator("#connect-form button[type=submit]").click()
    await expect(page.locator("#pin")).to_be_visible(timeout=15000)
    gate.set()
    await page.locator("#pin-cancel").click()


async def fill(page: Page, *, mood: int) -> None:
    for name, value in (("craving.cocaine", 9), ("craving.alcohol", 2), ("mood", mood), ("anxiety", 7)):
        await choose(page, name, value)


async def test_what_one_tab_still_shows_of_the_client_before_is_never_the_next_one_s(here: Here, other: UUID) -> None:
    async with here.connected() as page:
        await fill(page, mood=1)
        second = await page.context.new_page()
        await second.goto(await link_of(here, other))
        await connect_without_a_pin(second)
        await expect(second.locator("#check-in")).to_be_visible()
        # Sent from the form of the client before, as it still stands in the first tab.
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#earlier")).to_contain_text("before this phone was connected again: 1")
        await expect(page.locator("#check-in input:checked")).to_have_count(0)
        await answer(page, mood=5)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert await answered_by(here) == [(other, 5)]
        await second.close()


async def test_a_tab_of_the_client_before_is_loaded_anew_and_keeps_no_draft(here: Here, other: UUID) -> None:
    async with here.connected() as page:
        await fill(page, mood=1)
        second = await page.context.new_page()
        await second.goto(await link_of(here, other))
        await connect_without_a_pin(second)
        await expect(second.locator("#check-in")).to_be_visible()
        await choose(page, "anxiety", 10)
        async with page.expect_navigation():
            await look_at(page)
        for each in (page, second):
            await expect(each.locator("#check-in")).to_be_visible()
            await expect(each.locator("#check-in input:checked")).to_have_count(0)
        await second.close()


async def test_a_renewal_under_way_does_not_bring_the_client_before_back(here: Here, other: UUID) -> None:
    async with here.connected() as page:
        await an_hour_later(page, here.slug)
        link = await link_of(here, other)
        await page.goto("about:blank")
        await connect_while_a_renewal_is_under_way(page, link)
        await answer(page, mood=5)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert await answered_by(here) == [(other, 5)]


async def test_the_end_of_the_device_before_does_not_end_the_new_one(here: Here) -> None:
    async with here.connected() as page:
        await an_hour_later(page, here.slug)
        await end_all_devices(here)
        await page.goto("about:blank")
        await connect_while_a_renewal_is_under_way(page, f"/phone/{here.slug}#{await here.code()}")
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert await live_devices(here, here.client_id) == 1


async def test_nothing_of_the_client_before_is_left_where_connecting_is_cut_off(here: Here, other: UUID) -> None:
    async with here.connected() as page:
        await answer(page, mood=1)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.get_by_role("button", name="Answer again").click()
        await choose(page, "mood", 3)
        await page.locator("#more summary").click()
        await page.get_by_label("Note for your care team").fill("A secret")
        await page.goto("about:blank")
        await page.context.add_init_script(NEVER_PERSISTS)
        await page.goto(await link_of(here, other))
        await page.locator("#connect-form button[type=submit]").click()
        await expect(page.locator("#pin")).to_be_visible()
        await page.reload()
        await page.locator("#pin-cancel").click()
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(page.locator("#check-in input:checked")).to_have_count(0)
        await expect(page.locator("#note")).to_have_value("")
        await expect(page.locator(".score.last")).to_have_count(0)
        await expect(page.locator("#sent")).to_be_empty()


async def test_the_device_before_is_ended_and_an_answer_that_waited_asks_whose_it_is(here: Here, other: UUID) -> None:
    async with here.connected() as page:
        await page.route("**/v1/check-ins/batch", no_network)
        # A request that still hangs would be let go where its page ends.
        async with page.expect_event("requestfailed", lambda request: request.url.endswith("/batch")):
            await answer(page, mood=1)
        await page.goto("about:blank")
        await page.goto(await link_of(here, other))
        async with page.expect_response("**/v1/device/revoke"):
            await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        await online(page)
        await expect(page.locator("#earlier")).to_be_visible()
        assert await live_devices(here, here.client_id) == 0
        assert await answered_by(here) == []


async def test_a_device_that_could_not_be_ended_at_once_is_ended_later(here: Here, other: UUID) -> None:
    async with here.connected() as page:
        await page.route("**/v1/device/revoke", no_network)
        await page.goto("about:blank")
        await page.goto(await link_of(here, other))
        async with page.expect_event("requestfailed", lambda request: request.url.endswith("/revoke")):
            await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        assert await live_devices(here, here.client_id) == 1
        await page.unroute("**/v1/device/revoke")
        async with page.expect_response("**/v1/device/revoke"):
            await page.reload()
        assert await live_devices(here, here.client_id) == 0
        assert await live_devices(here, other) == 1


async def test_what_waits_goes_out_as_the_device_before_when_the_same_client_connects_anew(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/check-ins/batch", no_network)
        async with page.expect_event("requestfailed", lambda request: request.url.endswith("/batch")):
            await answer(page, mood=1)
        await page.goto("about:blank")
        await page.goto(await link_of(here, here.client_id))
        await expect(page.locator("#connect-why")).to_contain_text("This phone is already connected.")
        await page.unroute("**/v1/check-ins/batch")
        await connect_without_a_pin(page)
        await expect(page.locator("#done")).to_be_visible()
        assert await answered_by(here) == [(here.client_id, 1)]
        await expect(page.locator("#earlier")).to_be_hidden()


async def test_a_link_followed_where_the_page_is_open_offers_its_code_and_leaves_the_address(here: Here) -> None:
    async with here.page() as page:
        await page.goto(f"/phone/{here.slug}")
        await expect(page.locator("#connect")).to_be_visible()
        code = await here.code()
        await page.evaluate("(code) => { location.hash = code; }", code)
        await expect(page.locator("#code")).to_have_value(code)
        await until(page, "async () => location.hash === ''")
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()


@pytest.mark.parametrize("end", ["by the client", "by the clinic"])
async def test_a_form_that_was_begun_goes_with_the_connection(here: Here, other: UUID, end: str) -> None:
    async with here.connected() as page:
        await fill(page, mood=1)
        await page.locator("#more summary").click()
        await page.locator("input[name=safety][value=yes]").check()
        await page.get_by_label("Note for your care team").fill("A secret")
        if end == "by the client":
            await page.locator("#this-phone summary").click()
            await page.get_by_role("button", name="Disconnect this phone").click()
            await page.get_by_role("button", name="Disconnect this phone").click()
        else:
            await end_all_devices(here)
            # Nobody is in the middle of it any more.
            await page.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=61))
            await look_at(page)
        await expect(page.locator("#connect-why")).to_contain_text("connected")
        link = await link_of(here, other)
        await page.get_by_label("Code from your clinic").fill(link.split("#")[1])
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(page.locator("#check-in input:checked")).to_have_count(0)
        await expect(page.locator("#note")).to_have_value("")
        await expect(page.locator("#crisis")).to_be_hidden()
        await answer(page, mood=5)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert await answered_by(here) == [(other, 5)]


async def test_a_connection_that_ends_leaves_the_contacts_after_a_yes(here: Here) -> None:
    async with here.connected() as page:
        await page.locator("#more summary").click()
        await page.locator("input[name=safety][value=yes]").check()
        await answer(page)
        await expect(page.locator("#done #crisis")).to_be_visible()
        await end_all_devices(here)
        await look_at(page)
        await expect(page.locator("#connect #crisis").get_by_role("link", name="988")).to_be_visible()


async def test_nothing_of_what_was_sent_stays_on_the_phone_but_the_scores(here: Here) -> None:
    async with here.connected() as page:
        await page.locator("#more summary").click()
        await page.get_by_label("Note for your care team").fill("A secret")
        await page.locator("input[name=safety][value=yes]").check()
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.reload()
        await expect(page.locator("#done")).to_be_visible()
        kept = await page.evaluate(EVERYTHING_KEPT, here.slug)
        assert '"mood":4' in kept
        assert "secret" not in kept
        assert '"safety"' not in kept


# As text; keys cannot be taken out.
EVERYTHING_KEPT = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = (event) => {
    const reading = event.target.result.transaction(["kept", "queue"]);
    const found = [];
    for (const name of ["kept", "queue"]) {
      reading.objectStore(name).getAll().onsuccess = ({ target }) => found.push(JSON.stringify(target.result));
    }
    reading.oncomplete = () => resolve(found.join());
  };
})
"""


async def test_what_one_tab_covers_is_covered_in_the_others_when_they_are_looked_at(here: Here) -> None:
    async with here.connected() as page:
        second = await page.context.new_page()
        await second.goto(f"/phone/{here.slug}")
        await second.get_by_role("button", name="Hide this page").click()
        await expect(second.get_by_role("button", name="Notes")).to_be_visible()
        await look_at(page)
        await expect(page.get_by_role("button", name="Notes")).to_be_visible()
        await second.close()
