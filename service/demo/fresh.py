"""The client who crosses the limit while a visitor looks on: quiet for weeks, then today's answer.

Whether that answer crosses is not hoped for but computed, with the detector itself, before the client is added.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import msgspec
import numpy as np
from numpy.typing import NDArray

from schemas.alert import Outcome
from schemas.course import InfusionState, Phase, Substance
from schemas.trend import Status
from service import detection, fold, ids
from service.alerting import alerts
from service.database import Db
from service.demo import clinic, gates, player, questionnaires
from service.demo.clinic import SOURCE, DemoClinic
from service.demo.diary import infusions_until
from service.demo.people import FRESH_FAMILY_NAMES, FRESH_GIVEN_NAMES, PEOPLE, VISITED_THERAPIST, Line, Person
from service.demo.player import Arrived
from service.demo.stories import Answer, answer_on
from service.facts import courses
from service.keys.sealing import Sealer

FloatArray = NDArray[np.float64]

HISTORY_DAYS = 56
# So many of former starts stay; older ones are discharged, so that the clinic does not fill up with them.
KEPT = 3
TRIES = 480
TRIED_AT_ONCE = 24  # one fold of many costs little more than one of one
# From here on silence is a finding; after an infusion a day earlier.
SILENT_DAYS = 2
HARD_NOTE = "It is back like before the infusions. I did not expect that."


def hard_answer(person: Person, moment: datetime) -> dict[str, object]:
    """Today's daily check-in, as a phone sends it."""
    return {
        "kind": "daily",
        "answered_at": moment.isoformat(),
        "sent_at": moment.isoformat(),
        "time_zone": person.time_zone,
        "craving": dict.fromkeys(person.substances, 9),
        "mood": 1,
        "anxiety": 9,
        "used": [],
        "safety": False,
        "note": HARD_NOTE,
    }


def choose(demo: DemoClinic, today: date, *, taken: set[str]) -> Person:
    """A person with a quiet history up to yesterday whose hard answer today crosses the limit."""
    rules = detection.shipped_rules()
    # About every sixth story is quiet: beginning behind those that were taken keeps every start equally fast.
    first = 7 * len(taken)
    for number in range(first, first + TRIES, TRIED_AT_ONCE):
        people = [_person(number + more, demo, today) for more in range(TRIED_AT_ONCE)]
        for person, crosses in zip(people, _cross_today_only(people, demo, today, rules), strict=True):
            if crosses and person.key not in taken:
                return person
    raise RuntimeError("no story was quiet until today")


def _person(number: int, demo: DemoClinic, today: date) -> Person:
    rounds = number // (len(FRESH_GIVEN_NAMES) * len(FRESH_FAMILY_NAMES))
    family_name = FRESH_FAMILY_NAMES[number % len(FRESH_FAMILY_NAMES)]
    return Person(
        given_name=FRESH_GIVEN_NAMES[number % len(FRESH_GIVEN_NAMES)],
        family_name=family_name if rounds == 0 else f"{family_name} {rounds + 1}",
        substances=(Substance.ALCOHOL,),
        therapist=VISITED_THERAPIST,
        line=Line.STEADY,
        joins=(today - demo.first_day).days - HISTORY_DAYS,
        turns=10_000,
        craving=2.2,
        strain=2.6,
        spread=0.7,
        answers=0.97,
        relief=0.0,
    )


def _cross_today_only(people: list[Person], demo: DemoClinic, today: date, rules: detection.Rules) -> list[bool]:
    days = [today - timedelta(days=HISTORY_DAYS - number) for number in range(HISTORY_DAYS + 1)]
    history = detection.Days.of(
        np.stack([_scores_on(person, demo, days) for person in people]),
        infusion=np.array([_given_on(person, demo, days) for person in people]),
        weekend=np.array([[day.weekday() >= 5 for day in days]] * len(people)),
    )
    _, trends = detection.fold(detection.State.fresh(len(people), rules), history, rules)
    return [_crosses_last_day_only(trends, row) for row in range(len(people))]


def _scores_on(person: Person, demo: DemoClinic, days: list[date]) -> FloatArray:
    """Their answers, and the hard one on the last day."""
    scores = np.full((len(days), len(detection.ITEMS)), np.nan)
    for number, day in enumerate(days[:-1]):
        answer = answer_on(person, demo.first_day, day)
        if answer is not None:
            scores[number] = (max(answer.craving.values()), answer.mood, answer.anxiety)
    scores[-1] = (9, 1, 9)
    return scores


def _given_on(person: Person, demo: DemoClinic, days: list[date]) -> list[bool]:
    slots = infusions_until(person, demo.first_day, days[-2])
    given = {slot.planned_at.date() for slot in slots if slot.infusion is InfusionState.GIVEN}
    return [day in given for day in days]


def _crosses_last_day_only(trends: detection.Trends, row: int) -> bool:
    last = HISTORY_DAYS
    quiet = trends.status_of(row, last - 1) is Status.ON_TRACK
    quiet = quiet and not trends.waning[row].any() and trends.silent_days[row].max() < SILENT_DAYS
    return bool(quiet and np.flatnonzero(trends.crossing[row]).tolist() == [last])


class Known(msgspec.Struct, frozen=True):
    """A client of the demonstration who is in nobody's story list: one of a former start."""

    client_id: UUID
    source_key: str


FORMER = """
select client_id, source_key
from client
where clinic_id = $1
  and source = $2
  and source_key <> all($3::text[])
order by created_at desc, client_id desc
"""


async def bring_in(db: Db, demo: DemoClinic, master: Sealer, today: date, *, now: datetime) -> tuple[Person, UUID]:
    """Add the client of this start with their history up to yesterday, and discharge those of long ago."""
    former = await db.rows(Known, FORMER, db.clinic_id, SOURCE, [person.key for person in PEOPLE])
    for each in former[KEPT:]:
        await _discharge(db, demo, each.client_id, today, now=now)
    person = choose(demo, today, taken={each.source_key for each in former})
    first = today - timedelta(days=HISTORY_DAYS)
    client_id = await clinic.join(db, demo, master, person, first)
    appointments = clinic.appointments_of(person, demo, today)
    answers: list[Answer] = []
    for number in range(HISTORY_DAYS):
        day = first + timedelta(days=number)
        async with clinic.unless_a_visitor_was_here(db):
            await clinic.plan(db, demo, person, client_id, appointments, day)
            await gates.on_day(db, demo, master, person, client_id, appointments, day)
            await clinic.keep(db, demo, person, client_id, appointments, day)
        answer = answer_on(person, demo.first_day, day)
        if answer is not None:
            answers.append(answer)
    await player.store(db, master, [Arrived(person, client_id, ids.new(), answer) for answer in answers])
    for answer in answers:
        await questionnaires.respond(db, master, person, client_id, answer, first_day=demo.first_day)
    await fold.fold_client(db, client_id, now=datetime.combine(today, time(4), demo.zone).astimezone(UTC))
    return person, client_id


async def _discharge(db: Db, demo: DemoClinic, client_id: UUID, today: date, *, now: datetime) -> None:
    """End the course of a client of a former start, and close what is open about them."""
    for course in await courses.of(db, client_id):
        if course.phase is not Phase.DISCHARGED:
            await courses.end(db, course.course_id, ended_on=max(course.started_on, today - timedelta(days=1)), now=now)
    for alert in await alerts.inbox(db, [client_id]):
        by = demo.staff_ids["ada.whitlock"]
        await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=by, now=now)
