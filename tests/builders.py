"""Builders with defaults: a test says only what it is about. Everybody here is invented."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.client import RecordOrigin
from schemas.clinic import Clinic
from schemas.course import Substance
from service import database, ids
from service.database import Db, Pool
from service.facts import courses, fold_queue, infusions
from service.keys import tokens
from service.keys.sealing import Sealer
from service.people import clients, clinics

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
    """A client in a course that started 200 days ago, unless said otherwise; nothing is due to be folded."""
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
    await db.execute("delete from fold_due where clinic_id = $1 and client_id = $2", db.clinic_id, client_id)
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


INSERT_CHECK_IN = """
insert into check_in (
  clinic_id, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
  client_day, craving, mood, anxiety, used, safety, scale_version, origin, source, content_hash
)
values ($1, $2, $3, 'daily', $4, $4, $4, $4, 'America/Chicago', true, $5, $6, $7, $8, '{}', false, 1, $9, $10, $11)
"""


async def an_answer(
    db: Db,
    client_id: UUID,
    day: date,
    *,
    craving: int | dict[str, int] | None = 3,
    mood: int | None = 6,
    anxiety: int | None = 3,
    at: time = time(18),
    source: str | None = None,
) -> UUID:
    """A daily check-in put straight into the table, as if sent at `at` (Chicago) of its client day; the fold is due."""
    check_in_id = ids.new()
    answered_at = datetime.combine(day, at, ZoneInfo("America/Chicago"))
    by_substance = craving if isinstance(craving, dict) else {} if craving is None else {"alcohol": craving}
    await db.execute(
        INSERT_CHECK_IN,
        db.clinic_id,
        check_in_id,
        client_id,
        answered_at,
        day,
        by_substance,
        mood,
        anxiety,
        "import" if source else "phone",
        source,
        check_in_id.bytes,
    )
    await fold_queue.mark_due(db, client_id, from_day=day, now=answered_at)
    return check_in_id


async def days_of(
    db: Db,
    client_id: UUID,
    *,
    until: date,
    craving: Sequence[int | None],
    mood: Sequence[int] = (),
    anxiety: Sequence[int] = (),
) -> list[UUID]:
    """One answer a day, the last on `until`; a craving of None is a day without an answer."""
    made = []
    for i, score in enumerate(craving):
        if score is not None:
            day = until - timedelta(days=len(craving) - 1 - i)
            of_mood, of_anxiety = mood[i] if mood else 6, anxiety[i] if anxiety else 3
            made.append(await an_answer(db, client_id, day, craving=score, mood=of_mood, anxiety=of_anxiety))
    return made
