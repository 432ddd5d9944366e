"""An acknowledgement pressed by mistake is taken back: the alert goes on where it stood, untouched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from jobs.work import Tools
from schemas.alert import AlertState, DeliveryState, EventKind, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, errors, watch
from service.alerting import alerts, deliveries, rounds, undo
from service.config import Config
from service.database import Db, Pool
from service.desk import quality
from service.people import clients
from tests.builders import MASTER, NOW, a_client, a_clinic
from tests.climbing import MINUTE, PEOPLE, TODAY, a_house, an_alert, told
from tests.desk import a_person, a_session
from tests.outbox import a_told_alert, clinic, deliver_email, deliver_webhook, messages_of, sending, tools
from tests.sinks import HookSink, MailSink
from tests.watching import seen
from tests.web import serving

__all__ = ["clinic", "sending", "tools"]

SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)


@pytest.fixture
async def db(clinic: Clinic, web_pool: Pool) -> AsyncIterator[Db]:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


async def kinds_of(db: Db, alert_id: UUID) -> list[EventKind]:
    return [event.kind for event in await alerts.events_of(db, alert_id)]


async def test_the_ladder_of_an_urgent_alert_climbs_on_at_its_own_time(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist, nurse = list(people)[:2]
    alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    await rounds.climb(db, now=NOW + 15 * MINUTE)
    before = await alerts.get(db, alert_id)
    at = NOW + 29 * MINUTE + 30 * SECOND
    await alerts.acknowledge(db, alert_id, by=therapist, now=at)
    with pytest.raises(errors.Conflict, match="nothing to be taken back"):
        await undo.take_back(db, alert_id, by=nurse, now=at + SECOND)
    assert await undo.take_back(db, alert_id, by=therapist, now=at + 59 * SECOND) is None
    assert await alerts.get(db, alert_id) == before
    # The step of 30 minutes was due while it seemed to be taken on: it is taken now, once, and the next at 60.
    assert await rounds.climb(db, now=at + 60 * SECOND) == 1
    assert await rounds.climb(db, now=NOW + 59 * MINUTE) == 0
    assert await rounds.climb(db, now=NOW + 60 * MINUTE) == 1
    assert await told(db, alert_id, people) == [(1, step, PEOPLE[step]) for step in range(4)]
    events = await kinds_of(db, alert_id)
    assert events[-4:-1] == [EventKind.ACKNOWLEDGED, EventKind.GIVEN_BACK, EventKind.ESCALATED]
    with pytest.raises(errors.Conflict, match="nothing to be taken back"):
        await undo.take_back(db, alert_id, by=therapist, now=at + 60 * SECOND)


async def test_it_is_taken_back_within_a_minute_and_not_once_something_was_written_down(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist = next(iter(people))
    sealer = await clients.sealer_of(db, MASTER, client_id)
    alert_id = await an_alert(db, client_id, Tier.TODAY)
    await alerts.acknowledge(db, alert_id, by=therapist, now=NOW)
    last = await undo.offered(db, alert_id, to=therapist, now=NOW + 4 * SECOND)
    assert last is not None
    assert last.offered_for(NOW + 4 * SECOND) == 6
    assert last.offered_for(NOW + 14 * SECOND) == 0
    assert await undo.offered(db, alert_id, to=therapist, now=NOW + 60 * SECOND) == last
    with pytest.raises(errors.Conflict, match=r"^There is nothing to be taken back any more\.$"):
        await undo.take_back(db, alert_id, by=therapist, now=NOW + 61 * SECOND)
    await alerts.note(db, alert_id, "Called.", by=therapist, now=NOW + 5 * SECOND, sealer=sealer)
    assert await undo.offered(db, alert_id, to=therapist, now=NOW + 6 * SECOND) is None


async def test_what_was_put_off_or_was_somebody_elses_is_so_again(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist, nurse = list(people)[:2]
    sealer = await clients.sealer_of(db, MASTER, client_id)
    put_off = await an_alert(db, client_id, Tier.TODAY)
    await alerts.snooze(db, put_off, NOW + DAY, "visit", by=nurse, now=NOW, sealer=sealer)
    before = await alerts.get(db, put_off)
    await alerts.acknowledge(db, put_off, by=therapist, now=NOW + MINUTE)
    await undo.take_back(db, put_off, by=therapist, now=NOW + MINUTE + SECOND)
    assert await alerts.get(db, put_off) == before
    told_of = (await alerts.events_of(db, put_off))[-1]
    assert (told_of.kind, told_of.staff_id) == (EventKind.GIVEN_BACK, therapist)
    assert told_of.detail == {"from_state": "acknowledged", "to_state": "snoozed"}
    assert await rounds.end_lapsed(db, now=NOW + DAY) == 1, "it is told again at its own time"

    urgent = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    lapses_at = await alerts.acknowledge(db, urgent, by=nurse, now=NOW)
    taken_over_at = lapses_at + SECOND
    await alerts.acknowledge(db, urgent, by=therapist, now=taken_over_at)
    await undo.take_back(db, urgent, by=therapist, now=taken_over_at + SECOND)
    again = await alerts.get(db, urgent)
    assert (again.acknowledged_by, again.lease_until) == (nurse, lapses_at)
    assert await rounds.end_lapsed(db, now=taken_over_at + 2 * SECOND) == 1, "what had lapsed has"


async def test_a_finding_that_came_meanwhile_is_not_undone(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist = next(iter(people))
    alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    await alerts.acknowledge(db, alert_id, by=therapist, now=NOW)
    again = NewFinding(client_day=TODAY + DAY, rule=Rule.SAFETY, tier=Tier.URGENT, numbers={})
    await alerts.open_or_join(db, client_id, [again], now=NOW + SECOND, rule_set_version=1)
    assert await undo.offered(db, alert_id, to=therapist, now=NOW + 2 * SECOND) is None
    with pytest.raises(errors.Conflict, match="nothing to be taken back"):
        await undo.take_back(db, alert_id, by=therapist, now=NOW + 2 * SECOND)
    assert (await alerts.get(db, alert_id)).state is AlertState.OPEN


async def test_what_was_not_sent_for_its_sake_is_sent_after_all(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink, hooks: HookSink
) -> None:
    alert_id, therapist = await a_told_alert(
        web_pool, clinic, webhook_port=hooks.port, rule=Rule.SAFETY, tier=Tier.URGENT
    )
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await alerts.acknowledge(db, alert_id, by=therapist, now=NOW)
    await deliver_email(tools, now=NOW + SECOND)
    await deliver_webhook(tools, now=NOW + SECOND)
    assert (len(mail.messages), len(hooks.hooks)) == (0, 0)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await undo.take_back(db, alert_id, by=therapist, now=NOW + 2 * SECOND)
        again = await deliveries.of_alert(db, alert_id)
    assert [(each.state, each.due_at) for each in again] == [(DeliveryState.QUEUED, NOW + 2 * SECOND)] * 2
    await deliver_email(tools, now=NOW + 3 * SECOND)
    await deliver_webhook(tools, now=NOW + 3 * SECOND)
    assert (len(mail.messages), len(hooks.hooks)) == (1, 1)
    assert {each.state for each in (await messages_of(web_pool, clinic, alert_id)).values()} == {"sent"}
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        assert (await alerts.get(db, alert_id)).state is AlertState.DISPATCHED


async def test_whoever_was_told_meanwhile_counts_as_told(
    web_pool: Pool, clinic: Clinic, tools: Tools, mail: MailSink
) -> None:
    alert_id, therapist = await a_told_alert(web_pool, clinic)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await alerts.acknowledge(db, alert_id, by=therapist, now=NOW)
        # A sender had claimed the message before, and settles it now.
        await db.execute("update delivery set state = 'sent', settled_at = $2 where clinic_id = $1", db.clinic_id, NOW)
        await undo.take_back(db, alert_id, by=therapist, now=NOW + SECOND)
        assert (await alerts.get(db, alert_id)).state is AlertState.DISPATCHED
    await deliver_email(tools, now=NOW + 2 * SECOND)
    assert mail.messages == [], "nobody is told twice in a round"


async def test_whoever_took_it_back_had_not_taken_it_on(
    owner_pool: Pool, web_pool: Pool, sweep_pool: Pool, clinic: Clinic
) -> None:
    """No figure of the clinic's pace is better for it, and the dead man does not wait longer."""
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        client_id, people = await a_house(db)
        therapist = next(iter(people))
        alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
        await alerts.acknowledge(db, alert_id, by=therapist, now=NOW + 50 * MINUTE)
    untaken_at = NOW + 76 * MINUTE
    assert "urgent_untaken" not in await seen(sweep_pool, now=untaken_at)
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        await undo.take_back(db, alert_id, by=therapist, now=NOW + 50 * MINUTE + SECOND)
        report = await quality.read(db, days=30, now=untaken_at)
    assert "urgent_untaken" in await seen(sweep_pool, now=untaken_at)
    assert [(each.taken_on, each.waiting) for each in report.pace if each.tier is Tier.URGENT] == [(0, 1)]
    async with database.across_clinics(sweep_pool) as connection:
        assert (await watch.figures(connection, now=untaken_at)).acknowledge_median_seconds == {}


async def test_whoever_may_take_it_on_may_give_it_back_and_the_api_says_that_nobody_has_it(
    settings: Config, owner_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        admin = await a_session(db, await a_person(db, Role.ADMIN))
        client_id = await a_client(db)
        alert_id = await an_alert(db, client_id, Tier.URGENT, rule=Rule.SAFETY)
    address = f"/v1/alerts/{alert_id}"
    async with serving(settings) as http:
        taken = await http.post(f"{address}/acknowledge", headers=admin.bearer)
        assert (taken.status_code, taken.json()["lease_until"] is not None) == (200, True)
        given_back = await http.post(f"{address}/undo", headers=admin.bearer)
        assert (given_back.status_code, given_back.json()) == (200, {"lease_until": None})
        assert (await http.post(f"{address}/undo", headers=admin.bearer)).status_code == 409
