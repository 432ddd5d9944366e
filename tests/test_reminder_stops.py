"""The way out of reminders by e-mail that each letter holds: for a stranger, too, and for their mail program."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest

from jobs.work import Tools
from schemas.clinic import Clinic
from service import database
from service.config import Config
from service.database import Pool
from service.people import phone_settings, reminder_stops
from tests.builders import MASTER
from tests.reminding import DUE_AT, a_reminded_client, clinic, counted, run, service, tools
from tests.sinks import MailSink
from tests.web import serving

__all__ = ["clinic", "service", "tools"]

TO = "someone@x.example"


@pytest.fixture
async def http(settings: Config) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings) as client:
        yield client


async def kept(owner: Pool, clinic: Clinic, client_id: UUID) -> str | None:
    async with database.transaction(owner, clinic.clinic_id) as db:
        sealed = (await phone_settings.of(db, client_id)).email_sealed
        return await phone_settings.email_of(db, MASTER, client_id, sealed)


def link_in(letter: str) -> str:
    found = re.search(r"https://neap\.example(/reminders/\S+)", letter)
    assert found
    return found[1]


async def test_whoever_gets_a_letter_ends_them_by_the_button_of_its_page(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, http: httpx.AsyncClient
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email=TO, language="es")
    await run(tools)
    [letter] = mail.messages
    link = link_in(letter.get_content())
    page = await http.get(link)
    assert "¿No quiere más mensajes de estos?" in page.text
    assert page.headers["referrer-policy"] == "no-referrer"
    assert await kept(owner_pool, clinic, client_id) == TO, "whatever looks at links on the way ends nothing"
    for _ in range(2):
        assert "No se envía nada más" in (await http.post(link)).text
    assert await kept(owner_pool, clinic, client_id) is None
    assert await run(tools, at=DUE_AT + timedelta(days=1)) == counted(unreachable=1)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        told = "select count(*) from audit_event where clinic_id = $1 and client_id = $2 and action = $3"
        assert await db.value(told, db.clinic_id, client_id, "reminder.stop_email") == 1


async def test_a_mail_program_ends_them_by_itself(
    owner_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, http: httpx.AsyncClient
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email=TO)
    await run(tools)
    [letter] = mail.messages
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    raw = mail.raw[0].decode()
    assert re.search(r"^List-Unsubscribe: <https://neap\.example/reminders/[^ >]+>\r$", raw, re.MULTILINE), "no folds"
    address = urlsplit(letter["List-Unsubscribe"].strip("<>"))
    reply = await http.post(f"{address.path}?{address.query}", data={"List-Unsubscribe": "One-Click"})
    assert reply.status_code == 200
    assert await kept(owner_pool, clinic, client_id) is None


async def test_a_link_ends_letters_to_its_own_address_and_to_nobody_else(
    owner_pool: Pool, clinic: Clinic, http: httpx.AsyncClient
) -> None:
    client_id = await a_reminded_client(owner_pool, clinic, email=TO)
    for path in (
        reminder_stops.path_of(MASTER, clinic.clinic_id, client_id, "before@x.example"),
        reminder_stops.path_of(MASTER, clinic.clinic_id, UUID(int=7), TO).replace(str(UUID(int=7)), str(client_id)),
    ):
        assert (await http.post(path)).status_code == 200
    assert await kept(owner_pool, clinic, client_id) == TO
    whole = reminder_stops.path_of(MASTER, clinic.clinic_id, client_id, TO)
    for method in ("GET", "POST"):
        cut = await http.request(method, whole[:-1])
        assert (cut.status_code, "Copy all of it" in cut.text) == (404, True)
    assert await kept(owner_pool, clinic, client_id) == TO
