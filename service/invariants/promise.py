"""A promise that is watched, and what is said where it is broken."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple
from uuid import UUID


class Invariant(NamedTuple):
    """A promise: its name, the statement that returns where it is broken, how long it may take, why it matters."""

    name: str
    sql: str
    within: timedelta
    why: str


class Broken(NamedTuple):
    """An invariant that does not hold, and in which clinics."""

    name: str
    clinic_ids: list[UUID]
