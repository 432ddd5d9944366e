"""A form whose record is gone from the page meanwhile: what was typed for it never stands in another record's form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from schemas.staff import Role
from service import database
from service.config import Config
from service.database import Pool
from service.people import staff
from service.web.forms import refilling
from tests.appointments import a_planned_infusion
from tests.builders import a_client
from tests.desk import a_person
from tests.desk_visit import Desk, a_desk

NOW = datetime.now(UTC)
TYPED = f"{NOW + timedelta(days=40):%Y-%m-%d}T11:17"


async def refused(desk: Desk, page: str, action: str, **form: str | list[str]) -> str:
    """The page that comes back, with the message at its head and in none of its forms."""
    data = form | {"csrf_token": desk.person.csrf_token}
    referer = {"Referer": str(desk.http.base_url.join(page))}
    reply = await desk.http.post(action, data=data, headers=desk.person.cookie | referer)
    assert reply.status_code == 409, reply.text
    assert '<div class="say bad" id="said" role="alert"><p tabindex="-1" autofocus>' in reply.text
    assert f'name="{refilling.PAGE_FIELD}"' not in reply.text
    assert "<title>Refused: " in reply.text
    return reply.text


async def test_a_move_of_an_infusion_that_was_cancelled_meanwhile_stands_in_no_other_infusion(
    settings: Config, owner_pool: Pool, tmp_path: Path
) -> None:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_client(db)
            first, second = [await a_planned_infusion(db, client_id, hours_ahead=hours) for hours in (30, 60)]
        base = f"/clients/{client_id}/treatment"
        done = await desk.post(f"{base}/infusions/{first}/state", state="cancelled", reason="client_wish", version="1")
        assert done.status_code == 303, done.text
        form = {"planned_at": TYPED, "reason": "client_wish", "version": "1"}
        text = await refused(desk, base, f"{base}/infusions/{first}/move", **form)
        assert f"/infusions/{second}/move" in text
        assert TYPED not in text


async def test_roles_for_somebody_who_was_disabled_meanwhile_stand_beside_no_other_name(
    settings: Config, owner_pool: Pool, tmp_path: Path
) -> None:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            gone = await a_person(db, email="jo@clinic.example", name="Jo Quill", roles=[Role.NURSE])
            await a_person(db, email="taken@clinic.example", name="Ada Brandt", roles=[Role.NURSE])
            await staff.disable(db, gone, by=desk.person.staff_id, now=NOW)
        text = await refused(
            desk, "/staff", f"/staff/{gone}", name="Jo Quillfeather", email="taken@clinic.example", roles=["nurse"]
        )
        assert "works here already" in text
        assert "Quillfeather" not in text
