"""An alert that was closed by mistake is opened again, by whoever finds it and whenever."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from schemas.alert import AlertState, EventKind, Outcome, Rule, Tier
from schemas.clinic import Clinic
from schemas.staff import Role
from service import database, errors
from service.alerting import alerts, rounds, undo
from service.config import Config
from service.database import Db, Pool
from service.facts import fold_queue
from service.people import clients
from tests.builders import MASTER, NOW
from tests.climbing import a_house, an_alert
from tests.desk import an_alert as an_alert_of
from tests.desk_visit import a_desk, a_followed_client
from tests.outbox import clinic

__all__ = ["clinic"]

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


@pytest.fixture
async def db(clinic: Clinic, web_pool: Pool) -> AsyncIterator[Db]:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        yield db


async def resolved(db: Db, client_id: UUID, outcome: Outcome, by: UUID, tier: Tier = Tier.TODAY) -> UUID:
    rule = Rule.SAFETY if tier is Tier.URGENT else Rule.WORSENING
    alert_id = await an_alert(db, client_id, tier, rule=rule)
    sealer = await clients.sealer_of(db, MASTER, client_id)
    await alerts.resolve(db, alert_id, outcome, by=by, now=NOW, note=None, sealer=sealer)
    return alert_id


async def due_from(db: Db, client_id: UUID) -> date | None:
    found = await db.value(
        "select from_day from fold_due where clinic_id = $1 and client_id = $2", db.clinic_id, client_id
    )
    assert found is None or isinstance(found, date)
    return found


async def test_a_colleague_has_it_on_hand_days_later_and_the_new_usual_is_none_any_more(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist, nurse = list(people)[:2]
    alert_id = await resolved(db, client_id, Outcome.NEW_USUAL, therapist)
    said_on = await due_from(db, client_id)
    await fold_queue.settle(db, [client_id])
    later = NOW + 3 * DAY
    until = await undo.open_again(db, alert_id, by=nurse, now=later)
    alert = await alerts.get(db, alert_id)
    assert (alert.state, alert.outcome, alert.closed_at) == (AlertState.ACKNOWLEDGED, None, None)
    assert (alert.acknowledged_by, alert.lease_until) == (nurse, until)
    assert until > later
    assert await due_from(db, client_id) == said_on, "the trend is folded anew from the day on which it was said"
    events = await alerts.events_of(db, alert_id)
    assert [each.kind for each in events[-2:]] == [EventKind.RESOLVED, EventKind.UNDONE]
    assert events[-1].staff_id == nurse
    with pytest.raises(errors.Conflict, match="somebody resolved"):
        await undo.open_again(db, alert_id, by=nurse, now=later)
    assert await rounds.end_lapsed(db, now=until + HOUR) == 1, "whoever forgets it then does not keep it for ever"


async def test_an_urgent_one_is_taken_up_and_told_again_when_its_lease_lapses(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist, nurse = list(people)[:2]
    alert_id = await resolved(db, client_id, Outcome.CALLED, therapist, Tier.URGENT)
    until = await undo.open_again(db, alert_id, by=nurse, now=NOW + DAY)
    assert await rounds.end_lapsed(db, now=until) == 1
    assert (await alerts.get(db, alert_id)).state is AlertState.OPEN


async def test_beside_another_open_one_it_stays_closed(db: Db) -> None:
    client_id, people = await a_house(db)
    therapist = next(iter(people))
    alert_id = await resolved(db, client_id, Outcome.FALSE_ALARM, therapist)
    await an_alert_of(db, client_id)
    with pytest.raises(errors.Conflict):
        await undo.open_again(db, alert_id, by=therapist, now=NOW + DAY)
    assert (await alerts.get(db, alert_id)).state is AlertState.RESOLVED


async def test_imported_history_stays_closed(db: Db, owner_pool: Pool, clinic: Clinic) -> None:
    client_id, people = await a_house(db)
    therapist = next(iter(people))
    alert_id = await resolved(db, client_id, Outcome.CALLED, therapist)
    await db.execute(
        "update alert set origin = 'import' where clinic_id = $1 and alert_id = $2", db.clinic_id, alert_id
    )
    with pytest.raises(errors.Conflict, match="Imported history"):
        await undo.open_again(db, alert_id, by=therapist, now=NOW + DAY)


async def test_the_page_offers_it_to_whoever_may_resolve_and_says_what_it_means(
    settings: Config, owner_pool: Pool, tmp_path: Path
) -> None:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=NOW)
            alert_id = await an_alert_of(db, client_id)
        page = f"/alerts/{alert_id}"
        assert "Closed by mistake?" not in (await desk.get(page)).text
        assert (await desk.post(f"{page}/open-again")).status_code == 409
        assert (await desk.post(f"{page}/resolve", outcome="new_usual")).status_code == 303
        assert "Closed by mistake?" not in (await desk.get(page)).text, "as long as it can simply be undone"
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            await db.execute("update alert_event set happened_at = happened_at - interval '1 hour'")
        said = (await desk.get(page)).text
        assert "Closed by mistake?" in said
        assert "new usual is taken back" in said
        assert (await desk.post(f"{page}/open-again", note="I meant the other one.")).status_code == 303
        said = (await desk.get(page)).text
        assert "has it until" in said
        assert "I meant the other one." in said
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            assert await db.value("select count(*) from audit_event where action = 'alert.open_again'") == 1


async def test_beside_another_open_one_the_page_leads_there(settings: Config, owner_pool: Pool, tmp_path: Path) -> None:
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            client_id = await a_followed_client(db)
            await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=NOW)
            alert_id = await resolved(db, client_id, Outcome.CALLED, desk.person.staff_id)
            other = await an_alert_of(db, client_id)
        said = (await desk.get(f"/alerts/{alert_id}")).text
        assert f'<a href="/alerts/{other}">go on there</a>' in said
        assert "Open it again" not in said
