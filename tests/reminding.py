"""Clients who asked to be reminded at 19:00 of Chicago, and the job that reminds them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from jobs import send_reminders
from jobs.work import Tools
from schemas.clinic import Clinic
from service import database
from service.database import Db, Pool
from service.facts import client_day
from service.notify import email as email_channel
from service.notify import outward
from service.people import phone_settings
from service.people.devices import DeviceClient
from service.reminders import Reminded
from tests.builders import MASTER, NOW, a_client, a_clinic, a_phone
from tests.push_browsers import Browser, push_and_email
from tests.sinks import HookSink, MailSink, a_hook_sink

CHICAGO = ZoneInfo("America/Chicago")
# The evening before the first of these reminders; the client chose 19:00 of their own clock.
DAY = client_day.of(NOW, CHICAGO) + timedelta(days=1)
HOUR = time(19)
DUE_AT = datetime.combine(DAY, HOUR, CHICAGO).astimezone(UTC)


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def service() -> AsyncIterator[HookSink]:
    async with a_hook_sink() as sink:
        yield sink


@pytest.fixture
async def tools(jobs_pool: Pool, sweep_pool: Pool, service: HookSink, mail: MailSink) -> Tools:
    return Tools(jobs_pool, sweep_pool, push_and_email(push_port=service.port, mail_port=mail.port))


async def a_reminded_client(
    pool: Pool, clinic: Clinic, *, browser: Browser | None = None, email: str | None = None, language: str = "en"
) -> UUID:
    """A client with a phone who asked yesterday to be reminded at 19:00 of Chicago."""
    async with database.transaction(pool, clinic.clinic_id) as db:
        client_id = await a_client(db, now=NOW)
        phone = await a_phone(db, client_id, now=NOW)
        await phone_settings.choose_language(db, client_id, language, now=NOW)
        if browser is not None:
            whose = DeviceClient(phone.device_id, client_id)
            await keep_browser(db, whose, browser)
        await choose(db, client_id, HOUR, email=email, now=DUE_AT - timedelta(hours=1))
    return client_id


async def keep_browser(db: Db, whose: DeviceClient, browser: Browser) -> None:
    await phone_settings.keep_push(db, MASTER, whose, browser.subscription, endpoint=browser.endpoint, now=NOW)


async def choose(db: Db, client_id: UUID, at: time | None, *, email: str | None = None, now: datetime) -> None:
    await phone_settings.choose_reminder(
        db, MASTER, client_id, remind_time=at, time_zone=CHICAGO.key, zone=CHICAGO, email=email, now=now
    )


async def run(tools: Tools, *, at: datetime = DUE_AT) -> dict[str, int]:
    """A run while the clock stands still."""
    return dict((await send_reminders.run_once(tools, now=at, clock_from=lambda now: lambda: now)).counts)


def counted(**counts: int) -> dict[str, int]:
    return dict.fromkeys(Reminded.__struct_fields__, 0) | counts


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (outward, email_channel):
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.3)
