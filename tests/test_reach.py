"""Whom a person sees is the same in every statement that asks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from schemas.staff import Role
from service import database
from service.database import Pool
from service.desk import inbox
from service.people import access, clients
from service.people.access import Permission
from tests.builders import a_client, a_clinic
from tests.desk import a_person, an_alert


async def test_every_statement_about_a_reach_gives_the_same_answer(owner_pool: Pool) -> None:
    clinic, now = await a_clinic(owner_pool), datetime.now(UTC)
    day = timedelta(days=1)
    spans = [(-3 * day, -day), (-day, 0 * day), (0 * day, None), (-day, day), (day, None)]
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        person, colleague = await a_person(db), await a_person(db, email="colleague@clinic.example")
        ids_of = [await a_client(db) for _ in range(len(spans) + 1)]
        for client_id, (start, end) in zip(ids_of, spans, strict=False):
            until = None if end is None else now + end
            await clients.assign(db, client_id, person, Role.THERAPIST, from_at=now + start, until_at=until)
        await clients.assign(db, ids_of[-1], colleague, Role.THERAPIST, from_at=now - day)
        alert_of = {client_id: await an_alert(db, client_id, now=now) for client_id in ids_of}
        for roles, count in (([Role.THERAPIST], 2), ([Role.COORDINATOR], len(ids_of))):
            who = access.reach(person, roles, Permission.SEE_ALERTS)
            seen = set(await access.visible_clients(db, who, now=now))
            assert (len(seen), await inbox.count_open(db, who, now=now)) == (count, count)
            for client_id, alert_id in alert_of.items():
                assert await access.covers_client(db, who, client_id, now=now) is (client_id in seen)
                if client_id in seen:
                    assert await access.require_alert(db, who, alert_id, now=now) == client_id
                else:
                    with pytest.raises(access.OutOfReach):
                        await access.require_alert(db, who, alert_id, now=now)
