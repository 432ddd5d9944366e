"""A phone's enrolment and tokens over HTTP, and what an attacker would try."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest

from service import database
from service.database import Pool
from service.keys import tokens
from service.people import audit, devices
from tests.builders import a_client, a_clinic
from tests.phone import Phone

CLINIC = "harbour"


@dataclass
class Here:
    """A clinic with one client, spoken to over HTTP."""

    http: httpx.AsyncClient
    owner: Pool
    clinic_id: UUID
    client_id: UUID

    async def code(self, *, hours_ago: float = 0) -> str:
        now = datetime.now(UTC) - timedelta(hours=hours_ago)
        async with database.transaction(self.owner, self.clinic_id) as db:
            return (await devices.issue_code(db, self.client_id, by=None, now=now)).code

    async def phone(self) -> Phone:
        phone = Phone(self.http)
        await phone.enrol(CLINIC, await self.code())
        return phone

    async def refused_proofs(self) -> list[str]:
        async with database.transaction(self.owner, self.clinic_id) as db:
            records = await db.connection.fetch(
                "select reason from audit_event where clinic_id = $1 and action = 'device.refresh' and not allowed",
                self.clinic_id,
            )
        return [record["reason"] for record in records]


@pytest.fixture
async def here(http: httpx.AsyncClient, owner_pool: Pool) -> Here:
    now = datetime.now(UTC)
    clinic = await a_clinic(owner_pool, slug=CLINIC, now=now)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, now=now)
    return Here(http, owner_pool, clinic.clinic_id, client_id)


def problem_of(reply: httpx.Response, status: int) -> dict[str, object]:
    assert reply.status_code == status, reply.text
    assert reply.headers["content-type"] == "application/problem+json"
    problem: dict[str, object] = reply.json()
    return problem


async def may_read(phone: Phone) -> int:
    return (await phone.http.get("/v1/today", headers=phone.headers)).status_code


async def test_enrolment_gives_a_device_that_may_speak_at_once(here: Here) -> None:
    phone = Phone(here.http)
    reply = await phone.try_enrol(CLINIC, await here.code())
    assert reply.status_code == 201
    assert set(reply.json()) == {"device_id", "refresh_token", "access_token", "expires_at"}
    assert reply.headers["cache-control"] == "no-store"
    assert phone.access_token.startswith(f"neap_access_{here.clinic_id.hex}_")
    assert await may_read(phone) == 200


async def test_refresh_proved_by_the_key_gives_another_access_token(here: Here) -> None:
    phone = await here.phone()
    first = phone.access_token
    await phone.refresh()
    assert phone.access_token != first
    assert await may_read(phone) == 200


async def test_wrong_code_spent_code_and_expired_code_are_told_apart(here: Here) -> None:
    code = await here.code()
    wrong = code[:-1] + ("0" if code[-1] != "0" else "1")
    problem_of(await Phone(here.http).try_enrol(CLINIC, wrong), 401)
    await Phone(here.http).enrol(CLINIC, code)
    problem_of(await Phone(here.http).try_enrol(CLINIC, code), 410)
    problem_of(await Phone(here.http).try_enrol(CLINIC, await here.code(hours_ago=73)), 410)


async def test_code_at_another_clinic_or_none_is_refused_alike(here: Here) -> None:
    await a_clinic(here.owner, slug="lakeside")
    code = await here.code()
    elsewhere = problem_of(await Phone(here.http).try_enrol("lakeside", code), 401)
    nowhere = problem_of(await Phone(here.http).try_enrol("nowhere", code), 401)
    assert elsewhere == nowhere
    await Phone(here.http).enrol(CLINIC, code)


async def test_five_wrong_codes_void_the_right_one_too(here: Here) -> None:
    code = await here.code()
    for _ in range(5):
        problem_of(await Phone(here.http).try_enrol(CLINIC, code[:4] + "000000"), 401)
    problem_of(await Phone(here.http).try_enrol(CLINIC, code), 410)


async def test_unknown_selectors_are_throttled_and_a_right_code_gives_its_try_back(here: Here) -> None:
    for _ in range(12):
        await Phone(here.http).enrol(CLINIC, await here.code())
    for number in range(10):
        problem_of(await Phone(here.http).try_enrol(CLINIC, f"000{number}000000"), 401)
    reply = await Phone(here.http).try_enrol(CLINIC, await here.code())
    assert problem_of(reply, 429)["type"] == "/problems/too-many"
    assert 1 <= int(reply.headers["retry-after"]) <= 31


async def test_a_phone_that_did_not_hear_the_answer_gets_it_again_and_nobody_else_does(here: Here) -> None:
    phone, code = Phone(here.http), await here.code()
    first = await phone.try_enrol(CLINIC, code)
    again = await phone.try_enrol(CLINIC, code)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json()["device_id"] == first.json()["device_id"]
    for reply in (first, again):
        headers = {"Authorization": f"Bearer {reply.json()['access_token']}"}
        assert (await here.http.get("/v1/today", headers=headers)).status_code == 200
    problem_of(await Phone(here.http).try_enrol(CLINIC, code), 410)
    problem_of(await phone.try_enrol(CLINIC, code[:4] + "000000"), 401)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": 1234567890}, "code"),
        ({"code": "short"}, "code"),
        ({"public_key": "A" * 87}, "public_key"),
        ({"clinic": "Not A Slug"}, "clinic"),
        ({"admin": True}, "admin"),
    ],
)
async def test_enrolment_is_decoded_strictly_and_names_the_field(
    here: Here, change: dict[str, object], field: str
) -> None:
    body = {"clinic": CLINIC, "code": "ABCDEFGHJK", "public_key": Phone(here.http).public_key} | change
    problem = problem_of(await here.http.post("/v1/device/enrol", json=body), 400)
    faults = problem["errors"]
    assert isinstance(faults, list)
    assert [fault["field"] for fault in faults] == [field]
    assert str(next(iter(change.values()))) not in str(problem) or field == "admin"


async def test_long_body_is_too_large(here: Here) -> None:
    reply = await here.http.post("/v1/device/enrol", content=b" " * 5000)
    problem_of(reply, 413)


async def test_replayed_nonce_is_refused(here: Here) -> None:
    phone = await here.phone()
    proof = phone.proof(await phone.nonce())
    (await here.http.post("/v1/device/token", json=proof)).raise_for_status()
    problem_of(await here.http.post("/v1/device/token", json=proof), 401)
    assert await here.refused_proofs() == ["nonce_unknown"]


async def test_nonce_of_another_device_is_refused(here: Here) -> None:
    mine, other = await here.phone(), await here.phone()
    problem_of(await here.http.post("/v1/device/token", json=mine.proof(await other.nonce())), 401)
    assert await here.refused_proofs() == ["nonce_of_another_device"]


async def test_wrong_signature_is_refused_and_spends_the_nonce(here: Here) -> None:
    phone, thief = await here.phone(), Phone(here.http)
    thief.device_id, thief.refresh_token = phone.device_id, phone.refresh_token
    nonce = await phone.nonce()
    problem_of(await here.http.post("/v1/device/token", json=thief.proof(nonce)), 401)
    problem_of(await here.http.post("/v1/device/token", json=phone.proof(nonce)), 401)
    assert sorted(await here.refused_proofs()) == ["nonce_unknown", "wrong_signature"]


@pytest.mark.parametrize("text", ["neap-token-v1\n{device}\n", "{device}\n{nonce}", "neap-token-v2\n{device}\n{nonce}"])
async def test_signature_over_another_text_is_refused(here: Here, text: str) -> None:
    phone = await here.phone()
    nonce = await phone.nonce()
    signed = text.format(device=phone.device_id, nonce=nonce)
    problem_of(await here.http.post("/v1/device/token", json=phone.proof(nonce, text=signed)), 401)


@pytest.mark.parametrize("signature", ["A" * 86, "*" * 86, "MEUCIQ" + "A" * 80])
async def test_signature_that_is_none_is_refused(here: Here, signature: str) -> None:
    phone = await here.phone()
    proof = phone.proof(await phone.nonce()) | {"signature": signature}
    problem_of(await here.http.post("/v1/device/token", json=proof), 401)


async def test_tokens_of_one_kind_do_not_serve_as_another(here: Here) -> None:
    phone = await here.phone()
    nonce = await phone.nonce()
    problem_of(await here.http.post("/v1/device/nonce", json={"refresh_token": phone.access_token}), 401)
    problem_of(
        await here.http.post("/v1/device/token", json=phone.proof(nonce) | {"refresh_token": phone.access_token}), 401
    )
    renamed = phone.refresh_token.replace("neap_refresh_", "neap_access_")
    for token in (phone.refresh_token, nonce, renamed):
        reply = await here.http.get("/v1/today", headers={"Authorization": f"Bearer {token}"})
        problem_of(reply, 401)


async def test_tokens_moved_to_another_clinic_are_refused(here: Here) -> None:
    other = await a_clinic(here.owner, slug="lakeside")
    phone = await here.phone()
    moved = phone.refresh_token.replace(here.clinic_id.hex, other.clinic_id.hex)
    problem_of(await here.http.post("/v1/device/nonce", json={"refresh_token": moved}), 401)
    phone.access_token = phone.access_token.replace(here.clinic_id.hex, other.clinic_id.hex)
    assert await may_read(phone) == 401


async def test_revoked_by_the_client_everything_of_the_device_ends(here: Here) -> None:
    phone = await here.phone()
    nonce = await phone.nonce()
    assert (await phone.revoke()).status_code == 204
    assert await may_read(phone) == 401
    problem_of(await phone.revoke(), 401)
    problem_of(await here.http.post("/v1/device/nonce", json={"refresh_token": phone.refresh_token}), 401)
    problem_of(await here.http.post("/v1/device/token", json=phone.proof(nonce)), 401)


async def test_revoked_by_the_clinic_everything_of_the_device_ends(here: Here) -> None:
    phone, other = await here.phone(), await here.phone()
    assert phone.device_id
    async with database.transaction(here.owner, here.clinic_id) as db:
        await devices.revoke(db, phone.device_id, by=audit.COMMAND, why="by_clinic", now=datetime.now(UTC))
    assert await may_read(phone) == 401
    problem_of(await here.http.post("/v1/device/nonce", json={"refresh_token": phone.refresh_token}), 401)
    assert await may_read(other) == 200


async def test_token_requests_too_often_are_told_when_to_come_back(here: Here) -> None:
    phone = await here.phone()
    # Forty a minute are let through; twice as many and one more cannot all fall into two minutes' windows.
    for _ in range(81):
        reply = await here.http.post("/v1/device/nonce", json={"refresh_token": phone.refresh_token})
        if reply.status_code != 200:
            break
    problem_of(reply, 429)
    assert 1 <= int(reply.headers["retry-after"]) <= 60


async def test_a_device_gets_few_access_tokens_a_minute_and_another_device_its_own(here: Here) -> None:
    phone, other = await here.phone(), await here.phone()
    # Six a minute are let through; twice as many and one more cannot all fall into two minutes' windows.
    for _ in range(13):
        reply = await here.http.post("/v1/device/token", json=phone.proof(await phone.nonce()))
        if reply.status_code != 200:
            break
    problem_of(reply, 429)
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    await other.refresh()


async def test_the_access_token_before_the_newest_still_works_and_older_ones_do_not(here: Here) -> None:
    phone, other = await here.phone(), await here.phone()
    held = [phone.access_token]
    for _ in range(3):
        await phone.refresh()
        held.append(phone.access_token)
    answers = []
    for phone.access_token in held:
        answers.append(await may_read(phone))
    assert answers == [401, 401, 200, 200]
    assert await may_read(other) == 200


async def test_last_use_is_noted_at_refresh_not_at_every_request(here: Here) -> None:
    phone = await here.phone()

    async def last_used_at() -> datetime:
        async with database.transaction(here.owner, here.clinic_id) as db:
            return (await devices.devices_of(db, here.client_id))[0].last_used_at

    enrolled_at = await last_used_at()
    assert await may_read(phone) == 200
    assert await last_used_at() == enrolled_at
    await phone.refresh()
    assert await last_used_at() > enrolled_at


async def test_no_secret_is_stored_in_clear(here: Here) -> None:
    phone = await here.phone()
    nonce = await phone.nonce()
    async with database.transaction(here.owner, here.clinic_id) as db:
        for table in ("device", "device_token", "device_nonce", "audit_event", "enrolment_code"):
            rows = await db.value(
                f"select string_agg(t::text, ' ') from {table} t where clinic_id = $1", here.clinic_id
            )
            # A secret may hold the mark that parts it from its kind and clinic.
            for secret in (phone.refresh_token.split("_", 3)[3], phone.access_token.split("_", 3)[3], nonce):
                assert len(secret) > 40
                assert secret not in str(rows)
        stored = await db.value(
            "select count(*) from device_token where clinic_id = $1 and token_hash = $2",
            here.clinic_id,
            tokens.digest_of(phone.refresh_token),
        )
    assert stored == 1


async def test_page_of_an_unknown_clinic_says_where_to_ask(http: httpx.AsyncClient) -> None:
    reply = await http.get("/phone/nowhere")
    assert reply.status_code == 404
    assert "ask your clinic" in reply.text
    assert "desk" not in reply.text.split("<main")[1]


async def test_an_address_typed_with_capitals_leads_to_the_clinic_s_own(here: Here) -> None:
    reply = await here.http.get(f"/phone/{CLINIC.capitalize()}")
    assert (reply.status_code, reply.headers["location"]) == (303, f"/phone/{CLINIC}")


async def test_page_is_the_same_for_everybody_and_runs_only_our_scripts(here: Here) -> None:
    reply = await here.http.get(f"/phone/{CLINIC}")
    assert reply.status_code == 200
    assert "script-src 'self'" in reply.headers["content-security-policy"]
    assert "<title>Neap</title>" in reply.text
    assert not re.search(r"<script(?![^>]*src=)|<style| style=| on[a-z]+=", reply.text)
    assert not re.search(r"(src|href)=.https?://", reply.text)
