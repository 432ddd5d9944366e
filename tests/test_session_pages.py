"""The page of a client's sessions: what was pressed by mistake is put right by its own buttons, without a script."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from schemas.course import SessionState
from service import database
from service.config import Config
from service.database import Pool
from service.facts import sessions
from tests.desk_visit import a_desk, a_followed_client

TAKE_BACK = {
    SessionState.ATTENDED: "Take it back",
    SessionState.MISSED: "Take it back",
    SessionState.CANCELLED: "Take the cancellation back",
}


@pytest.mark.parametrize("pressed", TAKE_BACK)
async def test_what_was_said_of_a_past_session_by_mistake_can_be_taken_back(
    settings: Config, owner_pool: Pool, tmp_path: Path, pressed: SessionState
) -> None:
    now = datetime.now(UTC)
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            session_id = await sessions.plan(
                db, client_id, staff_id=None, planned_at=now - timedelta(days=1), by=None, now=now - timedelta(days=2)
            )
        page = f"/clients/{client_id}/sessions"
        for state, button in ((pressed, pressed.capitalize()), (SessionState.PLANNED, TAKE_BACK[pressed])):
            form = rf"{session_id}/state" + "".join(
                rf'.*?name="{name}" value="(\w+)">' for name in ("state", "version")
            )
            form += r".*?>([^<]+)</button>"
            forms = re.findall(form, (await desk.get(page)).text)
            versions = {label: version for value, version, label in forms if value == state}
            assert button in versions
            reply = await desk.post(f"/sessions/{session_id}/state", state=str(state), version=versions[button])
            assert reply.status_code == 303, reply.text
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            assert (await sessions.get(db, session_id)).state is SessionState.PLANNED
