"""A therapist who is disabled leaves clients behind: whoever does it is told how many, and the care team whom."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pytest

from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Pool
from service.people import clients, staff
from tests.desk import SignedInAs, a_person, a_session
from tests.desk_visit import Desk, a_desk, a_followed_client

GONE = "Jonas Feld (does not work here any more)"
ALONE = "No therapist who works here is on the team."
CHANGED, AS_IT_WAS = 200, 204


class House(NamedTuple):
    """A desk; Jonas, the only therapist of two clients, and not of a third, whom Ingrid treats, too."""

    desk: Desk
    admin: SignedInAs
    jonas: UUID
    ines: UUID
    shared: UUID

    async def disable(self) -> None:
        assert (await self.desk.post(f"/staff/{self.jonas}/disable")).status_code == 303

    async def reads(self, page: str) -> str:
        shown = (await self.desk.get(page)).text
        return " ".join(unescape(re.sub(r"<[^>]+>", "", shown[shown.index("<main") :])).split())


@pytest.fixture
async def house(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[House]:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        since = datetime.now(UTC) - timedelta(days=1)
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            admin = await a_session(db, await a_person(db, Role.ADMIN, email="ada@clinic.example", name="Ada Voss"))
            jonas = await a_person(db, Role.THERAPIST, email="jonas@clinic.example", name="Jonas Feld")
            ingrid = await a_person(db, Role.THERAPIST, email="ingrid@clinic.example", name="Ingrid Solis")
            found = [await a_followed_client(db, given_name=each) for each in ("Ines", "Tomas", "Uriel")]
            for client_id in found:
                await clients.assign(db, client_id, jonas, Role.THERAPIST, from_at=since)
                await clients.assign(db, client_id, desk.person.staff_id, Role.NURSE, from_at=since)
            await clients.assign(db, found[2], ingrid, Role.THERAPIST, from_at=since)
        yield House(desk, admin, jonas, found[0], found[2])


async def test_whoever_disables_a_therapist_is_told_how_many_clients_have_no_other(house: House) -> None:
    counted = "2 clients have no other therapist who works here."
    assert (await house.reads("/staff")).count(counted) == 1
    await house.disable()
    shown = (await house.desk.get("/staff")).text
    assert shown.count(counted) == 1
    assert '<a href="/caseload?status=no_therapist">Put another on the team</a>' in shown
    alone = (await house.desk.http.get("/staff", headers=house.admin.cookie)).text
    assert counted in alone
    assert "no_therapist" not in alone, "an admin sees no clients"
    assert "Coordinators, and whoever else is on the team, put another on it" in alone


async def test_the_care_team_lists_say_who_does_not_work_here_any_more(house: House) -> None:
    pages = [f"/clients/{each}{page}" for each in (house.ines, house.shared) for page in ("", "/manage")]
    for page in pages:
        assert "Jonas Feld therapist" in await house.reads(page)
    asked = re.search(r'hx-get="([^"]+/changed\?seen=[^"]+)"', (await house.desk.get(pages[0])).text)
    assert asked is not None
    await house.disable()
    assert "Something changed" in (await house.desk.get(unescape(asked[1]))).text
    for page in pages:
        shown = await house.reads(page)
        assert GONE in shown
        assert (ALONE in shown) is (str(house.ines) in page)


async def test_the_caseload_says_and_finds_whom_nobody_treats_any_more(house: House) -> None:
    asked = re.search(r'hx-get="([^"]+/changed\?seen=[^"]+)"', (await house.desk.get("/caseload")).text)
    assert asked is not None
    assert (await house.desk.get(unescape(asked[1]))).status_code == AS_IT_WAS
    assert "without a therapist" not in await house.reads("/caseload")
    await house.disable()
    assert (await house.desk.get(unescape(asked[1]))).status_code == CHANGED
    shown = await house.reads("/caseload")
    assert "2 without a therapist who works here" in shown
    found = await house.reads("/caseload?status=no_therapist")
    assert "2 of 3 shown." in found
    assert "Uriel" not in found
    # Whom taking him off the team leaves without anybody are told of as before.
    removed = await house.desk.post(f"/clients/{house.ines}/team/{house.jonas}/remove")
    assert removed.status_code == 303
    assert "2 without a therapist who works here" in await house.reads("/caseload")
    for page in (f"/clients/{house.ines}", f"/clients/{house.ines}/manage"):
        assert ALONE in await house.reads(page)
    async with database.transaction(house.desk.owner, house.desk.clinic.clinic_id) as db:
        ingrid = next(each for each in await staff.all_of(db) if each.name == "Ingrid Solis")
    added = await house.desk.post(f"/clients/{house.ines}/team", staff_id=str(ingrid.staff_id))
    assert added.status_code == 303
    assert "1 without a therapist who works here" in await house.reads("/caseload")
    assert "1 client has no other therapist who works here." in await house.reads("/staff")
    assert ALONE not in await house.reads(f"/clients/{house.ines}")
