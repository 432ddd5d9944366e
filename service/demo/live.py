"""The clinic's phones while the demonstration runs: today's check-ins within a minute, then a moment now and then."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import httpx
import msgspec

from service import database
from service.database import Pool
from service.demo import clinic
from service.demo import fresh as demo_fresh
from service.demo import phone as demo_phone
from service.demo.clinic import DemoClinic
from service.demo.diary import is_away
from service.demo.people import PEOPLE, Person
from service.demo.phone import Handset, NotEnrolled, Phone
from service.demo.stories import answer_on
from service.facts import client_day
from service.people import devices

log = logging.getLogger(__name__)

# When today's check-ins come, in seconds after the start.
FIRST_SECONDS, SPREAD_SECONDS = 2.0, 48.0
FRESH_SECONDS = 12.0
# A day that begins while the demonstration runs is answered over some hours.
LATER_SPREAD_SECONDS = 4 * 3600.0
URGENT_SECONDS = 36.0
MOMENT_SECONDS = (60.0, 240.0)
# Who asks for help at every start, so that an urgent alert and its e-mail can be seen at any hour.
URGENT_PERSON = "Bruno Castell"
URGENT_NOTE = "I do not want to be alone tonight."


class Fresh(msgspec.Struct, frozen=True):
    """The client of this start."""

    person: Person
    client_id: UUID


class Phones:
    """Every simulated phone, enrolled when it is first needed."""

    def __init__(
        self, http: httpx.AsyncClient, pool: Pool, demo: DemoClinic, file: Path, *, clock: Callable[[], datetime]
    ) -> None:
        self._http = http
        self._pool = pool
        self._demo = demo
        self._file = file
        self._clock = clock
        self._handsets: dict[str, Handset] = demo_phone.load(file)
        self._phones: dict[str, Phone] = {}

    async def answer_today(self, person: Person) -> None:
        """Send the story's check-in of today, unless it was sent or the story has none."""
        now = self._clock()
        zone = client_day.zone_or_none(person.time_zone) or self._demo.zone
        answer = answer_on(person, self._demo.first_day, client_day.of(now, zone))
        if answer is None:
            return
        await self._send_if_due(
            person,
            {
                "kind": "daily",
                "answered_at": now.isoformat(),
                "sent_at": now.isoformat(),
                "time_zone": person.time_zone,
                "craving": answer.craving,
                "mood": answer.mood,
                "anxiety": answer.anxiety,
                "used": answer.used,
                "safety": answer.safety,
                "note": answer.note,
            },
        )

    async def cross(self, person: Person) -> None:
        """Send the check-in that crosses the limit."""
        await self._send_if_due(person, demo_fresh.hard_answer(person, self._clock()))

    async def log_moment(self, person: Person, craving: int, *, safety: bool = False, note: str | None = None) -> None:
        """Send "log a craving now"."""
        now = self._clock()
        moment = {
            "kind": "moment",
            "answered_at": now.isoformat(),
            "sent_at": now.isoformat(),
            "time_zone": person.time_zone,
            "craving": {person.substances[0]: craving},
            "safety": safety,
            "note": note,
        }
        await (await self._phone_of(person)).send(moment, now=now)

    async def _send_if_due(self, person: Person, answer: dict[str, object]) -> None:
        phone = await self._phone_of(person)
        if (await phone.today(now=self._clock())).due:
            await phone.send(answer, now=self._clock())

    async def _phone_of(self, person: Person) -> Phone:
        if person.key not in self._phones:
            handset = self._handsets.get(person.key) or await self._enrol(person)
            phone = Phone(self._http, handset)
            try:
                await phone.today(now=self._clock())
            except NotEnrolled:
                phone = Phone(self._http, await self._enrol(person))
            self._phones[person.key] = phone
        return self._phones[person.key]

    async def _enrol(self, person: Person) -> Handset:
        async with database.transaction(self._pool, self._demo.clinic.clinic_id) as db:
            client_id = await clinic.find_client(db, person)
            assert client_id is not None
            issued = await devices.issue_code(db, client_id, by=None, now=self._clock())
        handset = await demo_phone.enrol(self._http, person.key, clinic=issued.clinic, code=issued.code)
        self._handsets[person.key] = handset
        demo_phone.save(self._file, self._handsets)
        return handset


async def live(phones: Phones, demo: DemoClinic, fresh: Fresh, *, clock: Callable[[], datetime]) -> None:
    """Send what the phones send, until cancelled."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_later(FRESH_SECONDS, fresh.person, phones.cross))
        tasks.create_task(_urgent_moment(phones))
        tasks.create_task(_answer_all(phones, SPREAD_SECONDS))
        tasks.create_task(_moments(phones, demo, clock=clock))
        tasks.create_task(_new_days(phones, demo, clock=clock))


async def _answer_all(phones: Phones, spread_seconds: float) -> None:
    """Everybody's check-in of today, evenly spread."""
    people = [person for person in PEOPLE if not person.visitor]
    pause_seconds = spread_seconds / len(people)
    await asyncio.sleep(FIRST_SECONDS)
    for person in people:
        await _attempt(person, phones.answer_today)
        await asyncio.sleep(pause_seconds)


async def _later(seconds: float, person: Person, act: Callable[[Person], Awaitable[None]]) -> None:
    await asyncio.sleep(seconds)
    await _attempt(person, act)


async def _urgent_moment(phones: Phones) -> None:
    async def ask_for_help(person: Person) -> None:
        await phones.log_moment(person, 8, safety=True, note=URGENT_NOTE)

    person = next(each for each in PEOPLE if each.key == URGENT_PERSON)
    await _later(URGENT_SECONDS, person, ask_for_help)


async def _moments(phones: Phones, demo: DemoClinic, *, clock: Callable[[], datetime]) -> None:
    draw = Random()  # noqa: S311 - when a moment is logged is no secret
    await asyncio.sleep(FIRST_SECONDS + SPREAD_SECONDS)
    while True:
        await asyncio.sleep(draw.uniform(*MOMENT_SECONDS))
        craving, today = draw.randrange(2, 8), client_day.of(clock(), demo.zone)
        people = [each for each in PEOPLE if not (each.visitor or is_away(each, demo.first_day, today))]
        await _attempt(draw.choice(people), partial(phones.log_moment, craving=craving))


async def _new_days(phones: Phones, demo: DemoClinic, *, clock: Callable[[], datetime]) -> None:
    day: date = client_day.of(clock(), demo.zone)
    while True:
        ends_at = client_day.ends_at(day, demo.zone)
        await asyncio.sleep(max(1.0, (ends_at - clock()).total_seconds()))
        if client_day.of(clock(), demo.zone) > day:
            day += timedelta(days=1)
            await _answer_all(phones, LATER_SPREAD_SECONDS)


async def _attempt(person: Person, act: Callable[[Person], Awaitable[None]]) -> None:
    """A phone without a network tries another time; the demonstration goes on."""
    try:
        await act(person)
    except (httpx.HTTPError, NotEnrolled) as error:
        log.warning("demo_phone_failed", extra={"error_type": type(error).__name__})
