"""Infusion days: where a moment stands between two infusions. Derived from the infusions as they are now; pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Self
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.course import Infusion, InfusionState
from schemas.treatment import InfusionDay
from service.facts import client_day

SECONDS_OF_HOUR = 3600


def numbers_of(infusions: Iterable[Infusion]) -> dict[UUID, int]:
    """The numbers, from 1, of a client's given infusions by the time they were given."""
    given = sorted((each.given_at, each.infusion_id) for each in infusions if each.given_at is not None)
    return {infusion_id: number for number, (_, infusion_id) in enumerate(given, start=1)}


@dataclass(frozen=True)
class Timeline:
    """A client's infusions in time: those given, and those given or still planned. Held ones are not going ahead."""

    zone: ZoneInfo
    given: Sequence[datetime] = field(default_factory=list)
    coming: Sequence[datetime] = field(default_factory=list)

    @classmethod
    def of(cls, infusions: Iterable[Infusion], zone: ZoneInfo) -> Self:
        """The timeline of one client, whose client days begin in `zone`."""
        every = list(infusions)
        given = sorted(each.given_at for each in every if each.given_at is not None)
        planned = [each.planned_at for each in every if each.state is InfusionState.PLANNED]
        return cls(zone, given, sorted([*given, *planned]))

    def place(self, counted_at: datetime, day: date) -> InfusionDay:
        """Where an answer of client day `day` stands.

        On an infusion's own day the instants decide: an answer counted at or after the infusion belongs to it.
        """
        number = bisect_right(self.given, counted_at)
        last = self.given[number - 1] if number else None
        later = bisect_right(self.coming, counted_at)
        upcoming = self.coming[later] if later < len(self.coming) else None
        return InfusionDay(
            number=number or None,
            hours_since=None if last is None else hours_between(last, counted_at),
            # A phone in another zone than the client's may be a day off; nothing is before its own infusion.
            days_since=None if last is None else max(0, (day - client_day.of(last, self.zone)).days),
            next_at=upcoming,
            days_to_next=None if upcoming is None else max(0, (client_day.of(upcoming, self.zone) - day).days),
        )


def hours_between(earlier: datetime, later: datetime) -> float:
    """Hours, to a tenth."""
    return round((later - earlier).total_seconds() / SECONDS_OF_HOUR, 1)
