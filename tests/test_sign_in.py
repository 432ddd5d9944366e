"""Signing in, over HTTP against the real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import msgspec
import pyotp
import pytest

from schemas.clinic import Clinic
from schemas.staff import LinkPurpose, Role
from service import database
from service.config import Config
from service.database import Pool
from service.people import recovery_codes, totp
from service.people.totp import STEP_SECONDS
from service.web.desk_session import COOKIE
from tests.builders import MASTER, a_clinic
from tests.signing_in import (
    EMAIL,
    PASSWORD,
    Account,
    a_link,
    an_account,
    as_browser,
    csrf_of,
    give_code,
    give_password,
    session_of,
    somebody,
)
from tests.web import serving


@pytest.fixture
async def http(settings: Config) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(settings) as client:
        yield client


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def account(http: httpx.AsyncClient, web_pool: Pool, clinic: Clinic) -> Account:
    return await an_account(http, web_pool, clinic)


async def test_first_sign_in_leads_from_link_to_desk(http: httpx.AsyncClient, account: Account) -> None:
    page = await http.get("/caseload", headers=as_browser(account.session))
    assert page.status_code == 200
    assert "No clients yet" in page.text


async def test_who_runs_the_clinic_is_led_to_its_first_steps_and_others_to_how_to_read(
    http: httpx.AsyncClient, account: Account, web_pool: Pool, clinic: Clinic
) -> None:
    assert 'href="/how-to-read"' in account.first_page
    assert "/settings/first-steps" not in account.first_page
    admin = await an_account(http, web_pool, clinic, email="admin@harbour.example", role=Role.ADMIN)
    assert 'href="/settings/first-steps"' in admin.first_page
    assert (await http.get("/settings/first-steps", headers=as_browser(admin.session))).status_code == 200


async def test_password_and_code_open_a_session_whose_cookie_only_the_server_can_read(
    http: httpx.AsyncClient, account: Account
) -> None:
    half = await give_password(http)
    assert half.status_code == 303
    done = await give_code(http, session_of(half), pyotp.TOTP(account.secret).now())
    assert done.headers["location"] == "/caseload"
    cookie = next(text for text in done.headers.get_list("set-cookie") if text.startswith(COOKIE + "="))
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/"} <= attributes
    assert not any(part.startswith("domain") for part in attributes)
    assert (await http.get("/caseload", headers=as_browser(session_of(done)))).status_code == 200


async def test_a_password_alone_opens_nothing(http: httpx.AsyncClient, account: Account) -> None:
    half = session_of(await give_password(http))
    page = await http.get("/caseload", headers=as_browser(half))
    assert page.status_code == 303
    assert page.headers["location"].endswith("/sign-in?next=/caseload")
    api = await http.get("/v1/clients", headers={"Authorization": f"Bearer {half}"})
    assert api.status_code == 401


async def test_opening_a_link_does_not_spend_it_and_it_works_once(
    http: httpx.AsyncClient, web_pool: Pool, clinic: Clinic
) -> None:
    link = await a_link(web_pool, clinic, await somebody(web_pool, clinic))
    for _ in range(3):
        opened = await http.get(link)
        assert opened.status_code == 200
    assert opened.headers["referrer-policy"] == "no-referrer"
    assert opened.headers["cache-control"] == "no-store"
    form = {"password": PASSWORD, "again": PASSWORD}
    both = await asyncio.gather(http.post(link, data=form), http.post(link, data=form))
    assert sorted(reply.status_code for reply in both) == [303, 410]
    assert (await http.get(link)).status_code == 410


async def test_a_refused_password_does_not_spend_the_link(
    http: httpx.AsyncClient, web_pool: Pool, clinic: Clinic
) -> None:
    link = await a_link(web_pool, clinic, await somebody(web_pool, clinic))
    short = await http.post(link, data={"password": "short", "again": "short"})
    assert short.status_code == 400
    assert "at least 12 characters" in short.text
    different = await http.post(link, data={"password": PASSWORD, "again": PASSWORD + "!"})
    assert different.status_code == 400
    assert (await http.get(link)).status_code == 200


async def test_a_newer_link_voids_the_older(http: httpx.AsyncClient, web_pool: Pool, clinic: Clinic) -> None:
    staff_id = await somebody(web_pool, clinic)
    older, newer = await a_link(web_pool, clinic, staff_id), await a_link(web_pool, clinic, staff_id)
    assert (await http.get(older)).status_code == 410
    assert (await http.get(newer)).status_code == 200


async def test_unknown_address_and_wrong_password_read_the_same(http: httpx.AsyncClient, account: Account) -> None:
    wrong = await give_password(http, password="not the password")
    unknown = await give_password(http, password="not the password", email="nobody@clinic.example")
    assert wrong.status_code == unknown.status_code == 401
    assert wrong.text.replace(EMAIL, "") == unknown.text.replace("nobody@clinic.example", "")


@pytest.mark.parametrize("email", [EMAIL, "nobody@clinic.example"])
async def test_failed_tries_survive_their_refusals_and_lock_known_and_unknown_alike(
    http: httpx.AsyncClient, account: Account, email: str
) -> None:
    answers = [await give_password(http, password="not the password", email=email) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    right = await give_password(http, email=email)
    assert right.status_code == 429
    assert "wait" in right.text


async def test_many_tries_at_once_gain_nothing(http: httpx.AsyncClient, account: Account) -> None:
    answers = await asyncio.gather(*(give_password(http, password=f"not the password {i}") for i in range(12)))
    assert sum(answer.status_code == 401 for answer in answers) <= 5


async def test_locks_grow_and_are_forgotten_after_a_whole_sign_in(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool
) -> None:
    spans = []
    for _ in range(5):
        await give_password(http, password="not the password")
    for _ in range(3):
        async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
            span = await db.value(
                "select max(locked_until - last_failed_at) from sign_in_throttle where clinic_id = $1", db.clinic_id
            )
            assert isinstance(span, timedelta)
            spans.append(span.total_seconds())
            await db.execute("update sign_in_throttle set locked_until = now() - interval '1 second'")
        await give_password(http, password="not the password")
    assert spans == [30, 60, 120]
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        await db.execute("update sign_in_throttle set locked_until = now() - interval '1 second'")
    half = session_of(await give_password(http))
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        await db.execute("update sign_in_throttle set locked_until = now() - interval '1 second'")
    assert (await give_code(http, half, pyotp.TOTP(account.secret).now())).status_code == 303
    assert (await give_password(http, password="not the password")).status_code == 401


async def test_a_code_is_accepted_once(http: httpx.AsyncClient, account: Account) -> None:
    code = pyotp.TOTP(account.secret).now()
    first = session_of(await give_password(http))
    second = session_of(await give_password(http))
    assert (await give_code(http, first, code)).status_code == 303
    assert (await give_code(http, second, code)).status_code == 401


async def test_a_code_of_an_earlier_step_is_refused_after_a_later_one(web_pool: Pool, clinic: Clinic) -> None:
    staff_id = await somebody(web_pool, clinic)
    now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await totp.renew(db, MASTER, staff_id)
        codes = pyotp.TOTP((await totp.enrolment_of(db, MASTER, staff_id)).secret)
        before, present = codes.at(now - timedelta(seconds=STEP_SECONDS)), codes.at(now)
        assert await totp.accept(db, MASTER, staff_id, present, now=now)
        assert not await totp.accept(db, MASTER, staff_id, before, now=now)
        assert not await totp.accept(db, MASTER, staff_id, present, now=now)


async def test_wrong_codes_are_counted_and_lock(http: httpx.AsyncClient, account: Account) -> None:
    half = session_of(await give_password(http))
    answers = [await give_code(http, half, "000000") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [401] * 5 + [429]
    assert (await give_code(http, half, pyotp.TOTP(account.secret).now())).status_code == 429


async def test_a_recovery_code_stands_in_once(http: httpx.AsyncClient, account: Account) -> None:
    typed = account.recovery_codes[0].lower().replace("-", " ")
    first = session_of(await give_password(http))
    assert (await give_code(http, first, typed)).status_code == 303
    second = session_of(await give_password(http))
    assert (await give_code(http, second, typed)).status_code == 401


async def test_new_recovery_codes_need_the_authenticator_and_void_the_old(
    http: httpx.AsyncClient, account: Account, web_pool: Pool
) -> None:
    page = await http.get("/account", headers=as_browser(account.session))
    form = {"csrf_token": csrf_of(page), "code": "000000"}
    refused = await http.post("/account/recovery-codes", data=form, headers=as_browser(account.session))
    assert refused.status_code == 400
    form["code"] = pyotp.TOTP(account.secret).now()
    renewed = await http.post("/account/recovery-codes", data=form, headers=as_browser(account.session))
    assert renewed.status_code == 200
    async with database.transaction(web_pool, account.clinic.clinic_id) as db:
        now = datetime.now(UTC)
        assert not await recovery_codes.spend(db, MASTER, account.staff_id, account.recovery_codes[1], now=now)
        assert await recovery_codes.count_left(db, account.staff_id) == 10


async def test_guesses_of_a_signed_in_person_are_counted_and_lock(http: httpx.AsyncClient, account: Account) -> None:
    page = await http.get("/account", headers=as_browser(account.session))
    form = {"csrf_token": csrf_of(page), "code": "000000"}
    guesses = [
        (await http.post("/account/recovery-codes", data=form, headers=as_browser(account.session))).status_code
        for _ in range(6)
    ]
    assert guesses == [400] * 5 + [429]
    form["code"] = pyotp.TOTP(account.secret).now()
    locked = await http.post("/account/recovery-codes", data=form, headers=as_browser(account.session))
    assert locked.status_code == 429


async def test_a_demonstration_link_opens_only_the_demonstration(
    settings: Config, web_pool: Pool, clinic: Clinic
) -> None:
    staff_id = await somebody(web_pool, clinic)
    link = await a_link(web_pool, clinic, staff_id, LinkPurpose.DEMO_SIGN_IN)
    async with serving(settings) as real:
        assert (await real.post(link)).status_code == 410
    async with serving(msgspec.structs.replace(settings, demo=True)) as demo:
        entered = await demo.post(link)
        assert entered.status_code == 303
        assert (await demo.get("/caseload", headers=as_browser(session_of(entered)))).status_code == 200
        assert (await demo.post(link)).status_code == 410
        reset = await a_link(web_pool, clinic, staff_id)
        assert (await demo.post(reset)).status_code == 410


async def test_the_tables_hold_no_secret_in_the_clear(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool
) -> None:
    await give_password(http)
    secrets = [account.secret, account.session, PASSWORD, *account.recovery_codes]
    secrets += [code.replace("-", "") for code in account.recovery_codes]
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        for table in ("staff", "staff_session", "recovery_code", "one_time_link", "sign_in_throttle", "audit_event"):
            rows = await db.value(f"select string_agg(t::text, ' ') from {table} t")
            for secret in secrets:
                assert secret not in str(rows)
                assert secret.encode().hex() not in str(rows)


async def test_refused_sign_ins_stand_in_the_audit_trail(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool
) -> None:
    await give_password(http, password="not the password")
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        actor = await db.value("select actor_id from audit_event where action = 'sign_in.refused' and not allowed")
    assert actor == account.staff_id
