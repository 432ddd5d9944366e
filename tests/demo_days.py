"""Days of the demonstration, played into a database."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from service.database import Pool
from service.demo import player
from service.demo.clinic import DemoClinic
from service.demo.people import PEOPLE, Line, Person
from tests.builders import MASTER

# One of every line, all of whom have joined early: enough to see everything, quick enough for every run.
FEW: Sequence[Person] = [
    next(person for person in PEOPLE if person.line is line and person.joins <= 30) for line in Line
]


async def play(pool: Pool, demo: DemoClinic, *, until: date) -> int:
    return await player.play(pool, demo, MASTER, until=until, people=FEW, played=lambda day: None)
