"""The day and the hour of a reminder: by the hour that the client chose, whatever was tried when."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest

from jobs.work import Tools
from schemas.alert import Channel
from schemas.clinic import Clinic
from schemas.course import PauseReason
from service import database, reminders
from service.alerting.writing import Sending
from service.database import Pool
from service.facts import pauses
from service.notify import Message, Result, Retry
from service.people import phone_settings
from tests.builders import MASTER, NOW
from tests.push_browsers import a_browser
from tests.reminding import CHICAGO, DAY, DUE_AT, HOUR, a_reminded_client, choose, clinic, counted, run, service, tools
from tests.sinks import HookSink, MailSink

__all__ = ["clinic", "service", "tools"]

EMAIL = "someone@x.example"
MINUTE, HOURS = timedelta(minutes=1), timedelta(hours=1)
# At 19:00 nothing can be sent, nor at any of the tries after it, the last of which is made before 21:00.
TRIES = 12


class Kept(msgspec.Struct, frozen=True):
    client_day: date
    due_at: datetime
    state: str


async def kept(pool: Pool, clinic: Clinic) -> list[Kept]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        of_clinic = "select client_day, due_at, state from reminder where clinic_id = $1 order by client_day"
        return await db.rows(Kept, of_clinic, db.clinic_id)


def without_channels(tools: Tools) -> Tools:
    return Tools(tools.pool, tools.sweep, Sending({}, MASTER, "https://neap.example"))


async def test_however_often_it_was_tried_nothing_is_sent_when_the_client_s_hour_is_over(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    await a_reminded_client(owner_pool, clinic, email=EMAIL)
    for tried in range(TRIES):
        assert await run(without_channels(tools), at=DUE_AT + tried * 10 * MINUTE) == counted(failed=1), tried
    for later in (2 * HOURS, 3 * HOURS + 55 * MINUTE):
        assert await run(tools, at=DUE_AT + later) == counted()
    assert mail.messages == []
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(sent=1)
    assert [each.due_at for each in await kept(owner_pool, clinic)] == [DUE_AT, DUE_AT + timedelta(days=1)]


@pytest.mark.parametrize(
    ("again_at", "counts"),
    [(119 * MINUTE, counted(sent=1)), (120 * MINUTE, counted(late=1)), (4 * HOURS, counted(late=1))],
)
async def test_a_try_that_comes_late_is_measured_from_the_chosen_hour(
    owner_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, again_at: timedelta, counts: dict[str, int]
) -> None:
    await a_reminded_client(owner_pool, clinic, browser=a_browser(service.port))
    assert await run(without_channels(tools)) == counted(failed=1)
    assert await run(tools, at=DUE_AT + again_at) == counts
    assert [hook.headers["ttl"] for hook in service.hooks] == (["60"] if counts["sent"] else [])


async def test_a_push_service_keeps_it_no_longer_than_the_client_s_day(
    owner_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, browser=a_browser(service.port))
    at = datetime.combine(DAY + timedelta(days=1), time(3, 45), CHICAGO).astimezone(UTC)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await choose(db, client_id, time(3, 45), now=at - HOURS)
    assert await run(tools, at=at) == counted(sent=1)
    assert service.hooks[0].headers["ttl"] == str(15 * 60)


async def test_a_push_service_that_asks_for_time_gets_it(
    owner_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink
) -> None:
    service.answers = ["429 Retry-After: 3600"]
    await a_reminded_client(owner_pool, clinic, browser=a_browser(service.port))
    assert await run(tools) == counted(failed=1)
    assert await run(tools, at=DUE_AT + 59 * MINUTE) == counted()
    assert await run(tools, at=DUE_AT + 60 * MINUTE) == counted(sent=1)
    assert [hook.headers["ttl"] for hook in service.hooks] == ["7200", "3600"]


async def test_another_hour_holds_while_nothing_went_out_that_day(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic)
    assert await run(tools) == counted(unreachable=1), "there is nowhere to send it"
    assert [each.state for each in await kept(owner_pool, clinic)] == ["unreachable"]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await choose(db, client_id, time(21), email=EMAIL, now=DUE_AT + 5 * MINUTE)
    assert await run(tools, at=DUE_AT + 2 * HOURS) == counted(sent=1)
    assert [(each.due_at, each.state) for each in await kept(owner_pool, clinic)] == [(DUE_AT + 2 * HOURS, "sent")]
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await choose(db, client_id, time(22), email=EMAIL, now=DUE_AT + 2 * HOURS)
    assert await run(tools, at=DUE_AT + 3 * HOURS) == counted()
    assert len(mail.messages) == 1


async def test_another_hour_holds_after_a_pause_and_after_one_that_nobody_kept(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    paused = await a_reminded_client(owner_pool, clinic, email="paused@x.example")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        pause = await pauses.begin(db, paused, from_on=DAY, until_on=DAY, reason=PauseReason.TRAVEL, by=None, now=NOW)
    assert await run(tools) == counted(not_needed=1)
    late = await a_reminded_client(owner_pool, clinic, email="late@x.example")
    assert await run(tools, at=DUE_AT + 2 * HOURS) == counted(late=1)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute("delete from pause where clinic_id = $1 and pause_id = $2", db.clinic_id, pause.pause_id)
        for client_id, email in ((paused, "paused@x.example"), (late, "late@x.example")):
            await choose(db, client_id, time(22), email=email, now=DUE_AT + 2 * HOURS)
    assert await run(tools, at=DUE_AT + 3 * HOURS) == counted(sent=2)


async def test_an_hour_chosen_while_a_try_fails_is_the_one_that_holds(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email=EMAIL)

    class ChosenMeanwhile:
        channel, at_once, retry_after_seconds = Channel.EMAIL, 1, ()

        async def send(self, message: Message, *, now: datetime) -> Result:
            async with database.transaction(owner_pool, clinic.clinic_id) as db:
                await choose(db, client_id, time(22), email=EMAIL, now=now)
            return Retry("not now")

    busy = Tools(tools.pool, tools.sweep, Sending({Channel.EMAIL: ChosenMeanwhile()}, MASTER, "https://neap.example"))
    assert await run(busy) == counted(failed=1)
    assert await run(tools, at=DUE_AT + 10 * MINUTE) == counted()
    assert await run(tools, at=DUE_AT + 3 * HOURS) == counted(sent=1)


async def test_a_client_whose_row_cannot_be_read_holds_up_nobody(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, caplog: pytest.LogCaptureFixture
) -> None:
    broken = await a_reminded_client(owner_pool, clinic, email="broken@x.example")
    for name in ("one", "two", "three"):
        await a_reminded_client(owner_pool, clinic, email=f"{name}@x.example")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        sql = "update phone_setting set email_sealed = '\\x0102' where clinic_id = $1 and client_id = $2"
        await db.execute(sql, db.clinic_id, broken)
    assert await run(tools) == counted(sent=3, failed=1)
    told = [vars(record) for record in caplog.records if record.getMessage() == "reminder_not_readable"]
    assert [(each["clinic_id"], each["client_id"]) for each in told] == [(clinic.clinic_id, broken)]
    assert await run(tools, at=DUE_AT + HOURS) == counted(), "it is told once a day, and not every tick"
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await choose(db, broken, time(21), email="broken@x.example", now=DUE_AT + HOURS)
    assert await run(tools, at=DUE_AT + 2 * HOURS) == counted(sent=1), "given anew, it can be read"


@pytest.mark.parametrize(
    "zone", ["America/Chicago", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia", "Africa/Cairo"]
)
def test_the_chosen_hour_is_found_again_from_any_later_minute_through_a_year_of_clock_changes(zone: str) -> None:
    there = ZoneInfo(zone)
    for minutes in range(0, 24 * 60, 90):
        at = time(minutes // 60, minutes % 60)
        moment = datetime(2026, 1, 1, 13, 7, tzinfo=UTC)
        while moment < datetime(2027, 1, 1, tzinfo=UTC):
            coming = phone_settings.next_after(moment, at, there)
            assert phone_settings.latest_at(coming, at, there) == coming
            assert phone_settings.latest_at(coming - MINUTE, at, there) < coming
            assert phone_settings.latest_at(coming + reminders.LASTS, at, there) == coming
            moment = coming


async def test_an_address_that_the_mail_server_does_not_know_is_tried_once_a_day(
    owner_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    await a_reminded_client(owner_pool, clinic, email="nobody@x.example")
    for days in range(2):
        at = DUE_AT + timedelta(days=days)
        assert await run(tools, at=at) == counted(failed=1)
        assert [await run(tools, at=at + each * 10 * MINUTE) for each in range(1, TRIES)] == [counted()] * (TRIES - 1)


@pytest.mark.parametrize("answer", ["400", "401", "403", "413"])
async def test_a_push_service_that_would_say_no_each_time_is_asked_once_a_day(
    owner_pool: Pool, clinic: Clinic, tools: Tools, service: HookSink, answer: str
) -> None:
    service.answers = [answer] * TRIES
    await a_reminded_client(owner_pool, clinic, browser=a_browser(service.port))
    assert await run(tools) == counted(failed=1)
    assert [await run(tools, at=DUE_AT + each * 10 * MINUTE) for each in range(1, TRIES)] == [counted()] * (TRIES - 1)
    assert len(service.hooks) == 1
    service.answers = []
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(sent=1), "the key may be the right one again"


async def test_saving_the_same_hour_again_drops_neither_what_is_due_nor_another_try(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email="nobody@x.example")

    async def save(email: str, now: datetime) -> None:
        async with database.transaction(web_pool, clinic.clinic_id) as db:
            await choose(db, client_id, HOUR, email=email, now=now)

    await save("nobody@x.example", DUE_AT + timedelta(seconds=5))
    assert await run(without_channels(tools), at=DUE_AT + timedelta(seconds=15)) == counted(failed=1)
    await save(EMAIL, DUE_AT + 5 * MINUTE)
    assert await run(tools, at=DUE_AT + 11 * MINUTE) == counted(sent=1)
    await save(EMAIL, DUE_AT + 12 * MINUTE)
    assert await run(tools, at=DUE_AT + HOURS) == counted()
    assert [message["To"] for message in mail.messages] == [EMAIL]
