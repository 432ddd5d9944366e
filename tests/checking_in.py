"""A clinic with a client and their phone, and the few things every test of check-ins over HTTP does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx

from service import database
from service.database import Pool
from tests.builders import PhoneRow, a_client, a_clinic, a_form, a_phone


@dataclass
class Setting:
    """A clinic with one client in treatment for alcohol, and their phone."""

    clinic_id: UUID
    client_id: UUID
    phone: PhoneRow
    owner: Pool


async def a_setting(owner: Pool) -> Setting:
    now = datetime.now(UTC)
    clinic = await a_clinic(owner, now=now)
    async with database.transaction(owner, clinic.clinic_id) as db:
        client_id = await a_client(db, now=now)
        phone = await a_phone(db, client_id, now=now)
    return Setting(clinic.clinic_id, client_id, phone, owner)


def form_now(**answers: object) -> dict[str, object]:
    """A daily check-in answered half a minute ago."""
    now = datetime.now(UTC)
    return a_form(answered_at=(now - timedelta(seconds=30)).isoformat(), sent_at=now.isoformat(), **answers)


async def put(
    http: httpx.AsyncClient, phone: PhoneRow, form: dict[str, object], check_in_id: UUID | None = None
) -> httpx.Response:
    return await http.put(f"/v1/check-ins/{check_in_id or uuid4()}", json=form, headers=phone.headers)


async def count(here: Setting, table: str) -> int:
    async with database.transaction(here.owner, here.clinic_id) as db:
        found = await db.value(f"select count(*) from {table} where clinic_id = $1", here.clinic_id)
        assert isinstance(found, int)
        return found
