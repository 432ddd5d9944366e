"""Builders with defaults: a test says only what it is about. Everybody here is invented."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.client import RecordOrigin
from schemas.clinic import Clinic
from schemas.course import Substance
from service import clients, clinics, courses, database, ids, infusions, tokens
from service.database import Db, Pool
from service.sealing import Sealer

# A fixed "now" for tests: Sunday evening in Chicago.
NOW = datetime(2026, 11, 22, 23, 0, tzinfo=UTC)
MASTER = Sealer(bytes(range(32)))


async def a_clinic(
    owner: Pool, *, slug: str = "harbour", time_zone: str = "America/Chicago", now: datetime = NOW
) -> Clinic:
    """A fictional clinic with default settings."""
    async with database.transaction(owner, ids.new()) as db:
        return await clinics.create(
            db, slug=slug, name="Harbour Clinic (fictional)", time_zone=time_zone, now=now, fictional=True
        )


async def a_client(
    db: Db,
    *,
    given_name: str = "Ines",
    family_name: str = "Marlow",
    substances: Sequence[Substance] = (Substance.ALCOHOL,),
    started_on: date | None = None,
    time_zone: str = "America/Chicago",
    now: datetime = NOW,
    origin: RecordOrigin = RecordOrigin.LIVE,
) -> UUID:
    """A client in a course that started 200 days ago, unless said otherwise."""
    started_on = started_on or now.date() - timedelta(days=200)
    client_id = await clients.add(
        db,
        MASTER,
        given_name=given_name,
        family_name=family_name,
        time_zone=time_zone,
        enrolled_on=started_on,
        now=now,
        origin=origin,
    )
    await courses.start(db, client_id, substances, started_on=started_on, now=now)
    return client_id


INSERT_DEVICE = """
insert into device (clinic_id, device_id, client_id, public_key, enrolled_at, last_used_at)
values ($1, $2, $3, $4, $5, $5)
"""
INSERT_TOKEN = """
insert into device_token (clinic_id, token_hash, kind, device_id, client_id, created_at, expires_at)
values ($1, $2, 'access', $3, $4, $5, $6)
"""


class PhoneRow(msgspec.Struct, frozen=True):
    """A device put straight into the tables, with an access token that works."""

    device_id: UUID
    client_id: UUID
    access_token: str

    @property
    def digest(self) -> bytes:
        return tokens.digest_of(self.access_token)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.access_token}"}


async def a_phone(db: Db, client_id: UUID, *, now: datetime = NOW, hours: float = 1) -> PhoneRow:
    """A device of the client with an access token good for `hours`."""
    device_id = ids.new()
    text, digest = tokens.issue("access", db.clinic_id)
    await db.execute(INSERT_DEVICE, db.clinic_id, device_id, client_id, b"\x04" + bytes(64), now)
    await db.execute(INSERT_TOKEN, db.clinic_id, digest, device_id, client_id, now, now + timedelta(hours=hours))
    return PhoneRow(device_id, client_id, text)


async def an_infusion(db: Db, client_id: UUID, *, given_at: datetime, now: datetime = NOW) -> UUID:
    """An infusion that was given."""
    course = (await courses.of(db, client_id))[0]
    infusion_id = await infusions.plan(db, client_id, course.course_id, planned_at=given_at, by=None, now=now)
    await infusions.give(db, infusion_id, given_at=given_at, by=None, now=now)
    return infusion_id


def a_form(**answers: object) -> dict[str, object]:
    """A daily check-in's JSON body as a phone sends it."""
    return {
        "kind": "daily",
        "answered_at": "2026-11-22T16:14:03-06:00",
        "sent_at": "2026-11-22T17:00:00-06:00",
        "time_zone": "America/Chicago",
        "craving": {"alcohol": 6},
        "mood": 4,
        "anxiety": 7,
        "used": [],
        "safety": False,
        "note": None,
    } | answers
