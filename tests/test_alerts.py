"""Findings become alerts that are told, taken on and closed; every step is an event, and no step out of turn."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from schemas.alert import AlertState, EventKind, Outcome, Rule, Tier
from schemas.client import RecordOrigin
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, errors
from service.alerting import alerts, deliveries, findings, notes
from service.database import Db, Pool
from service.facts import clinic_hours
from service.people import clients, staff, webhook_endpoints
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.finding_house import TODAY, a_finding, an_alert, kinds, opened, told


async def a_colleague(db: Db, name: str, *roles: Role) -> UUID:
    return await staff.add(db, email=f"{name}@harbour.example", name=name.title(), roles=roles, now=NOW)


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


@pytest.fixture
async def therapist(web_pool: Pool, clinic: Clinic) -> UUID:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        return await a_colleague(db, "tamsin", Role.THERAPIST)


@pytest.fixture
async def client_id(web_pool: Pool, clinic: Clinic, therapist: UUID) -> UUID:
    """A client of one therapist."""
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        client_id = await a_client(db)
        await clients.assign(db, client_id, therapist, Role.THERAPIST, from_at=NOW - timedelta(days=30))
    return client_id


@pytest.fixture
async def db(web_pool: Pool, clinic: Clinic, client_id: UUID) -> AsyncIterator[Db]:
    """A transaction of the web process."""
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


async def test_a_first_finding_opens_an_alert_and_queues_its_message(db: Db, client_id: UUID, therapist: UUID) -> None:
    alert = await an_alert(db, client_id)
    assert (alert.tier, alert.state, alert.round) == (Tier.TODAY, AlertState.OPEN, 1)
    assert await kinds(db, alert.alert_id) == [EventKind.OPENED]
    assert await told(db, alert.alert_id) == [(1, therapist)]


async def test_a_replayed_finding_adds_nothing(db: Db, client_id: UUID) -> None:
    alert = await an_alert(db, client_id)
    assert await opened(db, client_id, a_finding()) == alerts.AlertChange(opened=[], joined=[])
    await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=client_id, now=NOW)
    assert await opened(db, client_id, a_finding()) == alerts.AlertChange(opened=[], joined=[])
    assert len(await findings.of_alerts(db, [alert.alert_id])) == 1


async def test_a_further_finding_joins_and_tells_nobody_again(db: Db, client_id: UUID, therapist: UUID) -> None:
    alert = await an_alert(db, client_id)
    await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    change = await opened(db, client_id, a_finding(Rule.OTHER_USE))
    assert change.joined == [alert.alert_id]
    assert (await alerts.get(db, alert.alert_id)).state is AlertState.ACKNOWLEDGED
    assert await told(db, alert.alert_id) == [(1, therapist)]
    assert await kinds(db, alert.alert_id) == [EventKind.OPENED, EventKind.ACKNOWLEDGED, EventKind.JOINED]


async def test_tier_3_waits_in_the_inbox_and_a_finding_of_today_raises_it(
    db: Db, client_id: UUID, therapist: UUID
) -> None:
    alert = await an_alert(db, client_id, a_finding(Rule.SILENCE, Tier.REVIEW))
    assert await told(db, alert.alert_id) == []
    await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    await opened(db, client_id, a_finding())
    raised = await alerts.get(db, alert.alert_id)
    assert (raised.tier, raised.state, raised.acknowledged_by) == (Tier.TODAY, AlertState.OPEN, None)
    assert await told(db, alert.alert_id) == [(2, therapist)]
    *_, taken, joined, again = await alerts.events_of(db, alert.alert_id)
    assert (taken.kind, taken.staff_id) == (EventKind.ACKNOWLEDGED, therapist)
    assert (joined.kind, joined.detail) == (EventKind.JOINED, {"tier": 2})
    assert again.kind is EventKind.RAISED
    assert again.detail == {"round": 2, "from_tier": 3, "to_tier": 2, "from_state": "acknowledged"}


async def test_a_lighter_finding_never_lowers_the_tier(db: Db, client_id: UUID) -> None:
    alert = await an_alert(db, client_id)
    await opened(db, client_id, a_finding(Rule.SILENCE, Tier.REVIEW))
    assert (await alerts.get(db, alert.alert_id)).tier is Tier.TODAY


async def test_an_urgent_finding_has_an_alert_of_its_own(db: Db, client_id: UUID) -> None:
    other = await an_alert(db, client_id)
    urgent = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    assert urgent.alert_id != other.alert_id
    assert urgent.tier is Tier.URGENT


async def test_a_second_urgent_finding_is_told_again_once_the_first_was_sent(
    db: Db, client_id: UUID, therapist: UUID
) -> None:
    alert = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    await opened(db, client_id, a_finding(Rule.OPIOID_USE, Tier.URGENT))
    assert await told(db, alert.alert_id) == [(1, therapist)], "the first message is still to be sent and tells both"
    await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    await opened(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT, day=TODAY + timedelta(days=1)))
    again = await alerts.get(db, alert.alert_id)
    assert (again.state, again.round, again.lease_until) == (AlertState.OPEN, 2, None)
    assert await told(db, alert.alert_id) == [(1, therapist), (2, therapist)]
    assert (await kinds(db, alert.alert_id))[-1] is EventKind.REOPENED


async def test_a_finding_that_alerts_nobody_is_kept_without_an_alert(db: Db, client_id: UUID) -> None:
    change = await opened(db, client_id, a_finding(Rule.WANING, None))
    assert change == alerts.AlertChange(opened=[], joined=[])
    stored = await findings.standing_of_many(db, [client_id], rules=[Rule.WANING])
    assert [(each.tier, each.alert_id) for each in stored] == [(None, None)]


async def test_a_withdrawn_finding_that_is_found_again_is_a_new_one(db: Db, client_id: UUID) -> None:
    alert = await an_alert(db, client_id)
    [finding] = await findings.of_alerts(db, [alert.alert_id])
    assert await findings.withdraw(db, finding.finding_id, why="late answer", now=NOW)
    assert not await findings.withdraw(db, finding.finding_id, why="late answer", now=NOW)
    await opened(db, client_id, a_finding())
    await opened(db, client_id, a_finding())
    assert len(await findings.of_alerts(db, [alert.alert_id])) == 2


async def test_a_withdrawn_finding_says_so_and_stands_no_longer(db: Db, client_id: UUID) -> None:
    alert = await an_alert(db, client_id, a_finding(), a_finding(Rule.OTHER_USE))
    worsening, use = await findings.of_alerts(db, [alert.alert_id])
    assert (worsening.withdrawn_at, use.withdrawn_at) == (None, None)
    await findings.withdraw(db, worsening.finding_id, why="late answer", now=NOW)
    shown = await findings.of_alerts(db, [alert.alert_id])
    assert {each.rule: each.withdrawn_at for each in shown} == {Rule.WORSENING: NOW, Rule.OTHER_USE: None}
    assert [each.rule for each in findings.standing(shown)] == [Rule.OTHER_USE]


async def test_imported_findings_become_closed_history_that_nobody_is_told(db: Db, client_id: UUID) -> None:
    days = [TODAY, TODAY, TODAY - timedelta(days=40)]
    found = [
        a_finding(rule, day=day) for rule, day in zip([Rule.WORSENING, Rule.WANING, Rule.WORSENING], days, strict=True)
    ]
    change = await alerts.open_or_join(db, client_id, found, now=NOW, rule_set_version=1, origin=RecordOrigin.IMPORT)
    assert len(change.opened) == 2
    for alert in await alerts.inbox(db, None, closed=True):
        assert (alert.state, alert.origin, alert.closed_at) == (AlertState.AUTO_RESOLVED, RecordOrigin.IMPORT, NOW)
        assert await deliveries.of_alert(db, alert.alert_id) == []
        assert (await alerts.events_of(db, alert.alert_id))[-1].detail == {"why": "imported"}
    live = await an_alert(db, client_id, a_finding(day=TODAY - timedelta(days=1)))
    assert live.origin is RecordOrigin.LIVE


async def test_two_transactions_that_find_something_at_once_open_one_alert(
    web_pool: Pool, jobs_pool: Pool, clinic: Clinic, client_id: UUID
) -> None:
    async def find(pool: Pool, rule: Rule) -> alerts.AlertChange:
        async with database.transaction(pool, clinic.clinic_id) as db:
            return await opened(db, client_id, a_finding(rule))

    rules = [Rule.WORSENING, Rule.OTHER_USE, Rule.SILENCE, Rule.WANING]
    changes = await asyncio.gather(*(find(web_pool if i % 2 else jobs_pool, rule) for i, rule in enumerate(rules)))
    assert sum(len(change.opened) for change in changes) == 1
    assert len({alert_id for change in changes for alert_id in change.opened + change.joined}) == 1


async def test_acknowledging_is_a_lease_whose_length_the_tier_sets(db: Db, client_id: UUID, therapist: UUID) -> None:
    sunday_evening = NOW
    urgent = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    assert await alerts.acknowledge(db, urgent.alert_id, by=therapist, now=sunday_evening) == NOW + timedelta(
        minutes=30
    )
    today = await an_alert(db, client_id)
    monday_closing = datetime(2026, 11, 23, 17, 0, tzinfo=ZoneInfo("America/Chicago"))
    assert await alerts.acknowledge(db, today.alert_id, by=therapist, now=sunday_evening) == monday_closing
    await alerts.resolve(db, today.alert_id, Outcome.CALLED, by=therapist, now=NOW)
    review = await an_alert(db, client_id, a_finding(Rule.SILENCE, Tier.REVIEW))
    assert await alerts.acknowledge(db, review.alert_id, by=therapist, now=NOW) == NOW + timedelta(days=7)
    kept = await alerts.get(db, review.alert_id)
    assert (kept.acknowledged_by, kept.lease_until) == (therapist, NOW + timedelta(days=7))


def test_the_next_clinic_day_is_the_next_one_with_hours() -> None:
    hours = {"1": ("09:00", "17:00"), "5": ("08:00", "12:30")}
    zone = ZoneInfo("America/Chicago")
    monday = datetime(2026, 11, 23, 16, 0, tzinfo=UTC)
    assert clinic_hours.next_closing(hours, zone, now=monday) == datetime(2026, 11, 27, 18, 30, tzinfo=UTC)
    assert clinic_hours.next_closing(hours, zone, now=monday + timedelta(days=4)).date() == date(2026, 11, 30)
    assert clinic_hours.next_closing({}, zone, now=monday) == datetime(2026, 11, 25, 6, 0, tzinfo=UTC)


async def test_what_is_closed_or_taken_on_is_not_taken_on_again(db: Db, client_id: UUID, therapist: UUID) -> None:
    alert = await an_alert(db, client_id)
    await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    with pytest.raises(errors.Conflict, match="acknowledged"):
        await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=therapist, now=NOW)
    with pytest.raises(errors.Conflict, match="resolved"):
        await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
    with pytest.raises(errors.Conflict, match="resolved"):
        await alerts.resolve(db, alert.alert_id, Outcome.CALLED, by=therapist, now=NOW)


async def test_two_people_who_acknowledge_at_once_are_told_apart(
    web_pool: Pool, clinic: Clinic, client_id: UUID, therapist: UUID
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        alert = await an_alert(db, client_id)

    async def acknowledge() -> bool:
        try:
            async with database.transaction(web_pool, clinic.clinic_id) as db:
                await alerts.acknowledge(db, alert.alert_id, by=therapist, now=NOW)
        except errors.Conflict:
            return False
        return True

    assert sorted(await asyncio.gather(acknowledge(), acknowledge(), acknowledge())) == [False, False, True]


async def test_notes_are_sealed_and_open_in_their_own_row_only(db: Db, client_id: UUID, therapist: UUID) -> None:
    alert = await an_alert(db, client_id)
    sealer = await clients.sealer_of(db, MASTER, client_id)
    await alerts.note(db, alert.alert_id, "called, no answer", by=therapist, now=NOW, sealer=sealer)
    await alerts.resolve(
        db, alert.alert_id, Outcome.CALLED, by=therapist, now=NOW, note="reached her sister", sealer=sealer
    )
    events = await alerts.events_of(db, alert.alert_id)
    texts = [notes.text_of(event, sealer, clinic_id=db.clinic_id) for event in events]
    assert texts == [None, "called, no answer", "reached her sister", None]
    assert all(b"sister" not in (event.note_sealed or b"") for event in events)
    for text, message, why in (
        ("  ", "The note is empty.", "at least one character"),
        ("x" * (notes.MOST_CHARACTERS + 1), "The text is too long.", "at most 4000 characters"),
    ):
        with pytest.raises(errors.Invalid) as refused:
            await alerts.note(db, alert.alert_id, text, by=therapist, now=NOW, sealer=sealer)
        assert (refused.value.message, refused.value.fields) == (message, (errors.FieldFault("note", why),))


async def test_the_nearest_people_who_can_be_told_are_told(db: Db, client_id: UUID, therapist: UUID) -> None:
    nurse = await a_colleague(db, "nadia", Role.NURSE)
    coordinator = await a_colleague(db, "cleo", Role.COORDINATOR)
    admin = await a_colleague(db, "ada", Role.ADMIN)
    await clients.assign(db, client_id, nurse, Role.NURSE, from_at=NOW - timedelta(days=1))
    alert = await deliveries.routed(db, (await an_alert(db, client_id)).alert_id)
    for nearest in (therapist, nurse, coordinator, admin):
        assert [each.staff_id for each in await deliveries.recipients_of(db, alert, now=NOW)] == [nearest]
        await staff.disable(db, nearest, by=client_id, now=NOW)
    assert await deliveries.recipients_of(db, alert, now=NOW) == []


async def test_past_and_coming_assignments_do_not_count(db: Db, client_id: UUID, therapist: UUID) -> None:
    await clients.unassign(db, client_id, therapist, now=NOW)
    later = await a_colleague(db, "lena", Role.THERAPIST)
    await clients.assign(db, client_id, later, Role.THERAPIST, from_at=NOW + timedelta(days=1))
    admin = await a_colleague(db, "ada", Role.ADMIN)
    alert = await deliveries.routed(db, (await an_alert(db, client_id)).alert_id)
    assert [each.staff_id for each in await deliveries.recipients_of(db, alert, now=NOW)] == [admin]


async def test_an_alert_that_can_reach_nobody_says_so_and_is_logged_by_id_alone(
    db: Db, client_id: UUID, therapist: UUID, caplog: pytest.LogCaptureFixture
) -> None:
    await staff.disable(db, therapist, by=client_id, now=NOW)
    with caplog.at_level(logging.ERROR):
        alert = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
        await deliveries.plan(db, alert.alert_id, now=NOW)
    assert await kinds(db, alert.alert_id) == [EventKind.OPENED, EventKind.UNROUTABLE]
    assert [record.getMessage() for record in caplog.records] == ["alert_unroutable", "alert_unroutable"]
    assert vars(caplog.records[0])["alert_id"] == alert.alert_id


async def test_enabled_webhook_endpoints_are_told_beside_people(db: Db, client_id: UUID, therapist: UUID) -> None:
    gone, _ = await webhook_endpoints.add(db, MASTER, "https://gone.example/hook", now=NOW)
    there, _ = await webhook_endpoints.add(db, MASTER, "https://there.example/hook", now=NOW)
    await webhook_endpoints.disable(db, gone, why="410", now=NOW)
    alert = await an_alert(db, client_id)
    assert await deliveries.plan(db, alert.alert_id, now=NOW) == 0, "planning twice queues nothing twice"
    messages = await deliveries.of_alert(db, alert.alert_id)
    assert {each.staff_id or each.webhook_endpoint_id for each in messages} == {therapist, there}


async def test_an_inbox_shows_the_most_urgent_first_and_only_the_clients_asked_for(db: Db, client_id: UUID) -> None:
    other = await a_client(db, given_name="Omar")
    review = await an_alert(db, other, a_finding(Rule.SILENCE, Tier.REVIEW))
    today = await an_alert(db, client_id)
    urgent = await an_alert(db, client_id, a_finding(Rule.SAFETY, Tier.URGENT))
    assert [each.alert_id for each in await alerts.inbox(db, None)] == [
        urgent.alert_id,
        today.alert_id,
        review.alert_id,
    ]
    assert [each.alert_id for each in await alerts.inbox(db, [other])] == [review.alert_id]
    assert await alerts.inbox(db, []) == []


async def test_an_alert_of_another_clinic_is_not_there(
    owner_pool: Pool, web_pool: Pool, db: Db, client_id: UUID
) -> None:
    alert = await an_alert(db, client_id)
    elsewhere = await a_clinic(owner_pool, slug="elsewhere")
    async with database.transaction(web_pool, elsewhere.clinic_id) as other:
        for deed in (
            alerts.get(other, alert.alert_id),
            alerts.acknowledge(other, alert.alert_id, by=client_id, now=NOW),
            alerts.resolve(other, alert.alert_id, Outcome.CALLED, by=client_id, now=NOW),
            deliveries.plan(other, alert.alert_id, now=NOW),
        ):
            with pytest.raises(errors.NotFound):
                await deed
