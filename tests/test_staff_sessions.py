"""Sessions of the staff: when they end, and what another site cannot do with them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from schemas.clinic import Clinic
from schemas.staff import Role, SessionStage
from service import database, ids
from service.config import Config
from service.database import Pool
from service.people import staff
from service.web.desk_session import BY_ITSELF
from tests.builders import a_clinic
from tests.desk import SignedInAs, a_person, a_session
from tests.signing_in import (
    EMAIL,
    PASSWORD,
    Account,
    a_link,
    an_account,
    as_browser,
    csrf_of,
    give_password,
    session_of,
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


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("update staff_session set last_seen_at = now() - interval '15 minutes 1 second'", "nothing happened for 15"),
        ("update staff_session set expires_at = now() - interval '1 second'", "one sign-in lasts 12 hours"),
        ("update staff set disabled_at = now()", "You are signed out. Sign in again to go on."),
        ("delete from staff_session", "You are signed out. Sign in again to go on."),
    ],
    ids=["idle", "over", "disabled", "ended elsewhere"],
)
async def test_a_page_that_asks_by_itself_leads_to_what_is_true_of_the_session(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool, change: str, told: str
) -> None:
    headers = {**as_browser(account.session), "HX-Request": "true", BY_ITSELF: "yes"}
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        await db.execute(change)
    led = await http.get("/inbox/count", headers=headers)
    assert led.status_code == 401
    path, _, query = led.headers["HX-Redirect"].partition("?")
    page = (await http.get(f"/{account.clinic.slug}{path}?{query}")).text
    assert [told in page, page.count("signed out")] == [True, 1], page


@pytest.mark.parametrize(
    "change",
    [
        "update staff_session set last_seen_at = now() - interval '15 minutes 1 second'",
        "update staff_session set expires_at = now() - interval '1 second'",
    ],
    ids=["idle", "absolute"],
)
async def test_a_session_ends_by_itself(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool, change: str
) -> None:
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        await db.execute(change)
    page = await http.get("/caseload", headers=as_browser(account.session))
    assert page.status_code == 303


IDLE = "update staff_session set last_seen_at = now() - interval '15 minutes 1 second'"


@pytest.mark.parametrize("by_script", [True, False])
async def test_a_form_of_a_session_that_ended_by_itself_leads_to_the_reason_and_back_to_its_page(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool, by_script: bool
) -> None:
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        await db.execute(IDLE)
    headers = as_browser(account.session) | {"Referer": str(http.base_url.join("/account?x=1"))}
    headers |= {"Neap-Form": "yes"} if by_script else {}
    led = await http.post("/account/language", data={"language": "es"}, headers=headers)
    assert led.headers["neap-go-to" if by_script else "location"] == "/sign-in?ended=idle&next=/account"


@pytest.mark.parametrize(
    ("sent_as", "given_back"),
    [({}, True), ({"Neap-Form": "yes"}, False), ({"Sec-Fetch-Site": "cross-site"}, False)],
    ids=["without script", "by the page", "by another site"],
)
async def test_without_script_what_was_written_comes_back_to_whoever_was_signed_out(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool, sent_as: dict[str, str], given_back: bool
) -> None:
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        await db.execute(IDLE)
    path = f"/alerts/{ids.new()}"
    headers = as_browser(account.session) | {"Referer": str(http.base_url.join(path))} | sent_as
    form = {"csrf_token": "any", "note": "Rang <b>her</b>.\nShe is well."}
    reply = await http.post(f"{path}/note", data=form, headers=headers)
    assert ("Rang &lt;b&gt;her&lt;/b&gt;.\nShe is well.</textarea>" in reply.text) is given_back
    if given_back:
        assert (reply.status_code, reply.headers["cache-control"]) == (401, "no-store")
        assert f'href="/sign-in?ended=idle&amp;next={path}"' in reply.text
    reply = await http.post(f"{path}/note", data={"note": " "}, headers=headers)
    assert reply.status_code == (204 if "Neap-Form" in sent_as else 303)


async def test_a_page_that_asks_by_itself_leads_back_to_where_it_stood(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool
) -> None:
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        await db.execute(IDLE)
    headers = as_browser(account.session) | {"HX-Request": "true", BY_ITSELF: "yes"}
    for page, led_to in (
        (http.base_url.join("/rota"), "/sign-in?ended=idle&next=/rota"),
        ("https://elsewhere.example/rota", "/sign-in?ended=idle"),
    ):
        led = await http.get("/inbox/count", headers=headers | {"HX-Current-URL": str(page)})
        assert led.headers["hx-redirect"] == led_to


@pytest.mark.parametrize(
    ("change", "told", "goes_on"),
    [
        ("last_seen_at = now() - interval '11 minutes'", False, True),
        ("last_seen_at = now() - interval '13 minutes'", True, True),
        ("created_at = now() - interval '11 hours 58 minutes'", True, False),
    ],
)
async def test_the_end_of_a_session_is_told_before_it_comes_and_whoever_is_there_goes_on(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool, change: str, told: bool, goes_on: bool
) -> None:
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        await db.execute(f"update staff_session set {change} where stage = 'full'")
    headers = as_browser(account.session)
    for _ in range(2):  # asking by itself keeps nobody signed in
        page = (await http.get("/account/stay", headers=headers | {BY_ITSELF: "yes"})).text
        assert ("You will be signed out at" in page) is told
        assert ("Go on" in page) is (told and goes_on)
    assert ("signed out" in (await http.get("/account/stay", headers=headers)).text) is not goes_on
    page = (await http.get("/account/stay", headers=headers | {BY_ITSELF: "yes"})).text
    assert ("signed out" in page) is not goes_on


async def test_a_session_lasts_twelve_hours_at_most(account: Account, owner_pool: Pool) -> None:
    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        lasts = await db.value("select expires_at - created_at from staff_session where stage = 'full'")
    assert lasts == timedelta(hours=12)


async def test_a_page_that_refreshes_itself_keeps_nobody_signed_in(
    http: httpx.AsyncClient, account: Account, owner_pool: Pool
) -> None:
    async def last_seen() -> object:
        async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
            return await db.value("select last_seen_at from staff_session where stage = 'full'")

    async with database.transaction(owner_pool, account.clinic.clinic_id) as db:
        await db.execute("update staff_session set last_seen_at = now() - interval '10 minutes'")
    before = await last_seen()
    await http.get("/inbox/count", headers=as_browser(account.session) | {BY_ITSELF: "yes", "HX-Request": "true"})
    assert await last_seen() == before
    await http.get("/inbox", headers=as_browser(account.session))
    assert await last_seen() != before


async def test_a_refreshing_page_of_an_ended_session_is_sent_to_sign_in(http: httpx.AsyncClient) -> None:
    reply = await http.get("/inbox/count", headers={"HX-Request": "true", BY_ITSELF: "yes"})
    assert reply.status_code == 401
    assert reply.headers["hx-redirect"].startswith("/sign-in")


async def test_disabling_a_person_ends_their_session_at_once(
    http: httpx.AsyncClient, account: Account, web_pool: Pool
) -> None:
    async with database.transaction(web_pool, account.clinic.clinic_id) as db:
        admin = await a_person(db, Role.ADMIN)
        await staff.disable(db, account.staff_id, by=admin, now=datetime.now(UTC))
    assert (await http.get("/caseload", headers=as_browser(account.session))).status_code == 303
    assert (await give_password(http)).status_code == 401


async def test_a_reset_ends_sessions_and_former_second_factors(
    http: httpx.AsyncClient, account: Account, web_pool: Pool
) -> None:
    link = await a_link(web_pool, account.clinic, account.staff_id)
    assert (await http.get("/caseload", headers=as_browser(account.session))).status_code == 200
    new_password = "another four words here"
    await http.post(link, data={"password": new_password, "again": new_password})
    assert (await http.get("/caseload", headers=as_browser(account.session))).status_code == 303
    assert (await give_password(http)).status_code == 401
    half = await give_password(http, password=new_password)
    onward = await http.get("/sign-in/code", headers=as_browser(session_of(half)))
    assert onward.headers["location"] == "/sign-in/authenticator"


async def test_signing_out_ends_the_session_on_the_server(http: httpx.AsyncClient, account: Account) -> None:
    page = await http.get("/account", headers=as_browser(account.session))
    out = await http.post("/sign-out", data={"csrf_token": csrf_of(page)}, headers=as_browser(account.session))
    assert out.headers["location"] == "/harbour/sign-in"
    assert out.headers["clear-site-data"] == '"cache"'
    assert (await http.get("/caseload", headers=as_browser(account.session))).status_code == 303


async def admin_session(pool: Pool, clinic: Clinic) -> SignedInAs:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return await a_session(db, await a_person(db, Role.ADMIN))


INVITATION = {"name": "New Person", "email": "new@clinic.example", "roles": "nurse"}


async def test_a_form_without_the_sessions_token_is_refused(
    http: httpx.AsyncClient, web_pool: Pool, clinic: Clinic
) -> None:
    admin = await admin_session(web_pool, clinic)
    for token in ("", "wrong", admin.token):
        refused = await http.post("/staff", data=INVITATION | {"csrf_token": token}, headers=admin.cookie)
        assert refused.status_code == 400
    assert (await http.post("/staff", data=INVITATION, headers=admin.cookie)).status_code == 400
    taken = await http.post("/staff", data=INVITATION | {"csrf_token": admin.csrf_token}, headers=admin.cookie)
    assert taken.status_code == 200
    assert "/link/neap_link_" in taken.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
    ],
)
async def test_a_form_that_another_site_sends_is_refused(
    http: httpx.AsyncClient, web_pool: Pool, clinic: Clinic, headers: dict[str, str]
) -> None:
    admin = await admin_session(web_pool, clinic)
    form = INVITATION | {"csrf_token": admin.csrf_token}
    refused = await http.post("/staff", data=form, headers=admin.cookie | headers)
    assert refused.status_code == 400
    sign_in = await http.post("/harbour/sign-in", data={"email": EMAIL, "password": PASSWORD}, headers=headers)
    assert sign_in.status_code == 400


async def test_a_program_with_a_bearer_token_needs_no_form_token(
    http: httpx.AsyncClient, web_pool: Pool, clinic: Clinic
) -> None:
    admin = await admin_session(web_pool, clinic)
    assert (await http.post("/staff", data=INVITATION, headers=admin.bearer)).status_code == 200


async def test_only_paths_of_ours_are_gone_on_to(http: httpx.AsyncClient, account: Account) -> None:
    for outside in ("https://elsewhere.example/", "//elsewhere.example", "/\\elsewhere.example"):
        reply = await http.get("/harbour/sign-in", params={"next": outside}, headers=as_browser(account.session))
        assert reply.headers["location"] == "/caseload"
    reply = await http.get("/harbour/sign-in", params={"next": "/inbox"}, headers=as_browser(account.session))
    assert reply.headers["location"] == "/inbox"


async def test_a_half_way_session_lasts_a_quarter_of_an_hour(web_pool: Pool, clinic: Clinic) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await a_session(db, await a_person(db), SessionStage.PASSWORD)
        assert await db.value("select expires_at - created_at from staff_session") == timedelta(minutes=15)
