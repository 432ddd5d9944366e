"""The stories of the demonstration clinic: what every fictional client answers on any day, past or to come.

Pure and seeded: an answer is a function of (client, clinic's first day, day) alone, so that a story can be told in
pieces and always comes out the same. Scores are a usual level, the effect of the last infusion that wanes, the turn
of the story line, and noise that remembers the days before (AR(1), written as its moving average).
"""

from __future__ import annotations

import math
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from schemas.course import Substance
from service.demo.diary import infusion_days, is_away, is_given
from service.demo.people import NOTES_AFTER_USE, NOTES_GOOD, NOTES_HARD, NOTES_PLAIN, Line, Person, drawn

HISTORY_DAYS = 120

CORRELATION = 0.35
MEMORY_DAYS = 10
# How far the turn of a story moves craving, mood and anxiety, in points.
TURN_CRAVING, TURN_MOOD, TURN_ANXIETY = 3.4, 2.4, 2.4
# Every story turns again after some months, so that the clinic goes on living.
TURN_PERIOD_DAYS = 97
NOTE_SHARE = 0.16
# Nobody answers later in the evening than this, in minutes of the day.
LATEST_MINUTES = 21 * 60 + 50


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """One daily check-in as it was answered and as it arrived."""

    day: date
    answered_at: datetime
    received_at: datetime
    craving: dict[Substance, int]
    mood: int
    anxiety: int
    used: list[Substance]
    safety: bool
    note: str | None


def answer_on(person: Person, first_day: date, day: date) -> Answer | None:
    """What the person answers on that client day, None where they do not."""
    at = (day - first_day).days
    if at < person.joins or is_away(person, first_day, day) or not _answers(person, at):
        return None
    worse = _distance(person, first_day, at)
    craving = {
        substance: _whole(worse[0] - 1.1 * rank + 0.5 * drawn(person, at, f"substance {rank}").gauss(0, 1))
        for rank, substance in enumerate(person.substances)
    }
    turn = _turn(person, at)
    used = _used(person, at, turn)
    answered_at, received_at = _times(person, day, at)
    return Answer(
        day=day,
        answered_at=answered_at,
        received_at=received_at,
        craving=craving,
        mood=_whole(10 - worse[1]),
        anxiety=_whole(worse[2]),
        used=used,
        safety=_asks_for_help(person, at),
        note=_note(person, at, max(craving.values()), used),
    )


def pick(person: Person, day: date, what: str, choices: tuple[str, ...]) -> str:
    """A seeded choice about the person on that day."""
    return drawn(person, day.toordinal(), what).choice(choices)


def share(person: Person, day: date, what: str) -> float:
    """A seeded number from 0 to 1 about the person on that day."""
    return drawn(person, day.toordinal(), what).random()


def _whole(value: float) -> int:
    return min(10, max(0, math.floor(value + 0.5)))


def _is_weekend(first_day: date, at: int) -> bool:
    return (first_day + timedelta(days=at)).weekday() >= 5


def _relief(person: Person, first_day: date, at: int) -> float:
    """How much of the last infusion's relief is left, 0 to 1; it begins the day after."""
    wanes_days = 7.0 if person.line is Line.WANES else 12.0
    given = [day for day in infusion_days(person, first_day, at - 1) if is_given(person, day)]
    return math.exp(-(at - given[-1] - 1) / wanes_days) if given else 0.0


def _distance(person: Person, first_day: date, at: int) -> tuple[float, float, float]:
    """Craving, distance of mood from 10, anxiety: in points, higher is worse."""
    relief = person.relief * _relief(person, first_day, at)
    early = 2.4 * max(0.0, 1 - (at - person.joins) / 45) if person.line is Line.IMPROVES else 0.0
    common = early + (0.3 if _is_weekend(first_day, at) else 0.0)
    turn = _turn(person, at)
    craving, mood, anxiety = (person.spread * each for each in _noise(person, at))
    return (
        person.craving + common - relief + TURN_CRAVING * turn + craving,
        person.strain + common - 0.7 * relief + TURN_MOOD * turn + mood,
        person.strain - 0.4 + common - 0.6 * relief + TURN_ANXIETY * turn + anxiety,
    )


def _noise(person: Person, at: int) -> tuple[float, float, float]:
    """AR(1) with sd 1, as the sum of its last shocks; a part of each shock moves all three items."""
    craving = mood = anxiety = 0.0
    for age in range(MEMORY_DAYS):
        draw = drawn(person, at - age, "shock")
        weight = math.sqrt(1 - CORRELATION**2) * CORRELATION**age
        common = 0.6 * draw.gauss(0, 1)
        craving += weight * (common + 0.8 * draw.gauss(0, 1))
        mood += weight * (common + 0.8 * draw.gauss(0, 1))
        anxiety += weight * (common + 0.8 * draw.gauss(0, 1))
    return craving, mood, anxiety


def _days_into_turn(person: Person, at: int) -> int:
    """Days since the story's turn came last, negative before the first."""
    since = at - person.turns
    return since if since < 0 else since % TURN_PERIOD_DAYS


def _turn(person: Person, at: int) -> float:
    """How much of the turn is there on that day, 0 to 1.3."""
    since = _days_into_turn(person, at)
    if since < 0:
        return 0.0
    if person.line is Line.STEP:
        return 1.0 if since < 16 else math.exp(-(since - 15) / 4)
    if person.line is Line.RAMP:
        return min((since + 1) / 12, 1.0) if since < 24 else math.exp(-(since - 23) / 4)
    if person.line is Line.SPIKE:
        return 1.3 * math.exp(-since / 3)
    return 0.0


def _answers(person: Person, at: int) -> bool:
    share_of_days = person.answers
    if person.line is Line.SILENT and 0 <= _days_into_turn(person, at) < 9:
        share_of_days = 0.0
    # Who missed yesterday misses today more often: gaps come in clusters.
    if drawn(person, at - 1, "answers").random() >= share_of_days:
        share_of_days -= 0.25
    # The first days are always answered: the clinic sits beside.
    return at - person.joins < 2 or drawn(person, at, "answers").random() < share_of_days


def _times(person: Person, day: date, at: int) -> tuple[datetime, datetime]:
    draw = drawn(person, at, "time")
    minutes = min(max(draw.gauss(19 * 60 + 30, 50), 17 * 60), LATEST_MINUTES)
    answered_at = datetime.combine(day, time(0), ZoneInfo(person.time_zone)) + timedelta(minutes=int(minutes))
    received_at = answered_at + timedelta(seconds=draw.randrange(2, 25))
    since = _days_into_turn(person, at)
    if person.line is Line.LATE_SYNC and 0 <= since < 4:
        # No network for four days; everything arrives on the evening of the fifth.
        received_at = answered_at + timedelta(days=4 - since, seconds=since)
    return answered_at, received_at


def _used(person: Person, at: int, turn: float) -> list[Substance]:
    relapsed = turn > 0.6 and drawn(person, at, "used").random() < 0.3
    return [person.substances[0]] if relapsed else []


def _asks_for_help(person: Person, at: int) -> bool:
    """One positive safety answer in the clinic's history: on the third day of a step that came early."""
    return person.line is Line.STEP and person.turns < HISTORY_DAYS / 2 + 10 and _days_into_turn(person, at) == 2


def _note(person: Person, at: int, craving: int, used: list[Substance]) -> str | None:
    draw = drawn(person, at, "note")
    if used:
        return draw.choice(NOTES_AFTER_USE)
    if draw.random() >= NOTE_SHARE:
        return None
    if craving >= 6:
        return draw.choice(NOTES_HARD)
    return draw.choice(NOTES_GOOD if craving <= 2 else NOTES_PLAIN)
