"""The life of an alert, written down a second time: which event may come in which state, and what it leads to."""

from __future__ import annotations

from itertools import product

import pytest

from schemas.alert import AlertState, EventKind, Tier
from service import errors
from service.alerting import alert_states

STATES = (
    AlertState.OPEN,
    AlertState.DISPATCHED,
    AlertState.ACKNOWLEDGED,
    AlertState.SNOOZED,
    AlertState.RESOLVED,
    AlertState.AUTO_RESOLVED,
)
# An event, the tiers to which it may happen, and what becomes of each of STATES: "." refused, "same" it stays.
LIFE = """
dispatched    123  dispatched    .             .             .             .             .
acknowledged  123  acknowledged  acknowledged  .             acknowledged  .             .
snoozed        23  snoozed       snoozed       snoozed       .             .             .
resolved      123  resolved      resolved      resolved      resolved      .             .
auto_resolved   3  auto_resolved auto_resolved auto_resolved auto_resolved .             .
undone        123  .             .             .             acknowledged  acknowledged  .
given_back    123  .             .             open          .             .             .
reopened      123  open          open          open          open          .             .
raised        123  open          open          open          open          .             .
lease_lapsed  123  .             .             open          .             .             .
snooze_ended   23  .             .             .             open          .             .
untaken       1    open          open          .             .             .             .
escalated     12   same          same          .             .             .             .
joined        123  same          same          same          same          .             .
noted         123  same          same          same          same          same          same
recalculated  123  same          same          same          same          same          same
unroutable    123  same          same          same          same          .             .
"""
ROWS = [line.split() for line in LIFE.split("\n") if line]
CELLS = [
    (EventKind(event), tier, state, str(tier.value) in tiers, became)
    for event, tiers, *becomes in ROWS
    for tier, (state, became) in product(Tier, zip(STATES, becomes, strict=True))
]


def test_the_life_tells_of_every_state_and_of_every_event_but_the_opening() -> None:
    assert set(STATES) == set(AlertState)
    assert {event for event, *_ in CELLS} == set(EventKind) - {EventKind.OPENED} == set(alert_states.TRANSITIONS)


@pytest.mark.parametrize(("event", "tier", "state", "of_this_tier", "became"), CELLS)
def test_an_event_leads_where_the_life_says_or_is_refused_by_name(
    event: EventKind, tier: Tier, state: AlertState, of_this_tier: bool, became: str
) -> None:
    if of_this_tier and became != ".":
        assert alert_states.after(state, event, tier) is (state if became == "same" else AlertState(became))
        return
    with pytest.raises(errors.Conflict) as refused:
        alert_states.after(state, event, tier)
    done = event.replace("_", " ")
    why = (
        f"The alert is {state.replace('_', ' ')}; it"
        if of_this_tier
        else f"An alert that is marked {tier.name.lower()}"
    )
    assert refused.value.message == f"{why} cannot be {done}."


def test_nothing_that_is_closed_opens_again_but_by_its_undoing() -> None:
    opening = {
        event
        for event, _, state, of_this_tier, became in CELLS
        if state in alert_states.CLOSED and of_this_tier and became not in (".", "same")
    }
    assert opening == {EventKind.UNDONE}
    assert {AlertState.OPEN, AlertState.DISPATCHED} == alert_states.UNTAKEN
