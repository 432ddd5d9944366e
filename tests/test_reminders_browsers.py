"""Whose browser a message goes to: a client's connected phones, and of a phone that two have used the newer one's."""

from __future__ import annotations

from datetime import time, timedelta
from uuid import UUID

from jobs.work import Tools
from schemas.clinic import Clinic
from service import database
from service.database import Pool
from service.people.devices import DeviceClient
from tests.builders import NOW, a_client, a_clinic, a_phone
from tests.push_browsers import Browser, a_browser
from tests.reminding import DUE_AT, a_reminded_client, choose, clinic, counted, keep_browser, run, service, tools
from tests.sinks import HookSink, MailSink

__all__ = ["clinic", "service", "tools"]

LATER = timedelta(hours=2)


async def connect_in(pool: Pool, clinic: Clinic, browser: Browser, client_id: UUID | None = None) -> UUID:
    """A phone that is connected in a browser that may have been another's; whose it is."""
    async with database.transaction(pool, clinic.clinic_id) as db:
        client_id = client_id or await a_client(db, now=NOW)
        phone = await a_phone(db, client_id, now=NOW)
        await keep_browser(db, DeviceClient(phone.device_id, client_id), browser)
    return client_id


async def test_a_phone_that_two_clients_used_shows_the_newer_one_s_reminders_only(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    shared = a_browser(service.port)
    await a_reminded_client(owner_pool, clinic, browser=shared, email="first@x.example", language="es")
    second = await connect_in(web_pool, clinic, shared)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await choose(db, second, time(21), now=DUE_AT - timedelta(hours=1))
    assert await run(tools) == counted(sent=1)
    assert service.hooks == [], "the first one's goes by e-mail"
    assert [message["To"] for message in mail.messages] == ["first@x.example"]
    assert await run(tools, at=DUE_AT + LATER) == counted(sent=1)
    assert [shared.read(hook)["title"] for hook in service.hooks] == ["Your page is ready"]


async def test_a_client_who_connected_again_in_the_same_browser_is_told_there_once(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink
) -> None:
    browser = a_browser(service.port)
    client_id = await a_reminded_client(owner_pool, clinic, browser=browser)
    await connect_in(web_pool, clinic, browser, client_id)
    assert await run(tools) == counted(sent=1)
    assert len(service.hooks) == 1


async def test_another_browser_of_the_client_is_told_too_and_one_that_refuses_brings_no_letter(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    service.answers = ["404", "204"]
    client_id = await a_reminded_client(
        owner_pool, clinic, browser=a_browser(service.port, "one"), email="someone@x.example"
    )
    await connect_in(web_pool, clinic, a_browser(service.port, "two"), client_id)
    assert await run(tools) == counted(sent=1)
    assert len(service.hooks) == 2
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(sent=1)
    assert len(service.hooks) == 3, "the one that is gone is forgotten"
    assert mail.messages == []


async def test_a_browser_is_known_within_one_clinic_only(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink
) -> None:
    browser = a_browser(service.port)
    await a_reminded_client(owner_pool, clinic, browser=browser)
    other = await a_clinic(owner_pool, slug="cove")
    await connect_in(web_pool, other, browser)
    assert await run(tools) == counted(sent=1)
    hashes = "select endpoint_hash from phone_push where clinic_id = $1"
    kept = []
    for each in (clinic, other):
        async with database.transaction(owner_pool, each.clinic_id) as db:
            kept.append(await db.value(hashes, db.clinic_id))
    assert None not in kept
    assert kept[0] != kept[1]


async def test_turning_reminders_off_leaves_no_address_behind(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, service: HookSink
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, browser=a_browser(service.port), email="someone@x.example")
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await choose(db, client_id, None, now=NOW)
        left = "select (select count(*) from phone_push where clinic_id = $1) + count(email_sealed) from phone_setting"
        assert await db.value(left, db.clinic_id) == 0
