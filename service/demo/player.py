"""Playing the stories into the database: each client day as it would have been lived, one transaction a day.

Facts, folds, alerts and what staff did carry the times of that day; messages count as sent without going out. The day
is marked as played in its own transaction, so that a killed play goes on where it stopped, and two plays are one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Protocol
from uuid import UUID

import msgspec

from schemas.checkin import Kind, Origin
from schemas.course import Substance
from schemas.gate import Analyte
from service import database, errors, fold, ids
from service.alerting import alert_states, alerts
from service.database import Db, Pool
from service.demo import clinic, gates, questionnaires, staff
from service.demo.clinic import Appointments, DemoClinic
from service.demo.diary import joined_on
from service.demo.people import PEOPLE, Line, Person
from service.demo.stories import Answer, answer_on
from service.facts import checkins, fold_queue, gate_records
from service.keys.sealing import Sealer
from service.people import audit, clients
from service.rules import urgent_rules

JOB = "demo.play"
RULE_SET_VERSION = 1
# Longest time an answer of a story is on its way, in days.
LATEST_ARRIVAL_DAYS = 5
# After the last answer of the day, whoever's zone it is.
FOLDED_AT = time(23)


class Cast(msgspec.Struct, frozen=True, kw_only=True):
    """Who plays: every person with their appointments."""

    people: Sequence[Person]
    appointments: dict[str, Appointments]


class Arrived(msgspec.Struct, frozen=True):
    """An answer that came in, and whose it is."""

    person: Person
    client_id: UUID
    check_in_id: UUID
    answer: Answer


async def play(
    pool: Pool,
    demo: DemoClinic,
    master: Sealer,
    *,
    until: date,
    people: Sequence[Person] = PEOPLE,
    played: Callable[[date], object],
) -> int:
    """Play every day that has not been played, up to and including `until`; how many there were."""
    cast = Cast(
        people=people,
        appointments={person.key: clinic.appointments_of(person, demo, until) for person in people},
    )
    day = await next_day(pool, demo)
    count = 0
    while day <= until:
        try:
            async with database.transaction(pool, demo.clinic.clinic_id) as db:
                await _play_day(db, demo, master, cast, day, as_told)
        except errors.DomainError:
            async with database.transaction(pool, demo.clinic.clinic_id) as db:
                await _play_day(db, demo, master, cast, day, clinic.unless_a_visitor_was_here)
        played(day)
        count += 1
        day += timedelta(days=1)
    return count


LAST_PLAYED = """
select max(local_date)
from job_run
where clinic_id = $1
  and job = $2
"""


async def next_day(pool: Pool, demo: DemoClinic) -> date:
    """The first client day that is still to be played."""
    async with database.transaction(pool, demo.clinic.clinic_id) as db:
        last = await db.value(LAST_PLAYED, db.clinic_id, JOB)
    return last + timedelta(days=1) if isinstance(last, date) else demo.first_day


Carefully = Callable[[Db], AbstractAsyncContextManager[None]]


def as_told(db: Db) -> AbstractAsyncContextManager[None]:
    """Nothing is refused in a story as it is told."""
    del db
    return nullcontext()


MARK_PLAYED = """
insert into job_run (clinic_id, job, local_date, local_time, claimed_by, claimed_at, finished_at, state)
values ($1, $2, $3, '00:00', 'demo', $4, $4, 'done')
"""


async def _play_day(db: Db, demo: DemoClinic, master: Sealer, cast: Cast, day: date, carefully: Carefully) -> None:
    ends_at = datetime.combine(day + timedelta(days=1), time(4), demo.zone).astimezone(UTC)
    await db.execute(MARK_PLAYED, db.clinic_id, JOB, day, ends_at)
    client_ids = await _clients_on(db, demo, master, cast, day)
    for person in cast.people:
        client_id = client_ids.get(person.key)
        if client_id is None:
            continue
        appointments = cast.appointments[person.key]
        async with carefully(db):
            await clinic.plan(db, demo, person, client_id, appointments, day)
            await gates.on_day(db, demo, master, person, client_id, appointments, day)
            if await clinic.keep(db, demo, person, client_id, appointments, day):
                await fold_queue.mark_due(db, client_id, from_day=day, now=ends_at)
    meanwhile = partial(_meanwhile, db, demo, master, cast, day, carefully)
    answered = await _store_arrivals(db, demo, master, cast, client_ids, day, meanwhile)
    evening = datetime.combine(day, FOLDED_AT, demo.zone).astimezone(UTC)
    await meanwhile(until=evening)
    await fold.fold_clients(db, list(client_ids.values()), now=evening, limit=len(client_ids))
    # Whoever did not answer is folded when the day closes, as the jobs process would.
    silent = [client_id for client_id in client_ids.values() if client_id not in answered]
    await db.execute_many(fold_queue.MARK_DUE, [(db.clinic_id, client_id, day, ends_at) for client_id in silent])
    await meanwhile(until=ends_at)
    await fold.fold_clients(db, list(client_ids.values()), now=ends_at, limit=len(client_ids))
    await meanwhile(until=ends_at)
    await audit.record(db, audit.COMMAND, "demo.play", now=ends_at)


class _Until(Protocol):
    async def __call__(self, *, until: datetime) -> None: ...


async def _meanwhile(
    db: Db, demo: DemoClinic, master: Sealer, cast: Cast, day: date, carefully: Carefully, *, until: datetime
) -> None:
    """Let messages go out and staff act up to then, before whatever comes then: one order of time for everybody."""
    await _settle_messages(db, until=until)
    async with carefully(db):
        await staff.work(db, demo, master, {person.key: person for person in cast.people}, day, until=until)


class _Playing(msgspec.Struct, frozen=True):
    source_key: str
    client_id: UUID


PLAYING = """
select source_key, client_id
from client
where clinic_id = $1
  and source = $2
"""


async def _clients_on(db: Db, demo: DemoClinic, master: Sealer, cast: Cast, day: date) -> dict[str, UUID]:
    """Whoever has joined by that day; those whose first day it is join now."""
    rows = await db.rows(_Playing, PLAYING, db.clinic_id, clinic.SOURCE)
    known = {row.source_key: row.client_id for row in rows}
    for person in cast.people:
        if joined_on(person, demo.first_day) <= day and person.key not in known:
            known[person.key] = await clinic.join(db, demo, master, person, day)
    return {person.key: known[person.key] for person in cast.people if person.key in known}


async def _store_arrivals(
    db: Db,
    demo: DemoClinic,
    master: Sealer,
    cast: Cast,
    client_ids: dict[str, UUID],
    day: date,
    meanwhile: _Until,
) -> set[UUID]:
    """Store what arrives on that day, answers of days before that were on their way too; who has answered the day."""
    there = await _answered_days(db, list(client_ids.values()), day)
    arrived: list[Arrived] = []
    for person in cast.people:
        client_id = client_ids.get(person.key)
        if client_id is not None:
            answers = [each for each in _arrivals(person, demo, day) if (client_id, each.day) not in there]
            arrived += [Arrived(person, client_id, ids.new(), answer) for answer in answers]
    await store(db, master, arrived)
    for each in sorted(arrived, key=lambda each: each.answer.received_at):
        if urgent_rules.may_give_findings(each.answer.safety, each.answer.used):
            await meanwhile(until=each.answer.received_at)
            await _open_urgent_alerts(db, demo, each)
        await questionnaires.respond(db, master, each.person, each.client_id, each.answer, first_day=demo.first_day)
        there.add((each.client_id, each.answer.day))
    return {client_id for client_id, answered_day in there if answered_day == day}


async def store(db: Db, master: Sealer, arrived: Sequence[Arrived]) -> None:
    """Store answers as the check-ins they would have been, and make their clients' folds due."""
    noted = {each.client_id for each in arrived if each.answer.note is not None}
    sealers = {client_id: await clients.sealer_of(db, master, client_id) for client_id in noted}
    await db.execute_many(INSERT_CHECK_IN, [_row(db, master, sealers.get(each.client_id), each) for each in arrived])
    await db.execute_many(
        fold_queue.MARK_DUE,
        [(db.clinic_id, each.client_id, each.answer.day, each.answer.received_at) for each in arrived],
    )


def _arrivals(person: Person, demo: DemoClinic, day: date) -> list[Answer]:
    back = LATEST_ARRIVAL_DAYS if person.line is Line.LATE_SYNC else 0
    answers = (answer_on(person, demo.first_day, day - timedelta(days=ago)) for ago in range(back, -1, -1))
    return [answer for answer in answers if answer is not None and answer.received_at.date() == day]


ANSWERED_DAYS = """
select client_id, client_day
from check_in
where clinic_id = $1
  and client_id = any($2::uuid[])
  and client_day between $3 and $4
  and kind = 'daily'
"""


async def _answered_days(db: Db, client_ids: list[UUID], day: date) -> set[tuple[UUID, date]]:
    """The days that a phone has answered already while the demonstration ran."""
    since = day - timedelta(days=LATEST_ARRIVAL_DAYS)
    rows = await db.connection.fetch(ANSWERED_DAYS, db.clinic_id, client_ids, since, day)
    return {(row["client_id"], row["client_day"]) for row in rows}


INSERT_CHECK_IN = """
insert into check_in (
  clinic_id, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
  client_day, craving, mood, anxiety, used, safety, note_sealed, scale_version, origin, content_hash
)
values ($1, $2, $3, $4, $5, $6, $6, $5, $7, true, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
"""


def _row(db: Db, master: Sealer, sealer: Sealer | None, arrived: Arrived) -> tuple[object, ...]:
    answer = arrived.answer
    note = None
    if answer.note is not None and sealer is not None:
        note = sealer.seal(answer.note.encode(), bound_to=checkins.note_binding(db.clinic_id, arrived.check_in_id))
    return (
        db.clinic_id,
        arrived.check_in_id,
        arrived.client_id,
        Kind.DAILY,
        answer.answered_at,
        answer.received_at,
        arrived.person.time_zone,
        answer.day,
        answer.craving,
        answer.mood,
        answer.anxiety,
        answer.used,
        answer.safety,
        note,
        checkins.SCALE_VERSION,
        Origin.PHONE,
        master.keyed_hash(msgspec.json.encode(answer, order="deterministic"), purpose="check_in.demo"),
    )


async def _open_urgent_alerts(db: Db, demo: DemoClinic, arrived: Arrived) -> None:
    person, answer = arrived.person, arrived.answer
    before: set[Substance] = set()
    for ago in range(1, urgent_rules.ABSTINENCE_DAYS + 1):
        earlier = answer_on(person, demo.first_day, answer.day - timedelta(days=ago))
        before.update(earlier.used if earlier else ())
    findings = urgent_rules.findings_of_check_in(
        check_in_id=arrived.check_in_id,
        client_day=answer.day,
        safety=answer.safety,
        used=answer.used,
        treated=person.substances,
        used_before=before,
        opioid_screened=await gate_records.was_positive(
            db,
            arrived.client_id,
            Analyte.OPIOID,
            since=answer.received_at - timedelta(days=urgent_rules.ABSTINENCE_DAYS),
            until=answer.received_at,
        ),
        late_days=(answer.received_at.date() - answer.day).days,
    )
    await alerts.open_or_join(
        db, arrived.client_id, findings, now=answer.received_at, rule_set_version=RULE_SET_VERSION
    )


class _Settled(msgspec.Struct, frozen=True):
    alert_id: UUID | None
    delivery_id: UUID
    due_at: datetime


SETTLE_MESSAGES = """
update delivery
set state = 'sent',
    attempts = 1,
    settled_at = due_at
where clinic_id = $1
  and state in ('queued', 'failed')
  and due_at <= $2
returning alert_id, delivery_id, due_at
"""


async def _settle_messages(db: Db, *, until: datetime) -> None:
    """Messages of a day that is played count as sent at once, and never go out."""
    for sent in await db.rows(_Settled, SETTLE_MESSAGES, db.clinic_id, until):
        if sent.alert_id is None:
            continue
        await alert_states.dispatch(db, sent.alert_id, now=sent.due_at, delivery_id=sent.delivery_id)
