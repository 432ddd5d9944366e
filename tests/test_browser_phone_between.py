"""Something between the phone and the clinic answers in its place: nothing is ended, refused or forgotten for it."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Route, expect

from tests.browser import until
from tests.phone_browser import ARRIVED, NOT_SENT, SHELL_IS_KEPT, Here, answer, choose, online

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NO_TODAY = """
(slug) => new Promise((resolve) => {
  indexedDB.open(`neap-${slug}`).onsuccess = (event) => {
    const writing = event.target.result.transaction("kept", "readwrite");
    writing.objectStore("kept").put({}, "today");
    writing.oncomplete = resolve;
  };
})
"""


@pytest.mark.parametrize(
    ("status", "body"), [(401, ""), (401, '{"message": "Unauthorized"}'), (413, ""), (400, '{"error": "bad"}')]
)
async def test_what_is_no_answer_of_the_clinic_ends_nothing_and_refuses_nothing(
    here: Here, status: int, body: str
) -> None:
    async with here.connected() as page:
        asked: list[str] = []

        async def between(route: Route) -> None:
            asked.append(route.request.url)
            await route.fulfill(status=status, body=body, content_type="application/json")

        await page.route("**/v1/**", between)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(NOT_SENT)
        await expect(page.locator("#refused")).to_be_hidden()
        assert asked
        await online(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert len(await here.stored()) == 1


@pytest.mark.parametrize("body", ["", "{}", "null", "[]"])
async def test_a_day_that_is_none_is_not_kept(here: Here, body: str) -> None:
    async with here.connected() as page:
        await page.route("**/v1/today*", lambda route: route.fulfill(body=body, content_type="application/json"))
        async with page.expect_response("**/v1/today*"):
            await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()
        await page.unroute("**/v1/today*")
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)


async def test_a_kept_day_that_is_none_heals_at_the_next_opening(here: Here) -> None:
    async with here.connected() as page:
        await page.evaluate(NO_TODAY, here.slug)
        await page.reload()
        await expect(page.locator("#check-in")).to_be_visible()


async def test_a_rest_that_another_request_was_told_holds_up_no_answer(here: Here) -> None:
    async with here.connected() as page:
        problem = json.dumps({"type": "about:blank", "title": "Too often", "status": 429})

        async def busy(route: Route) -> None:
            await route.fulfill(
                status=429, headers={"Retry-After": "600"}, body=problem, content_type="application/problem+json"
            )

        await page.route("**/v1/today*", busy)
        async with page.expect_response("**/v1/today*"):
            await page.reload()
        await page.locator("#more summary").click()
        await page.locator("input[name=safety][value=yes]").check()
        for name, value in (("craving.cocaine", 9), ("craving.alcohol", 2), ("mood", 1), ("anxiety", 7)):
            await choose(page, name, value)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert [row["safety"] for row in await here.stored()] == [True]


async def test_a_language_that_is_not_kept_here_needs_a_connection_and_says_so(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        await page.context.set_offline(True)
        await page.get_by_role("link", name="Español").click()
        await expect(page.locator("#language-said")).to_have_text("This needs a connection. Please try again.")
        await page.context.set_offline(False)
        await page.reload()
        await expect(page.locator("html")).to_have_attribute("lang", "es")


async def test_what_was_left_out_is_said_where_the_finger_is_and_marked_where_it_belongs(here: Here) -> None:
    async with here.connected() as page:
        await choose(page, "mood", 4)
        await choose(page, "anxiety", 4)
        await choose(page, "craving.alcohol", 4)
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#answers-fault")).to_contain_text("craving for cocaine")
        await expect(page.locator("#answers-fault")).to_be_in_viewport()
        await expect(page.locator("fieldset.left-out legend")).to_have_text("Craving for cocaine, strongest today")
        await choose(page, "craving.cocaine", 4)
        await expect(page.locator("fieldset.left-out")).to_have_count(0)
