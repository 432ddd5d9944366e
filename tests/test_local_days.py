"""The engine of local days over seven years of clock changes: nothing missing, nothing double.

Every half-hour of the day in every zone, with ticks at odd moments, restarts that forget what is not recorded, two
clocks that differ and share one record, and downtime over the change.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from jobs import slots
from tests import slot_rule

ZONES = (
    "America/New_York",
    "America/Detroit",
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Adak",
    "Pacific/Honolulu",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
)
# One of each kind: an hour, none, Europe's day, and half an hour in the south.
QUICKLY = ("America/Chicago", "America/Phoenix", "Europe/Berlin", "Australia/Lord_Howe")
SLOWLY = tuple(name for name in ZONES if name not in QUICKLY)
HALF_HOURS = tuple(time(hour, minute) for hour in range(24) for minute in (0, 30))
FIRST, LAST = date(2024, 1, 1), date(2030, 12, 31)
DAY = timedelta(days=1)


def days(first: date, last: date) -> Iterator[date]:
    for ahead in range((last - first).days + 1):
        yield first + ahead * DAY


def changes(zone: ZoneInfo) -> list[date]:
    """The local days on which the clock is moved."""

    def offset(day: date) -> timedelta | None:
        return datetime.combine(day, time(12), zone).utcoffset()

    return [later for earlier, later in pairwise(days(FIRST, LAST)) if offset(earlier) != offset(later)]


class Record:
    """What ran, as the table of claims keeps it: the key is (local date, local time), and the first claim wins."""

    def __init__(self) -> None:
        self.runs: Counter[tuple[date, time]] = Counter()
        self.ran_at: dict[date, datetime] = {}

    def tick(self, at: time, zone: ZoneInfo, now: datetime, since: date) -> None:
        """One look of one process that knows nothing but the record."""
        ran = dict(self.runs.keys())
        for day, local_time in slot_rule.due((at,), zone, now=now, ran=ran, since=since):
            if (day, local_time) not in self.runs:
                self.runs[day, local_time] += 1
                self.ran_at[day] = now


@pytest.mark.parametrize("name", ZONES)
def test_each_half_hour_of_each_day_is_one_instant_in_the_order_of_days(name: str) -> None:
    zone = ZoneInfo(name)
    around = {change + near * DAY for change in changes(zone) for near in (-1, 0, 1)}
    watched = sorted(around | {FIRST, date(2027, 6, 15), LAST})
    for day in watched:
        for at in HALF_HOURS:
            instant = slots.instant_of(day, at, zone)
            wall = instant.astimezone(zone).replace(tzinfo=None)
            asked = datetime.combine(day, at)
            assert wall >= asked, "never before the hour that was asked for"
            # Where the hour exists it is that hour; where the clock jumps over it, the first moment after the jump.
            before = (instant - timedelta(seconds=1)).astimezone(zone).replace(tzinfo=None)
            assert wall == asked or before < asked
            assert slots.instant_of(day + DAY, at, zone) > instant
            if wall == asked:
                assert instant == min(_instants_of(asked, zone)), "of a repeated hour the first"


def _instants_of(wall: datetime, zone: ZoneInfo) -> list[datetime]:
    folds = (wall.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return [each for each in folds if each.astimezone(zone).replace(tzinfo=None) == wall]


def simulated(
    zone: ZoneInfo, at: time, first: date, last: date, chance: random.Random, *, longest: timedelta
) -> Record:
    """Two processes with clocks 90 s apart look at random moments, at the latest `longest` after the look before."""
    record = Record()
    now, end = datetime.combine(first, time(0), zone).astimezone(UTC), datetime.combine(last, time(23, 59), zone)
    while now < end:
        now += timedelta(seconds=chance.uniform(1, longest.total_seconds()))
        record.tick(at, zone, min(now, end), first)
        record.tick(at, zone, min(now + timedelta(seconds=chance.uniform(-90, 90)), end), first)
    return record


@pytest.mark.parametrize("name", [*QUICKLY, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOWLY)])
def test_around_every_change_of_the_clock_each_day_runs_once(name: str) -> None:
    zone, chance = ZoneInfo(name), random.Random(name)
    for change in changes(zone)[:2] or [date(2026, 3, 8)]:
        first, last = change - 2 * DAY, change + 2 * DAY
        for at in HALF_HOURS:
            for longest in (timedelta(minutes=40), timedelta(hours=30)):
                record = simulated(zone, at, first, last, chance, longest=longest)
                assert sorted(record.runs) == [(day, at) for day in days(first, last)]
                assert set(record.runs.values()) == {1}
                for day, ran_at in record.ran_at.items():
                    # A clock may be 90 s ahead of the other; no run is earlier than by that.
                    assert ran_at >= slots.instant_of(day, at, zone)


@pytest.mark.slow
@pytest.mark.parametrize("name", ZONES)
def test_seven_years_of_every_half_hour_with_restarts_and_downtime(name: str) -> None:
    zone, chance = ZoneInfo(name), random.Random(name)
    for at in HALF_HOURS:
        record, day = Record(), FIRST
        now = datetime.combine(FIRST, time(0), zone).astimezone(UTC)
        end = datetime.combine(LAST, time(23, 59, 59), zone).astimezone(UTC)
        while now < end:
            # Mostly a look or two a day; now and then a restart after hours or days without any process.
            now = min(now + chance.choice((6, 11, 17, 25, 80)) * timedelta(hours=chance.uniform(0.5, 1)), end)
            since = max(day, now.astimezone(zone).date() - slots.CATCH_UP_DAYS * DAY)
            recent = Record()
            recent.runs = Counter({key: count for key, count in record.runs.items() if key[0] >= since - DAY})
            known = set(recent.runs)
            recent.tick(at, zone, now, since)
            recent.tick(at, zone, now, since)
            for key in set(recent.runs) - known:
                record.runs[key] += 1
            day = max((key[0] for key in recent.runs), default=day)
        assert sorted(record.runs) == [(each, at) for each in days(FIRST, LAST)]
        assert set(record.runs.values()) == {1}
