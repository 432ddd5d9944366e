"""From the client's phone to a therapist's acknowledgement, through every process there is."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from uuid import UUID

import pyotp
import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from playwright.async_api import Page, expect

from schemas.clinic import Clinic
from schemas.staff import LinkPurpose, Role
from service import database as databases
from service.config import DatabaseUrls
from service.database import Pool
from service.notify import Template
from service.notify.texts import TEXTS
from service.people import clients, devices, one_time_links
from tests.browser import browser, environment, free_port, running, watched_context, web_process
from tests.builders import a_client, a_clinic
from tests.conftest import A_MASTER_KEY
from tests.desk import a_person

pytestmark = pytest.mark.browser

THERAPIST = "maren.holt@clinic.example"
PASSWORD = "seven quiet boats at noon"  # an invented person's
# What a message outside the inbox must not say.
HEALTH_WORDS = re.compile(
    r"ines|marlow|craving|mood|anxiety|safety|suicid|harm|ketamine|infusion|alcohol|addict|urgent|therap", re.IGNORECASE
)
MAIL_SECONDS = 45


class Mailbox:
    """An SMTP server's end: whatever arrives can be waited for."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[tuple[list[str], EmailMessage]] = asyncio.Queue()

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        self.messages.put_nowait((envelope.rcpt_tos, message))
        return "250 kept"


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[Mailbox, int]]:
    """A real SMTP server on a free port of loopback."""
    mailbox = Mailbox()
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(mailbox), "127.0.0.1", 0)
    async with server:
        yield mailbox, server.sockets[0].getsockname()[1]


async def a_client_with_a_therapist(owner: Pool) -> tuple[Clinic, UUID, str, str]:
    """Clinic, client, enrolment code, and the path of the therapist's link for choosing a password."""
    now = datetime.now(UTC)
    clinic = await a_clinic(owner, now=now)
    async with databases.transaction(owner, clinic.clinic_id) as db:
        # The day before: the client day may still be yesterday of the date in UTC.
        client_id = await a_client(db, now=now, started_on=now.date() - timedelta(days=1))
        staff_id = await a_person(db, Role.THERAPIST, email=THERAPIST)
        await clients.assign(db, client_id, staff_id, Role.THERAPIST, from_at=now)
        code = await devices.issue_code(db, client_id, by=staff_id, now=now)
        link = await one_time_links.issue(db, staff_id, LinkPurpose.SET_PASSWORD, now=now)
    return clinic, client_id, code.code, link


async def check_in_with_a_positive_safety_answer(page: Page, slug: str, code: str) -> None:
    await page.goto(f"/phone/{slug}#{code}")
    await page.get_by_role("button", name="Connect", exact=True).click()
    await page.get_by_role("button", name="Not now").click()
    for name, value in (("craving.alcohol", 8), ("mood", 1), ("anxiety", 9)):
        await page.locator(f'input[name="{name}"][value="{value}"]').check()
    await page.get_by_role("radio", name="Yes").check()
    await expect(page.get_by_role("alert").get_by_role("link", name="988")).to_be_visible()
    await page.get_by_role("button", name="Send", exact=True).click()
    await expect(page.get_by_role("status")).to_contain_text("Arrived at your clinic")


async def set_up_account(page: Page, link: str) -> list[str]:
    """Password and authenticator; the recovery codes."""
    await page.goto(link)
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_label("The same again").fill(PASSWORD)
    await page.get_by_role("button", name="Set password").click()
    secret = (await page.locator("code").first.inner_text()).replace(" ", "")
    await page.get_by_label("Six digits").fill(pyotp.TOTP(secret).now())
    await page.get_by_role("button", name="Go on").click()
    await expect(page.get_by_role("heading", name="Your recovery codes")).to_be_visible()
    return [text.strip() for text in await page.locator("main li").all_inner_texts()]


async def sign_in(page: Page, recovery_code: str) -> None:
    """From the sign-in page on, wherever it leads."""
    await page.get_by_label("E-mail").fill(THERAPIST)
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Go on").click()
    await page.get_by_label("Code").fill(recovery_code)
    await page.get_by_role("button", name="Sign in").click()


def link_in(message: EmailMessage) -> str:
    """The address in the message's text."""
    part = message.get_body(("plain",))
    assert part is not None
    found = re.search(r"https?://\S+", part.get_content())
    assert found is not None
    return found[0]


async def the_alert(mailbox: Mailbox) -> EmailMessage:
    """The message of an alert; whatever comes before it, by the hour of the day a digest, is as neutral."""
    while True:
        recipients, message = await mailbox.messages.get()
        assert recipients == [THERAPIST]
        assert not HEALTH_WORDS.search(f"{message['subject']}\n{message.get_body()}".replace(THERAPIST, ""))
        if message["subject"] == TEXTS[Template.ALERT].subject:
            return message


async def state_of_alert(owner: Pool, clinic_id: UUID) -> tuple[object, object, object]:
    async with databases.transaction(owner, clinic_id) as db:
        alert = await db.connection.fetchrow("select tier, state from alert where clinic_id = $1", clinic_id)
        delivery = await db.value(
            "select state from delivery where clinic_id = $1 and kind = 'alert' order by due_at limit 1", clinic_id
        )
    assert alert is not None
    return alert["tier"], alert["state"], delivery


async def test_a_check_in_reaches_a_therapist_who_acknowledges_it(
    database: DatabaseUrls, owner_pool: Pool, tmp_path: Path
) -> None:
    clinic, _, code, link = await a_client_with_a_therapist(owner_pool)
    async with mail_server() as (mailbox, smtp_port):
        env = environment(database, tmp_path, A_MASTER_KEY, free_port()) | {
            "NEAP_SMTP_HOST": "127.0.0.1",
            "NEAP_SMTP_PORT": str(smtp_port),
            "NEAP_SMTP_SECURITY": "none",
            "NEAP_MAIL_FROM": "neap@clinic.example",
        }
        async with web_process(env) as address, running("-m", "jobs", env=env), browser() as chromium:
            async with watched_context(chromium, address) as phone:
                await check_in_with_a_positive_safety_answer(await phone.new_page(), clinic.slug, code)
            async with asyncio.timeout(MAIL_SECONDS):
                message = await the_alert(mailbox)
            async with watched_context(chromium, address, width=1280) as desk:
                page = await desk.new_page()
                codes = await set_up_account(page, link)
                await page.get_by_role("link", name="I have kept them").click()
                await page.get_by_role("button", name="Sign out").click()
                await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
                await page.goto(link_in(message))
                await sign_in(page, codes[0])
                await expect(page.get_by_role("heading", name="Who was told")).to_be_visible()
                await page.goto("/inbox")
                alert = page.get_by_role("listitem").filter(has_text="Ines Marlow")
                await expect(alert).to_contain_text("nobody has it yet")
                await alert.get_by_role("button", name="Acknowledge").click()
                await expect(alert).to_contain_text("Maren Holt has it")
    assert await state_of_alert(owner_pool, clinic.clinic_id) == (1, "acknowledged", "opened")
