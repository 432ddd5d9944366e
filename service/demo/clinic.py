"""The demonstration clinic itself: made once, its fictional staff, and each client's course when their day comes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.client import RecordOrigin
from schemas.clinic import Clinic
from schemas.course import InfusionState, Phase
from schemas.staff import Role
from service import database
from service.database import Db, Pool
from service.demo import stories
from service.demo.people import COLLEAGUES, Person
from service.demo.stories import Slot
from service.facts import client_day, courses, infusions, sessions
from service.people import clients, clinics, staff, webhook_endpoints
from service.sealing import Sealer

SLUG = "demo"
NAME = "Lakeside Recovery (fictional)"
TIME_ZONE = "America/Chicago"
SOURCE = "demo"
INFUSIONS_AHEAD = timedelta(days=45)
SESSIONS_AHEAD = timedelta(days=15)
INDUCTION = timedelta(days=30)


class DemoClinic(msgspec.Struct, frozen=True, kw_only=True):
    """The clinic, the client day its stories begin on, and its staff by key."""

    clinic: Clinic
    zone: ZoneInfo
    first_day: date
    staff_ids: Mapping[str, UUID]


CREATED_AT = """
select created_at
from clinic
where clinic_id = $1
"""


async def find_or_make(pool: Pool, *, now: datetime) -> DemoClinic:
    """The demonstration clinic, made with its staff where it is missing."""
    async with pool.acquire() as connection:
        clinic = await clinics.find_by_slug(connection, SLUG)
    clinic_id = clinics.new_id() if clinic is None else clinic.clinic_id
    async with database.transaction(pool, clinic_id) as db:
        if clinic is None:
            clinic = await clinics.create(db, slug=SLUG, name=NAME, time_zone=TIME_ZONE, now=now, fictional=True)
            began = now - timedelta(days=stories.HISTORY_DAYS + 1)
            for colleague in COLLEAGUES:
                await staff.add(db, email=colleague.email, name=colleague.name, roles=[colleague.role], now=began)
        created_at = await db.value(CREATED_AT, clinic_id)
        assert isinstance(created_at, datetime)
        by_email = {each.email: each.staff_id for each in await staff.all_of(db)}
    zone = ZoneInfo(clinic.time_zone)
    return DemoClinic(
        clinic=clinic,
        zone=zone,
        first_day=client_day.of(created_at, zone) - timedelta(days=stories.HISTORY_DAYS),
        staff_ids={colleague.key: by_email[colleague.email] for colleague in COLLEAGUES},
    )


CLIENT_OF = """
select client_id
from client
where clinic_id = $1
  and source = $2
  and source_key = $3
"""


async def find_client(db: Db, person: Person) -> UUID | None:
    """The client this person is in the database, None before they joined."""
    client_id = await db.value(CLIENT_OF, db.clinic_id, SOURCE, person.key)
    return client_id if isinstance(client_id, UUID) else None


async def join(db: Db, demo: DemoClinic, master: Sealer, person: Person, day: date) -> UUID:
    """The person's first day: their course starts, their care team is assigned."""
    at = datetime.combine(day, time(8), ZoneInfo(person.time_zone)).astimezone(UTC)
    client_id = await clients.add(
        db,
        master,
        given_name=person.given_name,
        family_name=person.family_name,
        time_zone=person.time_zone,
        enrolled_on=day,
        now=at,
        origin=RecordOrigin.LIVE,
        source=SOURCE,
        source_key=person.key,
    )
    await courses.start(db, client_id, person.substances, started_on=day, now=at)
    team = (
        (person.therapist, Role.THERAPIST),
        ("tomas.reyes", Role.NURSE),
        ("ingrid.solis", Role.PRESCRIBER),
    )
    for key, role in team:
        await clients.assign(db, client_id, demo.staff_ids[key], role, from_at=at)
    return client_id


class Appointments(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a person has an appointment for, up to some weeks after the days that are played."""

    infusions: list[Slot]
    sessions: list[Slot]

    def to_plan(self, day: date, *, joins: bool) -> Appointments:
        """What is planned on `day`: whatever comes a few weeks later, on the first day all until then."""

        def due(slots: list[Slot], ahead: timedelta) -> list[Slot]:
            dates = ((slot, slot.planned_at.date()) for slot in slots)
            return [slot for slot, on in dates if on == day + ahead or (joins and on <= day + ahead)]

        return Appointments(infusions=due(self.infusions, INFUSIONS_AHEAD), sessions=due(self.sessions, SESSIONS_AHEAD))

    def of(self, day: date) -> Appointments:
        """What takes place on `day`."""
        return Appointments(
            infusions=[slot for slot in self.infusions if slot.planned_at.date() == day],
            sessions=[slot for slot in self.sessions if slot.planned_at.date() == day],
        )


def appointments_of(person: Person, demo: DemoClinic, until: date) -> Appointments:
    """The person's appointments as far as playing up to `until` needs them."""
    return Appointments(
        infusions=stories.infusions_until(person, demo.first_day, until + INFUSIONS_AHEAD),
        sessions=stories.sessions_until(person, demo.first_day, until + SESSIONS_AHEAD),
    )


async def plan(db: Db, demo: DemoClinic, person: Person, client_id: UUID, coming: Appointments, day: date) -> None:
    """Book what is to be planned on `day`."""
    morning = datetime.combine(day, time(8), ZoneInfo(person.time_zone)).astimezone(UTC)
    prescriber = demo.staff_ids["ingrid.solis"]
    if coming.infusions:
        course_id = (await courses.of(db, client_id))[-1].course_id
        for slot in coming.infusions:
            await infusions.plan(db, client_id, course_id, planned_at=slot.planned_at, by=prescriber, now=morning)
    for slot in coming.sessions:
        therapist = demo.staff_ids[person.therapist]
        await sessions.plan(db, client_id, staff_id=therapist, planned_at=slot.planned_at)


async def keep(db: Db, demo: DemoClinic, client_id: UUID, today: Appointments) -> bool:
    """Record what became of today's appointments; whether an infusion was given."""
    given = False
    booked = {each.planned_at: each for each in await infusions.of(db, client_id)} if today.infusions else {}
    for slot in today.infusions:
        infusion = booked.get(slot.planned_at)
        if infusion is None or infusion.state is not InfusionState.PLANNED or slot.infusion is None:
            continue
        is_given = slot.infusion is InfusionState.GIVEN
        await infusions.record_state(
            db,
            infusion.infusion_id,
            slot.infusion,
            by=demo.staff_ids["tomas.reyes"],
            now=slot.planned_at + timedelta(hours=4),
            given_at=slot.planned_at if is_given else None,
        )
        given |= is_given
        if is_given:
            await _move_to_maintenance(db, demo, client_id, slot)
    met = {each.planned_at: each for each in await sessions.of(db, client_id)} if today.sessions else {}
    for slot in today.sessions:
        if slot.planned_at in met and slot.session is not None:
            await sessions.record_state(db, met[slot.planned_at].therapy_session_id, slot.session)
    return given


async def _move_to_maintenance(db: Db, demo: DemoClinic, client_id: UUID, slot: Slot) -> None:
    """An infusion later than the first month is a booster."""
    course, day = (await courses.of(db, client_id))[-1], slot.planned_at.date()
    if course.phase is Phase.INDUCTION and day - course.started_on > INDUCTION:
        by, now = demo.staff_ids["ingrid.solis"], slot.planned_at + timedelta(hours=4)
        await courses.enter_phase(db, course.course_id, Phase.MAINTENANCE, from_on=day, by=by, now=now)


MOVE_ENDPOINT = """
update webhook_endpoint
set url = $3,
    disabled_at = null,
    disabled_why = null
where clinic_id = $1
  and webhook_endpoint_id = $2
"""


async def announce_at(db: Db, master: Sealer, url: str, *, now: datetime) -> bytes:
    """Have the clinic's alerts announced at `url`, where this start's receiver listens; the secret that signs them."""
    endpoints = await webhook_endpoints.of(db)
    if not endpoints:
        _, secret = await webhook_endpoints.add(db, master, url, now=now)
        return secret
    await db.execute(MOVE_ENDPOINT, db.clinic_id, endpoints[0].webhook_endpoint_id, url)
    return webhook_endpoints.secret_of(endpoints[0], master, clinic_id=db.clinic_id)
