"""Characters that nobody types, in addresses and forms: not found or refused, never an error of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service import database
from service.config import Config
from service.database import Pool
from service.people import clinics
from tests.desk import an_alert
from tests.desk_visit import Desk, a_desk, a_followed_client


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


async def test_an_address_with_odd_characters_is_not_found(desk: Desk) -> None:
    for odd in ("%00", "harbour%00", "harbour%0A", "%01", "%ED%A0%80", "h%C3%A4fen"):
        for address in (f"/{odd}/sign-in", f"/phone/{odd}", f"/static/{odd}"):
            assert (await desk.get(address)).status_code == 404, address
    assert (await desk.post("/%00/sign-in", email="a@b.example", password="x")).status_code == 404
    assert (await desk.get("/v1/check-ins/%00")).status_code in (404, 405)


async def test_what_can_be_no_slug_is_not_asked_of_the_database(web_pool: Pool) -> None:
    async with database.across_clinics(web_pool) as connection:
        for text in ("", "\x00", "harbour\n", "Harbour", "-harbour", "h" * 64, "hafen\ud800"):
            assert await clinics.find_by_slug(connection, text) is None


@pytest.mark.parametrize("odd", ["\x00", "\x01", "\x7f", "\n", "\u0085"])
async def test_a_form_field_with_control_characters_is_refused_by_name(desk: Desk, odd: str) -> None:
    door = await desk.post("/harbour/sign-in", email=f"maren{odd}@clinic.example", password="x")
    assert door.status_code == 400
    assert "email" in door.text
    staff = await desk.post("/staff", name=f"Tomas{odd}Reyes", email="t@clinic.example", roles="nurse")
    assert staff.status_code == 400
    name = {f"na{odd}me": "x", "email": "maren@clinic.example"}
    assert (await desk.http.post("/harbour/sign-in", data=name)).status_code == 400


async def test_a_note_may_have_lines_and_tabs_but_no_other_control_characters(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        alert_id = await an_alert(db, await a_followed_client(db))
    assert (await desk.post(f"/alerts/{alert_id}/note", note="Called.\r\n\tAgain at six.")).status_code == 303
    assert (await desk.post(f"/alerts/{alert_id}/note", note="Called.\x00")).status_code == 400
