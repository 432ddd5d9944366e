"""The demonstration clinic itself: made once, its fictional staff, and each client's course when their day comes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.client import RecordOrigin
from schemas.clinic import Clinic
from schemas.course import DischargeReason, Infusion, InfusionState, Modality, Phase
from schemas.staff import Role
from schemas.treatment import DischargeForm, PauseForm, PhaseForm, StateForm
from service import database, errors, ids, treatment
from service.database import Db, Pool
from service.demo import diary, stories
from service.demo.diary import Slot
from service.demo.people import COLLEAGUES, Person
from service.desk import first_steps
from service.facts import client_day, courses, infusions, sessions
from service.keys.sealing import Sealer
from service.people import audit, clients, clinics, staff, webhook_endpoints

log = logging.getLogger(__name__)

SLUG = "demo"
NAME = "Lakeside Recovery (fictional)"
TIME_ZONE = diary.CLINIC_ZONE.key
SOURCE = "demo"
PRESCRIBER, NURSE = "ingrid.solis", "tomas.reyes"
SESSIONS_AHEAD = timedelta(days=15)
INDUCTION = timedelta(days=30)
MODALITIES = (Modality.INTEGRATION, Modality.COGNITIVE_BEHAVIOURAL, Modality.RELAPSE_PREVENTION, Modality.INTEGRATION)


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
                staff_id = await staff.add(
                    db, email=colleague.email, name=colleague.name, roles=[colleague.role], now=began
                )
                if colleague.role is Role.ADMIN:
                    await _settle_in(db, staff_id, now=began)
        created_at = await db.value(CREATED_AT, clinic_id)
        assert isinstance(created_at, datetime)
        everybody = await staff.all_of(db)
        by_email = {each.email: each.staff_id for each in everybody}
        cast = {colleague.email for colleague in COLLEAGUES}
        for each in everybody:
            # The printed links are theirs: whom a visitor disabled is back at the next start.
            if each.disabled_at is not None and each.email in cast:
                await staff.enable(db, each.staff_id, now=now)
    zone = ZoneInfo(clinic.time_zone)
    return DemoClinic(
        clinic=clinic,
        zone=zone,
        first_day=client_day.of(created_at, zone) - timedelta(days=stories.HISTORY_DAYS),
        staff_ids={colleague.key: by_email[colleague.email] for colleague in COLLEAGUES},
    )


async def _settle_in(db: Db, admin_id: UUID, *, now: datetime) -> None:
    """What a clinic of months has said long ago: that what it began with is right."""
    for step in sorted(first_steps.MAY_STAY):
        await first_steps.leave(db, step, by=admin_id, now=now)


@asynccontextmanager
async def unless_a_visitor_was_here(db: Db) -> AsyncIterator[None]:
    """Leave undone what is refused: a visitor may have discharged somebody, or set other limits."""
    try:
        async with database.undone_alone(db):
            yield
    except errors.DomainError as error:
        log.info("story_left_out", extra={"error_type": type(error).__name__})


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
        (NURSE, Role.NURSE),
        (PRESCRIBER, Role.PRESCRIBER),
    )
    for key, role in team:
        await clients.assign(db, client_id, demo.staff_ids[key], role, from_at=at)
    return client_id


class Appointments(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a person has an appointment for, up to some weeks after the days that are played."""

    infusions: list[Slot]
    sessions: list[Slot]

    def sessions_to_plan(self, day: date, *, joins: bool) -> list[Slot]:
        """The sessions planned on `day`: whatever comes a fortnight later, on the first day all until then."""
        dates = ((slot, slot.planned_at.date()) for slot in self.sessions)
        ahead = day + SESSIONS_AHEAD
        return [slot for slot, on in dates if on == ahead or (joins and on <= ahead)]

    def of(self, day: date) -> Appointments:
        """What takes place on `day`."""
        return Appointments(
            infusions=[slot for slot in self.infusions if slot.planned_at.date() == day],
            sessions=[slot for slot in self.sessions if slot.planned_at.date() == day],
        )

    def held_on(self, day: date) -> list[Slot]:
        """The infusions that were held on `day`."""
        return [slot for slot in self.of(day).infusions if slot.infusion is InfusionState.HELD]


def appointments_of(person: Person, demo: DemoClinic, until: date) -> Appointments:
    """The person's appointments as far as playing up to `until` needs them."""
    return Appointments(
        infusions=diary.infusions_until(person, demo.first_day, until),
        sessions=diary.sessions_until(person, demo.first_day, until + SESSIONS_AHEAD),
    )


async def plan(
    db: Db, demo: DemoClinic, person: Person, client_id: UUID, appointments: Appointments, day: date
) -> None:
    """Plan what is planned on `day`: infusions from a template, a fortnight's sessions."""
    morning = _on(day, time(8), person)
    form = diary.plan_on(person, demo.first_day, day)
    if form is not None:
        await treatment.make_schedule(db, client_id, ids.new(), form, by=_staff(demo, PRESCRIBER), now=morning)
    joins = diary.joined_on(person, demo.first_day) == day
    for slot in appointments.sessions_to_plan(day, joins=joins):
        therapist = demo.staff_ids[person.therapist]
        await sessions.plan(
            db,
            client_id,
            staff_id=therapist,
            planned_at=slot.planned_at,
            modality=Modality(stories.pick(person, slot.planned_at.date(), "modality", MODALITIES)),
            by=therapist,
            now=morning,
        )


async def keep(
    db: Db, demo: DemoClinic, person: Person, client_id: UUID, appointments: Appointments, day: date
) -> bool:
    """Record what became of the day's appointments, and of a pause or a leave; whether an infusion was given."""
    today, held = appointments.of(day), appointments.held_on(day - timedelta(days=1))
    booked = {each.planned_at: each for each in await infusions.of(db, client_id)} if today.infusions or held else {}
    given = False
    for slot in held:
        # Nobody let it go ahead on the next day either.
        await _record(
            db, demo, booked.get(slot.planned_at), InfusionState.CANCELLED, slot, now=_on(day, time(9), person)
        )
    for slot in today.infusions:
        if slot.infusion is None:
            continue
        now = slot.planned_at + timedelta(hours=4)
        recorded = await _record(db, demo, booked.get(slot.planned_at), slot.infusion, slot, now=now)
        if recorded and slot.infusion is InfusionState.GIVEN:
            given = True
    met = {each.planned_at: each for each in await sessions.of(db, client_id)} if today.sessions else {}
    for slot in today.sessions:
        if slot.planned_at in met and slot.session is not None:
            session = met[slot.planned_at]
            over = slot.planned_at + timedelta(minutes=session.minutes)
            await sessions.record_state(db, session.therapy_session_id, slot.session, by=session.staff_id, now=over)
    if today.sessions or today.infusions:
        await _move_to_maintenance(db, demo, client_id, day, now=_on(day, time(20), person))
    await _go_away(db, demo, person, client_id, day)
    return given


OPEN_STATES = (InfusionState.PLANNED, InfusionState.HELD)


async def _record(
    db: Db, demo: DemoClinic, infusion: Infusion | None, state: InfusionState, slot: Slot, *, now: datetime
) -> bool:
    """Record what became of an infusion that is still open; whether there was one."""
    if infusion is None or infusion.state not in OPEN_STATES:
        return False
    form = StateForm(
        state=state,
        given_at=slot.planned_at if state is InfusionState.GIVEN else None,
        dose_mg_per_kg=slot.dose_mg_per_kg,
        duration_minutes=slot.duration_minutes,
        reason=slot.reason,
    )
    await treatment.record_infusion(db, infusion.client_id, infusion.infusion_id, form, by=_staff(demo, NURSE), now=now)
    return True


async def _go_away(db: Db, demo: DemoClinic, person: Person, client_id: UUID, day: date) -> None:
    """Pause on the first day of an absence, discharge on the last day of the course."""
    at = (day - demo.first_day).days
    if person.away is not None and at == person.away.first:
        until_on = demo.first_day + timedelta(days=person.away.last)
        form = PauseForm(from_on=day, until_on=until_on, reason=person.away.reason)
        await treatment.pause(db, client_id, ids.new(), form, by=_staff(demo, NURSE), now=_on(day, time(9), person))
    if at == person.leaves:
        leave = DischargeForm(last_day=day, reason=DischargeReason.COMPLETED)
        evening = _on(day, time(18), person)
        await treatment.discharge(db, client_id, leave, by=_staff(demo, PRESCRIBER), now=evening)


def _staff(demo: DemoClinic, key: str) -> audit.Actor:
    return audit.Actor("staff", demo.staff_ids[key])


def _on(day: date, at: time, person: Person) -> datetime:
    return datetime.combine(day, at, ZoneInfo(person.time_zone)).astimezone(UTC)


async def _move_to_maintenance(db: Db, demo: DemoClinic, client_id: UUID, day: date, *, now: datetime) -> None:
    """After the first month come boosters, whether the first of them was given yet or not."""
    course = (await courses.of(db, client_id))[-1]
    if course.phase is Phase.INDUCTION and day - course.started_on > INDUCTION:
        form = PhaseForm(phase=Phase.MAINTENANCE, from_on=day)
        await treatment.enter_phase(db, client_id, form, by=_staff(demo, PRESCRIBER), now=now)


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
