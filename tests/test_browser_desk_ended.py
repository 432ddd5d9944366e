"""A session that ends by itself takes nothing of what was typed with it, and leaves it to nobody else."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from playwright.async_api import BrowserContext, Page, Route, expect

from schemas.staff import Role
from service import database as databases
from service.people.clients import assign
from service.web.desk_session import COOKIE
from service.web.page_problems import CLINIC_COOKIE
from tests.axe import faults
from tests.browser import watched_context
from tests.desk import a_person, a_session
from tests.desk_browser import Desk

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

# How long something may take on a machine with other work.
PATIENCE = 40_000
TYPED = "Long note about the call, she is with her sister."


async def seen_ago(desk: Desk, minutes: int) -> None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await db.execute(f"update staff_session set last_seen_at = now() - interval '{minutes} minutes'")


async def signed_in_anew(desk: Desk, context: BrowserContext, *, as_another: bool = False) -> None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        staff_id = desk.person.staff_id
        if as_another:
            staff_id = await a_person(db, email="ada@clinic.example", name="Ada Brandt")
            await assign(db, desk.client_id, staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
        token = (await a_session(db, staff_id)).token
    await context.add_cookies([{"name": COOKIE, "value": token, "domain": "127.0.0.1", "path": "/", "secure": True}])


async def half_written(desk: Desk, context: BrowserContext) -> Page:
    alert_id = await desk.alert()
    await desk.sign_in(context)
    await context.add_cookies(
        [{"name": CLINIC_COOKIE, "value": desk.clinic.slug, "domain": "127.0.0.1", "path": "/", "secure": True}]
    )
    page = await context.new_page()
    await page.clock.install()
    await page.goto(f"/alerts/{alert_id}")
    await page.get_by_label("Write down something").fill(TYPED)
    # What was typed counts as being there, once.
    async with page.expect_response("**/inbox/count"):
        await page.clock.fast_forward(20_000)
    return page


@pytest.mark.parametrize("by_hand", [True, False])
async def test_what_was_typed_is_back_after_signing_in_again_and_lies_nowhere_readable(
    desk: Desk, by_hand: bool
) -> None:
    async with watched_context(desk.started, desk.address, width=390) as context:
        page = await half_written(desk, context)
        where = page.url.removeprefix(desk.address)
        await seen_ago(desk, 16)
        if by_hand:
            await page.get_by_role("button", name="Keep the note").press("Enter")
        else:
            await page.clock.fast_forward(20_000)
        await page.wait_for_url(f"**/sign-in?ended=idle&next={where}", timeout=PATIENCE)
        await expect(page.get_by_text("nothing happened for 15 minutes")).to_be_visible()
        lies = await page.evaluate("JSON.stringify([sessionStorage, localStorage, location.href])")
        assert "sister" not in lies
        assert "neap-kept" in lies
        await signed_in_anew(desk, context)
        await page.goto(where)
        await expect(page.get_by_label("Write down something")).to_have_value(TYPED, timeout=PATIENCE)
        await expect(page.get_by_role("alert").filter(has_text="You were signed out in between.")).to_be_visible()
        assert await page.evaluate("'neap-kept' in sessionStorage") is False
        assert not await faults(page)
        await page.get_by_role("button", name="Keep the note").click()
        await expect(page.get_by_text(TYPED)).to_be_visible()


async def test_nobody_else_reads_what_was_typed_and_signing_out_deletes_it(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await half_written(desk, context)
        where = page.url.removeprefix(desk.address)
        for as_another in (True, False):
            await seen_ago(desk, 16)
            await page.get_by_role("button", name="Keep the note").click()
            await page.wait_for_url(f"**/sign-in?ended=idle&next={where}", timeout=PATIENCE)
            await signed_in_anew(desk, context, as_another=as_another)
            await page.goto("/account")
            if not as_another:
                assert await page.evaluate("'neap-kept' in sessionStorage")
                await page.get_by_role("button", name="Sign out").click()
                await page.wait_for_url("**/sign-in", timeout=PATIENCE)
            await page.wait_for_function("!('neap-kept' in sessionStorage)", timeout=PATIENCE)
            await signed_in_anew(desk, context)
            await page.goto(where)
            await expect(page.get_by_label("Write down something")).to_have_value("")
            await page.get_by_label("Write down something").fill(TYPED)


async def test_what_lies_for_a_page_waits_while_that_page_is_an_error_and_an_older_form_of_it_is_read(
    desk: Desk,
) -> None:
    async with watched_context(desk.started, desk.address, width=390) as context:
        page = await half_written(desk, context)
        where = page.url.removeprefix(desk.address)
        await seen_ago(desk, 16)
        await page.get_by_role("button", name="Keep the note").click()
        await page.wait_for_url(f"**/sign-in?ended=idle&next={where}", timeout=PATIENCE)
        # As the release before kept it: one, and no list of them.
        await page.evaluate("sessionStorage['neap-kept'] = JSON.stringify(JSON.parse(sessionStorage['neap-kept'])[0])")
        await signed_in_anew(desk, context)

        async def fails(route: Route) -> None:
            missing = await (await context.request.get("/alerts/01a00000-0000-7000-8000-000000000000")).text()
            await route.fulfill(status=200, body=missing, content_type="text/html")

        await page.route(f"**{where}", fails)
        await page.goto(where)
        await expect(page.locator("[data-error]")).to_be_visible()
        await page.unroute(f"**{where}")
        await page.goto(where)
        await expect(page.get_by_label("Write down something")).to_have_value(TYPED, timeout=PATIENCE)


async def test_who_signed_out_elsewhere_has_what_was_typed_here_back_after_signing_in(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await half_written(desk, context)
        where = page.url.removeprefix(desk.address)
        other = await context.new_page()
        await other.goto("/account")
        await other.get_by_role("button", name="Sign out").click()
        await other.wait_for_url("**/sign-in", timeout=PATIENCE)
        await page.get_by_role("button", name="Keep the note").click()
        await page.wait_for_url("**/sign-in?next=/**", timeout=PATIENCE)
        assert "sister" not in await page.evaluate("JSON.stringify([sessionStorage, localStorage, location.href])")
        await signed_in_anew(desk, context)
        await page.goto(where)
        await expect(page.get_by_label("Write down something")).to_have_value(TYPED, timeout=PATIENCE)


@pytest.mark.parametrize("scripted", [True, False])
async def test_who_signed_in_again_in_another_tab_loses_nothing_here(desk: Desk, scripted: bool) -> None:
    alert_id = await desk.alert()
    async with watched_context(desk.started, desk.address, width=390, script=scripted) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/alerts/{alert_id}")
        await page.get_by_label("Write down something").fill(TYPED)
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await db.execute("delete from staff_session where clinic_id = $1", db.clinic_id)
        await signed_in_anew(desk, context)
        await page.get_by_role("button", name="Keep the note").click()
        said = page.get_by_text("You have signed in again since this page was opened. Look how it stands")
        await expect(said).to_be_in_viewport(timeout=PATIENCE)
        note = page.get_by_label("Write down something")
        await expect(note).to_have_value(TYPED)
        if scripted:
            assert await note.evaluate("field => field.value !== field.defaultValue"), "half written all the same"
            assert not await faults(page)
            await note.focus()
        await page.get_by_role("button", name="Keep the note").press("Enter")
        await expect(page.get_by_text("wrote a note").or_(page.locator("q", has_text=TYPED)).first).to_be_visible()


async def test_a_page_on_which_somebody_typed_is_not_filled_in_for_whoever_signed_in_after_them(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=1440) as context:
        page = await half_written(desk, context)
        await signed_in_anew(desk, context, as_another=True)
        other = await context.new_page()
        await other.goto(page.url)
        await expect(other.get_by_text("Ada Brandt").first).to_be_visible()
        await other.get_by_label("Write down something").fill("Mine.")
        await other.get_by_role("button", name="Keep the note").click()
        await expect(other.locator("q", has_text="Mine.")).to_be_visible()
        await page.clock.fast_forward(20_000)
        await page.get_by_role("link", name="Show it").click(timeout=PATIENCE)
        told = page.get_by_role("alert").filter(has_text="Somebody else has signed in in this browser by now.")
        await expect(told).to_be_visible()
        await page.get_by_role("button", name="Keep the note").click()
        await expect(page.get_by_role("alert").filter(has_text="Copy what you typed, then reload it.")).to_be_visible()
        await expect(page.get_by_label("Write down something")).to_have_value(TYPED)
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            assert await db.value("select count(*) from alert_event where kind = 'noted'") == 1


@pytest.mark.parametrize("width", [1440, 320])
async def test_a_page_says_before_that_one_will_be_signed_out_and_one_press_goes_on(desk: Desk, width: int) -> None:
    async with watched_context(desk.started, desk.address, width=width) as context:
        page = await half_written(desk, context)
        await seen_ago(desk, 13)
        await page.clock.fast_forward(60_000)
        said = page.get_by_role("alert").filter(has_text="You will be signed out at")
        await expect(said).to_be_in_viewport(timeout=PATIENCE)
        assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert not await faults(page)
        await page.get_by_role("button", name="Go on").click()
        await expect(said).to_have_count(0, timeout=PATIENCE)
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            seen = await db.value("select max(last_seen_at) > now() - interval '1 minute' from staff_session")
        assert seen
        await expect(page.get_by_label("Write down something")).to_have_value(TYPED)
