"""Every promise is watched: each of these tests breaks one, and the reconciler, the dead man and the metrics say so."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import httpx
import pytest
from prometheus_client import generate_latest

from jobs import metrics, reconcile, runner, timetable
from jobs.timetable import DAILIES
from jobs.work import DeploymentJob, Result, Tools
from schemas.clinic import Clinic
from service import database as databases
from service import invariants, watch
from service.alerting import alerts, rounds
from service.alerting.writing import Sending
from service.database import Db, Pool
from tests.broken_promises import BREAKING, an_alert, no_end, no_finish, no_person, no_proof, no_reach, no_time_yet
from tests.browser import free_port
from tests.builders import MASTER, NOW, a_clinic
from tests.watching import LATER, seen


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


def test_each_promise_has_its_breaking() -> None:
    assert set(BREAKING) == {invariant.name for invariant in invariants.every()}


async def emptied(pool: Pool, clinic: Clinic) -> None:
    """Without what making a clinic leaves behind."""
    async with databases.transaction(pool, clinic.clinic_id) as db:
        await db.execute("delete from audit_event where clinic_id = $1", db.clinic_id)


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


DISCHARGED_BEFORE = "update course set phase = 'discharged', ended_on = $2::date - 1 where clinic_id = $1"
PAUSED_FROM = (
    "insert into pause (clinic_id, pause_id, version, client_id, from_on, reason, withdrawn, recorded_at)"
    " select clinic_id, client_id, 1, client_id, $2, 'travel', false, now() from client where clinic_id = $1"
)


@pytest.mark.parametrize("said_later", [DISCHARGED_BEFORE, PAUSED_FROM])
async def test_a_day_that_has_no_trend_by_what_was_said_later_is_no_broken_promise(
    owner_pool: Pool, sweep_pool: Pool, clinic: Clinic, said_later: str
) -> None:
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await BREAKING["day_not_in_trend"].broken(db)
        answered_on = await db.value("select max(client_day) from check_in where clinic_id = $1", db.clinic_id)
        await db.execute(said_later, db.clinic_id, answered_on)
    await emptied(owner_pool, clinic)
    assert await seen(sweep_pool) == {}


@pytest.mark.parametrize(
    ("broken", "names"),
    [
        (no_person, {"urgent_not_dispatched", "alert_reaches_nobody", "step_not_climbed"}),
        (no_end, {"lease_too_long"}),
        (no_reach, {"lease_too_long"}),
        (no_proof, {"urgent_not_dispatched", "alert_reaches_nobody"}),
        (no_time_yet, {"urgent_not_dispatched"}),
    ],
)
async def test_what_only_looks_kept_is_seen_to_be_broken(
    owner_pool: Pool, sweep_pool: Pool, clinic: Clinic, broken: Callable[[Db], Awaitable[None]], names: set[str]
) -> None:
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await broken(db)
    await emptied(owner_pool, clinic)
    assert await seen(sweep_pool) == {name: [clinic.clinic_id] for name in names}


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


BEAT = "insert into deployment_job_run (job, process, started_at, seen_at, due_at) values ($1, $2, $3, $3, $4)"


async def test_a_clock_that_ran_ahead_hides_nothing(tools: Tools, web_pool: Pool) -> None:
    async def overdue(after: timedelta = timedelta()) -> list[str]:
        async with databases.across_clinics(web_pool) as connection:
            return await watch.overdue(connection, now=NOW + after)

    [fold] = [each for each in timetable.PERIODS if each.name == "fold_check_ins"]
    year = timedelta(days=365)
    wrong = runner.Heartbeat(tools, "wrong", started_at=NOW)
    await wrong.beat([fold], now=NOW + year)
    await watch.keep(tools.pool, {"message_overdue": 1}, now=NOW + year)
    assert await overdue() == [watch.NO_JOBS_PROCESS, watch.CLOCKS_APART, watch.NOT_LOOKED]
    right = runner.Heartbeat(tools, "right", started_at=NOW)
    await right.beat([fold], now=NOW)
    await watch.keep(tools.pool, {}, now=NOW)
    assert await overdue() == []
    assert await overdue(timedelta(minutes=4)) == [watch.NO_JOBS_PROCESS, watch.NOT_LOOKED]


async def test_a_loop_that_hangs_is_seen_although_its_process_lives(tools: Tools, web_pool: Pool) -> None:
    fold, refit = (each for each in timetable.PERIODS if each.name in ("fold_check_ins", "refit_population"))
    hour = timedelta(hours=1)
    hanging = runner.Heartbeat(tools, "hanging", started_at=NOW)
    hanging.count(refit.name, Result({}), now=NOW)

    async def overdue(at: datetime) -> list[str]:
        await watch.keep(tools.pool, {}, now=at)
        async with databases.across_clinics(web_pool) as connection:
            return await watch.overdue(connection, now=at)

    await hanging.beat([fold, refit], now=NOW + timedelta(minutes=9))
    assert await overdue(NOW + timedelta(minutes=9)) == []
    await hanging.beat([fold, refit], now=NOW + hour)
    assert await overdue(NOW + hour) == [fold.name + watch.STUCK]
    beside = runner.Heartbeat(tools, "beside", started_at=NOW + hour)
    beside.count(fold.name, Result({}), now=NOW + hour)
    await beside.beat([fold, refit], now=NOW + hour)
    assert await overdue(NOW + hour) == [], "another process does its work"


async def test_the_dead_man_is_silent_only_while_somebody_looks_and_all_is_well(
    jobs_pool: Pool, web_pool: Pool, http: httpx.AsyncClient
) -> None:
    async def overdue(after: timedelta = timedelta()) -> list[str]:
        async with databases.across_clinics(web_pool) as connection:
            return await watch.overdue(connection, now=NOW + after)

    assert await overdue() == [watch.NO_JOBS_PROCESS, watch.NOT_LOOKED]
    async with jobs_pool.acquire() as connection:
        await connection.execute(BEAT, "deliver_email", "a", NOW, None)
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


async def test_a_first_process_is_starting_and_one_that_never_gets_to_look_is_not(
    jobs_pool: Pool, web_pool: Pool
) -> None:
    async def overdue(at: datetime) -> list[str]:
        async with databases.across_clinics(web_pool) as connection:
            return await watch.overdue(connection, now=at)

    async def begins(process: str, at: datetime) -> None:
        async with jobs_pool.acquire() as connection:
            await connection.execute(BEAT, "deliver_email", process, at, None)

    minute = timedelta(minutes=1)
    await begins("first", NOW)
    assert await overdue(NOW + minute) == []
    assert await overdue(NOW + 4 * minute) == [watch.NO_JOBS_PROCESS, watch.NOT_LOOKED]
    await begins("again", NOW + 4 * minute)
    assert await overdue(NOW + 4 * minute) == [watch.NOT_LOOKED], "it ended and began anew without a look"
    await watch.keep(jobs_pool, {"message_overdue": 1}, now=NOW + 4 * minute)
    assert await overdue(NOW + 4 * minute) == ["message_overdue"]


async def test_the_dead_man_says_that_nobody_has_looked_yet(jobs_pool: Pool, http: httpx.AsyncClient) -> None:
    begun = datetime.now(UTC)  # the address goes by the clock
    async with jobs_pool.acquire() as connection:
        await connection.execute(BEAT, "deliver_email", "first", begun, None)
    answered = await http.get("/health/deadman")
    assert (answered.status_code, answered.json()) == (200, {"overdue": [], "starting": True})
    await watch.keep(jobs_pool, {}, now=begun)
    answered = await http.get("/health/deadman")
    assert (answered.status_code, answered.json()) == (200, {"overdue": []})


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
    metrics.ended("fold_check_ins", {"clients": 2}, now=NOW)
    assert (
        metrics.REGISTRY.get_sample_value("neap_job_ended_timestamp_seconds", {"job": "fold_check_ins"})
        == NOW.timestamp()
    )
    done = {"job": "fold_check_ins", "what": "clients"}
    before = metrics.REGISTRY.get_sample_value("neap_job_done_total", done)
    metrics.ended("fold_check_ins", {"clients": 3}, now=NOW)
    assert before is not None
    assert metrics.REGISTRY.get_sample_value("neap_job_done_total", done) == before + 3


async def test_the_time_to_acknowledge_is_that_of_whoever_took_it_on_first(
    owner_pool: Pool, sweep_pool: Pool, clinic: Clinic
) -> None:
    minute = timedelta(minutes=1)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        alert_id = await an_alert(db)
        by = await db.value("select staff_id from staff limit 1")
        assert isinstance(by, UUID)
        until = await alerts.acknowledge(db, alert_id, by=by, now=NOW + 5 * minute)
        await rounds.end_lapsed(db, now=until)
        await alerts.acknowledge(db, alert_id, by=by, now=until + 30 * minute)
    async with databases.across_clinics(sweep_pool) as connection:
        figures = await watch.figures(connection, now=NOW + timedelta(hours=2))
    assert figures.acknowledge_median_seconds == {"1": 300.0}


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
