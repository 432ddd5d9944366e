"""Two people at one setting, by script and without: neither sets back in silence what the other has changed."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from service import database
from service.facts import gate_checks
from tests.axe import faults
from tests.browser import watched_context
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

MEANWHILE = "Somebody else has changed this meanwhile. Look at what is marked, then press again."


@pytest.mark.parametrize("width", [1440, 320])
@pytest.mark.parametrize("scripted", [True, False])
async def test_an_older_page_comes_anew_with_what_was_typed_and_what_changed(
    desk: Desk, scripted: bool, width: int
) -> None:
    async with (
        watched_context(desk.started, desk.address, width=1440) as first,
        watched_context(desk.started, desk.address, width=width, script=scripted) as second,
    ):
        await desk.sign_in(first)
        await desk.sign_in(second)
        theirs, mine = await first.new_page(), await second.new_page()
        for page in (theirs, mine):
            await page.goto("/settings")
        limit, lasts = "systolic pressure, mmHg", "A clearance holds for so many hours"
        keep = 'form[action="/settings/gate"] button'
        await theirs.get_by_label(limit).fill("130")
        async with theirs.expect_navigation():
            await theirs.locator(keep).click()

        await mine.get_by_label(lasts).fill("40")
        await mine.locator(keep).click()
        await expect(mine.get_by_text(MEANWHILE)).to_be_visible()
        await expect(mine.get_by_text(MEANWHILE)).to_be_in_viewport()
        await expect(mine.get_by_label(limit)).to_have_value("130")
        await expect(mine.get_by_label(limit)).to_have_accessible_description(
            "Somebody else has changed this meanwhile."
        )
        await expect(mine.get_by_label(lasts)).to_have_value("40")
        await expect(mine.get_by_label(lasts)).to_have_accessible_description("")
        assert await mine.evaluate("document.documentElement.scrollWidth") <= width
        if scripted:
            assert not await faults(mine)
        async with mine.expect_navigation():
            await mine.locator(keep).click()
        await expect(mine.get_by_text(MEANWHILE)).to_have_count(0)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        kept = await gate_checks.setting_of(db)
    assert (kept.systolic_limit, kept.gate_clear_hours) == (130, 40)
