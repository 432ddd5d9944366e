"""A page of the desk shown anew in a real Chromium: what was typed goes into the form of its own record only."""

from __future__ import annotations

import pytest
from playwright.async_api import expect

from service import database
from tests.appointments import a_planned_infusion, a_session_of
from tests.axe import faults
from tests.browser import watched_context
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

DAY = "2031-03-04T11:00"


async def test_what_finds_no_place_any_more_is_shown_to_be_copied(desk: Desk) -> None:
    alert_id = await desk.alert()
    async with watched_context(desk.started, desk.address, width=390) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/alerts/{alert_id}")
        typed = {"action": "/alerts/gone/note", "name": "note", "long": True, "ticked": None, "value": "She is safe."}
        await page.evaluate("typed => kept.give([typed])", typed)
        left = page.get_by_role("alert").get_by_label("What you had typed")
        await expect(left).to_have_value("She is safe.")
        await expect(page.get_by_role("alert")).to_contain_text("copy it where you need it")
        assert await page.evaluate("document.documentElement.scrollWidth") == 390
        assert not await faults(page)


async def test_what_comes_back_says_what_its_page_had_shown_and_not_what_stands_by_now(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=390) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/clients/{desk.client_id}/manage")
        shown = page.locator("form[action$='/name'] [name=shown]")
        now = await shown.input_value()
        typed = await page.evaluate(
            """() => {
              document.querySelector("[name=family_name]").value = "Holm";
              return kept.typed(null);
            }"""
        )
        assert [each["shown"] for each in typed] == [now]
        await page.evaluate("typed => kept.give([{ ...typed, shown: 'as.before' }])", typed[0])
        await expect(shown).to_have_value("as.before")
        await page.evaluate("document.querySelectorAll('form').forEach((form) => form.reset())")


async def test_what_was_typed_for_a_record_that_is_gone_goes_into_no_other_and_a_plan_keeps_its_texts(
    desk: Desk,
) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        for hours in (30, 60):
            await a_session_of(db, desk.client_id, hours_ahead=hours)
            await a_planned_infusion(db, desk.client_id, hours_ahead=hours)
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/clients/{desk.client_id}/sessions")
        when = page.locator("form[action$='/change'] [name=at]")
        other = await when.nth(1).input_value()
        await page.locator("summary", has_text="Change").first.click()
        await when.first.fill(DAY)
        await page.evaluate(
            """() => {
              const typed = kept.typed();
              document.querySelector(".wide-rows > li").remove();
              kept.give(typed);
            }"""
        )
        await expect(when).to_have_count(1)
        await expect(when).to_have_value(other)
        await when.evaluate("field => { field.value = field.defaultValue; }")

        await page.goto(f"/clients/{desk.client_id}/treatment")
        await page.get_by_text("Plan a single infusion").click()
        single = page.get_by_label("On", exact=True)
        await single.fill(DAY)
        again = await page.evaluate(
            """async () => {
              const typed = kept.typed();
              const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
              document.body.replaceWith(document.adoptNode(page.body));
              kept.give(typed);
              return typed.length;
            }"""
        )
        assert again == 1
        await expect(single).to_have_value(DAY)
        await single.fill("")
