"""Whoever takes an alert on, writes of it or closes it stands in the audit trail, by page or by API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service import database
from service.config import Config
from service.database import Pool
from tests.desk import an_alert
from tests.desk_visit import Desk, a_desk, a_followed_client


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


AUDITED = """
select action, client_id, object_id, allowed
from audit_event
where clinic_id = $1
  and actor_kind = 'staff'
  and actor_id = $2
  and action in ('alert.acknowledge', 'alert.note', 'alert.resolve')
order by audit_event_id
"""


@pytest.mark.parametrize("by_api", [False, True])
async def test_what_a_person_does_about_an_alert_stands_in_the_audit_trail(desk: Desk, *, by_api: bool) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_followed_client(db)
        alert_id = await an_alert(db, client_id)

    async def do(what: str, **form: str) -> int:
        if not by_api:
            return (await desk.post(f"/alerts/{alert_id}/{what}", **form)).status_code
        who = desk.person.bearer
        return (await desk.http.post(f"/v1/alerts/{alert_id}/{what}", json=form, headers=who)).status_code

    statuses = [await do("acknowledge"), await do("note", note="Called."), await do("resolve", outcome="called")]
    assert statuses == ([200, 204, 204] if by_api else [303] * 3)
    refused = await do("resolve", outcome="called")
    assert refused == 409
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        rows = await db.connection.fetch(AUDITED, desk.clinic.clinic_id, desk.person.staff_id)
    done = ("alert.acknowledge", "alert.note", "alert.resolve")
    assert [tuple(row) for row in rows] == [(action, client_id, alert_id, True) for action in done]
