"""What a visitor finds at the gates at every start: one infusion of each kind today, and a window without a session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from types import MappingProxyType
from uuid import UUID

import msgspec

from schemas.course import InfusionState, SessionState
from schemas.gate import Analyte, Decision
from schemas.session import CoverageState
from service import errors
from service.database import Db
from service.demo import clinic, diary, gates
from service.demo.clinic import NURSE, PRESCRIBER, DemoClinic
from service.demo.gates import Visit, a_list, a_reading, a_screen
from service.demo.people import PEOPLE, Person
from service.facts import courses, coverage, gate_checks, infusions, sessions
from service.keys.sealing import Sealer
from service.people.clients import ids_of

EARLIEST, LATEST = time(9), time(18)
BETWEEN = timedelta(minutes=45)
BEFORE_NOW = timedelta(minutes=50)
CLOSES_IN = timedelta(hours=10)
READ, ASKED, DECIDED = timedelta(minutes=4), timedelta(minutes=11), timedelta(minutes=18)
SLACK = timedelta(minutes=10)
SOON = timedelta(days=2)


class Staged(msgspec.Struct, frozen=True):
    """An infusion that is staged: whose, and when somebody of the staff begins at its gate."""

    visit: Visit
    person: Person
    at: datetime


async def _clear(staged: Staged) -> None:
    visit, at = staged.visit, staged.at
    await visit.record(a_screen([], at=at), at=at)
    await visit.record(a_reading(121, 77, at=at + READ), at=at + READ)
    await visit.record(a_list(staged.person, at=at + ASKED), at=at + ASKED)
    await gates.clear(visit, at=at + DECIDED)


async def _held(staged: Staged) -> None:
    visit, at = staged.visit, staged.at
    await visit.record(a_reading(158, 98, at=at + READ), at=at + READ)
    await visit.record(a_list(staged.person, at=at + ASKED), at=at + ASKED)
    reason = "Headache since the morning and a high pressure twice; rest first, then measure again."
    await visit.decide(Decision.HOLD, by=NURSE, at=at + DECIDED, reason=reason)


async def _overridden(staged: Staged) -> None:
    visit, at = staged.visit, staged.at
    await visit.record(a_screen([], at=at), at=at)
    await visit.record(a_reading(144, 88, at=at + READ), at=at + READ)
    await visit.record(a_list(staged.person, at=at + ASKED), at=at + ASKED)
    reason = "132/82 at home this morning and nervous here each time; monitored as always."
    await visit.decide(Decision.OVERRIDE, by=PRESCRIBER, at=at + DECIDED, reason=reason)


async def _screen_positive(staged: Staged) -> None:
    visit, at = staged.visit, staged.at
    await visit.record(a_screen([Analyte.COCAINE], at=at), at=at)
    await visit.record(a_reading(126, 80, at=at + READ), at=at + READ)
    await visit.record(a_list(staged.person, at=at + ASKED), at=at + ASKED)


async def _pressure_high(staged: Staged) -> None:
    visit, at = staged.visit, staged.at
    await visit.record(a_screen([], at=at), at=at)
    await visit.record(a_reading(152, 94, at=at + READ), at=at + READ)
    await visit.record(a_list(staged.person, at=at + ASKED), at=at + ASKED)


async def _begun(staged: Staged) -> None:
    await staged.visit.record(a_screen([], at=staged.at), at=staged.at)


SCENES: Mapping[str, Callable[[Staged], Awaitable[None]]] = MappingProxyType(
    {
        "Alma Quist": _clear,
        "Silas Monk": _screen_positive,
        "Greta Lindqvist": _overridden,
        "Iris Tamm": _pressure_high,
        "Hugo Barros": _held,
        "Odile Kerr": _begun,
    }
)
"""By client, in the order of their slots."""


async def stage(db: Db, demo: DemoClinic, master: Sealer, today: date, *, now: datetime) -> None:
    """Book an extra infusion for each scene and play it up to now; those of former starts are cancelled.

    Where a visitor recorded or decided something today, the client's infusions stay as they are.
    """
    found = [(person, await clinic.find_client(db, person)) for person in PEOPLE if person.key in SCENES]
    acting = {client_id: person for person, client_id in found if client_id is not None}
    kept = await _used_by_visitors(db, demo, acting, today)
    acting = {client_id: person for client_id, person in acting.items() if client_id not in kept}
    await _cancel_former(db, demo, acting, today, now=now)
    slot, prescriber, planned_on = _first_slot(demo, today, now), demo.staff_ids[PRESCRIBER], now - timedelta(days=4)
    order = list(SCENES)
    for client_id, person in sorted(acting.items(), key=lambda each: order.index(each[1].key)):
        async with clinic.unless_a_visitor_was_here(db):
            course_id = (await courses.of(db, client_id))[-1].course_id
            infusion_id = await infusions.plan(db, client_id, course_id, planned_at=slot, by=prescriber, now=planned_on)
            visit = Visit(db, demo, master, client_id, infusion_id)
            await SCENES[person.key](Staged(visit, person, now - BEFORE_NOW))
        slot += BETWEEN
    async with clinic.unless_a_visitor_was_here(db):
        await _leave_uncovered(db, demo, now=now)


def _first_slot(demo: DemoClinic, today: date, now: datetime) -> datetime:
    """The next half hour; in the evening tomorrow's first."""
    local = now.astimezone(demo.zone)
    if local.time() >= LATEST or local.date() < today:
        return datetime.combine(local.date() + timedelta(days=1), EARLIEST, demo.zone).astimezone(UTC)
    half_hour = local.replace(minute=0, second=0, microsecond=0) + timedelta(minutes=60)
    return max(half_hour, datetime.combine(local.date(), EARLIEST, demo.zone)).astimezone(UTC)


USED = """
with said as (
  select infusion_id, decided_at as at from gate_check where clinic_id = $1
  union all
  select infusion_id, recorded_at from drug_screen where clinic_id = $1
  union all
  select infusion_id, recorded_at from vital_reading where clinic_id = $1
  union all
  select infusion_id, recorded_at from contraindication_check where clinic_id = $1
)
select i.client_id, i.planned_at
from infusion i
join said on said.infusion_id = i.infusion_id
where i.clinic_id = $1
  and i.planned_at >= $2
  and i.state in ('planned', 'held', 'given')
group by i.client_id, i.infusion_id, i.planned_at
having max(said.at) - min(said.at) > $3
"""


async def _used_by_visitors(db: Db, demo: DemoClinic, acting: Mapping[UUID, Person], today: date) -> set[UUID]:
    """With whose staged infusion of today somebody went on: all that is played at one takes a few minutes, and lies
    `BEFORE_NOW` before whoever opens the page can say anything."""
    told = _told(demo, acting, today)
    rows = await db.connection.fetch(USED, db.clinic_id, _began(demo, today), DECIDED + SLACK)
    return {row["client_id"] for row in rows if (row["client_id"], row["planned_at"]) not in told}


def _began(demo: DemoClinic, today: date) -> datetime:
    return datetime.combine(today, time(4), demo.zone).astimezone(UTC)


def _told(demo: DemoClinic, acting: Mapping[UUID, Person], today: date) -> set[tuple[UUID, datetime]]:
    """The infusions that the actors' stories know, of today and tomorrow too."""
    soon = _began(demo, today) + SOON
    return {
        (client_id, slot.planned_at)
        for client_id, person in acting.items()
        for slot in diary.infusions_until(person, demo.first_day, soon.date())
    }


LEFT_OPEN = """
select infusion_id, client_id, planned_at
from infusion
where clinic_id = $1
  and state in ('planned', 'held')
  and (planned_at < $2 or (client_id = any ($3::uuid[]) and planned_at < $4))
order by planned_at
"""


async def _cancel_former(
    db: Db, demo: DemoClinic, acting: Mapping[UUID, Person], today: date, *, now: datetime
) -> None:
    """Cancel what is left open from the days before, and of the actors whatever their stories do not know."""
    began, told = _began(demo, today), _told(demo, acting, today)
    for left in await db.connection.fetch(LEFT_OPEN, db.clinic_id, began, list(acting), began + SOON):
        if left["planned_at"] < began or (left["client_id"], left["planned_at"]) not in told:
            by = demo.staff_ids["ada.whitlock"]
            await infusions.record_state(db, left["infusion_id"], InfusionState.CANCELLED, by=by, now=now)


async def _leave_uncovered(db: Db, demo: DemoClinic, *, now: datetime) -> None:
    """Have a window that closes by tomorrow with nothing booked in it: what was is cancelled, at the client's wish."""
    tomorrow = now.astimezone(demo.zone).date() + timedelta(days=1)
    open_now = await _open_windows(db, now=now)
    if not any(closes_at.astimezone(demo.zone).date() <= tomorrow for closes_at, _, _ in open_now):
        await _give_extra(db, demo, now=now)
        open_now = await _open_windows(db, now=now)
    if not open_now:
        return
    closes_at, client_id, given_at = min(open_now)
    for session in await sessions.of(db, client_id):
        if session.state is SessionState.PLANNED and given_at < session.planned_at <= closes_at:
            by = demo.staff_ids["ada.whitlock"]
            await sessions.record_state(db, session.therapy_session_id, SessionState.CANCELLED, by=by, now=now)


async def _open_windows(db: Db, *, now: datetime) -> list[tuple[datetime, UUID, datetime]]:
    """When each open window closes, whose it is, and when the infusion was given."""
    hours = (await gate_checks.setting_of(db)).therapy_window_hours
    windows = []
    for client_id in await ids_of(db):
        booked = await sessions.of(db, client_id)
        found = coverage.of(await infusions.of(db, client_id), booked, window_hours=hours, now=now)
        still_open = (CoverageState.OPEN, CoverageState.BOOKED)
        windows += [(each.closes_at, client_id, each.given_at) for each in found if each.state in still_open]
    return windows


async def _give_extra(db: Db, demo: DemoClinic, *, now: datetime) -> None:
    """An infusion beside the story, so long ago that its window closes in some hours."""
    hours = (await gate_checks.setting_of(db)).therapy_window_hours
    given_at, prescriber = now - timedelta(hours=hours) + CLOSES_IN, demo.staff_ids[PRESCRIBER]
    client_id = await _without_session_since(db, given_at)
    course_id = (await courses.of(db, client_id))[-1].course_id
    infusion_id = await infusions.plan(db, client_id, course_id, planned_at=given_at, by=prescriber, now=given_at)
    await infusions.give(db, infusion_id, given_at=given_at, by=prescriber, now=given_at)


async def _without_session_since(db: Db, given_at: datetime) -> UUID:
    """An actor whose window nothing covers."""
    for person in PEOPLE:
        client_id = await clinic.find_client(db, person) if person.key in SCENES else None
        if client_id is None:
            continue
        held = [each for each in await sessions.of(db, client_id) if each.state is SessionState.ATTENDED]
        if not any(each.planned_at > given_at for each in held):
            return client_id
    raise errors.Conflict("Everybody on the stage had a session lately.")
