"""A phone's settings over HTTP: what is refused and by which field, and a zone that only the phone knows."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import httpx
import msgspec
import pytest

from service import database
from service.database import Pool
from tests.checking_in import Setting, a_setting
from tests.push_browsers import a_browser, base64url

pytestmark = pytest.mark.usefixtures("settings")


@pytest.fixture
async def here(owner_pool: Pool) -> Setting:
    return await a_setting(owner_pool)


async def put_reminder(http: httpx.AsyncClient, here: Setting, **form: object) -> httpx.Response:
    body = {"remind_time": "19:00:00", "time_zone": "Europe/Madrid"} | form
    return await http.put("/v1/phone-settings/reminder", headers=here.phone.headers, json=body)


@pytest.mark.parametrize(
    "email",
    [
        "a,b@x.example",
        "a;b@x.example",
        "a:b@x.example",
        "<a>@x.example",
        "a(b)@x.example",
        '"a b"@x.example',
        "a@b.example,",
        "a@b.example\u0000",
        "a@b.example\nBcc: c@d.example",
        "=?utf-8?q?a?=@x.example",
        "a b@x.example",
        "a@x",
        "",
    ],
)
async def test_an_e_mail_address_is_one_and_nothing_else(http: httpx.AsyncClient, here: Setting, email: str) -> None:
    refused = await put_reminder(http, here, email=email)
    assert refused.status_code == 400, refused.text
    assert [each["field"] for each in refused.json()["errors"]] == ["email"]


@pytest.mark.parametrize("email", ["a.b+c@x.example", "o'neil@x.example", "a=b@x.example", "x_1-2@sub.x.example"])
async def test_an_e_mail_address_as_people_have_them_is_kept(
    http: httpx.AsyncClient, here: Setting, email: str
) -> None:
    assert (await put_reminder(http, here, email=email)).json()["email"] == email


async def test_a_zone_that_only_the_phone_knows_counts_as_the_clinic_s_and_can_be_turned_off(
    http: httpx.AsyncClient, here: Setting
) -> None:
    kept = await put_reminder(http, here, time_zone="Mars/Olympus")
    assert kept.status_code == 200, kept.text
    assert kept.json()["time_zone"] == "Mars/Olympus"
    async with database.transaction(here.owner, here.clinic_id) as db:
        next_at = await db.value("select next_at from phone_setting where clinic_id = $1", db.clinic_id)
        clinic_zone = await db.value("select time_zone from clinic where clinic_id = $1", db.clinic_id)
    assert isinstance(next_at, datetime)
    assert next_at.astimezone(ZoneInfo(str(clinic_zone))).hour == 19
    assert next_at > datetime.now(UTC)
    today = await http.get("/v1/today", headers=here.phone.headers)
    assert today.json()["reminder_zone"] == "Mars/Olympus", "the page sees its own, and asks for no other"
    off = await put_reminder(http, here, remind_time=None, time_zone="Mars/Olympus")
    assert off.json()["remind_time"] is None
    assert (await http.get("/v1/today", headers=here.phone.headers)).json()["reminder_zone"] is None


def a_subscription() -> dict[str, object]:
    """As a browser writes it, with the time at which it ends."""
    written = msgspec.json.decode(a_browser(9).subscription, type=dict[str, object])
    return written | {"endpoint": "https://push.example/x"}


@pytest.mark.parametrize(
    ("keys", "endpoint", "blamed"),
    [
        ({"p256dh": "AAAA"}, "https://push.example/x", ["keys.p256dh"]),
        ({"p256dh": "!"}, "https://push.example/x", ["keys.p256dh"]),
        ({"p256dh": base64url(b"\x04" + bytes(64))}, "https://push.example/x", ["keys.p256dh"]),
        ({"auth": "AAAA"}, "https://push.example/x", ["keys.auth"]),
        ({"auth": "!"}, "https://push.example/x", ["keys.auth"]),
        ({}, "http://push.example/x", ["endpoint"]),
        ({}, 7, ["endpoint"]),
        ({"auth": 7}, "https://push.example/x", ["keys.auth"]),
    ],
)
async def test_of_a_subscription_the_field_that_is_wrong_is_named_and_no_other(
    http: httpx.AsyncClient, here: Setting, keys: dict[str, object], endpoint: object, blamed: list[str]
) -> None:
    good = a_subscription()
    assert isinstance(good["keys"], dict)
    body = good | {"endpoint": endpoint, "keys": good["keys"] | keys}
    headers = here.phone.headers
    refused = await http.put("/v1/phone-settings/push", headers=headers, json=body)
    assert refused.status_code == 400, refused.text
    assert [each["field"] for each in refused.json()["errors"]] == blamed
    assert (await http.put("/v1/phone-settings/push", headers=headers, json=good)).status_code == 200
