"""A client leaves monitoring on their phone and comes back, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from service import database, ids
from service.config import Config
from service.database import Pool
from tests.builders import a_phone
from tests.treatment import Treated, a_treated_client

TOLD = "select count(*) from delivery where clinic_id = $1 and subject_id = $2 and kind = 'course'"


@pytest.fixture
async def treated(settings: Config, owner_pool: Pool) -> AsyncIterator[Treated]:
    async with a_treated_client(settings, owner_pool) as one:
        yield one


async def test_a_client_who_leaves_is_paused_from_today_and_the_team_is_told_once(treated: Treated) -> None:
    phone = await phone_of(treated)
    told_before = await told(treated)
    today = treated.day(0)
    for _ in range(2):
        assert await change(treated, phone, monitored=False) == {"monitored": False, "left_on": today}
    stands = await treated.http.get("/v1/monitoring", headers=phone)
    assert stands.json() == {"monitored": False, "left_on": today}
    assert [(each["from_on"], each["until_on"], each["reason"]) for each in await pauses(treated)] == [
        (today, None, "left_monitoring")
    ]
    assert await told(treated) == told_before + 1
    reply = (await treated.http.get("/v1/today?time_zone=UTC", headers=phone)).json()
    assert (reply["paused"], reply["due"]) == (True, True)
    for _ in range(2):
        assert await change(treated, phone, monitored=True) == {"monitored": True, "left_on": None}
    assert await pauses(treated) == []
    assert await told(treated) == told_before + 2
    page = await treated.http.get(f"/clients/{treated.client_id}/treatment", headers=treated.person.cookie)
    assert "The client left monitoring from" in page.text
    assert "goes on." in page.text
    assert "entered in error" not in page.text
    assert (
        await treated.value(
            "select count(*) from audit_event where clinic_id = $1 and client_id = $2 and actor_kind = 'device'"
            " and action like 'monitoring.%'",
            treated.clinic.clinic_id,
            treated.client_id,
        )
        == 2
    )


async def test_leaving_is_not_refused_for_a_pause_that_the_clinic_entered(treated: Treated) -> None:
    phone = await phone_of(treated)
    await treated.put(f"pauses/{ids.new()}", {"from_on": treated.day(3), "reason": "travel"})
    assert (await change(treated, phone, monitored=True))["monitored"] is False
    assert (await change(treated, phone, monitored=False))["left_on"] == treated.day(0)
    assert [(each["from_on"], each["until_on"], each["reason"]) for each in await pauses(treated)] == [
        (treated.day(3), treated.day(1), "travel"),
        (treated.day(0), None, "left_monitoring"),
    ]


async def test_only_the_client_leaves_and_only_a_plain_answer_is_taken(treated: Treated) -> None:
    phone = await phone_of(treated)
    for wrong in ({"monitored": "false"}, {"monitored": 0}, {}, {"monitored": False, "why": "x"}):
        reply = await treated.http.put("/v1/monitoring", json=wrong, headers=phone)
        assert reply.status_code == 400, reply.text
    assert (await treated.http.put("/v1/monitoring", json={"monitored": False})).status_code == 401
    body = {"from_on": treated.day(0), "reason": "left_monitoring"}
    await treated.put(f"pauses/{ids.new()}", body, status=400)
    await treated.post("course/discharge", {"last_day": treated.day(0), "reason": "own_wish"})
    assert (await treated.http.put("/v1/monitoring", json={"monitored": False}, headers=phone)).status_code == 409


async def phone_of(treated: Treated) -> dict[str, str]:
    async with database.transaction(treated.owner, treated.clinic.clinic_id) as db:
        return (await a_phone(db, treated.client_id, now=datetime.now(UTC))).headers


async def change(treated: Treated, phone: dict[str, str], *, monitored: bool) -> Any:
    reply = await treated.http.put("/v1/monitoring", json={"monitored": monitored}, headers=phone)
    assert reply.status_code == 200, reply.text
    return reply.json()


async def pauses(treated: Treated) -> Any:
    return (await treated.get("course"))["pauses"]


async def told(treated: Treated) -> int:
    found = await treated.value(TOLD, treated.clinic.clinic_id, treated.client_id)
    assert isinstance(found, int)
    return found
