"""A client's care team: who is on it, in which role, from when until when."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from schemas.clinic import Clinic
from schemas.staff import Role
from service import database
from service.database import Db, Pool
from service.people import clients, staff
from tests.builders import NOW, a_client, a_clinic

DAY = timedelta(days=1)


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def pair(web_pool: Pool, clinic: Clinic) -> tuple[UUID, UUID]:
    """A client and a therapist who is not on the team yet."""
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        therapist = await staff.add(
            db, email="tamsin@harbour.example", name="Tamsin", roles=[Role.THERAPIST, Role.NURSE], now=NOW
        )
        return await a_client(db), therapist


async def team(db: Db, client_id: UUID, *, now: datetime) -> list[tuple[str, datetime]]:
    return [(each.role, each.from_at) for each in await clients.care_team_of(db, client_id, now=now)]


async def test_whoever_is_on_the_team_already_is_not_listed_twice(
    web_pool: Pool, clinic: Clinic, pair: tuple[UUID, UUID]
) -> None:
    client_id, therapist = pair
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        for at in (NOW, NOW, NOW + DAY):
            await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=at)
        assert await team(db, client_id, now=NOW + DAY) == [(Role.THERAPIST, NOW)]
        await clients.assign(db, client_id, therapist, Role.NURSE, from_at=NOW + DAY)
        assert len(await team(db, client_id, now=NOW + DAY)) == 2, "in another role as well"


async def test_whoever_left_the_team_may_come_back(web_pool: Pool, clinic: Clinic, pair: tuple[UUID, UUID]) -> None:
    client_id, therapist = pair
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=NOW)
        await clients.unassign(db, client_id, therapist, now=NOW + DAY)
        assert await team(db, client_id, now=NOW + DAY) == []
        await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=NOW + DAY)
        assert await team(db, client_id, now=NOW + DAY) == [(Role.THERAPIST, NOW + DAY)]


async def test_two_who_add_the_same_colleague_at_once_add_them_once(
    web_pool: Pool, clinic: Clinic, pair: tuple[UUID, UUID]
) -> None:
    client_id, therapist = pair

    async def assign(seconds: int) -> None:
        async with database.transaction(web_pool, clinic.clinic_id) as db:
            at = NOW + timedelta(seconds=seconds)
            await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=at)

    # Whoever comes second may have looked at the clock first.
    await asyncio.gather(*(assign(seconds) for seconds in (3, 1, 2)))
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert len(await team(db, client_id, now=NOW + DAY)) == 1
