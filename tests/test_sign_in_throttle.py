"""Guessing is slowed by who is tried and from where; no stranger can shut a clinic, or a person, out."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta

import httpx
import pyotp
import pytest
from litestar import Litestar

from schemas.clinic import Clinic
from service import database, errors
from service.config import Config
from service.database import Pool
from service.people import devices
from service.people import sign_in_throttle as throttle
from service.people.sign_in_throttle import Subject
from service.web.visitors import KNOWN_COOKIE, MOST_MARKS
from tests.builders import MASTER, a_client, a_clinic
from tests.phone import Phone
from tests.signing_in import EMAIL, Account, an_account, as_browser, give_code, give_password, session_of
from tests.web import client_of, running

OFFICE, ELSEWHERE, ATTACKER = "192.0.2.7", "198.51.100.3", "203.0.113.9"


@pytest.fixture
async def application(settings: Config) -> AsyncIterator[Litestar]:
    async with running(settings) as started:
        yield started


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def account(application: Litestar, web_pool: Pool, clinic: Clinic) -> Account:
    async with client_of(application, network=OFFICE) as office:
        return await an_account(office, web_pool, clinic)


async def failed(pool: Pool, clinic: Clinic, subjects: Callable[[int], list[Subject]], *, times: int) -> int:
    """So many tries that did not work, as the front door counts them; how many were looked at."""
    looked_at = 0
    for number in range(times):
        try:
            async with database.committed_now(pool, clinic.clinic_id) as db:
                await throttle.take(db, subjects(number), now=datetime.now(UTC))
                looked_at += 1
        except errors.TooMany:
            continue
    return looked_at


def random_addresses(network: str | None = ATTACKER) -> Callable[[int], list[Subject]]:
    """Every try with another address; from everywhere where no network is given."""

    def subjects(number: int) -> list[Subject]:
        now, email, where = datetime.now(UTC), f"x{number}@clinic.example", network or f"net{number}"
        return [
            throttle.of_person_at(MASTER, email, where),
            throttle.of_person(MASTER, email, now=now),
            throttle.of_network(MASTER, where, now=now),
            throttle.of_clinic(MASTER, "sign_in", now=now),
        ]

    return subjects


def mark_of(reply: httpx.Response) -> str:
    (cookie,) = [text for text in reply.headers.get_list("set-cookie") if text.startswith(f"{KNOWN_COOKIE}=")]
    return cookie.partition("=")[2].partition(";")[0]


async def a_known_browser(http: httpx.AsyncClient, account: Account) -> str:
    """What a browser keeps of a whole sign-in."""
    half = session_of(await give_password(http))
    return mark_of(await give_code(http, half, pyotp.TOTP(account.secret).now()))


async def from_browser(http: httpx.AsyncClient, mark: str, *, password: str | None = None) -> httpx.Response:
    form = {"email": EMAIL, "password": password or "four words in a row"}
    return await http.post("/harbour/sign-in", data=form, headers={"Cookie": f"{KNOWN_COOKIE}={mark}"})


async def test_tries_with_many_addresses_lock_their_network_and_nobody_else(
    application: Litestar, account: Account, web_pool: Pool
) -> None:
    assert await failed(web_pool, account.clinic, random_addresses(), times=250) == throttle.NETWORK_FREE_TRIES
    async with client_of(application, network=ATTACKER) as attacker:
        refused = await give_password(attacker, email="another@clinic.example")
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 31
    async with client_of(application, network=ELSEWHERE) as office:
        assert (await give_password(office)).status_code == 303


async def test_a_crowded_clinic_is_slow_and_told_to_an_operator_but_never_locked(
    application: Litestar, account: Account, web_pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        times = throttle.CLINIC_FREE_TRIES + 20
        assert await failed(web_pool, account.clinic, random_addresses(None), times=times) == times
    (warning,) = [record for record in caplog.records if record.message == "many_tries_fail"]
    assert vars(warning)["clinic_id"] == account.clinic.clinic_id
    assert "@" not in caplog.text
    async with client_of(application, network=ELSEWHERE) as office:
        began = datetime.now(UTC)
        assert (await give_password(office)).status_code == 303
        assert datetime.now(UTC) - began >= timedelta(seconds=throttle.SLOWED_SECONDS)
    assert throttle.SLOWED_SECONDS <= 2


async def test_a_stranger_locks_a_person_out_of_the_strangers_network_only(
    application: Litestar, account: Account
) -> None:
    async with client_of(application, network=ATTACKER) as attacker:
        codes = [(await give_password(attacker, password="wrong wrong wrong")).status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]
        assert (await give_password(attacker)).status_code == 429
    async with client_of(application, network=ELSEWHERE) as office:
        assert (await give_password(office)).status_code == 303


async def test_one_person_tried_from_everywhere_is_locked_except_for_browsers_they_used_before(
    application: Litestar, account: Account, web_pool: Pool
) -> None:
    async with client_of(application, network=OFFICE) as office:
        mark = await a_known_browser(office, account)

        def subjects(number: int) -> list[Subject]:
            now, where = datetime.now(UTC), f"net{number // 5}"
            return [throttle.of_person_at(MASTER, EMAIL, where), throttle.of_person(MASTER, EMAIL, now=now)]

        looked_at = await failed(web_pool, account.clinic, subjects, times=throttle.PERSON_FREE_TRIES + 20)
        assert looked_at == throttle.PERSON_FREE_TRIES
        assert (await give_password(office)).status_code == 429
        assert (await from_browser(office, mark)).status_code == 303


async def test_a_known_browser_is_let_in_from_a_locked_network_and_has_a_count_of_its_own(
    application: Litestar, account: Account, web_pool: Pool
) -> None:
    async with client_of(application, network=OFFICE) as office:
        mark = await a_known_browser(office, account)
        await failed(web_pool, account.clinic, random_addresses(OFFICE), times=60)
        assert (await give_password(office)).status_code == 429
        assert (await from_browser(office, mark)).status_code == 303
        codes = [(await from_browser(office, mark, password="wrong wrong")).status_code for _ in range(6)]
        assert codes == [401] * 5 + [429]
        assert (await from_browser(office, mark)).status_code == 429


async def test_the_mark_of_a_browser_is_bound_to_clinic_and_person_and_opens_nothing(
    application: Litestar, account: Account, web_pool: Pool, owner_pool: Pool
) -> None:
    async with client_of(application, network=OFFICE) as office:
        half = session_of(await give_password(office))
        done = await give_code(office, half, pyotp.TOTP(account.secret).now())
        (cookie,) = [text for text in done.headers.get_list("set-cookie") if text.startswith(KNOWN_COOKIE)]
        attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "secure", "samesite=strict", "path=/", "max-age=31536000"} <= attributes
        assert str(account.staff_id) not in cookie
        assert account.staff_id.hex not in cookie
        alone = await office.get("/caseload", headers={"Cookie": f"{KNOWN_COOKIE}={mark_of(done)}"})
        assert alone.status_code == 303
        await failed(web_pool, account.clinic, random_addresses(OFFICE), times=60)
        other = await a_clinic(owner_pool, slug="lakeside")
        for foreign in (
            throttle.mark_of(MASTER, other.clinic_id, account.staff_id),
            throttle.mark_of(MASTER, account.clinic.clinic_id, other.clinic_id),
            "x" * 43,
            "%ED%A0%80",
        ):
            assert (await from_browser(office, foreign)).status_code == 429


async def test_a_shared_browser_keeps_the_marks_of_several_people_but_not_of_everybody(
    application: Litestar, account: Account
) -> None:
    others = [f"mark{number}" for number in range(30)]
    async with client_of(application, network=OFFICE) as office:
        half = session_of(await give_password(office))
        page = await office.get("/sign-in/code", headers=as_browser(half))
        token = page.text.split('name="csrf_token" value="')[1].partition('"')[0]
        headers = {"Cookie": f"{as_browser(half)['Cookie']}; {KNOWN_COOKIE}={'.'.join(others)}"}
        form = {"csrf_token": token, "code": pyotp.TOTP(account.secret).now()}
        kept = mark_of(await office.post("/sign-in/code", data=form, headers=headers)).split(".")
    assert kept[0] == throttle.mark_of(MASTER, account.clinic.clinic_id, account.staff_id)
    assert kept[1:] == others[: MOST_MARKS - 1]


async def test_addresses_of_one_ipv6_network_count_together(application: Litestar, account: Account) -> None:
    codes = []
    for number in range(6):
        async with client_of(application, network=f"2001:db8:1:2::{number:x}") as attacker:
            codes.append((await give_password(attacker, password="wrong wrong wrong")).status_code)
    assert codes == [401] * 5 + [429]
    async with client_of(application, network="2001:db8:1:3::1") as office:
        assert (await give_password(office)).status_code == 303


async def test_wrong_enrolment_codes_from_everywhere_slow_the_clinic_but_do_not_lock_it(
    application: Litestar, clinic: Clinic, web_pool: Pool, owner_pool: Pool
) -> None:
    await failed(web_pool, clinic, lambda _: [throttle.of_clinic(MASTER, "enrol", now=datetime.now(UTC))], times=250)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        code = await devices.issue_code(db, await a_client(db), by=None, now=datetime.now(UTC))
    async with client_of(application, network=ELSEWHERE) as http:
        assert (await Phone(http).try_enrol("harbour", code.code)).status_code == 201
