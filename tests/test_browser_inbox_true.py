"""What an inbox that stands says of each alert stays true: how old it is by now, and who has it by now."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from schemas.alert import Outcome, Rule, Tier
from service import database as databases
from service.alerting import alerts
from tests.axe import faults
from tests.browser import watched_context
from tests.desk import a_finding, a_person
from tests.desk_browser import Desk, a_live_inbox, an_alert_of

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# How long something may take on a machine with other work.
PATIENCE = 40_000
SHOWS = "The list changed: show it"


async def a_colleague(desk: Desk) -> UUID:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        return await a_person(db, email="jonas@clinic.example", name="Jonas Feld")


async def takes_on(desk: Desk, alert_id: UUID, by: UUID) -> None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await alerts.acknowledge(db, alert_id, by=by, now=datetime.now(UTC))


def row_of(page: Page, name: str) -> Locator:
    return page.get_by_role("listitem").filter(has_text=name)


async def under_the_hand(desk: Desk, context: BrowserContext, name: str) -> tuple[Page, Locator]:
    page = await a_live_inbox(desk, context)
    button = row_of(page, name).get_by_role("button", name="Acknowledge")
    await button.hover()
    return page, button


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_a_line_under_the_hand_says_that_somebody_was_faster_and_is_not_pressed(desk: Desk, theme: str) -> None:
    wanted = await an_alert_of(desk, "Odile", Rule.SAFETY, Tier.URGENT)
    await an_alert_of(desk, "Wanda", Rule.SAFETY, Tier.URGENT)
    jonas = await a_colleague(desk)
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page, button = await under_the_hand(desk, context, "Odile")
        await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        place = await button.bounding_box()
        await takes_on(desk, wanted, jonas)
        await expect(page.get_by_role("button", name=SHOWS)).to_be_visible(timeout=PATIENCE)
        await expect(row_of(page, "Odile")).to_contain_text("Jonas Feld has it until")
        await expect(button).to_be_disabled()
        await expect(row_of(page, "Wanda").get_by_role("button", name="Acknowledge")).to_be_enabled()
        assert await button.bounding_box() == place
        await button.click(force=True)
        await expect(page.get_by_role("alert")).to_contain_text("Jonas Feld has it until")
        await expect(page.get_by_role("alert")).to_contain_text("Nothing was pressed.")
        assert not await faults(page)


async def test_a_line_under_the_hand_says_that_its_alert_was_closed(desk: Desk) -> None:
    closed = await an_alert_of(desk, "Odile", Rule.SAFETY, Tier.URGENT)
    jonas = await a_colleague(desk)
    async with watched_context(desk.started, desk.address, width=320) as context:
        page, button = await under_the_hand(desk, context, "Odile")
        await button.focus()
        await page.keyboard.press("Shift")
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await alerts.resolve(db, closed, Outcome.CALLED, by=jonas, now=datetime.now(UTC))
        await expect(page.get_by_role("button", name=SHOWS)).to_be_visible(timeout=PATIENCE)
        await expect(row_of(page, "Odile")).to_contain_text("not open any more")
        await expect(page.get_by_text("Odile Marlow: not open any more.")).to_have_count(1)
        await expect(button).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_contain_text("Nothing was pressed.")


@pytest.mark.parametrize("by", ["mouse", "keyboard"])
async def test_a_reason_that_comes_into_a_line_under_the_hand_is_read_before_it_is_taken_on(
    desk: Desk, by: str
) -> None:
    wanted = await an_alert_of(desk, "Odile", Rule.SILENCE, Tier.TODAY)
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = (await alerts.get(db, wanted)).client_id
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page, button = await under_the_hand(desk, context, "Odile")
        await button.focus()
        await page.keyboard.press("Shift")
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            now = datetime.now(UTC)
            found = [a_finding(Rule.OTHER_USE, Tier.TODAY, on=now.date())]
            await alerts.open_or_join(db, client_id, found, now=now, rule_set_version=1)
        await expect(row_of(page, "Odile")).to_contain_text("and 1 more", timeout=PATIENCE)
        await expect(page.locator("#heard")).to_contain_text("Odile Marlow: ")
        await page.clock.run_for(1_000)

        async def press() -> None:
            await (button.click() if by == "mouse" else page.keyboard.press("Enter"))

        await press()
        said = page.get_by_role("alert").filter(has_text="a new reason joined at")
        await expect(said).to_contain_text("Look at it, then press again.")
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            assert (await alerts.get(db, wanted)).acknowledged_by is None
        await page.clock.run_for(1_000)
        async with page.expect_navigation():
            await press()
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            assert (await alerts.get(db, wanted)).acknowledged_by == desk.person.staff_id


async def test_a_press_that_ends_after_the_list_changed_in_a_word_is_taken(desk: Desk) -> None:
    wanted = await an_alert_of(desk, "Odile")
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page, _ = await under_the_hand(desk, context, "Odile")
        listed = await page.locator("#open").evaluate("list => list.outerHTML")
        other = listed.replace("nobody has it yet", "nobody has it as yet")
        await page.route("**/inbox?seen=*", lambda route: route.fulfill(body=other, content_type="text/html"))
        await page.clock.run_for(1_000)
        await page.mouse.down()
        await page.evaluate("htmx.trigger(document.getElementById('open'), 'changed')")
        await expect(row_of(page, "Odile")).to_contain_text("nobody has it as yet")
        async with page.expect_navigation():
            await page.mouse.up()
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            assert (await alerts.get(db, wanted)).acknowledged_by == desk.person.staff_id


async def test_an_inbox_at_which_nobody_looks_says_in_its_title_what_came(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await a_live_inbox(desk, context)
        await page.evaluate("document.hasFocus = () => false")
        came: list[UUID] = []
        for name, rule, tier, said in (
            ("Odile", Rule.SAFETY, Tier.URGENT, "1 new urgent alert"),
            ("Hugo", Rule.SILENCE, Tier.TODAY, "2 new alerts, 1 urgent"),
        ):
            alert_id = await an_alert_of(desk, name, rule, tier)
            await expect(page).to_have_title(f"{said} · Inbox · Neap", timeout=PATIENCE)
            came.append(alert_id)
        now, by = datetime.now(UTC), desk.person.staff_id
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await alerts.acknowledge(db, came[0], by=by, now=now)
        await expect(page).to_have_title("1 new alert · Inbox · Neap", timeout=PATIENCE)
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await alerts.resolve(db, came[1], Outcome.CALLED, by=by, now=now)
        await expect(page).to_have_title("Inbox · Neap", timeout=PATIENCE)
        await an_alert_of(desk, "Ilse")
        await expect(page).to_have_title("1 new alert · Inbox · Neap", timeout=PATIENCE)
        await page.evaluate("window.dispatchEvent(new Event('focus'))")
        await expect(page).to_have_title("Inbox · Neap")


async def test_a_line_that_is_again_as_it_was_can_be_pressed_again(desk: Desk) -> None:
    wanted = await an_alert_of(desk, "Odile")
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page, button = await under_the_hand(desk, context, "Odile")
        listed = await page.locator("#open").evaluate("list => list.outerHTML")
        without = re.sub('<button class="pri" id="ack-[^"]*"', "<button hidden", listed)
        without = without.replace("nobody has it yet", "Jonas Feld has it")
        await page.route("**/inbox?seen=*", lambda route: route.fulfill(body=without, content_type="text/html"))
        await page.evaluate("htmx.trigger(document.getElementById('open'), 'changed')")
        await expect(button).to_be_disabled()
        await expect(row_of(page, "Odile")).to_contain_text("Jonas Feld has it")
        await page.unroute("**/inbox?seen=*")
        await page.evaluate("htmx.trigger(document.getElementById('open'), 'changed')")
        await expect(button).to_be_enabled(timeout=PATIENCE)
        await expect(row_of(page, "Odile")).to_contain_text("nobody has it yet")
        await expect(page.get_by_role("button", name=SHOWS)).to_have_count(0)
        await page.clock.run_for(1_000)
        async with page.expect_navigation():
            await button.click()
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            assert (await alerts.get(db, wanted)).acknowledged_by == desk.person.staff_id


@pytest.mark.parametrize("path", ["/inbox", "/alerts/{}"])
async def test_how_long_ago_an_alert_was_opened_is_said_anew_while_the_page_stands(desk: Desk, path: str) -> None:
    alert_id = await an_alert_of(desk, "Odile")
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        opened_at = datetime.now(UTC) - timedelta(minutes=56, seconds=30)
        await db.execute(
            "update alert set opened_at = $3 where clinic_id = $1 and alert_id = $2", db.clinic_id, alert_id, opened_at
        )
    async with watched_context(desk.started, desk.address, width=390) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto(path.format(alert_id))
        age = page.locator("[data-age]").first
        await expect(age).to_have_text("56 min")
        for minutes, said in ((2, "58 min"), (3, "1 h 1 min"), (59, "2 h"), (47 * 60, "2 days")):
            await page.clock.fast_forward(minutes * 60_000)
            await expect(age).to_have_text(said)
