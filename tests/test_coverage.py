"""Which infusions talk therapy covers: against a plain recomputation, hour by hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.course import SessionState
from schemas.session import CoverageState
from service.facts import coverage
from tests.appointments import a_session_row, an_infusion_row

NOW = datetime(2026, 11, 24, 15, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WINDOW = 72


@pytest.mark.parametrize(
    ("given_hours_ago", "session_hours_ago", "state", "said"),
    [
        (24, None, None, CoverageState.OPEN),
        (24, 2, SessionState.ATTENDED, CoverageState.COVERED),
        (24, 2, SessionState.MISSED, CoverageState.OPEN),
        (24, 2, SessionState.PLANNED, CoverageState.UNRECORDED),
        (24, -30, SessionState.PLANNED, CoverageState.BOOKED),
        (24, -48, SessionState.PLANNED, CoverageState.BOOKED),
        (24, -49, SessionState.PLANNED, CoverageState.OPEN),
        (24, -30, SessionState.CANCELLED, CoverageState.OPEN),
        (24, 24, SessionState.ATTENDED, CoverageState.OPEN),
        (80, 20, SessionState.ATTENDED, CoverageState.COVERED),
        (80, 20, SessionState.PLANNED, CoverageState.UNRECORDED),
        (80, 20, SessionState.MISSED, CoverageState.UNCOVERED),
        (80, 7, SessionState.ATTENDED, CoverageState.UNCOVERED),
        (72, None, None, CoverageState.UNCOVERED),
    ],
)
def test_an_infusion_is_covered_by_an_attended_session_inside_the_window(
    given_hours_ago: float, session_hours_ago: float | None, state: SessionState | None, said: CoverageState
) -> None:
    given_at = NOW - given_hours_ago * HOUR
    sessions = []
    if session_hours_ago is not None and state is not None:
        sessions.append(a_session_row(NOW - session_hours_ago * HOUR, state))
    infusion = an_infusion_row(planned_at=given_at, given_at=given_at)
    found = coverage.of([infusion], sessions, window_hours=WINDOW, now=NOW)
    assert [each.state for each in found] == [said]
    assert found[0].closes_at == given_at + WINDOW * HOUR


def test_one_session_covers_every_infusion_in_whose_window_it_lies() -> None:
    given = [an_infusion_row(planned_at=NOW - h * HOUR, given_at=NOW - h * HOUR) for h in (100, 50)]
    attended = a_session_row(NOW - 40 * HOUR, SessionState.ATTENDED)
    found = coverage.of(given, [attended], window_hours=WINDOW, now=NOW)
    assert [each.therapy_session_id for each in found] == [attended.therapy_session_id] * 2
    assert coverage.counts(found, now=NOW) == (2, 2)


def test_only_given_infusions_have_a_window() -> None:
    assert coverage.of([an_infusion_row(planned_at=NOW - 5 * HOUR)], [], window_hours=WINDOW, now=NOW) == []


GIVEN = st.lists(st.integers(-10, 200), max_size=4, unique=True)
BOOKED = st.lists(st.tuples(st.integers(-100, 200), st.sampled_from(SessionState)), max_size=6)


@given(GIVEN, BOOKED, st.integers(1, 120), st.randoms())
def test_coverage_is_what_a_plain_recomputation_says(
    given_hours: list[int], booked: list[tuple[int, SessionState]], window: int, order: Random
) -> None:
    infusions = [an_infusion_row(planned_at=NOW - h * HOUR, given_at=NOW - h * HOUR) for h in given_hours]
    sessions = [a_session_row(NOW - h * HOUR, state) for h, state in booked]
    expected = []
    for hours in sorted(given_hours, reverse=True):
        # The sessions that begin some hours after the infusion, and not too many.
        inside = {(state, h < 0) for h, state in booked if 1 <= hours - h <= window}
        states = {state for state, _ in inside}
        still_open = hours < window
        if SessionState.ATTENDED in states:
            expected.append(CoverageState.COVERED)
        elif still_open and (SessionState.PLANNED, True) in inside:
            expected.append(CoverageState.BOOKED)
        elif SessionState.PLANNED in states:
            expected.append(CoverageState.UNRECORDED)
        else:
            expected.append(CoverageState.OPEN if still_open else CoverageState.UNCOVERED)
    order.shuffle(infusions)
    order.shuffle(sessions)
    found = coverage.of(infusions, sessions, window_hours=window, now=NOW)
    assert [each.state for each in found] == expected
    covered, closed = coverage.counts(found, now=NOW)
    assert covered == expected.count(CoverageState.COVERED)
    over = [hours >= window for hours in sorted(given_hours, reverse=True)]
    pairs = zip(expected, over, strict=True)
    assert closed - covered == sum(late and each is not CoverageState.COVERED for each, late in pairs)
