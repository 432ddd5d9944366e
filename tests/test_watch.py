"""Every promise is watched: each of these tests breaks one, and the reconciler, the dead man and the metrics say so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import httpx
import pytest
from prometheus_client import generate_latest

from jobs import metrics, reconcile
from jobs.timetable import DAILIES
from jobs.work import DeploymentJob, Tools
from schemas.alert import EventKind, NewFinding, Rule, Tier
from schemas.clinic import Clinic
from schemas.rota import ShiftForm
from schemas.staff import Role
from service import database as databases
from service import ids, invariants, watch
from service.alerting import alert_states, alerts
from service.alerting.writing import Sending
from service.database import Db, Pool
from service.facts import fold_queue
from service.people import audit, clients, shifts, staff
from tests.browser import free_port
from tests.builders import MASTER, NOW, a_client, a_clinic

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def look() -> DeploymentJob:
    """As a process that starts now looks."""
    return reconcile.looking_at(DAILIES)


@pytest.fixture
def tools(jobs_pool: Pool, sweep_pool: Pool) -> Tools:
    return Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))


@pytest.fixture
async def clinic(owner_pool: Pool) -> Clinic:
    return await a_clinic(owner_pool)


async def a_therapist(db: Db) -> UUID:
    return await staff.add(db, email="tamsin@harbour.example", name="Tamsin", roles=[Role.THERAPIST], now=NOW)


async def an_alert(db: Db, *, told: bool = True) -> UUID:
    client_id = await a_client(db, now=NOW)
    await fold_queue.settle(db, [client_id])
    if told:
        await clients.assign(db, client_id, await a_therapist(db), Role.THERAPIST, from_at=NOW)
    finding = NewFinding(client_day=NOW.date(), rule=Rule.SAFETY, tier=Tier.URGENT, numbers={})
    return (await alerts.open_or_join(db, client_id, [finding], now=NOW, rule_set_version=1)).opened[0]


async def no_fold(db: Db) -> None:
    await fold_queue.mark_due(db, await a_client(db, now=NOW), from_day=NOW.date(), now=NOW)


async def no_dispatch(db: Db) -> None:
    await an_alert(db)


async def nobody(db: Db) -> None:
    await an_alert(db, told=False)


async def no_climb(db: Db) -> None:
    alert_id = await an_alert(db)
    await db.execute("update delivery set state = 'sent', settled_at = $2 where clinic_id = $1", db.clinic_id, NOW)
    await db.execute(
        "update alert set state = 'dispatched' where clinic_id = $1 and alert_id = $2", db.clinic_id, alert_id
    )


async def no_message(db: Db) -> None:
    await an_alert(db)
    await db.execute("update delivery set due_at = $2 where clinic_id = $1", db.clinic_id, NOW + timedelta(days=1))


async def no_call(db: Db) -> None:
    await no_climb(db)
    doctor = await staff.add(db, email="rue@harbour.example", name="Rue", roles=[Role.PRESCRIBER], now=NOW)
    shift = ShiftForm(staff_id=doctor, from_at=NOW - timedelta(hours=1), until_at=NOW + timedelta(hours=9))
    await shifts.give(db, ids.new(), shift, zone=ZoneInfo("UTC"), by=doctor, now=NOW)
    await db.execute("update alert set step = 2, next_step_at = null where clinic_id = $1", db.clinic_id)
    [alert_id] = [record["alert_id"] for record in await db.connection.fetch("select alert_id from alert")]
    await alert_states.record(db, alert_id, EventKind.ESCALATED, now=NOW)


async def no_lease_end(db: Db) -> None:
    alert_id = await an_alert(db)
    await db.execute("update delivery set state = 'sent', settled_at = $2 where clinic_id = $1", db.clinic_id, NOW)
    await alerts.acknowledge(db, alert_id, by=await _somebody(db), now=NOW)


async def _somebody(db: Db) -> UUID:
    staff_id = await db.value("select min(staff_id::text)::uuid from staff where clinic_id = $1", db.clinic_id)
    assert isinstance(staff_id, UUID)
    return staff_id


async def no_finish(db: Db) -> None:
    await db.execute(
        "insert into job_run (clinic_id, job, local_date, local_time, claimed_by, claimed_at, state)"
        " values ($1, 'close_client_days', $2, '04:05', 'gone', $3, 'running')",
        db.clinic_id,
        NOW.date(),
        NOW,
    )


async def no_seal(db: Db) -> None:
    await audit.record(db, audit.JOB, "client.read", now=NOW)


async def no_digest(db: Db) -> None:
    client_id = await a_client(db, now=NOW)
    await fold_queue.settle(db, [client_id])
    await clients.assign(db, client_id, await a_therapist(db), Role.THERAPIST, from_at=NOW)
    await db.execute(
        "insert into job_run (clinic_id, job, local_date, local_time, claimed_by, claimed_at, state)"
        " values ($1, 'plan_digests', $2, '07:00', 'gone', $3, 'done')",
        db.clinic_id,
        NOW.date(),
        NOW,
    )


class Breaking(NamedTuple):
    """What breaks a promise, the others that it breaks with it, and after how long it is seen."""

    broken: Callable[[Db], Awaitable[None]]
    with_it: frozenset[str] = frozenset()
    seen_after: timedelta = timedelta(hours=1)


BREAKING = {
    "check_in_not_folded": Breaking(no_fold),
    "urgent_not_dispatched": Breaking(no_dispatch, frozenset({"message_overdue", "step_not_climbed"})),
    "message_overdue": Breaking(no_dispatch, frozenset({"urgent_not_dispatched", "step_not_climbed"})),
    "alert_reaches_nobody": Breaking(nobody, frozenset({"urgent_not_dispatched", "step_not_climbed"})),
    "message_held": Breaking(no_message, frozenset({"urgent_not_dispatched", "step_not_climbed"})),
    "on_call_not_told": Breaking(no_call),
    "step_not_climbed": Breaking(no_climb),
    "lease_not_ended": Breaking(no_lease_end),
    "run_not_finished": Breaking(no_finish),
    "digest_absent": Breaking(no_digest, seen_after=timedelta(hours=27)),
    "audit_not_sealed": Breaking(no_seal),
}


def test_each_promise_has_its_breaking() -> None:
    assert set(BREAKING) == {invariant.name for invariant in invariants.every()}


async def emptied(pool: Pool, clinic: Clinic) -> None:
    """Without what making a clinic leaves behind."""
    async with databases.transaction(pool, clinic.clinic_id) as db:
        await db.execute("delete from audit_event where clinic_id = $1", db.clinic_id)


async def seen(sweep: Pool, *, now: datetime = LATER) -> dict[str, list[UUID]]:
    async with databases.across_clinics(sweep) as connection:
        return {each.name: each.clinic_ids for each in await invariants.broken(connection, now=now)}


async def test_where_all_is_well_nothing_is_said(owner_pool: Pool, sweep_pool: Pool, clinic: Clinic) -> None:
    await emptied(owner_pool, clinic)
    assert await seen(sweep_pool) == {}


@pytest.mark.parametrize("name", BREAKING)
async def test_a_broken_promise_is_seen_by_name_in_its_clinic_and_not_before_its_time(
    owner_pool: Pool, sweep_pool: Pool, clinic: Clinic, name: str
) -> None:
    await a_clinic(owner_pool, slug="cove")
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute("delete from audit_event")
        await BREAKING[name].broken(db)
        if name != "audit_not_sealed":
            await db.execute("delete from audit_event")
    found = await seen(sweep_pool, now=NOW + BREAKING[name].seen_after)
    assert found.pop(name) == [clinic.clinic_id]
    found.pop("audit_not_sealed", None)  # of the other clinic's making
    assert set(found) == BREAKING[name].with_it
    invariant = next(each for each in invariants.every() if each.name == name)
    async with databases.across_clinics(sweep_pool) as connection:
        early = await invariants.broken(connection, now=NOW + invariant.within / 2)
    assert name not in {each.name for each in early}


async def test_a_run_that_was_left_is_nobody_s_trouble_once_a_later_one_of_its_day_is_done(
    owner_pool: Pool, sweep_pool: Pool, clinic: Clinic
) -> None:
    await emptied(owner_pool, clinic)
    later = "insert into job_run (clinic_id, job, local_date, local_time, claimed_by, claimed_at, state) values"
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await no_finish(db)
    assert await seen(sweep_pool) == {"run_not_finished": [clinic.clinic_id]}
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        values = "($1, 'close_client_days', $2, '08:05', 'b', $3, 'done')"
        await db.execute(f"{later} {values}", db.clinic_id, NOW.date(), NOW)
    assert await seen(sweep_pool) == {}


async def test_a_daily_job_that_nobody_runs_is_overdue(
    owner_pool: Pool, tools: Tools, clinic: Clinic, look: DeploymentJob, caplog: pytest.LogCaptureFixture
) -> None:
    await emptied(owner_pool, clinic)
    result = await look(tools, now=NOW)
    assert result.counts == {reconcile.RUN_OVERDUE: 1}
    [told] = [record for record in caplog.records if record.getMessage() == "invariant_broken"]
    assert vars(told)["clinic_ids"] == [str(clinic.clinic_id)]
    assert await look(tools, now=NOW) == result, "looking changes nothing"


DONE = """
insert into job_run (clinic_id, job, local_date, local_time, claimed_by, claimed_at, finished_at, state)
select $1, job, day::date, '23:59', 'a', $3, $3, 'done'
from unnest($2::text[]) as job
cross join generate_series($4::date - 20, $4::date + 1, interval '1 day') as day
"""


async def test_between_whole_looks_only_what_was_not_done_is_looked_at_and_each_hour_all_of_it(
    owner_pool: Pool, tools: Tools, clinic: Clinic, look: DeploymentJob
) -> None:
    await emptied(owner_pool, clinic)
    minute, today = timedelta(minutes=1), NOW.date()
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute(DONE, db.clinic_id, [daily.name for daily in DAILIES], NOW, today)
    assert (await look(tools, now=NOW)).counts == {}

    async def undone(ago: int) -> None:
        async with databases.transaction(owner_pool, clinic.clinic_id) as db:
            gone = "delete from job_run where clinic_id = $1 and job = 'prune_expired' and local_date = $2"
            await db.execute(gone, db.clinic_id, today - timedelta(days=ago))

    await undone(10)
    assert (await look(tools, now=NOW + minute)).counts == {}, "it was done everywhere at the last look"
    assert (await look(tools, now=NOW + 60 * minute)).counts == {reconcile.RUN_OVERDUE: 1}
    assert (await look(tools, now=NOW + 61 * minute)).counts == {reconcile.RUN_OVERDUE: 1}, "open is not forgotten"
    assert (await look(tools, now=NOW - minute)).counts == {reconcile.RUN_OVERDUE: 1}, "a clock that was set back"
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute(DONE + "on conflict do nothing", db.clinic_id, ["prune_expired"], NOW, today)
    assert (await look(tools, now=NOW)).counts == {}
    await undone(0)
    assert (await look(tools, now=NOW + 2 * minute)).counts == {reconcile.RUN_OVERDUE: 1}


async def test_the_dead_man_is_silent_only_while_somebody_looks_and_all_is_well(
    jobs_pool: Pool, web_pool: Pool, http: httpx.AsyncClient
) -> None:
    async def overdue(after: timedelta = timedelta()) -> list[str]:
        async with databases.across_clinics(web_pool) as connection:
            return await watch.overdue(connection, now=NOW + after)

    assert await overdue() == [watch.NO_JOBS_PROCESS, watch.NOT_LOOKED]
    async with jobs_pool.acquire() as connection:
        await connection.execute(
            "insert into deployment_job_run (job, process, started_at, seen_at) values ('deliver_email', 'a', $1, $1)",
            NOW,
        )
        # A process that looks counts its looks, which is no sign of anything broken.
        await connection.execute(
            "insert into deployment_job_run (job, process, started_at, seen_at, counts)"
            " values ('reconcile', 'a', $1, $1, '{\"runs\": 7}')",
            NOW,
        )
    await watch.keep(jobs_pool, {}, now=NOW)
    assert await overdue() == []
    await watch.keep(jobs_pool, {"message_overdue": 2}, now=NOW)
    assert await overdue() == ["message_overdue"]
    await watch.keep(jobs_pool, {}, now=NOW - timedelta(minutes=1))
    assert await overdue() == ["message_overdue"], "an older look does not take the place of a newer one"
    assert await overdue(timedelta(minutes=2, seconds=1)) == [watch.NO_JOBS_PROCESS, "message_overdue"]
    assert await overdue(timedelta(minutes=3, seconds=1)) == [watch.NO_JOBS_PROCESS, watch.NOT_LOOKED]
    answered = await http.get("/health/deadman")
    assert (answered.status_code, answered.json()) == (503, {"overdue": [watch.NO_JOBS_PROCESS, watch.NOT_LOOKED]})


async def test_the_metrics_are_numbers_of_the_whole_deployment(
    owner_pool: Pool, tools: Tools, clinic: Clinic, look: DeploymentJob
) -> None:
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await an_alert(db)
    await look(tools, now=NOW + timedelta(minutes=10))
    shown = generate_latest(metrics.REGISTRY).decode()
    assert 'neap_alerts_open{tier="1"} 1.0' in shown
    assert "neap_outbox_waiting 1.0" in shown
    assert "neap_outbox_age_seconds 600.0" in shown
    assert 'neap_invariant_broken_clinics{invariant="message_overdue"} 1.0' in shown
    assert 'neap_invariant_broken_clinics{invariant="run_overdue"} 1.0' in shown
    assert str(clinic.clinic_id) not in shown


def test_the_metrics_are_served_where_the_settings_say() -> None:
    with metrics.served("127.0.0.1", None):
        pass
    port = free_port()
    with metrics.served("127.0.0.1", port):
        answered = httpx.get(f"http://127.0.0.1:{port}/metrics")
    assert answered.status_code == 200
    assert "neap_outbox_waiting" in answered.text


async def test_a_look_over_many_clinics_takes_a_constant_number_of_statements(
    owner_pool: Pool, sweep_pool: Pool, clinic: Clinic
) -> None:
    async def statements() -> int:
        counted: list[str] = []
        async with databases.across_clinics(sweep_pool) as connection:
            connection.add_query_logger(lambda record: counted.append(record.query))
            await invariants.broken(connection, now=LATER)
            await watch.figures(connection, now=LATER)
        return len(counted)

    few = await statements()
    for number in range(12):
        await a_clinic(owner_pool, slug=f"cove-{number}")
    assert await statements() == few
