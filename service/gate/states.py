"""The states of a gate: which decision may follow in which state, and when a clearance holds no more. Pure.

Nothing but the clock and a new record changes a state by itself, and only towards *pending*: towards going ahead only
people do.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

import msgspec

from schemas.gate import Decision, GateCheck, GateState, Lapse, Proposal
from service import errors

_DUE = frozenset({GateState.PENDING, GateState.CLEAR, GateState.HOLD, GateState.OVERRIDDEN})

TRANSITIONS: Mapping[Decision, tuple[frozenset[GateState], GateState]] = MappingProxyType(
    {
        # Deciding again renews a clearance, so that it does not run out while the infusion is being prepared.
        Decision.CLEAR: (_DUE, GateState.CLEAR),
        Decision.OVERRIDE: (_DUE, GateState.OVERRIDDEN),
        # What speaks against an infusion may be known before the gate opens.
        Decision.HOLD: (frozenset(GateState), GateState.HOLD),
        # Back to what the clock says.
        Decision.RELEASE: (frozenset({GateState.HOLD}), GateState.PENDING),
    }
)
"""Decision → the states in which it may be made, and the state it leads to."""

WORDS: Mapping[GateState, str] = MappingProxyType({GateState.NOT_DUE: "not due yet", GateState.HOLD: "on hold"})


def after(state: GateState, decision: Decision) -> GateState:
    """The state after a decision. Raises Conflict, naming the state, where it may not be made."""
    allowed, leads_to = TRANSITIONS[decision]
    if state not in allowed:
        raise errors.Conflict(f"The gate is {WORDS.get(state, state)}; this cannot be decided now.")
    return leads_to


class Seen(msgspec.Struct, frozen=True):
    """A record as a clearance may lapse by it: its id, what it corrects, and whether it speaks against going ahead,
    because it proposes a hold or leaves open what it was to answer."""

    record_id: UUID
    supersedes: UUID | None
    speaks_against: bool


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """The state now, the decision it rests on, and why a clearance before it lapsed."""

    state: GateState
    decision: GateCheck | None
    lapse: Lapse | None = None


def opens_at(planned_at: datetime, *, opens_hours: int) -> datetime:
    """When the gate of a slot becomes due."""
    return planned_at - timedelta(hours=opens_hours)


def at(
    decisions: Sequence[GateCheck],
    records: Sequence[Seen],
    *,
    planned_at: datetime,
    moved_at: datetime | None,
    opens_hours: int,
    now: datetime,
    proposals: Collection[Proposal] = (),
) -> Standing:
    """The state at `now`: of the newest decision, unless it is a clearance that has lapsed.

    `decisions` and `records` in any order, those after `now` are left out of the decisions. A hold stands until a
    person decides otherwise, also when the infusion moves.
    """
    by_the_clock = GateState.PENDING if now >= opens_at(planned_at, opens_hours=opens_hours) else GateState.NOT_DUE
    made = [each for each in decisions if each.decided_at <= now]
    if not made:
        return Standing(state=by_the_clock, decision=None)
    newest = max(made, key=lambda each: (each.decided_at, each.gate_check_id))
    if newest.decision is Decision.RELEASE:
        return Standing(state=by_the_clock, decision=newest)
    if newest.decision is not Decision.HOLD:
        lapse = _lapse_of(newest, records, planned_at=planned_at, moved_at=moved_at, now=now)
        # Nothing stands cleared against what is proposed, however that came to be: an infusion that was not given after
        # all brings back what was known before it.
        if lapse is None and not set(proposals) <= set(newest.proposals):
            lapse = Lapse.NEW_RECORD
        if lapse is not None:
            return Standing(state=by_the_clock, decision=newest, lapse=lapse)
    return Standing(state=TRANSITIONS[newest.decision][1], decision=newest)


def _lapse_of(
    clearance: GateCheck, records: Sequence[Seen], *, planned_at: datetime, moved_at: datetime | None, now: datetime
) -> Lapse | None:
    if clearance.planned_at != planned_at or (moved_at is not None and moved_at > clearance.decided_at):
        return Lapse.MOVED
    if clearance.expires_at is None or now >= clearance.expires_at:
        return Lapse.EXPIRED
    # Also where an override had met the like of it: a pressure of 148 that was overridden says nothing about 215.
    known = set(clearance.record_ids)
    fresh = [each for each in records if each.record_id not in known]
    if any(each.speaks_against or each.supersedes in known for each in fresh):
        return Lapse.NEW_RECORD
    return None
