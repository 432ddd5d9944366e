"""Whose browser a message goes to: a client's connected phones, and of a phone that two have used the newer one's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, time, timedelta
from uuid import UUID

import pytest

from jobs import prune_expired
from jobs.work import Tools
from schemas.alert import Channel
from schemas.clinic import Clinic
from service import database
from service.alerting.writing import Sending
from service.database import Db, Pool
from service.notify import Disable, Message, Result, Retry
from service.people import audit, devices
from service.people.devices import DeviceClient
from tests.builders import MASTER, NOW, a_client, a_clinic, a_phone, an_answer
from tests.push_browsers import Browser, a_browser
from tests.reminding import (
    DAY,
    DUE_AT,
    HOUR,
    a_reminded_client,
    choose,
    clinic,
    counted,
    keep_browser,
    run,
    service,
    tools,
)
from tests.sinks import HookSink, MailSink

__all__ = ["clinic", "service", "tools"]

LATER = timedelta(hours=2)
EMAIL = "someone@x.example"


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


async def test_where_a_phone_took_messages_is_forgotten_within_a_day_of_its_end(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    client_id = await connect_in(web_pool, clinic, a_browser(9, "ended"))
    connected = await connect_in(web_pool, clinic, a_browser(9, "connected"))
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        of_client = "select device_id from device where clinic_id = $1 and client_id = $2"
        ended = await db.value(of_client, db.clinic_id, client_id)
        assert isinstance(ended, UUID)
        await devices.revoke(db, ended, by=audit.COMMAND, why="by_client", now=NOW)
    assert (await prune_expired.run_once(tools, clinic.clinic_id, now=NOW)).counts["browsers"] == 1
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        left = await db.connection.fetch("select client_id from phone_push where clinic_id = $1", db.clinic_id)
    assert [row["client_id"] for row in left] == [connected]


class Busy:
    """A push service that takes so long to say no that something is done meanwhile."""

    channel = Channel.PUSH
    at_once = 1
    retry_after_seconds: Sequence[float] = ()

    def __init__(self, meanwhile: Callable[[], Awaitable[None]], result: Result) -> None:
        self._meanwhile, self._result = meanwhile, result

    async def send(self, message: Message, *, now: datetime) -> Result:
        await self._meanwhile()
        return self._result


def through(tools: Tools, busy: Busy) -> Tools:
    channels = {**tools.sending.notifiers, Channel.PUSH: busy}
    return Tools(tools.pool, tools.sweep, Sending(channels, MASTER, "https://neap.example"))


async def answers(db: Db, client_id: UUID) -> None:
    await db.execute("delete from instrument_schedule where clinic_id = $1", db.clinic_id)
    await an_answer(db, client_id, DAY)


async def turns_it_off(db: Db, client_id: UUID) -> None:
    await choose(db, client_id, None, now=DUE_AT)


async def chooses_another_hour(db: Db, client_id: UUID) -> None:
    await choose(db, client_id, time(21), email=EMAIL, now=DUE_AT)


@pytest.mark.parametrize("result", [Retry("not now"), Disable("gone")])
@pytest.mark.parametrize(
    ("does", "at_nine"),
    [(answers, counted()), (turns_it_off, counted()), (chooses_another_hour, counted(sent=1))],
)
async def test_what_the_client_does_while_a_browser_is_tried_keeps_the_letter_back(
    owner_pool: Pool,
    clinic: Clinic,
    tools: Tools,
    mail: MailSink,
    result: Result,
    does: Callable[[Db, UUID], Awaitable[None]],
    at_nine: dict[str, int],
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, browser=a_browser(9), email=EMAIL)

    async def meanwhile() -> None:
        async with database.transaction(owner_pool, clinic.clinic_id) as db:
            await does(db, client_id)

    assert await run(through(tools, Busy(meanwhile, result))) == counted(not_needed=1)
    assert mail.messages == []
    assert await run(tools, at=DUE_AT + timedelta(minutes=10)) == counted()
    assert await run(through(tools, Busy(nothing, result)), at=DUE_AT + LATER) == at_nine


async def nothing() -> None:
    """Nobody does anything."""


async def test_an_address_put_right_while_a_browser_is_tried_is_the_one_that_gets_the_letter(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, browser=a_browser(9), email="wrong@x.example")

    async def meanwhile() -> None:
        async with database.transaction(web_pool, clinic.clinic_id) as db:
            await choose(db, client_id, HOUR, email=EMAIL, now=DUE_AT)

    assert await run(through(tools, Busy(meanwhile, Retry("not now")))) == counted(sent=1)
    assert mail.recipients == [EMAIL]


async def test_a_subscription_given_while_the_old_one_proves_to_be_gone_is_kept(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, browser=a_browser(service.port, "old"))

    async def meanwhile() -> None:
        async with database.transaction(web_pool, clinic.clinic_id) as db:
            device_id = await db.value("select device_id from device where clinic_id = $1", db.clinic_id)
            assert isinstance(device_id, UUID)
            await keep_browser(db, DeviceClient(device_id, client_id), a_browser(service.port, "new"))

    assert await run(through(tools, Busy(meanwhile, Disable("gone")))) == counted(failed=1)
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(sent=1)
    assert [hook.request.split()[1] for hook in service.hooks] == ["/push/new"]


async def test_a_browser_kept_before_there_were_hashes_is_forgotten_too_when_it_is_gone(
    owner_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink
) -> None:
    service.answers = ["410"]
    await a_reminded_client(owner_pool, clinic, browser=a_browser(service.port))
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute("update phone_push set endpoint_hash = null where clinic_id = $1", db.clinic_id)
    assert await run(tools) == counted(failed=1)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert await db.value("select count(*) from phone_push where clinic_id = $1", db.clinic_id) == 0
