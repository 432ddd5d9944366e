"""Answers of phones whose clock or zone is wrong: each is stored, and counts where it can."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import httpx
import pytest

from service import database
from service.database import Pool
from service.facts import checkins
from tests.checking_in import Setting, a_setting, count, form_now, put


@pytest.fixture
async def here(owner_pool: Pool) -> Setting:
    return await a_setting(owner_pool)


WRONG_CLOCKS = {
    "reset, corrected before sending": ("1980-01-06T00:05:00Z", None),
    "reset": ("1970-01-01T00:05:00Z", "1970-01-01T00:05:05Z"),
    "reset, west of Greenwich": ("1969-12-31T18:05:00-06:00", "1969-12-31T18:05:05-06:00"),
    "before the calendar": ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:05+14:00"),
    "after the calendar": ("9999-12-31T23:59:00-12:00", "9999-12-31T23:59:59-12:00"),
    "answered long before, sent long after": ("1971-01-02T12:00:00Z", "2199-12-30T00:00:00Z"),
    "a zone almost a day away": (None, "2026-11-22T16:14:03+23:59"),
}


@pytest.mark.parametrize(("answered_at", "sent_at"), WRONG_CLOCKS.values(), ids=WRONG_CLOCKS.keys())
async def test_no_clock_is_too_wrong_for_an_answer_to_count(
    http: httpx.AsyncClient, here: Setting, answered_at: str | None, sent_at: str | None
) -> None:
    now = datetime.now(UTC)
    form = form_now(safety=True)
    form |= {"answered_at": answered_at or form["answered_at"], "sent_at": sent_at or form["sent_at"]}
    reply = await put(http, here.phone, form)
    assert reply.status_code == 201, reply.text
    counted_at = datetime.fromisoformat(reply.json()["check_in"]["counted_at"])
    assert counted_at <= datetime.now(UTC)
    assert now - counted_at < timedelta(days=2)
    assert await count(here, "alert") == 1


async def test_an_answer_from_an_impossible_future_never_outranks_a_believed_one(
    http: httpx.AsyncClient, here: Setting
) -> None:
    future = (datetime.now(UTC) + timedelta(days=30)).isoformat()
    await put(http, here.phone, form_now(mood=1) | {"answered_at": future})
    await put(http, here.phone, form_now(mood=9))
    async with database.transaction(here.owner, here.clinic_id) as db:
        days = await checkins.days_of(db, here.client_id, from_day=date(2000, 1, 1), until_day=date(2200, 1, 1))
    assert [day.mood for day in days] == [9]


async def test_late_answer_is_stored_and_labelled_late(http: httpx.AsyncClient, here: Setting) -> None:
    answered_at = (datetime.now(UTC) - timedelta(days=5)).isoformat()
    reply = await put(http, here.phone, form_now() | {"answered_at": answered_at})
    assert reply.status_code == 201
    assert reply.json()["check_in"]["late"] is True


async def test_wrong_clock_is_corrected_by_the_skew_of_the_first_receipt(
    http: httpx.AsyncClient, here: Setting
) -> None:
    now = datetime.now(UTC)
    ahead = timedelta(days=400)
    form = form_now() | {
        "answered_at": (now + ahead - timedelta(hours=1)).isoformat(),
        "sent_at": (now + ahead).isoformat(),
    }
    body = (await put(http, here.phone, form)).json()["check_in"]
    assert abs(datetime.fromisoformat(body["counted_at"]) - (now - timedelta(hours=1))) < timedelta(minutes=1)


@pytest.mark.parametrize("name", ["Mars/Olympus", "+05:31", "(GMT-5) Bogota & Lima", "../../x"])
async def test_unknown_zone_is_flagged_and_the_clinics_is_used(
    http: httpx.AsyncClient, here: Setting, name: str
) -> None:
    body = (await put(http, here.phone, form_now(time_zone=name))).json()["check_in"]
    assert body["zone_known"] is False


async def test_a_phone_that_tells_an_offset_counts_its_days_by_it(http: httpx.AsyncClient, here: Setting) -> None:
    days = set()
    for hours in (-12, 14):
        answered_at = datetime.now(timezone(timedelta(hours=hours)))
        form = form_now(time_zone=f"{hours:+03}:00") | {"answered_at": answered_at.isoformat()}
        body = (await put(http, here.phone, form)).json()["check_in"]
        assert body["zone_known"] is True
        days.add(body["client_day"])
        assert body["client_day"] == (answered_at - timedelta(hours=4)).date().isoformat()
    assert len(days) > 1, "26 hours apart, it is another day"
