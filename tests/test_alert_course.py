"""How an alert goes on: leases that lapse, outcomes that the charts read, and which outcome may be chosen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from uuid import UUID

import pytest
from msgspec.structs import replace

from schemas.alert import AlertState, EventKind, Outcome, Rule, Tier
from schemas.staff import Role
from service import database, errors
from service.alerting import alert_states, alerts, deliveries, findings, leases, rounds, undo
from service.database import Db, Pool
from service.facts import fold_queue
from service.fold import facts as fold_facts
from service.people import clients, staff
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.finding_house import a_finding, an_alert, kinds, opened, told

TODAY = date(2026, 11, 22)
SECOND = timedelta(seconds=1)


@pytest.fixture
async def db(owner_pool: Pool, web_pool: Pool) -> AsyncIterator[Db]:
    """A transaction of the web process."""
    clinic = await a_clinic(owner_pool)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


@pytest.fixture
async def therapist(db: Db) -> UUID:
    return await staff.add(db, email="tamsin@harbour.example", name="Tamsin", roles=[Role.THERAPIST], now=NOW)


@pytest.fixture
async def client_id(db: Db, therapist: UUID) -> UUID:
    """A client of one therapist."""
    client_id = await a_client(db)
    await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=NOW - timedelta(days=30))
    return client_id


async def test_a_finding_of_today_joins_a_running_lease_and_ends_a_lapsed_one(
    db: Db, client_id: UUID, therapist: UUID
) -> None:
    alert = await an_alert(db, client_id)
    until = await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    held = await alerts.get(db, alert.alert_id)
    assert (leases.lapsed(held, until - SECOND), leases.lapsed(held, until)) == (False, True)
    await opened(db, client_id, a_finding(Rule.OTHER_USE), now=until - SECOND)
    assert (await alerts.get(db, alert.alert_id)).round == 1
    await opened(db, client_id, a_finding(Rule.SILENCE, Tier.REVIEW), now=until)
    assert (await alerts.get(db, alert.alert_id)).round == 1, "what can wait ends nobody's lease"
    await opened(db, client_id, a_finding(Rule.SILENCE_AFTER_INFUSION), now=until)
    again = await alerts.get(db, alert.alert_id)
    assert (again.state, again.round, again.acknowledged_by) == (AlertState.OPEN, 2, None)
    assert (await kinds(db, alert.alert_id))[-2:] == [EventKind.JOINED, EventKind.LEASE_LAPSED]
    assert await told(db, alert.alert_id) == [(1, therapist), (2, therapist)]


async def test_an_urgent_finding_ends_a_lapsed_lease_by_name(db: Db, client_id: UUID, therapist: UUID) -> None:
    alert = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    until = await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    await opened(db, client_id, a_finding(Rule.OPIOID_USE, Tier.URGENT), now=until)
    assert (await kinds(db, alert.alert_id))[-1] is EventKind.LEASE_LAPSED
    assert await told(db, alert.alert_id) == [(1, therapist), (2, therapist)]


DUE_FROM = """
select from_day
from fold_due
where clinic_id = $1
"""


@pytest.mark.parametrize(
    ("outcome", "due"),
    [
        (Outcome.NEW_USUAL, True),
        (Outcome.CALLED, True),
        (Outcome.FALSE_ALARM, False),
        (Outcome.NO_ACTION_NEEDED, False),
    ],
)
async def test_an_outcome_that_the_charts_must_know_makes_the_fold_due_from_that_day(
    db: Db, client_id: UUID, therapist: UUID, outcome: Outcome, *, due: bool
) -> None:
    alert = await an_alert(db, client_id)
    await fold_queue.settle(db, [client_id])
    await alerts.resolve(db, alert.alert_id, outcome, by=therapist, now=NOW)
    assert await db.value(DUE_FROM, db.clinic_id) == (TODAY if due else None)
    closed = await alerts.get(db, alert.alert_id)
    assert (closed.state, closed.outcome, closed.closed_at) == (AlertState.RESOLVED, outcome, NOW)


async def test_only_a_worsening_that_stands_is_the_new_usual(db: Db, client_id: UUID, therapist: UUID) -> None:
    other = await an_alert(db, client_id, a_finding(Rule.OTHER_USE))
    with pytest.raises(errors.Invalid) as refused:
        await alerts.resolve(db, other.alert_id, Outcome.NEW_USUAL, by=therapist, now=NOW)
    assert refused.value.message == "Only what got worse can be the new usual."
    assert refused.value.fields == (errors.FieldFault("outcome", "another one: no worsening stands here"),)
    await opened(db, client_id, a_finding())
    found = await findings.of_alerts(db, [other.alert_id])
    assert alerts.offers_new_usual(found)
    await findings.withdraw(db, found[-1].finding_id, why="late answer", now=NOW)
    assert not alerts.offers_new_usual(await findings.of_alerts(db, [other.alert_id]))
    with pytest.raises(errors.Invalid, match="new usual"):
        await alerts.resolve(db, other.alert_id, Outcome.NEW_USUAL, by=therapist, now=NOW)
    await alerts.resolve(db, other.alert_id, Outcome.FALSE_ALARM, by=therapist, now=NOW)


async def test_what_lapsed_can_be_taken_on_by_a_colleague(db: Db, client_id: UUID, therapist: UUID) -> None:
    alert = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    nurse = await staff.add(db, email="nadia@harbour.example", name="Nadia", roles=[Role.NURSE], now=NOW)
    until = await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    with pytest.raises(errors.Conflict, match="acknowledged"):
        await alerts.acknowledge(db, alert.alert_id, by=nurse, now=until - SECOND)
    assert await alerts.acknowledge(db, alert.alert_id, by=nurse, now=until) == until + leases.URGENT
    held, events = await alerts.get(db, alert.alert_id), await alerts.events_of(db, alert.alert_id)
    assert (held.acknowledged_by, held.round) == (nurse, 1)
    assert events[-1].detail["taken_over_from"] == str(therapist)


async def test_a_note_begins_the_lease_anew_and_nothing_else_does(db: Db, client_id: UUID, therapist: UUID) -> None:
    alert = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    sealer = await clients.sealer_of(db, MASTER, client_id)
    await alerts.note(db, alert.alert_id, "seen", by=therapist, now=NOW, sealer=sealer)
    assert (await alerts.get(db, alert.alert_id)).lease_until is None, "nobody has taken it on"
    until = await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    await alerts.note(db, alert.alert_id, "called, no answer", by=therapist, now=until - SECOND, sealer=sealer)
    assert (await alerts.get(db, alert.alert_id)).lease_until == until - SECOND + leases.URGENT


async def test_a_colleague_s_note_does_not_put_off_when_others_are_told(
    db: Db, client_id: UUID, therapist: UUID
) -> None:
    alert = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    nurse = await staff.add(db, email="nadia@harbour.example", name="Nadia", roles=[Role.NURSE], now=NOW)
    sealer = await clients.sealer_of(db, MASTER, client_id)
    until = await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    await alerts.note(db, alert.alert_id, "is anybody on this?", by=nurse, now=until - SECOND, sealer=sealer)
    held = await alerts.get(db, alert.alert_id)
    assert (held.acknowledged_by, held.lease_until) == (therapist, until)
    assert await rounds.end_lapsed(db, now=until) == 1


async def test_a_note_revives_no_lease_that_has_lapsed(db: Db, client_id: UUID, therapist: UUID) -> None:
    """The job that would have ended it stood still."""
    alert = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    sealer = await clients.sealer_of(db, MASTER, client_id)
    until = await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    await alerts.note(db, alert.alert_id, "called, no answer", by=therapist, now=until, sealer=sealer)
    assert (await alerts.get(db, alert.alert_id)).lease_until == until
    assert await rounds.end_lapsed(db, now=until) == 1


async def test_a_lapsed_lease_begins_the_next_round_once(db: Db, client_id: UUID, therapist: UUID) -> None:
    alert = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    until = await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    assert await rounds.end_lapsed(db, now=until - SECOND) == 0
    assert await rounds.end_lapsed(db, now=until) == 1
    assert await rounds.end_lapsed(db, now=until) == 0
    again = await alerts.get(db, alert.alert_id)
    assert (again.state, again.round, again.acknowledged_by, again.lease_until) == (AlertState.OPEN, 2, None, None)
    assert (await kinds(db, alert.alert_id))[-1] is EventKind.LEASE_LAPSED
    assert await told(db, alert.alert_id) == [(1, therapist), (2, therapist)]


async def test_a_message_that_went_out_first_is_in_its_life_and_a_later_one_is_not(
    db: Db, client_id: UUID, therapist: UUID
) -> None:
    alert = await an_alert(db, client_id)
    [message, *_] = await deliveries.of_alert(db, alert.alert_id)
    for later in range(2):
        await alert_states.dispatch(db, alert.alert_id, now=NOW + later * SECOND, delivery_id=message.delivery_id)
    assert (await alerts.get(db, alert.alert_id)).state is AlertState.DISPATCHED
    [_, sent] = await alerts.events_of(db, alert.alert_id)
    assert (sent.kind, sent.happened_at) == (EventKind.DISPATCHED, NOW)
    assert sent.detail == {"delivery_id": str(message.delivery_id)}
    await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    await alert_states.dispatch(db, alert.alert_id, now=NOW, delivery_id=message.delivery_id)
    assert (await alerts.get(db, alert.alert_id)).state is AlertState.ACKNOWLEDGED


async def test_what_was_recalculated_says_since_when_and_of_which_finding_and_stands_as_it_stood(
    db: Db, client_id: UUID
) -> None:
    alert, untouched = await an_alert(db, client_id), await an_alert(db, await a_client(db, given_name="Per"))
    [finding] = await findings.of_alerts(db, [alert.alert_id])
    await alerts.mark_recalculated(db, alert.alert_id, finding_id=finding.finding_id, now=NOW + SECOND)
    assert await alerts.get(db, alert.alert_id) == replace(alert, recalculated_at=NOW + SECOND)
    event = (await alerts.events_of(db, alert.alert_id))[-1]
    assert (event.kind, event.finding_id, event.staff_id) == (EventKind.RECALCULATED, finding.finding_id, None)
    assert event.happened_at == NOW + SECOND
    assert await alerts.get(db, untouched.alert_id) == untouched


async def test_the_day_of_an_outcome_is_the_clinic_s_where_the_client_s_zone_is_unknown(
    db: Db, therapist: UUID
) -> None:
    """One in the morning in Chicago: the client day there is still the evening's."""
    stranger = await a_client(db, time_zone="Mars/Olympus")
    alert = await an_alert(db, stranger)
    await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=therapist, now=NOW + timedelta(hours=8))
    assert (await alerts.events_of(db, alert.alert_id))[-1].detail == {"outcome": "called", "client_day": "2026-11-22"}


async def test_a_wrong_button_is_taken_back_also_by_a_host_whose_clock_is_behind(
    db: Db, client_id: UUID, therapist: UUID
) -> None:
    alert = await an_alert(db, client_id)
    await alerts.resolve(db, alert.alert_id, Outcome.NEW_USUAL, by=therapist, now=NOW + 5 * SECOND)
    await undo.take_back(db, alert.alert_id, by=therapist, now=NOW + 2 * SECOND)
    await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=therapist, now=NOW + 4 * SECOND)
    [facts] = await fold_facts.read(db, await fold_facts.as_of(db, [client_id], from_day=date.min))
    assert (facts.new_usual_days, len(facts.confirmed_days)) == (set(), 1)
    happened = [event.kind for event in await alerts.events_of(db, alert.alert_id)]
    assert happened[-3:] == [EventKind.RESOLVED, EventKind.UNDONE, EventKind.RESOLVED]


async def test_a_wrong_button_is_taken_back_within_its_minute_and_by_whoever_pressed_it(
    db: Db, client_id: UUID, therapist: UUID
) -> None:
    alert = await an_alert(db, client_id)
    sealer = await clients.sealer_of(db, MASTER, client_id)
    await alerts.resolve(db, alert.alert_id, Outcome.NEW_USUAL, by=therapist, now=NOW, note="moved", sealer=sealer)
    later = NOW + 9 * SECOND
    other = await staff.add(db, email="other@harbour.example", name="Other", roles=[Role.THERAPIST], now=NOW)
    assert await undo.offered(db, alert.alert_id, to=other, now=later) is None
    with pytest.raises(errors.Conflict):
        await undo.take_back(db, alert.alert_id, by=other, now=later)
    await fold_queue.settle(db, [client_id])
    until = await undo.take_back(db, alert.alert_id, by=therapist, now=later)
    assert await db.value(DUE_FROM, db.clinic_id) == TODAY, "the charts take it back, too"
    again = await alerts.get(db, alert.alert_id)
    assert (again.state, again.acknowledged_by, again.lease_until) == (AlertState.ACKNOWLEDGED, therapist, until)
    assert (again.acknowledged_at, again.outcome, again.closed_at) == (later, None, None)
    [facts] = await fold_facts.read(db, await fold_facts.as_of(db, [client_id], from_day=date.min))
    assert facts.new_usual_days == set()
    with pytest.raises(errors.Conflict):
        await undo.take_back(db, alert.alert_id, by=therapist, now=later)
    await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=therapist, now=later)
    with pytest.raises(errors.Conflict):
        await undo.take_back(db, alert.alert_id, by=therapist, now=later + 61 * SECOND)
    [facts] = await fold_facts.read(db, await fold_facts.as_of(db, [client_id], from_day=date.min))
    assert (facts.new_usual_days, len(facts.confirmed_days)) == (set(), 1)
    last = (await alerts.events_of(db, alert.alert_id))[-4:]
    kinds_and_people = [(event.kind, event.staff_id) for event in last]
    assert kinds_and_people == [
        (EventKind.NOTED, therapist),
        (EventKind.RESOLVED, therapist),
        (EventKind.UNDONE, therapist),
        (EventKind.RESOLVED, therapist),
    ]


async def test_putting_off_is_taken_back_and_what_was_opened_meanwhile_stands_against_a_resolve(
    db: Db, client_id: UUID, therapist: UUID
) -> None:
    alert = await an_alert(db, client_id, a_finding(Rule.SILENCE, Tier.REVIEW))
    sealer = await clients.sealer_of(db, MASTER, client_id)
    await alerts.snooze(db, alert.alert_id, NOW + timedelta(days=2), "visit", by=therapist, now=NOW, sealer=sealer)
    until = await undo.take_back(db, alert.alert_id, by=therapist, now=NOW + SECOND)
    assert until == NOW + SECOND + timedelta(days=7), "the lease of its tier"
    assert (await alerts.get(db, alert.alert_id)).snoozed_until is None
    assert (await alerts.events_of(db, alert.alert_id))[-1].detail == {"from_state": "snoozed"}
    await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=therapist, now=NOW + 2 * SECOND)
    await an_alert(db, client_id, a_finding(Rule.OTHER_USE))
    with pytest.raises(errors.Conflict, match="opened meanwhile"):
        await undo.take_back(db, alert.alert_id, by=therapist, now=NOW + 3 * SECOND)
