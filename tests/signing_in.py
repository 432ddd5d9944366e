"""Somebody who signs in through the front door, and what they type there."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import msgspec
import pyotp

from schemas.clinic import Clinic
from schemas.staff import LinkPurpose, Role
from service import database
from service.database import Pool
from service.people import one_time_links
from service.people.totp import STEP_SECONDS
from service.web.desk_session import COOKIE
from tests.desk import a_person

PASSWORD = "four words in a row"


EMAIL = "maren@clinic.example"


class Account(msgspec.Struct, frozen=True):
    """Somebody who finished their first sign-in."""

    clinic: Clinic
    staff_id: UUID
    secret: str
    recovery_codes: list[str]
    session: str
    first_page: str


async def a_link(pool: Pool, clinic: Clinic, staff_id: UUID, purpose: LinkPurpose = LinkPurpose.SET_PASSWORD) -> str:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return await one_time_links.issue(db, staff_id, purpose, now=datetime.now(UTC))


async def somebody(pool: Pool, clinic: Clinic, role: Role = Role.THERAPIST, *, email: str = EMAIL) -> UUID:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return await a_person(db, role, email=email)


def session_of(reply: httpx.Response) -> str:
    cookies = [header for header in reply.headers.get_list("set-cookie") if header.startswith(f"{COOKIE}=")]
    assert len(cookies) == 1, reply.text
    return cookies[0].partition("=")[2].partition(";")[0]


def as_browser(session: str) -> dict[str, str]:
    return {"Cookie": f"{COOKIE}={session}"}


def csrf_of(reply: httpx.Response) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', reply.text)
    assert found, reply.text
    return found[1]


async def an_account(
    http: httpx.AsyncClient, web_pool: Pool, clinic: Clinic, *, role: Role = Role.THERAPIST, email: str = EMAIL
) -> Account:
    """Through the front door: the link, a password, the authenticator's first code."""
    staff_id = await somebody(web_pool, clinic, role, email=email)
    link = await a_link(web_pool, clinic, staff_id)
    set_password = await http.post(link, data={"password": PASSWORD, "again": PASSWORD})
    assert set_password.headers["location"] == "/sign-in/authenticator"
    half = session_of(set_password)
    page = await http.get("/sign-in/authenticator", headers=as_browser(half))
    shown = re.search(r"<code>([A-Z2-7 ]+)</code>", page.text)
    assert shown
    secret = shown[1].replace(" ", "")
    # The code of the step before, still accepted, so that the tests have the present one to themselves.
    first = pyotp.TOTP(secret).at(datetime.now(UTC) - timedelta(seconds=STEP_SECONDS))
    done = await http.post(
        "/sign-in/authenticator", data={"csrf_token": csrf_of(page), "code": first}, headers=as_browser(half)
    )
    codes = re.findall(r"<li><code>([0-9A-Z-]{11})</code></li>", done.text)
    assert len(codes) == 10
    return Account(clinic, staff_id, secret, codes, session_of(done), done.text)


async def give_password(http: httpx.AsyncClient, *, password: str = PASSWORD, email: str = EMAIL) -> httpx.Response:
    return await http.post("/harbour/sign-in", data={"email": email, "password": password})


async def give_code(http: httpx.AsyncClient, half: str, code: str) -> httpx.Response:
    page = await http.get("/sign-in/code", headers=as_browser(half))
    return await http.post("/sign-in/code", data={"csrf_token": csrf_of(page), "code": code}, headers=as_browser(half))
