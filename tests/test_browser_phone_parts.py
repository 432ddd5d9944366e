"""Further parts of the client's page in Chromium: moments, PIN, cover, history, languages, reminders, odd weather."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Page, Route, expect

from schemas.course import Substance
from service import database as databases
from service.facts import client_day
from tests.axe import faults
from tests.browser import until, watched_context
from tests.builders import a_client
from tests.phone_browser import (
    ARRIVED,
    SHELL_IS_KEPT,
    Here,
    answer,
    choose,
    connect_without_a_pin,
    items_of,
    no_network,
)

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

NARROW = 320


async def connect(page: Page, here: Here) -> None:
    await page.goto(f"/phone/{here.slug}#{await here.code()}")
    await connect_without_a_pin(page)
    await expect(page.locator("#check-in")).to_be_visible()


async def kinds(here: Here) -> list[tuple[str, dict[str, int], int | None]]:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        records = await db.connection.fetch(
            "select kind, craving, mood from check_in where clinic_id = $1 order by received_at", here.clinic_id
        )
    return [(record["kind"], record["craving"], record["mood"]) for record in records]


async def test_a_check_in_with_one_substance_is_four_taps(here: Here) -> None:
    async with databases.transaction(here.owner, here.clinic_id) as db:
        here.client_id = await a_client(db, now=datetime.now(UTC), substances=(Substance.ALCOHOL,))
    async with here.connected() as page:
        await page.evaluate("window.taps = 0; addEventListener('pointerdown', () => { window.taps += 1; }, true)")
        for name, value in (("craving.alcohol", 3), ("mood", 6), ("anxiety", 2)):
            await page.locator(f'.score:has(input[name="{name}"][value="{value}"])').click()
        await page.get_by_role("button", name="Send", exact=True).click()
        await expect(page.get_by_role("status")).to_contain_text(ARRIVED)
        assert await page.evaluate("window.taps") == 4
        assert [row["craving"] for row in await here.stored()] == [{"alcohol": 3}]


async def test_a_craving_is_logged_now_and_stays_beside_the_day_s_answers(here: Here) -> None:
    async with here.connected() as page:
        await page.get_by_role("button", name="Log a craving now").click()
        await choose(page, "now.cocaine", 8)
        await page.locator("#moment-form").get_by_role("button", name="Send", exact=True).click()
        await expect(page.locator("#check-in")).to_be_visible()
        await expect(page.get_by_role("status").first).to_contain_text(ARRIVED)
        await answer(page)
        await page.get_by_text("What was sent, what waits").click()
        await expect(page.locator("#log-list li")).to_have_count(2)
        await expect(page.locator("#log-list")).to_contain_text("Craving now")
        assert await kinds(here) == [("moment", {"cocaine": 8}, None), ("daily", {"cocaine": 6, "alcohol": 2}, 4)]


async def test_spanish_is_chosen_on_the_phone_and_kept_by_the_clinic_also_without_a_network(here: Here) -> None:
    async with here.connected() as page:
        await expect(page.locator("#check-in")).to_be_visible()
        async with page.expect_response("**/v1/phone-settings/language"):
            await page.get_by_role("link", name="Español").click()
        await expect(page.get_by_role("button", name="Enviar", exact=True)).to_be_visible()
        await expect(page.get_by_role("group", name="Ganas de cocaína, lo más fuerte de hoy")).to_be_visible()
        await page.get_by_text("¿Necesita ayuda ya?").click()
        await expect(page.locator("#help-card")).to_contain_text("Línea de Prevención del Suicidio")
        assert await page.evaluate("document.documentElement.lang") == "es"
        assert await faults(page) == []
        await until(page, SHELL_IS_KEPT)
        await page.context.set_offline(True)
        await page.reload()
        await expect(page.get_by_role("button", name="Enviar", exact=True)).to_be_visible()
        await page.context.set_offline(False)
    # A new phone of the same client, in an English browser: the clinic knows the language.
    async with here.page() as page:
        await page.goto(f"/phone/{here.slug}#{await here.code()}")
        await connect_without_a_pin(page)
        await expect(page.get_by_role("button", name="Enviar", exact=True)).to_be_visible()


async def test_the_page_can_be_installed_under_a_neutral_name(here: Here) -> None:
    async with here.connected() as page:
        await until(page, SHELL_IS_KEPT)
        session = await page.context.new_cdp_session(page)
        manifest = await session.send("Page.getAppManifest")
        assert manifest["errors"] == []
        assert '"name":"Neap"' in manifest["data"]
        found = await session.send("Page.getInstallabilityErrors")
        # A profile of a test is an incognito one; nothing else stands in the way.
        assert [each["errorId"] for each in found["installabilityErrors"]] in ([], ["in-incognito"])


async def test_a_server_that_goes_down_in_the_middle_of_a_batch_loses_and_doubles_nothing(here: Here) -> None:
    async with here.connected() as page:
        await page.route("**/v1/**", no_network)
        for mood in (1, 9, 5):
            await answer(page, mood=mood)
            await page.get_by_role("button", name="Answer again").click()
        await page.unroute("**/v1/**")
        tries = 0

        async def half(route: Route) -> None:
            nonlocal tries
            tries += 1
            if tries > 1:
                await route.continue_()
                return
            # The first item arrives; then the server dies, and nobody hears of it.
            await route.fetch(post_data=items_of(route.request)[:1])
            await route.abort("connectionreset")

        await page.route("**/v1/check-ins/batch", half)
        await expect(page.get_by_role("status").first).to_contain_text(ARRIVED)
        assert tries == 2
        assert sorted(str(row["mood"]) for row in await here.stored()) == ["1", "5", "9"]


@pytest.mark.parametrize("wrong_by", [timedelta(days=-400), timedelta(days=3)])
async def test_a_wrong_clock_sends_all_the_same_and_counts_by_the_server_s(here: Here, wrong_by: timedelta) -> None:
    async with here.page() as page:
        await page.clock.set_fixed_time(datetime.now(UTC) + wrong_by)
        await connect(page, here)
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        async with databases.transaction(here.owner, here.clinic_id) as db:
            counted_at = await db.value("select counted_at from check_in where clinic_id = $1", here.clinic_id)
        assert isinstance(counted_at, datetime)
        assert abs(counted_at - datetime.now(UTC)) < timedelta(minutes=5)


async def test_an_answer_keeps_the_zone_in_which_it_was_given(here: Here) -> None:
    zones = ("Pacific/Kiritimati", "Pacific/Pago_Pago")  # never on the same client day
    for zone in zones:
        async with watched_context(here.chromium, here.address, zone=zone) as context:
            page = await context.new_page()
            await connect(page, here)
            await answer(page)
            await expect(page.locator("#sent")).to_contain_text(ARRIVED)
    async with databases.transaction(here.owner, here.clinic_id) as db:
        records = await db.connection.fetch(
            "select time_zone, answered_at, client_day from check_in where clinic_id = $1 order by received_at",
            here.clinic_id,
        )
    assert [record["time_zone"] for record in records] == list(zones)
    for record in records:
        assert record["client_day"] == client_day.of(record["answered_at"], ZoneInfo(record["time_zone"]))


async def test_a_phone_whose_storage_was_cleared_asks_for_a_code_and_says_no_wrong_thing(here: Here) -> None:
    async with here.connected() as page:
        await answer(page)
        await expect(page.locator("#sent")).to_contain_text(ARRIVED)
        # The page is closed meanwhile, as while somebody is in the browser's settings.
        await page.goto("/health/live")
        session = await page.context.new_cdp_session(page)
        await session.send("Storage.clearDataForOrigin", {"origin": here.address, "storageTypes": "all"})
        await page.goto(f"/phone/{here.slug}")
        await expect(page.get_by_role("heading", name="Connect this phone")).to_be_visible()
        await expect(page.locator("#sent")).to_be_empty()
        await page.get_by_label("Code from your clinic").fill(await here.code())
        await connect_without_a_pin(page)
        await expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
        assert len(await here.stored()) == 1


async def test_a_reminder_follows_the_phone_into_another_zone(here: Here) -> None:
    zone_of = "select time_zone from phone_setting where clinic_id = $1 and next_at is not null"
    there = "America/Lima"
    async with here.connected() as page:
        await page.get_by_text("This phone", exact=True).click()
        await page.get_by_label("Every day at").fill("19:30")
        await page.get_by_role("button", name="Remind me").click()
        await expect(page.locator("#remind-said")).to_contain_text("Give an e-mail address")
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert await db.value(zone_of, here.clinic_id) not in (None, there)
        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setTimezoneOverride", {"timezoneId": there})
        async with page.expect_response("**/v1/phone-settings/reminder"):
            await page.reload()
        async with databases.transaction(here.owner, here.clinic_id) as db:
            assert await db.value(zone_of, here.clinic_id) == there


async def test_reminders_are_off_until_the_client_chooses_an_hour_and_off_again(here: Here) -> None:
    async with here.connected() as page:
        await page.get_by_text("This phone", exact=True).click()
        await expect(page.locator("#remind-said")).to_have_text("Off.")
        await page.get_by_label("Every day at").fill("19:30")
        await page.get_by_label("E-mail, where this browser").fill("someone@x.example")
        await page.get_by_role("button", name="Remind me").click()
        await expect(page.locator("#remind-said")).to_contain_text("On, at most once a day: by e-mail")
        assert await faults(page) == []
        await page.get_by_role("button", name="Turn reminders off").click()
        await expect(page.locator("#remind-said")).to_have_text("Off.")
        async with databases.transaction(here.owner, here.clinic_id) as db:
            kept = await db.value(
                "select email_sealed is null and next_at is null from phone_setting where clinic_id = $1",
                here.clinic_id,
            )
        assert kept is True
