"""The clinic changes what the course treats, or ends it, while a form is open: what was tapped stays, and is sent."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Page, Route, expect

from tests.browser import until
from tests.phone_browser import ARRIVED, KEPT, Here, choose, told

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

CHOSEN = (("craving.cocaine", 9), ("craving.alcohol", 2), ("mood", 1), ("anxiety", 7))
NEW_COURSE = pytest.mark.parametrize("substances", [["opioid"], []], ids=["another substance", "ended"])


async def a_course_of(page: Page, substances: list[str]) -> None:
    """From the next round on the clinic tells of another course."""
    today = await told(page) | {"substances": substances}

    async def other(route: Route) -> None:
        await route.fulfill(json=today)

    await page.route("**/v1/today*", other)
    await told(page)


async def cravings(here: Here) -> list[object]:
    return [
        json.loads(str(row["craving"])) if isinstance(row["craving"], str) else row["craving"]
        for row in await here.stored()
    ]


@NEW_COURSE
async def test_a_day_s_form_keeps_the_scales_that_it_began_with_and_all_of_it_is_sent(
    here: Here, substances: list[str]
) -> None:
    async with here.connected() as page:
        for name, value in CHOSEN:
            await choose(page, name, value)
        # By way of another view, by which the form is shown anew, and of a reload.
        await page.get_by_role("button", name="Log a craving now").click()
        await a_course_of(page, substances)
        await page.locator("#moment-later").click()
        await expect(page.locator("#check-in input:checked")).to_have_count(4)
        await until(page, KEPT, argument=[here.slug, '"craving.cocaine","9"'])
        await page.reload()
        for name, value in CHOSEN:
            await expect(page.locator(f'input[name="{name}"][value="{value}"]')).to_be_checked()
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert await cravings(here) == [{"cocaine": 9, "alcohol": 2}]


@NEW_COURSE
async def test_a_craving_of_right_now_is_sent_for_the_substance_it_was_tapped_for(
    here: Here, substances: list[str]
) -> None:
    async with here.connected() as page:
        await page.get_by_role("button", name="Log a craving now").click()
        await choose(page, "now.cocaine", 9)
        await until(page, KEPT, argument=[here.slug, '"now.cocaine","9"'])
        await a_course_of(page, substances)
        await page.reload()
        await expect(page.locator('input[name="now.cocaine"][value="9"]')).to_be_checked()
        await page.locator("#moment-form button[type=submit]").click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        assert await cravings(here) == [{"cocaine": 9}]


async def test_an_empty_form_asks_what_the_course_treats_by_now(here: Here) -> None:
    async with here.connected() as page:
        await a_course_of(page, ["opioid"])
        # Both are waited for: the page is told before it shows.
        await expect(page.locator("#cravings fieldset")).to_have_count(1)
        await expect(page.locator("#cravings fieldset")).to_have_attribute("data-scale", "craving.opioid")


async def test_a_yes_that_was_tapped_can_be_sent_also_where_the_course_has_ended(here: Here) -> None:
    async with here.connected() as page:
        await page.locator("input[name=safety][value=yes]").check()
        await until(page, KEPT, argument=[here.slug, '"safety","yes"'])
        await a_course_of(page, [])
        await page.reload()
        await expect(page.locator("#crisis")).to_be_visible()
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        await expect(page.locator("#crisis")).to_be_visible()
        assert [row["safety"] for row in await here.stored()] == [True]
