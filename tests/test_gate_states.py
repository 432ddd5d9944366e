"""The gate's machine of states: only people lead towards going ahead, and every clearance lapses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.gate import Decision, GateCheck, GateState, Lapse, Missing, Proposal
from service import errors, ids
from service.gate import states
from service.gate.states import Seen, Standing

SLOT = datetime(2026, 11, 26, 15, 30, tzinfo=UTC)
OPENS_HOURS, CLEAR_HOURS = 72, 48
HOUR = timedelta(hours=1)


def a_check(
    decision: Decision,
    at: datetime,
    *,
    slot: datetime = SLOT,
    proposals: tuple[Proposal, ...] = (),
    record_ids: tuple[UUID, ...] = (),
) -> GateCheck:
    going_ahead = decision in (Decision.CLEAR, Decision.OVERRIDE)
    return GateCheck(
        gate_check_id=ids.new(),
        infusion_id=ids.new(),
        client_id=ids.new(),
        decision=decision,
        reason_sealed=None,
        planned_at=slot,
        decided_by=ids.new(),
        decided_at=at,
        expires_at=at + CLEAR_HOURS * HOUR if going_ahead else None,
        missing=[Missing.SCREEN] if decision is Decision.OVERRIDE else [],
        proposals=list(proposals),
        record_ids=list(record_ids),
    )


def standing_of(
    *checks: GateCheck,
    hours_before: float,
    slot: datetime = SLOT,
    moved_at: datetime | None = None,
    records: tuple[Seen, ...] = (),
) -> Standing:
    now = SLOT - hours_before * HOUR
    return states.at(checks, records, planned_at=slot, moved_at=moved_at, opens_hours=OPENS_HOURS, now=now)


def test_a_gate_is_not_due_until_it_opens_and_pending_from_then_on() -> None:
    assert standing_of(hours_before=72.01).state is GateState.NOT_DUE
    assert standing_of(hours_before=72).state is GateState.PENDING
    assert standing_of(hours_before=-5).state is GateState.PENDING


def test_the_table_says_which_decision_leads_where() -> None:
    led = {
        (state, decision): states.after(state, decision)
        for state, decision in product(GateState, Decision)
        if state in states.TRANSITIONS[decision][0]
    }
    due = (GateState.PENDING, GateState.CLEAR, GateState.HOLD, GateState.OVERRIDDEN)
    assert led == (
        {(state, Decision.CLEAR): GateState.CLEAR for state in due}
        | {(state, Decision.OVERRIDE): GateState.OVERRIDDEN for state in due}
        | {(state, Decision.HOLD): GateState.HOLD for state in GateState}
        | {(GateState.HOLD, Decision.RELEASE): GateState.PENDING}
    )


@pytest.mark.parametrize(
    ("state", "decision", "said"),
    [
        (GateState.NOT_DUE, Decision.CLEAR, "not due yet"),
        (GateState.NOT_DUE, Decision.OVERRIDE, "not due yet"),
        (GateState.PENDING, Decision.RELEASE, "pending"),
    ],
)
def test_what_the_table_does_not_allow_is_a_conflict_that_names_the_state(
    state: GateState, decision: Decision, said: str
) -> None:
    with pytest.raises(errors.Conflict, match=said):
        states.after(state, decision)


def test_a_clearance_runs_out() -> None:
    cleared = a_check(Decision.CLEAR, SLOT - 60 * HOUR)
    assert standing_of(cleared, hours_before=12.01).state is GateState.CLEAR
    lapsed = standing_of(cleared, hours_before=12)
    assert (lapsed.state, lapsed.lapse) == (GateState.PENDING, Lapse.EXPIRED)


def test_a_clearance_ends_when_the_infusion_moves_and_does_not_come_back_with_the_old_slot() -> None:
    cleared = a_check(Decision.CLEAR, SLOT - 20 * HOUR)
    elsewhere = standing_of(cleared, hours_before=10, slot=SLOT + HOUR)
    assert (elsewhere.state, elsewhere.lapse) == (GateState.PENDING, Lapse.MOVED)
    moved_back = standing_of(cleared, hours_before=10, moved_at=SLOT - 12 * HOUR)
    assert (moved_back.state, moved_back.lapse) == (GateState.PENDING, Lapse.MOVED)
    moved_before = standing_of(cleared, hours_before=10, moved_at=SLOT - 30 * HOUR)
    assert moved_before.state is GateState.CLEAR


def test_a_moved_clearance_is_not_due_where_the_new_slot_is_far_away() -> None:
    cleared = a_check(Decision.CLEAR, SLOT - 20 * HOUR)
    assert standing_of(cleared, hours_before=10, slot=SLOT + 300 * HOUR).state is GateState.NOT_DUE


def test_a_hold_stands_until_a_person_decides_also_when_the_infusion_moves() -> None:
    held = a_check(Decision.HOLD, SLOT - 40 * HOUR)
    for slot in (SLOT, SLOT + 24 * HOUR, SLOT + 900 * HOUR):
        assert standing_of(held, hours_before=-200, slot=slot).state is GateState.HOLD
    released = a_check(Decision.RELEASE, SLOT - 30 * HOUR)
    assert standing_of(held, released, hours_before=20).state is GateState.PENDING


def test_a_new_record_that_speaks_for_a_hold_ends_a_clearance_and_one_that_does_not_leaves_it() -> None:
    known = ids.new()
    cleared = a_check(Decision.CLEAR, SLOT - 20 * HOUR, record_ids=(known,))
    high = Seen(ids.new(), None, speaks_against=True)
    fine, old = Seen(ids.new(), None, speaks_against=False), Seen(known, None, speaks_against=True)
    assert standing_of(cleared, hours_before=2, records=(fine, old)).state is GateState.CLEAR
    lapsed = standing_of(cleared, hours_before=2, records=(old, high))
    assert (lapsed.state, lapsed.lapse) == (GateState.PENDING, Lapse.NEW_RECORD)


def test_an_override_holds_against_what_it_knew_and_against_nothing_that_comes_later() -> None:
    """A pressure of 148 that was overridden says nothing about one of 215."""
    known = ids.new()
    overridden = a_check(
        Decision.OVERRIDE, SLOT - 20 * HOUR, proposals=(Proposal.PRESSURE_ABOVE_LIMIT,), record_ids=(known,)
    )
    met, again = Seen(known, None, speaks_against=True), Seen(ids.new(), None, speaks_against=True)
    assert standing_of(overridden, hours_before=2, records=(met,)).state is GateState.OVERRIDDEN
    assert standing_of(overridden, hours_before=2, records=(met, again)).state is GateState.PENDING


def test_the_correction_of_what_a_clearance_rested_on_ends_it() -> None:
    known = ids.new()
    cleared = a_check(Decision.CLEAR, SLOT - 20 * HOUR, record_ids=(known,))
    correction = Seen(ids.new(), known, speaks_against=False)
    assert standing_of(cleared, hours_before=2, records=(correction,)).state is GateState.PENDING


HOURS = st.integers(-30, 120)
CHECKS = st.lists(st.tuples(st.sampled_from(Decision), HOURS), max_size=6, unique_by=lambda each: each[1])


@given(CHECKS, HOURS, st.randoms())
def test_the_state_is_that_of_the_newest_decision_in_any_order(
    made: list[tuple[Decision, float]], hours_before: float, order: Random
) -> None:
    """Against the plain reading: walk through the hours, take each decision as it comes, let clearances run out."""
    checks = [a_check(decision, SLOT - hours * HOUR) for decision, hours in made]
    expected = GateState.PENDING if hours_before <= OPENS_HOURS else GateState.NOT_DUE
    by_the_clock = expected
    for decision, hours in sorted(made, key=lambda each: -each[1]):
        if hours < hours_before:
            break
        lapsed = hours - hours_before >= CLEAR_HOURS
        expected = {
            Decision.CLEAR: by_the_clock if lapsed else GateState.CLEAR,
            Decision.OVERRIDE: by_the_clock if lapsed else GateState.OVERRIDDEN,
            Decision.HOLD: GateState.HOLD,
            Decision.RELEASE: by_the_clock,
        }[decision]
    order.shuffle(checks)
    assert standing_of(*checks, hours_before=hours_before).state is expected


@given(CHECKS, HOURS, st.integers(0, 200))
def test_time_alone_never_leads_towards_going_ahead(
    made: list[tuple[Decision, float]], hours_before: float, later: float
) -> None:
    checks = [a_check(decision, SLOT - hours * HOUR) for decision, hours in made if hours >= hours_before]
    going_ahead = (GateState.CLEAR, GateState.OVERRIDDEN)
    if standing_of(*checks, hours_before=hours_before).state not in going_ahead:
        assert standing_of(*checks, hours_before=hours_before - later).state not in going_ahead


@given(CHECKS, HOURS)
def test_a_record_never_leads_towards_going_ahead(made: list[tuple[Decision, float]], hours_before: float) -> None:
    checks = [a_check(decision, SLOT - hours * HOUR) for decision, hours in made]
    record = Seen(ids.new(), None, speaks_against=True)
    assert standing_of(*checks, hours_before=hours_before, records=(record,)).state not in (
        GateState.CLEAR,
        GateState.OVERRIDDEN,
    )
