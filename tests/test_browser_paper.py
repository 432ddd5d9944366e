"""The desk on paper and on a narrow screen: what a sheet says of itself, and what a number is a number of."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from service import database as databases
from tests.axe import NARROW, faults
from tests.browser import watched_context
from tests.builders import a_client
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]


async def test_every_sheet_says_of_which_clinic_and_of_what_time_it_is(desk: Desk) -> None:
    alert_id = await desk.alert()
    client = f"/clients/{desk.client_id}"
    addresses = ["/caseload", "/inbox", "/inbox/history", f"/alerts/{alert_id}", client, f"{client}/sessions"]
    addresses += [f"{client}/brief?for=therapy", "/gates", "/rules", "/quality", "/rota", "/operator"]
    async with watched_context(desk.started, desk.address, width=1280) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for address in addresses:
            await page.emulate_media(media="screen")
            await page.goto(address)
            sheet = page.locator(".printed")
            await expect(sheet).to_be_hidden()
            await page.emulate_media(media="print")
            await expect(sheet).to_be_visible()
            said = rf"^{re.escape(desk.clinic.name)} · as of \w{{3}} \d+ \w{{3}} \d{{4}} \d\d:\d\d$"
            await expect(sheet).to_have_text(re.compile(said))
            await expect(page.locator("#live")).to_be_hidden()


async def test_sheets_with_codes_for_phones_are_told_apart_and_tell_of_nobody(desk: Desk) -> None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        other = await a_client(db, given_name="Zoran", family_name="Dray")
    async with watched_context(desk.started, desk.address, width=1280) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for client_id, initials in ((desk.client_id, "B. F."), (other, "Z. D.")):
            await page.emulate_media(media="screen")
            await page.goto(f"/clients/{client_id}/manage")
            await page.get_by_role("button", name=re.compile("code", re.IGNORECASE)).first.click()
            await expect(page.get_by_text("The code works once")).to_be_visible()
            mark = page.get_by_text(re.compile(rf"^{re.escape(initials)} · made \d+ \w+ \d\d:\d\d$"))
            await expect(mark).to_be_hidden()
            await page.emulate_media(media="print")
            await expect(mark).to_be_visible()
            printed = await page.locator("body").inner_text()
            for word in (desk.clinic.name, "Zoran", "Dray", "Featherstonehaugh", "ketamine", "infusion"):
                assert word.lower() not in printed.lower().replace(desk.address, ""), word


API = "/docs"
BEARS_NO_NAME = """
  [...document.querySelectorAll("table.list")].flatMap((table) => {
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent);
    return [...table.querySelectorAll("tbody tr")].flatMap((row) => [...row.cells].map((cell, at) => [cell, heads[at]])
      .filter(([cell, head]) => cell.tagName === "TD" && head !== "Do"
        && getComputedStyle(cell, "::before").content !== JSON.stringify(head))
      .map(([cell, head]) => `${head}: ${cell.textContent}`));
  })
"""


async def named(page: Page) -> int:
    return int(await page.locator("table.list tbody td").count())


@pytest.mark.parametrize("width", [pytest.param(390, marks=pytest.mark.slow), 320])
async def test_on_a_narrow_screen_every_number_of_a_table_bears_its_columns_name(desk: Desk, width: int) -> None:
    """Axe looks at the longest of these pages in the next test."""
    async with watched_context(desk.started, desk.address, width=width) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for address in ("/operator", "/staff", API):
            await page.goto(address)
            assert await named(page) > 2, address
            assert await page.evaluate(BEARS_NO_NAME) == [], address
            assert address == API or not await faults(page)


@pytest.mark.slow
async def test_the_description_of_the_api_keeps_nobody_out_on_a_narrow_screen(desk: Desk) -> None:
    """Its eleven thousand elements take axe half a minute of processor time.

    The quick set has test_browser_pages, where axe looks at the same page wide, with every fold open, in light and in
    dark, and where it is no wider than a narrow phone.
    """
    async with watched_context(desk.started, desk.address, width=NARROW) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(API)
        assert not await faults(page)
