"""Check-ins that arrive together: stored in shared transactions, and yet each by itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from schemas.checkin import CheckInForm
from service import database, errors, ids
from service.database import Pool
from service.intake import check_in_intake
from service.intake.check_in_intake import Sent
from service.intake.intake_door import Door
from service.people import clinics
from service.people.clinics import ClinicView
from tests.builders import MASTER, a_client, a_clinic, a_form, a_phone

PHONES = 30


@dataclass
class Scene:
    """A clinic's clients at the door."""

    clinic_id: UUID
    view: ClinicView
    owner: Pool
    door: Door
    token_digests: list[bytes] = field(default_factory=list)

    def sent(self, phone: int, *, check_in_id: UUID | None = None, **answers: object) -> Sent:
        """A check-in of one of the phones, sent just now."""
        now = datetime.now(UTC)
        times = {"answered_at": (now - timedelta(seconds=30)).isoformat(), "sent_at": now.isoformat()}
        form = msgspec.convert(a_form(**(times | answers)), CheckInForm)
        return check_in_intake.sent(
            self.token_digests[phone], check_in_id or ids.new(), form, master=MASTER, view=self.view, now=now
        )

    async def value(self, sql: str) -> object:
        async with database.transaction(self.owner, self.clinic_id) as db:
            return await db.value(sql, self.clinic_id)


async def a_scene(owner: Pool, door: Door, slug: str) -> Scene:
    now = datetime.now(UTC)
    clinic = await a_clinic(owner, slug=slug, now=now)
    async with database.transaction(owner, clinic.clinic_id) as db:
        scene = Scene(clinic.clinic_id, await clinics.get_view(db), owner, door)
        for _ in range(PHONES):
            phone = await a_phone(db, await a_client(db, now=now), now=now)
            scene.token_digests.append(phone.digest)
    return scene


@pytest.fixture
async def scene(owner_pool: Pool, web_pool: Pool) -> Scene:
    return await a_scene(owner_pool, Door(web_pool, MASTER), "here")


async def test_check_ins_that_arrive_together_share_transactions(scene: Scene) -> None:
    sent = [scene.sent(phone) for phone in range(PHONES)]
    accepted = await asyncio.gather(*(scene.door.accept(scene.clinic_id, one) for one in sent))
    assert [one.reply.check_in.id for one in accepted] == [one.check_in_id for one in sent]
    assert all(one.first_time for one in accepted)
    assert await scene.value("select count(*) from check_in where clinic_id = $1") == PHONES
    assert await scene.value("select count(*) from audit_event where clinic_id = $1") == PHONES
    assert await scene.value("select count(*) from fold_due where clinic_id = $1") == PHONES
    transactions = await scene.value("select count(distinct xmin::text) from check_in where clinic_id = $1")
    assert isinstance(transactions, int)
    assert transactions < PHONES / 2


async def test_one_client_twice_in_a_shared_transaction_is_due_from_the_earlier_day(scene: Scene) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    await asyncio.gather(
        scene.door.accept(scene.clinic_id, scene.sent(0)),
        scene.door.accept(scene.clinic_id, scene.sent(0, answered_at=yesterday.isoformat())),
    )
    earliest = await scene.value("select min(client_day) from check_in where clinic_id = $1")
    assert await scene.value("select from_day from fold_due where clinic_id = $1") == earliest


async def test_the_same_check_in_twice_at_once_is_stored_once(scene: Scene) -> None:
    sent = scene.sent(0)
    accepted = await asyncio.gather(*(scene.door.accept(scene.clinic_id, sent) for _ in range(5)))
    assert sorted(one.first_time for one in accepted) == [False] * 4 + [True]
    assert await scene.value("select count(*) from check_in where clinic_id = $1") == 1


async def test_an_invalid_token_among_others_is_refused_alone(scene: Scene) -> None:
    unknown = msgspec.structs.replace(scene.sent(1), token_digest=bytes(32))
    outcomes = await asyncio.gather(
        *(scene.door.accept(scene.clinic_id, one) for one in (scene.sent(0), unknown, scene.sent(2))),
        return_exceptions=True,
    )
    assert [type(one) for one in outcomes] == [
        check_in_intake.Accepted,
        errors.Unauthenticated,
        check_in_intake.Accepted,
    ]


async def test_a_check_in_that_the_database_refuses_does_not_lose_the_others(scene: Scene) -> None:
    sound, broken = scene.sent(0), scene.sent(1)
    later = msgspec.structs.replace(broken.placed, counted_at=broken.received_at + timedelta(hours=1))
    outcomes = await asyncio.gather(
        scene.door.accept(scene.clinic_id, sound),
        scene.door.accept(scene.clinic_id, msgspec.structs.replace(broken, placed=later)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], check_in_intake.Accepted)
    assert isinstance(outcomes[1], Exception)
    assert await scene.value("select count(*) from check_in where clinic_id = $1") == 1


async def test_check_ins_of_several_clinics_never_share_a_transaction(scene: Scene) -> None:
    there = await a_scene(scene.owner, scene.door, "elsewhere")
    await asyncio.gather(
        *(each.door.accept(each.clinic_id, each.sent(phone)) for phone in range(PHONES) for each in (scene, there))
    )
    for each in (scene, there):
        assert await each.value("select count(*) from check_in where clinic_id = $1") == PHONES


async def test_whoever_comes_as_the_others_are_answered_is_stored_too(scene: Scene) -> None:
    """Nobody relies on a worker that only seems to be there: each comes when the one before has just been answered."""
    async with asyncio.timeout(30):
        for phone in range(PHONES):
            await scene.door.accept(scene.clinic_id, scene.sent(phone))
    assert await scene.value("select count(*) from check_in where clinic_id = $1") == PHONES


async def test_who_comes_for_a_clinic_while_its_turn_is_being_announced_is_not_left_behind(scene: Scene) -> None:
    """Three clinics over two workers, each phone again as soon as it is answered: every order of turns there is."""
    scenes = [scene, *[await a_scene(scene.owner, scene.door, slug) for slug in ("elsewhere", "yonder")]]

    async def answers(each: Scene, phone: int) -> None:
        for _ in range(4):
            await each.door.accept(each.clinic_id, each.sent(phone))

    async with asyncio.timeout(60):
        await asyncio.gather(*(answers(each, phone) for phone in range(8) for each in scenes))
    for each in scenes:
        assert await each.value("select count(*) from check_in where clinic_id = $1") == 32


async def test_a_connection_that_breaks_loses_nobody(scene: Scene, web_pool: Pool) -> None:
    stop = asyncio.Event()

    async def breaks_connections() -> None:
        async with web_pool.acquire() as connection:  # a role may end its own sessions
            while not stop.is_set():
                await connection.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and usename = current_user and pid <> pg_backend_pid()"
                )

    breaking = asyncio.create_task(breaks_connections())
    sent = [scene.sent(phone) for phone in range(PHONES)]
    try:
        async with asyncio.timeout(60):
            outcomes = await asyncio.gather(
                *(scene.door.accept(scene.clinic_id, one) for one in sent), return_exceptions=True
            )
    finally:
        stop.set()
        await breaking
    answered = sum(isinstance(one, check_in_intake.Accepted) for one in outcomes)
    stored = await scene.value("select count(*) from check_in where clinic_id = $1")
    assert isinstance(stored, int)
    assert answered <= stored <= PHONES
    again = await asyncio.gather(*(scene.door.accept(scene.clinic_id, one) for one in sent))
    assert sum(one.first_time for one in again) == PHONES - stored


async def test_a_door_without_a_database_refuses_everybody_and_leaves_nobody_waiting(
    scene: Scene, web_pool: Pool
) -> None:
    await web_pool.close()
    async with asyncio.timeout(30):
        outcomes = await asyncio.gather(
            *(scene.door.accept(scene.clinic_id, scene.sent(phone)) for phone in range(5)), return_exceptions=True
        )
    assert all(isinstance(one, Exception) for one in outcomes)
