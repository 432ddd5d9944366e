"""Reminders: at the client's own hour, by push with e-mail behind it, once a client day, and only of the page."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta

import pytest

from jobs.work import Tools
from schemas.alert import Channel
from schemas.clinic import Clinic
from schemas.course import PauseReason
from service import database, reminders
from service.alerting.writing import Sending
from service.database import Pool
from service.facts import pauses
from service.notify import Message, Result
from service.notify.email import Email
from service.people import phone_settings
from tests.builders import MASTER, NOW
from tests.push_browsers import a_browser
from tests.reminding import (
    CHICAGO,
    DAY,
    DUE_AT,
    a_reminded_client,
    choose,
    clinic,
    counted,
    impatient,
    run,
    service,
    tools,
)
from tests.sinks import HookSink, MailSink
from tests.wording import WORDS

__all__ = ["clinic", "impatient", "service", "tools"]


async def test_a_browser_is_told_at_the_client_s_hour_in_their_language_without_a_word_of_health(
    owner_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    browser = a_browser(service.port)
    await a_reminded_client(owner_pool, clinic, browser=browser, email="someone@x.example", language="es")
    assert await run(tools, at=DUE_AT - timedelta(seconds=1)) == counted()
    assert await run(tools) == counted(sent=1)
    (hook,) = service.hooks
    shown = browser.read(hook)
    assert shown["title"] == "Su página está lista"
    assert shown["link"] == f"https://neap.example/phone/{clinic.slug}"
    said = f"{shown['title']} {shown['body']}".lower()
    assert [word for word in WORDS["es"] if word in said] == []
    assert int(hook.headers["ttl"]) == reminders.LASTS.total_seconds()
    assert mail.messages == []


async def test_who_has_no_browser_is_told_by_e_mail_and_the_next_day_again(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    await a_reminded_client(owner_pool, clinic, email="someone@x.example")
    assert await run(tools) == counted(sent=1)
    assert await run(tools, at=DUE_AT + timedelta(hours=1)) == counted()
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(sent=1)
    assert [message["To"] for message in mail.messages] == ["someone@x.example"] * 2


async def test_a_browser_that_is_gone_is_forgotten_and_the_e_mail_goes_at_once(
    owner_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    service.answers = ["410"]
    await a_reminded_client(owner_pool, clinic, browser=a_browser(service.port), email="someone@x.example")
    assert await run(tools) == counted(sent=1)
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(sent=1)
    assert len(service.hooks) == 1
    assert len(mail.messages) == 2


async def test_two_runs_at_once_and_a_changed_hour_give_one_reminder_a_day(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email="someone@x.example")
    await asyncio.gather(*(run(tools) for _ in range(3)))
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await choose(db, client_id, time(20), email="someone@x.example", now=DUE_AT + timedelta(minutes=5))
    await run(tools, at=DUE_AT + timedelta(hours=1))
    assert len(mail.messages) == 1


class Killed(BaseException):
    """What ends a process in the middle."""


class Dying:
    """A channel in whose hands the process dies, before or after the message is out."""

    channel = Channel.EMAIL
    at_once = 1
    retry_after_seconds: Sequence[float] = ()

    async def send(self, message: Message, *, now: datetime) -> Result:
        raise Killed


async def test_a_run_killed_while_it_sends_leaves_no_second_reminder_for_that_day(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    await a_reminded_client(owner_pool, clinic, email="someone@x.example")
    dying = Tools(tools.pool, tools.sweep, Sending({Channel.EMAIL: Dying()}, MASTER, "https://neap.example"))
    with pytest.raises(BaseException) as ended:  # noqa: PT011 - the group around what killed it
        await run(dying)
    assert isinstance(ended.value, BaseExceptionGroup)
    for minutes in (1, 30, 100):
        assert await run(tools, at=DUE_AT + timedelta(minutes=minutes)) == counted()
    assert mail.messages == []
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(sent=1)


async def test_what_is_known_to_have_failed_is_tried_again_while_the_hour_is_still_the_client_s(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    await a_reminded_client(owner_pool, clinic, email="someone@x.example")
    nowhere = Tools(tools.pool, tools.sweep, Sending({}, MASTER, "https://neap.example"))
    assert await run(nowhere) == counted(failed=1)
    assert await run(tools, at=DUE_AT + timedelta(minutes=9)) == counted()
    assert await run(tools, at=DUE_AT + timedelta(minutes=10)) == counted(sent=1)
    assert await run(tools, at=DUE_AT + timedelta(minutes=30)) == counted()
    assert len(mail.messages) == 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("email", [None, "someone@x.example"])
async def test_a_push_whose_answer_is_lost_is_the_reminder_of_that_day(
    owner_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink, email: str | None
) -> None:
    service.answers = [None]
    await a_reminded_client(owner_pool, clinic, browser=a_browser(service.port), email=email)
    assert await run(tools) == counted(perhaps_sent=1)
    for minutes in (10, 20, 110):
        assert await run(tools, at=DUE_AT + timedelta(minutes=minutes)) == counted()
    assert len(service.hooks) == 1
    assert mail.messages == []
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(sent=1)
    assert len(service.hooks) == 2
    first, second = (hook.headers["topic"] for hook in service.hooks)
    assert first != second


@pytest.mark.usefixtures("impatient")
async def test_an_e_mail_whose_answer_is_lost_is_the_reminder_of_that_day(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    mail.answers = [None]
    await a_reminded_client(owner_pool, clinic, email="someone@x.example")
    assert await run(tools) == counted(perhaps_sent=1)
    for minutes in (10, 20, 110):
        assert await run(tools, at=DUE_AT + timedelta(minutes=minutes)) == counted()
    assert len(mail.messages) == 1


@pytest.mark.usefixtures("impatient")
async def test_an_e_mail_of_which_nothing_left_is_tried_again(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    mail.before_354 = True
    await a_reminded_client(owner_pool, clinic, email="someone@x.example")
    assert await run(tools) == counted(failed=1)
    mail.before_354 = False
    assert await run(tools, at=DUE_AT + timedelta(minutes=10)) == counted(sent=1)
    assert len(mail.messages) == 1


async def test_what_was_answered_with_a_no_is_tried_again_under_the_same_id(
    owner_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, mail: MailSink
) -> None:
    browser = a_browser(service.port)
    service.answers, mail.answers = ["503"], ["451 Later"]
    client_id = await a_reminded_client(owner_pool, clinic, browser=browser, email="someone@x.example")
    assert await run(tools) == counted(failed=1)
    assert await run(tools, at=DUE_AT + timedelta(minutes=10)) == counted(sent=1)
    the_one = reminders.id_of(clinic.clinic_id, client_id, DAY)
    assert [browser.read(hook)["id"] for hook in service.hooks] == [str(the_one)] * 2
    assert len({hook.headers["topic"] for hook in service.hooks}) == 1
    assert mail.messages == []


async def test_an_e_mail_tried_again_looks_as_it_did(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    refusing = MailSink(answers=["451 Later"])
    await a_reminded_client(owner_pool, clinic, email="someone@x.example")
    seen: list[Message] = []

    class Watched(Email):
        async def send(self, message: Message, *, now: datetime) -> Result:
            seen.append(message)
            return await super().send(message, now=now)

    mail.answers = refusing.answers
    watched = Watched(
        host="127.0.0.1", port=mail.port, security="none", sender="neap@x.example", user=None, password=None
    )
    sending = Tools(tools.pool, tools.sweep, Sending({Channel.EMAIL: watched}, MASTER, "https://neap.example"))
    assert await run(sending) == counted(failed=1)
    assert await run(sending, at=DUE_AT + timedelta(minutes=10)) == counted(sent=1)
    first, second = (watched.written(message).as_bytes() for message in seen)
    assert first == second


async def test_nobody_is_reminded_late(owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink) -> None:
    await a_reminded_client(owner_pool, clinic, email="someone@x.example")
    assert await run(tools, at=DUE_AT + reminders.LASTS + timedelta(seconds=1)) == counted(late=1)
    assert mail.messages == []
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(sent=1)


async def test_nobody_is_reminded_on_a_pause_or_after_turning_it_off_or_without_a_phone(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    paused = await a_reminded_client(owner_pool, clinic, email="paused@x.example")
    turned_off = await a_reminded_client(owner_pool, clinic, email="off@x.example")
    without = await a_reminded_client(owner_pool, clinic, email="without@x.example")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await pauses.begin(db, paused, from_on=DAY, until_on=DAY, reason=PauseReason.TRAVEL, by=None, now=NOW)
        await choose(db, turned_off, None, now=NOW)
        await db.execute(
            "update device set revoked_at = $2, revoked_why = 'by_client' where clinic_id = $1 and client_id = $3",
            db.clinic_id,
            NOW,
            without,
        )
    assert await run(tools) == counted(not_needed=2)
    assert mail.messages == []


@pytest.mark.parametrize(
    ("after", "at", "instant"),
    [
        # The clocks of Chicago go from 02:00 to 03:00 on 8 March 2026, and twice through 01:30 on 1 November.
        (datetime(2026, 3, 7, 12, tzinfo=UTC), time(2, 30), datetime(2026, 3, 8, 8, 30, tzinfo=UTC)),
        (datetime(2026, 11, 1, 0, tzinfo=UTC), time(1, 30), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),
        (datetime(2026, 11, 1, 6, 30, tzinfo=UTC), time(1, 30), datetime(2026, 11, 2, 7, 30, tzinfo=UTC)),
        (datetime(2026, 11, 26, 0, 59, tzinfo=UTC), time(19), datetime(2026, 11, 26, 1, tzinfo=UTC)),
    ],
)
def test_the_next_reminder_is_once_a_local_day_through_clock_changes(
    after: datetime, at: time, instant: datetime
) -> None:
    assert phone_settings.next_after(after, at, CHICAGO) == instant
