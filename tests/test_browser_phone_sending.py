"""What goes wrong with one answer, one questionnaire or one request holds up none behind it, a yes least of all."""

from __future__ import annotations

import asyncio
import json

import pytest
from playwright.async_api import Page, Route, expect

from service import database as databases
from tests.phone_browser import ARRIVED, PHQ9, Here, answer, items_of, network_comes_back, no_network, online

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def answered_again(page: Page, *, mood: int) -> None:
    await page.get_by_role("button", name="Answer again").click()
    await page.locator("input[name=safety][value=yes]").check()
    await answer(page, mood=mood)


async def test_a_request_that_hangs_holds_up_no_yes(here: Here) -> None:
    async with here.connected() as page:
        asked, may_end = asyncio.Event(), asyncio.Event()

        async def hangs(route: Route) -> None:
            asked.set()
            await may_end.wait()
            await route.abort()

        await page.route("**/v1/check-ins/batch", hangs, times=1)
        await answer(page, mood=3)
        async with asyncio.timeout(30):
            await asked.wait()
        # Well within the patience of twenty seconds that the first request would have had.
        async with page.expect_response("**/v1/check-ins/batch", timeout=10_000):
            await answered_again(page, mood=1)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        may_end.set()
        assert sorted(str(row["mood"]) for row in await here.stored()) == ["1", "3"]


@pytest.mark.parametrize("whole", [True, False], ids=["the batch", "the item"])
async def test_an_answer_that_the_clinic_s_server_fails_at_holds_up_none_behind_it(here: Here, whole: bool) -> None:
    async with here.connected() as page:
        problem = {"type": "/problems/internal", "title": "Something went wrong here.", "status": 500}

        async def fails(route: Route) -> None:
            items = items_of(route.request)
            if not any(item.get("mood") == 3 for item in items):
                await route.continue_()
            elif whole:
                await route.fulfill(status=500, body=json.dumps(problem), content_type="application/problem+json")
            else:
                results = [{"id": item["id"], "status": 500, "problem": problem} for item in items]
                await route.fulfill(body=json.dumps({"results": results}), content_type="application/json")

        await page.route("**/v1/check-ins/batch", no_network)
        await answer(page, mood=3)
        # In this order: in between nothing gets through to the clinic.
        await page.route("**/v1/check-ins/batch", fails)
        await page.unroute("**/v1/check-ins/batch", no_network)
        async with page.expect_response("**/v1/check-ins/batch"):
            await network_comes_back(page)
        if whole:
            await answered_again(page, mood=1)
            await expect(page.locator("#sent")).to_contain_text("saved on this phone and not sent yet: 1")
            assert [row["mood"] for row in await here.stored()] == [1]
        await page.get_by_role("button", name=PHQ9).click()
        for item in range(1, 10):
            await page.locator(f'input[name="item.{item}"][value="3"]').check()
        async with page.expect_response("**/v1/instrument-responses/**"):
            await page.locator("#questions-form button[type=submit]").click()
        await expect(page.locator("#sent")).to_contain_text("saved on this phone and not sent yet: 1")
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert await db.value("select count(*) from instrument_response where clinic_id = $1", here.clinic_id) == 1
        await page.unroute("**/v1/check-ins/batch")
        await online(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert 3 in [row["mood"] for row in await here.stored()]


async def test_a_questionnaire_that_cannot_be_had_takes_no_other_from_the_phone(here: Here) -> None:
    async with here.page() as page:
        # The first that is due.
        async def fails(route: Route) -> None:
            if route.request.url.endswith("/v1/instruments/phq9"):
                await route.continue_()
            else:
                await route.fulfill(status=500, body="{}", content_type="application/problem+json")

        await page.route("**/v1/instruments/*", fails)
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await page.locator("#connect-form button[type=submit]").click()
        await page.locator("#pin-cancel").click()
        await answer(page)
        await expect(page.get_by_role("button", name=PHQ9)).to_be_visible()
