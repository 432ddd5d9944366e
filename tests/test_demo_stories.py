"""The stories of the demonstration clinic: deterministic, told in pieces the same, and what their lines say."""

from __future__ import annotations

from datetime import UTC, date, timedelta
from itertools import pairwise
from statistics import fmean

import msgspec
import pytest

from schemas.course import InfusionState, SessionState
from service.demo import diary
from service.demo.people import COLLEAGUES, PEOPLE, Line, Person
from service.demo.stories import HISTORY_DAYS, Answer, answer_on
from service.facts import schedules

FIRST_DAY = date(2026, 7, 26)
LAST_DAY = FIRST_DAY + timedelta(days=HISTORY_DAYS)


def told(person: Person, first: int, last: int) -> list[Answer | None]:
    return [answer_on(person, FIRST_DAY, FIRST_DAY + timedelta(days=at)) for at in range(first, last + 1)]


def cravings(person: Person, first: int, last: int) -> list[int]:
    return [max(answer.craving.values()) for answer in told(person, first, last) if answer is not None]


def one_of(line: Line) -> list[Person]:
    return [person for person in PEOPLE if person.line is line]


def test_there_are_24_clients_every_story_line_and_every_role() -> None:
    assert len(PEOPLE) == 24
    assert len({person.key for person in PEOPLE}) == 24
    assert {person.line for person in PEOPLE} == set(Line)
    assert len([colleague for colleague in COLLEAGUES if colleague.role == "therapist"]) == 3
    assert {colleague.role for colleague in COLLEAGUES} == {
        "therapist", "nurse", "prescriber", "coordinator", "admin", "privacy_officer",
    }  # fmt: skip
    assert all(colleague.email.endswith(".example") for colleague in COLLEAGUES)


@pytest.mark.parametrize("person", PEOPLE[:6], ids=lambda person: person.key)
def test_a_story_told_twice_or_in_pieces_is_the_same(person: Person) -> None:
    whole = told(person, 0, 60)
    assert whole == told(person, 0, 60)
    assert whole == [*told(person, 0, 30), *told(person, 31, 60)]


def test_a_story_goes_on_after_the_day_the_clinic_was_made() -> None:
    later = [answer for person in PEOPLE for answer in told(person, HISTORY_DAYS + 200, HISTORY_DAYS + 206)]
    assert len([answer for answer in later if answer is not None]) > 100


def test_every_answer_is_on_the_scale_and_arrives_after_it_was_given() -> None:
    for person in PEOPLE:
        for answer in told(person, 0, HISTORY_DAYS):
            if answer is None:
                continue
            assert set(answer.craving) == set(person.substances)
            assert all(0 <= value <= 10 for value in (*answer.craving.values(), answer.mood, answer.anxiety))
            assert answer.answered_at.date() == answer.day
            assert answer.received_at > answer.answered_at


def test_nobody_answers_before_the_course_starts() -> None:
    for person in PEOPLE:
        assert not any(told(person, 0, person.joins - 1)) or person.joins == 0


@pytest.mark.parametrize("line", [Line.STEP, Line.RAMP, Line.SPIKE])
def test_a_relapse_raises_craving_at_its_turn(line: Line) -> None:
    person = one_of(line)[-1]
    before = fmean(cravings(person, person.turns - 21, person.turns - 1))
    after = fmean(cravings(person, person.turns, person.turns + (1 if line is Line.SPIKE else 15)))
    assert after > before + 1


def test_who_improves_craves_less_than_at_first() -> None:
    person = one_of(Line.IMPROVES)[0]
    assert fmean(cravings(person, 0, 14)) > fmean(cravings(person, 60, 100)) + 1


def test_who_goes_silent_answers_nothing_for_more_than_a_week() -> None:
    person = one_of(Line.SILENT)[1]
    assert told(person, person.turns, person.turns + 8) == [None] * 9


def test_who_syncs_late_sends_several_days_at_once() -> None:
    person = one_of(Line.LATE_SYNC)[1]
    late = [answer for answer in told(person, person.turns, person.turns + 3) if answer is not None]
    assert len(late) >= 2
    assert len({answer.received_at.date() for answer in late}) == 1
    assert all((answer.received_at.date() - answer.day).days >= 1 for answer in late)


def test_infusions_come_twice_a_week_for_a_month_and_then_as_boosters_on_weekdays() -> None:
    for person in PEOPLE:
        slots = diary.infusions_until(person, FIRST_DAY, FIRST_DAY + timedelta(days=150))
        days = [slot.planned_at.date() for slot in slots]
        gaps = [(later - earlier).days for earlier, later in pairwise(days)]
        assert all(day.weekday() < 5 for day in days)
        assert all(gap <= 6 for gap in gaps[:7])
        assert all(gap >= 28 for gap in gaps[7:])
        assert all((slot.reason is None) is (slot.infusion is InfusionState.GIVEN) for slot in slots)
        assert all((slot.dose_mg_per_kg is None) is (slot.infusion is not InfusionState.GIVEN) for slot in slots)
    fates = {slot.infusion for person in PEOPLE for slot in diary.infusions_until(person, FIRST_DAY, LAST_DAY)}
    assert fates == set(InfusionState) - {InfusionState.PLANNED}


@pytest.mark.parametrize("person", PEOPLE, ids=lambda person: person.key)
def test_what_is_planned_day_by_day_is_what_the_story_says_takes_place(person: Person) -> None:
    planned: list[date] = []
    for at in range(400):
        form = diary.plan_on(person, FIRST_DAY, FIRST_DAY + timedelta(days=at))
        planned += [] if form is None else schedules.days_of(form)
    until = FIRST_DAY + timedelta(days=400)
    told = [slot.planned_at.date() for slot in diary.infusions_until(person, FIRST_DAY, until)]
    assert len(planned) == len(set(planned))
    assert told == [day for day in planned if day < until][: len(told)]
    assert person.leaves is not None or len(told) >= 10


def test_one_client_is_away_one_has_come_back_and_one_has_left_when_the_clinic_is_first_visited() -> None:
    today = FIRST_DAY + timedelta(days=HISTORY_DAYS)
    away = [person for person in PEOPLE if diary.is_away(person, FIRST_DAY, today)]
    assert {person.leaves is None for person in away} == {True, False}
    assert all(answer is None for person in away for answer in told(person, HISTORY_DAYS - 2, HISTORY_DAYS))
    assert any(person.away and person.away.last < HISTORY_DAYS for person in PEOPLE)


def covered_of(person: Person) -> tuple[int, int]:
    """How many of the infusions that were given had a session within three days, and how many were given."""
    given = [each.planned_at for each in diary.infusions_until(person, FIRST_DAY, LAST_DAY) if each.reason is None]
    sessions = diary.sessions_until(person, FIRST_DAY, LAST_DAY + timedelta(days=3))
    attended = [each.planned_at for each in sessions if each.session is SessionState.ATTENDED]
    covered = [at for at in given if any(timedelta() < met - at <= timedelta(hours=72) for met in attended)]
    return len(covered), len(given)


def test_most_infusions_of_everybody_are_followed_by_a_session() -> None:
    counts = [covered_of(person) for person in PEOPLE]
    assert all(covered * 2 > given for covered, given in counts)
    assert sum(covered for covered, _ in counts) > 0.75 * sum(given for _, given in counts)


@pytest.mark.parametrize("given_name", ["Zoran", "Anneke", "Basil", "Corin"])
def test_nobody_of_the_clinic_has_two_sessions_at_once(given_name: str) -> None:
    joined = msgspec.structs.replace(PEOPLE[0], given_name=given_name, family_name="Dray")
    kept = [
        (person.therapist, each.planned_at.astimezone(UTC))
        for person in (*PEOPLE, joined)
        for each in diary.sessions_until(person, FIRST_DAY, LAST_DAY + timedelta(days=14))
    ]
    starts = sorted(kept)
    assert all(one[0] != other[0] or other[1] - one[1] >= timedelta(minutes=50) for one, other in pairwise(starts))
