"""What goes wrong on a phone loses no answer, and is never called saved or sent where it is not."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, Route, expect

from service import database as databases
from tests.browser import until
from tests.phone_browser import ARRIVED, SHELL_IS_KEPT, Here, answer, choose, connect_without_a_pin, network_comes_back

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

FULL = """() => {
  const put = IDBObjectStore.prototype.put;
  IDBObjectStore.prototype.put = function (...given) {
    if (this.name === "kept") throw new DOMException("no room", "QuotaExceededError");
    return put.apply(this, given);
  };
}"""


REMINDED_ELSEWHERE = """
insert into phone_setting (clinic_id, client_id, remind_time, time_zone, next_at, changed_at)
select clinic_id, client_id, '19:00', 'Pacific/Auckland', now() + interval '1 day', now()
from client
where clinic_id = $1
on conflict (clinic_id, client_id) do update
set remind_time = excluded.remind_time,
    time_zone = excluded.time_zone,
    next_at = excluded.next_at
"""


NO_DATABASE = "Object.defineProperty(window, 'indexedDB', { value: undefined })"
OPEN_THROWS = "IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); }"
OPEN_FAILS = """
IDBFactory.prototype.open = () => {
  const request = { error: new DOMException("no", "InvalidStateError") };
  setTimeout(() => request.onerror());
  return request;
}
"""


IS_FULL = """
() => {
  IDBObjectStore.prototype.put = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
}
"""


async def fill(page: Page) -> None:
    for name, value in (("craving.cocaine", 6), ("craving.alcohol", 2), ("mood", 4), ("anxiety", 7)):
        await choose(page, name, value)


async def test_an_answer_that_could_not_be_kept_is_said_to_be_none_and_stays_on_the_form(here: Here) -> None:
    async with here.connected() as page:
        await fill(page)
        await page.evaluate(IS_FULL)
        for _ in range(2):
            await page.get_by_role("button", name="Send", exact=True).click()
            await expect(page.locator("#answers-fault")).to_contain_text("could not save your answer")
        assert await page.locator("input[name='craving.cocaine']:checked").get_attribute("value") == "6"
        assert await here.stored() == []


async def test_a_full_phone_that_kept_the_answer_sends_it_once(here: Here) -> None:
    async with here.connected() as page:
        await page.evaluate(FULL)
        await fill(page)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        await expect(page.locator("#answers-fault")).to_be_empty()
        await until(page, "async () => !document.getElementById('sent').textContent.includes('not sent')")
        assert len(await here.stored()) == 1


async def test_another_tab_in_which_it_was_answered_ends_the_question_here(here: Here) -> None:
    async with here.connected() as page:
        other = await page.context.new_page()
        await other.goto(f"/phone/{here.slug}")
        await expect(other.locator("#check-in")).to_be_visible()
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await network_comes_back(other)
        await expect(other.get_by_role("heading", name="Thank you")).to_be_visible()
        await other.get_by_role("button", name="Answer again").click()
        await expect(other.locator("#check-in")).to_be_visible()
        await network_comes_back(other)
        await expect(other.locator("#check-in")).to_be_visible()
        await other.close()


@pytest.mark.parametrize("status", [403, 404, 429, 502])
async def test_a_page_of_somebody_in_between_is_not_shown_in_place_of_the_kept_one(here: Here, status: int) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        await page.context.route(f"**/phone/{here.slug}", lambda route: route.fulfill(status=status, body="a gateway"))
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()


async def test_a_server_that_takes_the_connection_and_says_nothing_does_not_keep_the_page_away(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        held: list[Route] = []
        await page.context.route(f"**/phone/{here.slug}", lambda route: held.append(route))
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        assert held
        for route in held:
            await route.abort()


async def test_a_part_that_could_not_be_fetched_holds_nothing_up(here: Here) -> None:
    async with here.connected() as page:
        # The phone has travelled, so that the part with the reminders is asked for at each round.
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert await db.execute(REMINDED_ELSEWHERE, here.clinic_id)
        asked: list[Route] = []

        async def refuse(route: Route) -> None:
            asked.append(route)
            await route.abort()

        await page.context.route("**/phone_reminders.js", refuse)
        await page.reload()
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1
        assert asked


async def test_a_connection_whose_answer_was_lost_is_made_by_the_next_tap(here: Here) -> None:
    async with here.page() as page:
        lost: list[Route] = []

        async def lose_the_first(route: Route) -> None:
            if lost:
                await route.continue_()
                return
            lost.append(route)
            await route.fetch()
            await route.abort()

        await page.context.route("**/v1/device/enrol", lose_the_first)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        connect = page.locator("#connect-form button[type=submit]")
        await connect.click()
        await expect(page.locator("#connect-fault")).to_contain_text("no connection")
        await connect_without_a_pin(page)
        await expect(page.locator("#check-in")).to_be_visible()
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)


@pytest.mark.parametrize("broken", [NO_DATABASE, OPEN_THROWS, OPEN_FAILS])
async def test_where_a_browser_keeps_no_data_the_code_stays_off_every_address_and_hiding_works(
    here: Here, broken: str
) -> None:
    async with here.page() as page:
        await page.add_init_script(broken)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        await page.goto(f"/phone/{here.slug}")
        fault = page.locator("#connect-fault")
        await expect(fault).to_contain_text("keeps")
        code = await here.code()
        await page.get_by_label("Code from your clinic").fill(code)
        for _ in range(2):
            await page.get_by_role("button", name="Connect", exact=True).click()
        await expect(fault).to_contain_text("keeps")
        await page.get_by_role("button", name="Hide this page").click()
        await expect(page.get_by_role("button", name="Notes")).to_be_visible()
        await expect(page.locator("#connect")).to_be_hidden()
        await page.get_by_role("button", name="Notes").dblclick()
        await expect(fault).to_be_visible()
        assert page.url == f"{here.address}/phone/{here.slug}"
        assert [url for url in asked if code in url or "/v1/" in url] == []
        assert await page.locator("#connect-form").get_attribute("method") == "post"
