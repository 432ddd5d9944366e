"""A phone without room for what is merely remembered: it shows, keeps and sends what matters all the same."""

from __future__ import annotations

import pytest
from playwright.async_api import Route, expect

from tests.phone_browser import ARRIVED, Here, answer, connect_without_a_pin, items_of, no_network, online

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# As a full phone: nothing is put for which `isFor(value, key)` holds.
NO_ROOM = """
(isFor) => {
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function (value, key) {
    if (isFor(value, key)) throw new DOMException("no room", "QuotaExceededError");
    return put.apply(this, key === undefined ? [value] : [value, key]);
  };
}
"""


def no_room_for(what: str) -> str:
    return f"({NO_ROOM.strip()})((value, key) => {what})"


async def test_a_day_that_has_no_room_is_shown(here: Here) -> None:
    async with here.page() as page:
        await page.add_init_script(no_room_for("key === 'today'"))
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)


async def test_the_contacts_come_again_where_there_is_no_room_for_the_last_scores(here: Here) -> None:
    async with here.connected() as page:
        await page.evaluate(no_room_for("key === 'lastScores'"))
        await page.locator("input[name=safety][value=yes]").check()
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await page.reload()
        await expect(page.locator("#done #crisis")).to_be_visible()


async def spoil(route: Route) -> None:
    items = [item | ({"mood": 11} if item["mood"] == 3 else {}) for item in items_of(route.request)]
    await route.continue_(post_data=items)


async def test_an_answer_whose_refusal_has_no_room_holds_up_none_behind_it(here: Here) -> None:
    async with here.connected() as page:
        await page.evaluate(no_room_for("value.refused"))
        await page.route("**/v1/check-ins/batch", spoil)
        await page.route("**/v1/**", no_network)
        await answer(page, mood=3)
        await page.get_by_role("button", name="Answer again").click()
        await answer(page, mood=4)
        await expect(page.locator("#sent")).to_contain_text("not sent yet: 2")
        await online(page)
        await expect(page.locator("#sent")).to_contain_text("not sent yet: 1")
        assert [row["mood"] for row in await here.stored()] == [4]
