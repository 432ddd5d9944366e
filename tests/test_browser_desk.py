"""The desk in a real Chromium: by itself, without script, by keyboard, on a narrow screen."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec
import pytest
from playwright.async_api import Browser, Locator, Page, expect

from schemas.alert import Rule, Tier
from schemas.course import Substance
from schemas.staff import Role
from service import database as databases
from service.alerting import receipts
from service.demo.people import PEOPLE
from service.facts import client_day
from service.people import clients
from tests.appointments import a_given_infusion
from tests.browser import until, watched_context
from tests.builders import MASTER, a_client
from tests.desk import a_trend, a_trend_day, an_alert
from tests.desk_browser import Desk
from tests.telling import a_hard_month, a_story

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

REFRESH_MILLISECONDS = 40_000


async def test_an_alert_comes_to_an_open_inbox_by_itself(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto("/inbox")
        await expect(page.get_by_text("Nothing is open")).to_be_visible()
        await expect(page.get_by_text("Live: what changes shows at once")).to_be_visible()
        await desk.alert(Rule.SAFETY, Tier.URGENT)
        acknowledge = page.get_by_role("button", name="Acknowledge")
        await expect(acknowledge).to_be_visible(timeout=REFRESH_MILLISECONDS)
        await acknowledge.press("Enter")
        await expect(page.get_by_text("Maren Holt has it")).to_be_visible()


async def a_sent_push(desk: Desk) -> tuple[UUID, UUID, str]:
    """A push message on its way to the person's browser: its alert, its id, and what the browser decrypts."""
    alert_id = await desk.alert()
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        delivery_id = await db.value(
            "update delivery set state = 'sent', channel = 'push', attempts = 1 where alert_id = $1"
            " returning delivery_id",
            alert_id,
        )
    assert isinstance(delivery_id, UUID)
    receipt = receipts.receipt_of(MASTER, desk.clinic.clinic_id, delivery_id)
    link = f"{desk.address}/messages/{delivery_id}"
    said = {"id": delivery_id, "title": "New alert in the inbox", "body": "…", "link": link, "receipt": receipt}
    return alert_id, delivery_id, msgspec.json.encode(said).decode()


async def test_a_push_message_is_shown_and_says_that_it_has_arrived(desk: Desk, desktop_chromium: Browser) -> None:
    """As from the browser's push service, which is asked nothing here."""
    alert_id, delivery_id, said = await a_sent_push(desk)
    async with watched_context(desktop_chromium, desk.address, width=1280) as context:
        await context.grant_permissions(["notifications"])
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto("/account")
        await expect(page.get_by_role("button", name="Show messages in this browser")).to_be_visible()
        await page.evaluate(
            """async () => {
              const made = await navigator.serviceWorker.register("/messages/worker.js", { scope: "/messages/" });
              const worker = made.installing || made.waiting || made.active;
              await new Promise((done) => worker.state === "activated" ? done()
                : worker.addEventListener("statechange", () => worker.state === "activated" && done()));
            }"""
        )
        devtools = await context.new_cdp_session(page)
        registered: asyncio.Queue[str] = asyncio.Queue()

        def note(event: dict[str, list[dict[str, str]]]) -> None:
            registered.put_nowait(event["registrations"][0]["registrationId"])

        devtools.on("ServiceWorker.workerRegistrationUpdated", note)
        await devtools.send("ServiceWorker.enable")
        async with asyncio.timeout(10):
            worker = {"origin": desk.address, "registrationId": await registered.get(), "data": said}
        await devtools.send("ServiceWorker.deliverPushMessage", worker)
        state = f"async () => (await (await fetch('/v1/alerts/{alert_id}/deliveries')).json()).items[0].state"
        await until(page, f"async () => await ({state})() === 'delivered'")
        shown = await page.evaluate(
            """async () => (await (await navigator.serviceWorker.getRegistration("/messages/")).getNotifications())
              .map((each) => [each.title, each.tag, each.data.link])"""
        )
        assert shown == [["New alert in the inbox", str(delivery_id), f"{desk.address}/messages/{delivery_id}"]]
        await page.goto(f"/messages/{delivery_id}")
        await expect(page.get_by_text("browser sent")).to_contain_text("opened")


async def test_an_alert_is_worked_through_without_script_and_by_keyboard(desk: Desk) -> None:
    await desk.alert()
    async with watched_context(desk.started, desk.address, width=390, script=False) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto("/caseload")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the page")).to_be_focused()
        await page.get_by_role("link", name="Craving 2.1 points above usual").press("Enter")
        await page.get_by_role("button", name="Acknowledge").press("Enter")
        await expect(page.get_by_text("acknowledged by Maren Holt")).to_be_visible()
        await page.get_by_label("Write down something").fill("Reached in the evening.")
        await page.get_by_role("button", name="Called the client").press("Enter")
        await expect(page.get_by_text("Reached in the evening.")).to_be_visible()
        await page.goto("/inbox")
        await expect(page.get_by_text("Nothing is open")).to_be_visible()


async def middle_of(button: Locator) -> tuple[float, float]:
    place = await button.bounding_box()
    assert place is not None
    return place["x"] + place["width"] / 2, place["y"] + place["height"] / 2


@pytest.mark.parametrize("script", [True, False])
async def test_an_acknowledgement_is_taken_back_from_the_inbox_and_from_the_alert(desk: Desk, script: bool) -> None:
    alert_id = await desk.alert()
    async with watched_context(desk.started, desk.address, width=390, script=script) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for address in ("/inbox", f"/alerts/{alert_id}"):
            await page.goto(address)
            acknowledge, undo = (page.get_by_role("button", name=each) for each in ("Acknowledge", "Undo"))
            pressed = await middle_of(acknowledge)
            await acknowledge.click()
            await expect(page.get_by_text("You have taken it on.")).to_be_visible()
            there = await undo.bounding_box()
            assert there is not None
            across = there["x"] < pressed[0] < there["x"] + there["width"]
            down = there["y"] < pressed[1] < there["y"] + there["height"]
            assert not (across and down), "whoever presses twice takes nothing back"
            await undo.click()
            await expect(page.get_by_role("button", name="Acknowledge")).to_be_visible()
            assert page.url == desk.address + address
        await expect(page.get_by_text("given back by Maren Holt: it goes on where it stood")).to_have_count(2)


@pytest.mark.parametrize("script", [True, False])
async def test_whoever_comes_back_to_a_caseload_finds_it_as_it_was_asked_for(desk: Desk, script: bool) -> None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_client(db, given_name="Ole", family_name="Marlow")
    async with watched_context(desk.started, desk.address, width=1440, script=script) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto("/caseload")
        await page.get_by_label("Status").select_option("not_on_track")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_text("1 of 2 shown.")).to_be_visible()
        await page.get_by_role("link", name="Featherstonehaugh").first.click()
        await expect(page.get_by_role("heading", name="Bartholomew")).to_be_visible()
        await page.go_back()
        await expect(page.get_by_text("1 of 2 shown.")).to_be_visible()
        await expect(page.get_by_label("Status")).to_have_value("not_on_track")
        await page.get_by_label("Name").fill("featherstone")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_label("Name")).to_have_value("featherstone")
        assert "featherstone" not in page.url
        await page.get_by_role("link", name="Featherstonehaugh").first.click()
        await expect(page.get_by_role("heading", name="Bartholomew")).to_be_visible()
        await page.go_back()
        await expect(page.get_by_label("Name")).to_have_value("featherstone")


async def test_what_can_be_taken_back_is_in_sight_and_one_tab_away_and_a_live_list_keeps_the_focus(desk: Desk) -> None:
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        for number in range(12):
            client_id = await a_client(db, given_name=f"Client{number}", family_name="Marlow")
            await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
            await an_alert(db, client_id)
    async with watched_context(desk.started, desk.address, width=390) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto("/inbox")
        last = page.get_by_role("listitem").filter(has=page.get_by_role("button", name="Acknowledge")).last
        name = await last.get_by_role("link").first.inner_text()
        await last.get_by_role("button", name="Acknowledge").press("Enter")
        told = page.get_by_text("You have taken it on.")
        await expect(told).to_be_focused()
        await expect(told).to_be_in_viewport()
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("button", name="Undo")).to_be_focused()
        link = page.get_by_role("link", name=name, exact=True)
        await link.focus()
        await desk.alert(Rule.SAFETY, Tier.URGENT)
        await expect(page.get_by_role("button", name="1 new urgent alert")).to_be_visible(timeout=REFRESH_MILLISECONDS)
        await expect(link).to_be_focused()


async def test_what_is_taken_back_is_offered_for_ten_seconds(desk: Desk) -> None:
    await desk.alert()
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto("/inbox")
        await page.get_by_role("button", name="Acknowledge").click()
        await expect(page.get_by_role("button", name="Undo")).to_be_visible()
        await page.clock.fast_forward(10_000)
        await expect(page.get_by_role("button", name="Undo")).to_have_count(0)
        await expect(page.get_by_text("Maren Holt has it")).to_be_visible()


async def test_who_is_about_to_take_something_back_is_offered_it_for_as_long_as_it_can_be(desk: Desk) -> None:
    await desk.alert()
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto("/inbox")
        await page.get_by_role("button", name="Acknowledge").click()
        undo = page.get_by_role("button", name="Undo")
        await undo.focus()
        await page.clock.run_for(40_000)
        await expect(undo).to_be_visible()
        await page.clock.run_for(21_000)
        await expect(undo).to_have_count(0)


async def test_no_page_scrolls_sideways_at_320_pixels_and_the_charts_are_drawn(desk: Desk) -> None:
    alert_id = await desk.alert()
    client = f"/clients/{desk.client_id}"
    addresses = ["/caseload", "/inbox", f"/alerts/{alert_id}", client, f"{client}/manage", "/clients/new", "/docs"]
    addresses += ["/inbox/history", "/staff", "/settings", "/operator", "/account", "/harbour/sign-in", "/sign-in"]
    async with watched_context(desk.started, desk.address, width=320, height=640) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for address in addresses:
            await page.goto(address)
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320, address
        await page.goto(client)
        drawn = page.get_by_role("img", name="Craving, mood and anxiety")
        await expect(drawn).to_be_visible()
        await expect(drawn).to_have_js_property("complete", True)
        assert await drawn.evaluate("image => image.naturalWidth") > 300
        assert await drawn.evaluate("image => image.currentSrc.includes('shape=narrow')")


async def test_a_desk_whose_session_ended_is_cleared_by_itself(desk: Desk) -> None:
    async with watched_context(desk.started, desk.address, width=1440) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.clock.install()
        await page.goto("/inbox")
        async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
            await db.execute("update staff_session set last_seen_at = now() - interval '16 minutes'")
        # What asks by itself does so every twenty seconds.
        await page.clock.fast_forward(25_000)
        await page.wait_for_url("**/sign-in?ended=idle&next=/inbox", timeout=REFRESH_MILLISECONDS)
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_the_brief_prints_on_one_sheet_and_fits_a_phone(desk: Desk) -> None:
    today = client_day.of(datetime.now(UTC), ZoneInfo("America/Chicago"))
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_client(db, given_name="Ines", family_name="Marlow")
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
        await a_story(db, client_id, today)
    async with watched_context(desk.started, desk.address, width=320) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for brief_for in ("therapy", "infusion"):
            await page.goto(f"/clients/{client_id}/brief?for={brief_for}")
            assert await page.evaluate("document.documentElement.scrollWidth") <= 320
            printed = await page.pdf(format="A4", margin={"top": "15mm", "bottom": "15mm"})
            assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1, f"one sheet for {brief_for}"


async def test_the_brief_of_a_very_bad_month_prints_on_one_sheet(desk: Desk) -> None:
    today = client_day.of(datetime.now(UTC), ZoneInfo("America/Chicago"))
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        substances = [Substance.ALCOHOL, Substance.COCAINE]
        client_id = await a_client(db, given_name="Ines", family_name="Marlow", substances=substances)
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=datetime.now(UTC))
        await a_hard_month(db, client_id, today)
    async with watched_context(desk.started, desk.address) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/clients/{client_id}/brief?for=therapy")
        said = await page.locator("main").inner_text()
        assert "Yes to the safety question" in said
        assert "Best day" in said
        printed = await page.pdf(format="A4", margin={"top": "10mm", "bottom": "10mm", "left": "10mm", "right": "10mm"})
        assert len(re.findall(rb"/Type\s*/Page\b", printed)) == 1


async def test_a_clients_page_shows_its_charts_above_the_fold_and_prints_on_one_sheet(desk: Desk) -> None:
    today = client_day.of(datetime.now(UTC), ZoneInfo("America/Chicago"))
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await a_story(db, desk.client_id, today)
    async with watched_context(desk.started, desk.address, width=1440, height=900) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        await page.goto(f"/clients/{desk.client_id}")
        drawn = page.get_by_role("img", name="Craving, mood and anxiety")
        await expect(drawn).to_have_js_property("complete", True)
        place = await drawn.bounding_box()
        assert place is not None
        assert place["y"] < 700, "the charts carry the page"
        assert await sheets(page) == 1
        for of_the_client in ("treatment", "sessions", "instruments"):
            await page.goto(f"/clients/{desk.client_id}/{of_the_client}")
            assert await sheets(page) == 1, of_the_client


async def test_a_caseload_of_25_and_an_inbox_of_ten_print_on_one_sheet(desk: Desk) -> None:
    now = datetime.now(UTC)
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        days = [a_trend_day((now - timedelta(days=30 - day)).date(), craving=3) for day in range(30)]
        # One long word would make room for everybody's name.
        await db.execute("update client set given_name = 'Bea', family_name = 'Moss'")
        for number, person in enumerate(PEOPLE):
            client_id = await a_client(
                db,
                given_name=person.given_name,
                family_name=person.family_name,
                substances=list(person.substances),
            )
            await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=now)
            await a_trend(db, client_id, days)
            await a_given_infusion(db, client_id, hours_ago=24 * number)
            if number < 10:
                await an_alert(db, client_id)
    async with watched_context(desk.started, desk.address, width=1280) as context:
        await desk.sign_in(context)
        page = await context.new_page()
        for address in ("/caseload", "/inbox"):
            await page.goto(address)
            assert await sheets(page) == 1, address
        # Reasons of three lines fit only where names leave the lines to them: A4 without its margins, at 96 dpi.
        await page.set_viewport_size({"width": 718, "height": 1000})
        await page.emulate_media(media="print")
        await page.goto("/caseload")
        names = page.get_by_role("rowheader").get_by_role("link")
        lines = await names.evaluate_all("links => links.map(link => [link.innerText, link.getClientRects().length])")
        assert [name for name, count in lines if count > 1] == []


async def sheets(page: Page) -> int:
    """How many sheets of A4 a page prints on, with the margins that printers leave."""
    printed = await page.pdf(format="A4", margin={"top": "10mm", "bottom": "10mm", "left": "10mm", "right": "10mm"})
    return len(re.findall(rb"/Type\s*/Page\b", printed))


async def test_the_table_of_values_stands_whole_in_the_page_and_one_that_goes_on_beyond_shows_an_edge(
    desk: Desk,
) -> None:
    now = datetime.now(UTC)
    async with databases.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_client(db, given_name="Ines")
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=now)
        days = [(now - timedelta(days=30 - day)).date() for day in range(30)]
        await a_trend(db, client_id, [a_trend_day(day, craving=None if n == 20 else 3) for n, day in enumerate(days)])
    for width in (1440, 390, 320):
        async with watched_context(desk.started, desk.address, width=width) as context:
            await desk.sign_in(context)
            page = await context.new_page()
            await page.goto(f"/clients/{client_id}")
            await page.get_by_text("All values as a table").click()
            values = page.get_by_role("region", name="Values by client day")
            await expect(values.get_by_role("row")).to_have_count(31)
            for side in ("Width", "Height"):
                assert await values.evaluate(f"region => region.scroll{side} <= region.client{side}"), (side, width)
            assert "gradient" in await values.evaluate("region => getComputedStyle(region).backgroundImage")
            place = await values.get_by_text("no answer").bounding_box()
            assert place is not None
            assert place["x"] + place["width"] <= width
