"""What one press could not put back asks once more, with and without script."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import expect

from schemas.staff import Role
from service import database
from service.facts import sessions
from service.people import clients
from tests.browser import watched_context
from tests.desk import a_person
from tests.desk_browser import Desk

TEMPLATES = Path(__file__).parent.parent / "service" / "web" / "templates"
FORM = re.compile(r"<form[^>]*action=\"(?P<action>[^\"]+)\".*?</form>", re.DOTALL)
NO_WAY_BACK = ("/revoke", "/remove", "/staff/{{ person.staff_id }}/disable", "/rotate", "{{ action }}/end")
LATER = ("/rota/covers/{{ each.cover_id }}/end", "/rota/shifts/{{ each.shift_id }}/end", "/open-again")


def test_no_form_without_a_way_back_is_sent_by_its_first_button() -> None:
    seen = set()
    for template in TEMPLATES.glob("*.html"):
        for form in FORM.finditer(template.read_text()):
            ending = next((each for each in NO_WAY_BACK + LATER if form["action"].endswith(each)), None)
            if ending is not None:
                seen.add(ending)
                assert "sure(" in form[0] or 'class="sure"' in form[0], f"{template.name}: {form['action']}"
                assert "<button" not in form[0].split('class="sure"')[0], f"{template.name}: {form['action']}"
    assert seen == set(NO_WAY_BACK + LATER)


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("script", [True, False])
async def test_who_is_shut_out_is_asked_about_first(desk: Desk, script: bool) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        other = await a_person(db, name="Tom Okafor", email="tom@clinic.example")
        await clients.assign(db, desk.client_id, other, Role.NURSE, from_at=datetime.now(UTC))
    async with watched_context(desk.started, desk.address, width=390, script=script) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/clients/{desk.client_id}/manage")
        member = page.get_by_role("listitem").filter(has_text="Tom Okafor")
        await expect(member.get_by_role("button")).to_have_count(0)
        await member.locator("summary").click()
        await expect(member).to_contain_text("sees this client no more")
        assert await page.locator("html").evaluate("page => page.scrollWidth") == 390
        await member.get_by_role("button", name="Remove Tom Okafor").click()
        await expect(member).to_have_count(0)

        await page.goto("/staff")
        person = page.locator("tr", has_text="Tom Okafor")
        await person.get_by_label("Disable Tom Okafor").focus()
        await page.keyboard.press("Enter")
        await expect(person).to_contain_text("signed out everywhere")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await expect(person).to_contain_text("disabled")
        assert await page.locator("html").evaluate("page => page.scrollWidth") == 390


@pytest.mark.browser
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("script", [True, False])
async def test_a_box_ticked_for_one_odd_time_is_ticked_for_no_other(desk: Desk, script: bool) -> None:
    day = datetime.now(UTC).date() + timedelta(days=9)
    async with watched_context(desk.started, desk.address, width=390, script=script) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/clients/{desk.client_id}/sessions")
        form = page.locator("form", has=page.get_by_role("button", name="Book it"))
        when, meant = form.get_by_label("When, on the clinic's clock"), form.get_by_label("Book it all the same")
        await expect(meant).to_be_hidden()
        for hour in ("03:15", "04:15"):
            await when.fill(f"{day}T{hour}")
            await form.get_by_role("button", name="Book it").click()
            await expect(form).to_contain_text(f"{hour} is at night.")
            await expect(meant).not_to_be_checked()
            await meant.check()
        await form.get_by_role("button", name="Book it").click()
        await expect(page.locator("#main, main").first).to_contain_text("04:15")
        async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
            [booked] = await sessions.of(db, desk.client_id)
        assert f"{booked.planned_at.astimezone(ZoneInfo(desk.clinic.time_zone)):%H:%M}" == "04:15"
