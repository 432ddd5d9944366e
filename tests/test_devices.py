"""Enrolment codes, devices and their proofs, on the real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from schemas.clinic import Clinic
from schemas.device import EnrolForm, Enrolled, IssuedCode, NonceForm, TokenForm
from service import database, errors
from service.database import Pool
from service.keys import tokens
from service.people import audit, device_tokens, devices, enrolment, enrolment_codes
from tests.builders import NOW, a_client, a_clinic
from tests.phone import Phone, base64url


class Scene:
    """A clinic with one client; codes are issued, phones enrol."""

    def __init__(self, pool: Pool, clinic: Clinic, client_id: UUID) -> None:
        self.pool, self.clinic, self.client_id = pool, clinic, client_id

    async def code(self, *, days_ago: float = 0) -> IssuedCode:
        async with database.transaction(self.pool, self.clinic.clinic_id) as db:
            return await devices.issue_code(db, self.client_id, by=None, now=NOW - timedelta(days=days_ago))

    async def enrol(self, code: str, *, phone: Phone | None = None, days_later: float = 0) -> Enrolled:
        public_key = phone.public_key if phone else a_public_key()
        form = EnrolForm(clinic=self.clinic.slug, code=code, public_key=public_key)
        return await enrolment.enrol(self.pool, self.clinic.clinic_id, form, now=NOW + timedelta(days=days_later))

    async def count(self, sql: str, *arguments: object) -> object:
        async with database.transaction(self.pool, self.clinic.clinic_id) as db:
            return await db.value(sql, self.clinic.clinic_id, *arguments)

    async def who(self, access_token: str, *, minutes: float = 0) -> devices.DeviceClient:
        async with database.transaction(self.pool, self.clinic.clinic_id) as db:
            return await devices.authenticate(db, tokens.digest_of(access_token), now=NOW + timedelta(minutes=minutes))


def a_public_key(curve: ec.EllipticCurve | None = None) -> str:
    key = ec.generate_private_key(curve or ec.SECP256R1()).public_key()
    return base64url(key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint))


def wrong(code: str) -> str:
    """The same selector with another secret."""
    return code[:-1] + ("0" if code[-1] != "0" else "1")


@pytest.fixture
async def scene(owner_pool: Pool, web_pool: Pool) -> Scene:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db)
    return Scene(web_pool, clinic, client_id)


async def outcomes(tries: Sequence[Awaitable[Enrolled]]) -> tuple[list[Enrolled], list[BaseException]]:
    done = await asyncio.gather(*tries, return_exceptions=True)
    return (
        [each for each in done if isinstance(each, Enrolled)],
        [each for each in done if isinstance(each, BaseException)],
    )


def test_code_is_read_however_a_person_types_it() -> None:
    assert enrolment_codes.read("abcd-ef gh-jk") == enrolment_codes.Code("ABCD", "EFGHJK")
    assert enrolment_codes.read("oOiIlL-2345") == enrolment_codes.Code("0011", "112345")


@pytest.mark.parametrize("text", ["ABCDEFGHJ", "ABCDEFGHJKM", "ABCDEFGHJU", "ABCDÉFGHJK", "----------"])
def test_text_that_is_no_code_is_refused_by_field(text: str) -> None:
    with pytest.raises(errors.Invalid) as refused:
        enrolment_codes.read(text)
    assert refused.value.fields[0].field == "code"


def test_fresh_code_reads_as_itself() -> None:
    code = enrolment_codes.fresh()
    assert enrolment_codes.read(str(code).lower()) == code


async def test_enrolled_device_speaks_for_its_client_until_its_token_ends(scene: Scene) -> None:
    enrolled = await scene.enrol((await scene.code()).code)
    assert await scene.who(enrolled.access_token) == devices.DeviceClient(enrolled.device_id, scene.client_id)
    assert enrolled.expires_at == NOW + timedelta(minutes=15)
    with pytest.raises(errors.Unauthenticated):
        await scene.who(enrolled.access_token, minutes=15)


async def test_issued_code_stands_in_no_table_in_clear(scene: Scene) -> None:
    issued = await scene.code()
    rows = await scene.count("select string_agg(e::text, ' ') from enrolment_code e where clinic_id = $1")
    assert isinstance(rows, str)
    assert issued.code[:4] in rows
    assert issued.code[4:] not in rows


async def test_code_is_good_once(scene: Scene) -> None:
    code = (await scene.code()).code
    await scene.enrol(code)
    with pytest.raises(errors.Gone):
        await scene.enrol(code)


async def test_two_simultaneous_enrolments_exactly_one_wins(scene: Scene) -> None:
    code = (await scene.code()).code
    won, lost = await outcomes([scene.enrol(code) for _ in range(4)])
    assert len(won) == 1
    assert all(isinstance(each, errors.Gone) for each in lost)
    assert await scene.count("select count(*) from device where clinic_id = $1") == 1


async def test_code_runs_out_after_72_hours(scene: Scene) -> None:
    code = (await scene.code()).code
    with pytest.raises(errors.Gone):
        await scene.enrol(code, days_later=3)


async def test_new_code_voids_the_older_one(scene: Scene) -> None:
    old, new = await scene.code(), await scene.code()
    with pytest.raises(errors.Gone):
        await scene.enrol(old.code)
    await scene.enrol(new.code)


async def test_five_wrong_secrets_void_the_code(scene: Scene) -> None:
    code = (await scene.code()).code
    for _ in range(5):
        with pytest.raises(errors.Unauthenticated):
            await scene.enrol(wrong(code))
    with pytest.raises(errors.Gone):
        await scene.enrol(code)
    assert await scene.count("select count(*) from audit_event where clinic_id = $1 and not allowed") == 5


async def test_four_wrong_secrets_leave_the_right_one(scene: Scene) -> None:
    code = (await scene.code()).code
    for _ in range(4):
        with pytest.raises(errors.Unauthenticated):
            await scene.enrol(wrong(code))
    await scene.enrol(code)
    assert await scene.count("select wrong_count from enrolment_code where clinic_id = $1") == 4


async def test_of_many_guesses_at_once_five_are_looked_at(scene: Scene) -> None:
    code = (await scene.code()).code
    won, lost = await outcomes([scene.enrol(wrong(code)) for _ in range(9)])
    assert not won
    assert sum(isinstance(each, errors.Unauthenticated) for each in lost) == 5
    assert sum(isinstance(each, errors.Gone) for each in lost) == 4


async def test_unknown_selector_is_not_told_from_a_wrong_secret(scene: Scene) -> None:
    code = (await scene.code()).code
    other_selector = ("1" if code[0] == "0" else "0") + code[1:]
    with pytest.raises(errors.Unauthenticated) as unknown:
        await scene.enrol(other_selector)
    with pytest.raises(errors.Unauthenticated) as wrong_secret:
        await scene.enrol(wrong(code))
    assert unknown.value.message == wrong_secret.value.message


async def test_code_of_another_clinic_is_unknown_here(scene: Scene, owner_pool: Pool) -> None:
    other = await a_clinic(owner_pool, slug="lakeside")
    code = (await scene.code()).code
    form = EnrolForm(clinic=other.slug, code=code, public_key=a_public_key())
    with pytest.raises(errors.Unauthenticated):
        await enrolment.enrol(scene.pool, other.clinic_id, form, now=NOW)


@pytest.mark.parametrize(
    "key",
    [
        base64url(b"\x04" + bytes(64)),  # not on the curve
        base64url(b"\x04" + b"\xff" * 64),  # beyond the field
        base64url(b"\x02" + bytes(range(32))),  # compressed
        a_public_key(ec.SECP256K1()),  # on another curve
        "*" * 87,
    ],
    ids=["off the curve", "beyond the field", "compressed", "another curve", "no base64url"],
)
async def test_key_that_is_no_point_of_p256_is_refused_and_costs_no_try(scene: Scene, key: str) -> None:
    form = EnrolForm(clinic=scene.clinic.slug, code=(await scene.code()).code, public_key=key)
    with pytest.raises(errors.Invalid) as refused:
        await enrolment.enrol(scene.pool, scene.clinic.clinic_id, form, now=NOW)
    assert refused.value.fields[0].field == "public_key"
    assert await scene.count("select max(wrong_count) from enrolment_code where clinic_id = $1") == 0


async def test_code_for_an_unknown_client_is_not_found(scene: Scene) -> None:
    async with database.transaction(scene.pool, scene.clinic.clinic_id) as db:
        with pytest.raises(errors.NotFound):
            await devices.issue_code(db, uuid4(), by=None, now=NOW)


async def test_lost_phone_is_ended_and_a_new_code_issued(scene: Scene) -> None:
    lost = await scene.enrol((await scene.code()).code)
    async with database.transaction(scene.pool, scene.clinic.clinic_id) as db:
        code = await devices.replace_lost(db, scene.client_id, by=uuid4(), now=NOW)
    with pytest.raises(errors.Unauthenticated):
        await scene.who(lost.access_token)
    found = await scene.enrol(code.code)
    async with database.transaction(scene.pool, scene.clinic.clinic_id) as db:
        listed = await devices.devices_of(db, scene.client_id)
    assert {row.device_id: row.revoked_why for row in listed} == {lost.device_id: "replaced", found.device_id: None}


async def test_revoked_device_has_no_token_left(scene: Scene) -> None:
    enrolled = await scene.enrol((await scene.code()).code)
    await device_tokens.issue_nonce(scene.pool, NonceForm(refresh_token=enrolled.refresh_token), now=NOW)
    async with database.transaction(scene.pool, scene.clinic.clinic_id) as db:
        await devices.revoke(db, enrolled.device_id, by=audit.COMMAND, why="by_clinic", now=NOW)
    assert await scene.count("select count(*) from device_token where clinic_id = $1") == 0
    assert await scene.count("select count(*) from device_nonce where clinic_id = $1") == 0
    async with database.transaction(scene.pool, scene.clinic.clinic_id) as db:
        with pytest.raises(errors.NotFound):
            await devices.revoke(db, enrolled.device_id, by=audit.COMMAND, why="by_clinic", now=NOW)


async def proved(scene: Scene, phone: Phone, *, days: float = 0) -> str:
    """A refresh by key, `days` after NOW."""
    now = NOW + timedelta(days=days)
    nonce = await device_tokens.issue_nonce(scene.pool, NonceForm(refresh_token=phone.refresh_token), now=now)
    form = TokenForm(**phone.proof(nonce.nonce))
    return (await device_tokens.refresh_access(scene.pool, form, now=now)).access_token


@pytest.fixture
async def phone(scene: Scene) -> AsyncIterator[Phone]:
    async with httpx.AsyncClient() as unused:
        phone = Phone(unused)
        enrolled = await scene.enrol((await scene.code()).code, phone=phone)
        phone.device_id, phone.refresh_token = enrolled.device_id, enrolled.refresh_token
        yield phone


async def test_refresh_keeps_a_device_alive_and_90_days_of_silence_end_it(scene: Scene, phone: Phone) -> None:
    await proved(scene, phone, days=80)
    await proved(scene, phone, days=160)
    with pytest.raises(errors.Unauthenticated):
        await proved(scene, phone, days=250)
    async with database.transaction(scene.pool, scene.clinic.clinic_id) as db:
        assert await devices.revoke_unused(db, now=NOW + timedelta(days=249)) == 0
        assert await devices.revoke_unused(db, now=NOW + timedelta(days=250)) == 1
        assert await devices.revoke_unused(db, now=NOW + timedelta(days=250)) == 0
        assert (await devices.devices_of(db, scene.client_id))[0].revoked_why == "unused"


async def test_nonce_is_good_for_two_minutes(scene: Scene, phone: Phone) -> None:
    nonce = await device_tokens.issue_nonce(scene.pool, NonceForm(refresh_token=phone.refresh_token), now=NOW)
    assert nonce.expires_at == NOW + timedelta(minutes=2)
    with pytest.raises(errors.Unauthenticated):
        await device_tokens.refresh_access(
            scene.pool, TokenForm(**phone.proof(nonce.nonce)), now=NOW + timedelta(minutes=2)
        )


async def test_one_nonce_used_many_times_at_once_proves_once(scene: Scene, phone: Phone) -> None:
    nonce = await device_tokens.issue_nonce(scene.pool, NonceForm(refresh_token=phone.refresh_token), now=NOW)
    form = TokenForm(**phone.proof(nonce.nonce))
    done = await asyncio.gather(
        *(device_tokens.refresh_access(scene.pool, form, now=NOW) for _ in range(4)), return_exceptions=True
    )
    assert sum(isinstance(each, errors.Unauthenticated) for each in done) == 3


async def test_old_access_tokens_and_nonces_are_cleared_away(scene: Scene, phone: Phone) -> None:
    for day in range(5):
        await device_tokens.issue_nonce(
            scene.pool, NonceForm(refresh_token=phone.refresh_token), now=NOW + timedelta(days=day)
        )
        await proved(scene, phone, days=day)
    tokens_left = "select count(*) from device_token where clinic_id = $1 and kind = 'access'"
    assert await scene.count(tokens_left) == 1
    assert await scene.count("select count(*) from device_nonce where clinic_id = $1") == 1


async def test_refresh_under_way_at_a_revocation_leaves_no_token_that_works(scene: Scene, phone: Phone) -> None:
    for _ in range(8):
        code = (await scene.code()).code
        enrolled = await scene.enrol(code, phone=phone)
        phone.device_id, phone.refresh_token = enrolled.device_id, enrolled.refresh_token
        await asyncio.gather(proved(scene, phone), ended(scene, enrolled.device_id), return_exceptions=True)
        left = "select count(*) from device_token where clinic_id = $1 and device_id = $2"
        assert await scene.count(left, enrolled.device_id) == 0


async def ended(scene: Scene, device_id: UUID) -> None:
    async with database.transaction(scene.pool, scene.clinic.clinic_id) as db:
        await devices.revoke(db, device_id, by=audit.COMMAND, why="by_clinic", now=NOW)
