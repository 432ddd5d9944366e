"""What is due runs once, whoever runs it, whatever was missed; what goes wrong holds up nobody else."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import msgspec
import pytest

from jobs import close_client_days, fold_check_ins, prune_expired, runner, slots, timetable
from jobs.work import Daily, Result, Tools
from schemas.clinic import Clinic
from service import database, trends
from service.database import Pool
from service.facts import fold_queue
from service.people import device_tokens
from tests import slot_rule
from tests.builders import NOW, a_client, a_clinic, a_phone, days_of
from tests.daily_jobs import Ran, a_daily, clinic, tools

__all__ = ["clinic", "tools"]

TODAY = date(2026, 11, 22)
CHICAGO = ZoneInfo("America/Chicago")


@pytest.mark.parametrize(
    ("zone", "day", "at", "instant"),
    [
        ("America/Chicago", date(2026, 11, 22), time(4, 5), datetime(2026, 11, 22, 10, 5, tzinfo=UTC)),
        # 02:30 does not exist on 8 March: the clocks go from 02:00 to 03:00, at 08:00 UTC.
        ("America/Chicago", date(2026, 3, 8), time(2, 30), datetime(2026, 3, 8, 8, 0, tzinfo=UTC)),
        ("America/Chicago", date(2026, 3, 8), time(2, 0), datetime(2026, 3, 8, 8, 0, tzinfo=UTC)),
        ("America/Chicago", date(2026, 3, 8), time(3, 0), datetime(2026, 3, 8, 8, 0, tzinfo=UTC)),
        # 01:30 happens twice on 1 November: the first of them.
        ("America/Chicago", date(2026, 11, 1), time(1, 30), datetime(2026, 11, 1, 6, 30, tzinfo=UTC)),
        # Half an hour, at midnight's side: Lord Howe Island.
        ("Australia/Lord_Howe", date(2026, 10, 4), time(2, 15), datetime(2026, 10, 3, 15, 30, tzinfo=UTC)),
        # A whole day that never was: Samoa left out 30 December 2011.
        ("Pacific/Apia", date(2011, 12, 30), time(12, 0), datetime(2011, 12, 30, 10, 0, tzinfo=UTC)),
    ],
)
def test_a_local_time_is_one_instant(zone: str, day: date, at: time, instant: datetime) -> None:
    assert slots.instant_of(day, at, ZoneInfo(zone)) == instant


AT = (time(4, 5), time(12, 5), time(20, 5))


def due(now: datetime, ran: Mapping[date, time], since: date | None) -> list[tuple[date, time]]:
    return list(slot_rule.due(AT, CHICAGO, now=now, ran=ran, since=since))


def local(day: date, hour: int, minute: int = 0) -> datetime:
    return datetime.combine(day, time(hour, minute), CHICAGO)


def test_a_clinic_s_first_run_is_today_s_latest() -> None:
    assert due(local(TODAY, 13), {}, None) == [(TODAY, time(12, 5))]
    assert due(local(TODAY, 4), {}, None) == []


def test_a_slot_that_ran_is_not_due_and_the_next_one_is() -> None:
    ran = {TODAY: time(12, 5)}
    assert due(local(TODAY, 20), ran, TODAY) == []
    assert due(local(TODAY, 20, 5), ran, TODAY) == [(TODAY, time(20, 5))]


def test_after_downtime_each_missed_day_is_due_once() -> None:
    monday = TODAY - timedelta(days=3)
    expected = [(monday + timedelta(days=i), time(20, 5)) for i in range(3)]
    assert due(local(TODAY, 5), {monday: time(4, 5)}, monday) == [*expected, (TODAY, time(4, 5))]


def test_the_catch_up_has_an_end() -> None:
    found = due(local(TODAY, 5), {}, TODAY - timedelta(days=300))
    assert len(found) == slots.CATCH_UP_DAYS + 1


@pytest.mark.parametrize(("spring", "autumn"), [(date(2026, 3, 8), date(2026, 11, 1))])
def test_a_clock_change_loses_no_run_and_doubles_none(spring: date, autumn: date) -> None:
    """Every quarter of an hour through a week with the change in it, as the ticker would ask."""
    for change in (spring, autumn):
        ran: dict[date, time] = {}
        runs = []
        now = datetime.combine(change - timedelta(days=3), time(0), UTC)
        first = now.astimezone(CHICAGO).date()
        for _ in range(7 * 96):
            now += timedelta(minutes=15)
            for day, at in slot_rule.due((time(2, 30),), CHICAGO, now=now, ran=ran, since=first):
                ran[day] = at
                runs.append(day)
        assert runs == sorted(set(runs))
        assert {change - timedelta(days=1), change, change + timedelta(days=1)} <= set(runs)


class JobRun(msgspec.Struct, frozen=True, kw_only=True):
    local_date: date
    local_time: time
    state: str
    counts: dict[str, int]


JOB_RUNS = """
select local_date, local_time, state, counts
from job_run
where clinic_id = $1
order by local_date, local_time
"""


async def runs_of(pool: Pool, clinic: Clinic) -> list[JobRun]:
    async with database.transaction(pool, clinic.clinic_id) as db:
        return await db.rows(JobRun, JOB_RUNS, clinic.clinic_id)


async def test_a_due_run_is_claimed_by_one_of_many_processes_and_recorded(
    owner_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    elsewhere = await a_clinic(owner_pool, slug="elsewhere", time_zone="Asia/Tokyo")
    job = Ran()
    ours = await asyncio.gather(
        *(runner.run_due(tools, runner.Lookout([a_daily(job)]), uuid4().hex, now=NOW) for _ in range(4))
    )
    assert sum(ours) == 2
    assert sorted(job.clinic_ids) == sorted([clinic.clinic_id, elsewhere.clinic_id])
    assert await runs_of(owner_pool, clinic) == [
        JobRun(local_date=TODAY, local_time=time(4, 5), state="done", counts={"things": 3})
    ]
    # In Tokyo it is the 23rd already.
    assert [run.local_date for run in await runs_of(owner_pool, elsewhere)] == [TODAY + timedelta(days=1)]
    assert await runner.run_due(tools, runner.Lookout([a_daily(job)]), "later", now=NOW + timedelta(minutes=1)) == 0


async def test_missed_days_are_run_after_a_downtime(owner_pool: Pool, clinic: Clinic, tools: Tools) -> None:
    job = Ran()
    await runner.run_due(tools, runner.Lookout([a_daily(job)]), "before", now=NOW - timedelta(days=4))
    assert await runner.run_due(tools, runner.Lookout([a_daily(job)]), "after", now=NOW) == 4
    assert [run.local_date for run in await runs_of(owner_pool, clinic)] == [
        TODAY - timedelta(days=days) for days in (4, 3, 2, 1, 0)
    ]


async def test_a_failed_run_is_logged_by_id_and_tried_again_after_a_rest(
    owner_pool: Pool, clinic: Clinic, tools: Tools, caplog: pytest.LogCaptureFixture
) -> None:
    job = Ran()
    job.fails = True
    with caplog.at_level(logging.INFO):
        await runner.run_due(tools, runner.Lookout([a_daily(job)]), "first", now=NOW)
    assert [run.state for run in await runs_of(owner_pool, clinic)] == ["failed"]
    failed = next(record for record in caplog.records if record.getMessage() == "job_failed")
    assert vars(failed)["clinic_id"] == clinic.clinic_id
    assert await runner.run_due(tools, runner.Lookout([a_daily(job)]), "soon", now=NOW + timedelta(minutes=1)) == 0
    job.fails = False
    assert await runner.run_due(tools, runner.Lookout([a_daily(job)]), "later", now=NOW + runner.FAILED_RESTS) == 1
    assert [run.state for run in await runs_of(owner_pool, clinic)] == ["done"]


async def test_a_claim_whose_process_died_is_taken_over(owner_pool: Pool, clinic: Clinic, tools: Tools) -> None:
    job = Ran()
    dies = asyncio.Event()

    async def hanging(tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
        dies.set()
        await asyncio.Event().wait()
        return Result({})

    dying = asyncio.create_task(
        runner.run_due(tools, runner.Lookout([Daily("count_things", hanging, (time(4, 5),), "")]), "dying", now=NOW)
    )
    await dies.wait()
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    assert [run.state for run in await runs_of(owner_pool, clinic)] == ["running"]
    assert await runner.run_due(tools, runner.Lookout([a_daily(job)]), "other", now=NOW + timedelta(minutes=5)) == 0
    assert await runner.run_due(tools, runner.Lookout([a_daily(job)]), "other", now=NOW + runner.CLAIM_LASTS) == 1
    assert [run.state for run in await runs_of(owner_pool, clinic)] == ["done"]


async def test_a_run_by_hand_today_leaves_the_later_times_of_the_day(clinic: Clinic, tools: Tools) -> None:
    job = Ran()
    daily = Daily("count_things", job, AT, "for the test")
    by_hand = runner.Slot(clinic_id=clinic.clinic_id, job=daily.name, local_date=TODAY, local_time=time(17, 0))
    assert await runner.run_slot(tools, by_hand, daily, "by hand", now=NOW, by_hand=True) is not None
    assert await runner.run_slot(tools, by_hand, daily, "by hand", now=NOW, by_hand=True) is not None
    assert await runner.run_due(tools, runner.Lookout([daily]), "clock", now=NOW) == 0
    assert await runner.run_due(tools, runner.Lookout([daily]), "clock", now=local(TODAY, 20, 5)) == 1


async def a_due_client(pool: Pool, clinic: Clinic) -> UUID:
    async with database.transaction(pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=9))
        await days_of(db, client_id, until=TODAY, craving=[3, 4, 3, 2, 3, 3, 4, 3, 3, 2])
    return client_id


async def last_day_of(pool: Pool, clinic: Clinic, client_id: UUID) -> date | None:
    async with database.transaction(pool, clinic.clinic_id) as db:
        rows = await trends.of(db, client_id, from_day=date(2000, 1, 1), until_day=date(2100, 1, 1))
    return rows[-1].client_day if rows else None


async def test_folding_covers_every_clinic_and_does_nothing_the_second_time(
    owner_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    elsewhere = await a_clinic(owner_pool, slug="elsewhere")
    clients = [(clinic, await a_due_client(owner_pool, clinic)) for _ in range(20)]
    clients.append((elsewhere, await a_due_client(owner_pool, elsewhere)))
    first = await fold_check_ins.run_once(tools, now=NOW)
    assert (first.counts["clients"], first.counts["client_days"], first.failed) == (21, 210, 0)
    assert {await last_day_of(owner_pool, each, client_id) for each, client_id in clients} == {TODAY}
    second = await fold_check_ins.run_once(tools, now=NOW)
    assert set(second.counts.values()) == {0}


BREAK = """
update check_in
set craving = '{"alcohol": "much"}'
where clinic_id = $1
  and client_id = $2
"""


async def test_a_client_who_cannot_be_folded_holds_up_nobody_and_stays_due(
    owner_pool: Pool, clinic: Clinic, tools: Tools, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = await a_due_client(owner_pool, clinic), await a_due_client(owner_pool, clinic)
    async with owner_pool.acquire() as connection:
        await connection.execute("alter table check_in drop constraint check_in_craving_range")
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute(BREAK, clinic.clinic_id, bad)
    result = await fold_check_ins.run_once(tools, now=NOW)
    assert (result.counts["clients"], result.failed) == (1, 1)
    assert await last_day_of(owner_pool, clinic, good) == TODAY
    assert await last_day_of(owner_pool, clinic, bad) is None
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        assert await fold_queue.due(db, now=NOW) == []
        assert await fold_queue.due(db, now=NOW + timedelta(hours=1)) == [bad]
    assert (await fold_check_ins.run_once(tools, now=NOW + timedelta(seconds=1))).failed == 0
    assert (await fold_check_ins.run_once(tools, now=NOW + timedelta(hours=1))).failed == 1
    named = [vars(record).get("client_id") for record in caplog.records if record.getMessage() == "fold_failed"]
    assert named == [None, bad] * 2
    assert "much" not in "".join(record.getMessage() for record in caplog.records)


async def test_a_fold_that_dies_in_the_middle_leaves_everything_as_it_was(
    owner_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    client_id = await a_due_client(owner_pool, clinic)
    async with owner_pool.acquire() as blocker:
        # Whoever writes a checkpoint waits: the fold has read, computed and written trends by then.
        await database.begin(blocker, clinic.clinic_id)
        await blocker.execute("lock table trend_checkpoint in share mode")
        dying = asyncio.create_task(fold_check_ins.run_once(tools, now=NOW))
        async with asyncio.timeout(10):
            await waiting_backend(blocker)
        dying.cancel()
        await asyncio.gather(dying, return_exceptions=True)
        await blocker.execute("rollback")
    assert await last_day_of(owner_pool, clinic, client_id) is None
    assert (await fold_check_ins.run_once(tools, now=NOW)).counts["clients"] == 1
    assert await last_day_of(owner_pool, clinic, client_id) == TODAY


WAITING = """
select count(*)
from pg_locks
where relation = 'trend_checkpoint'::regclass
  and not granted
"""


async def waiting_backend(connection: database.Connection) -> None:
    while not await connection.fetchval(WAITING):
        await connection.execute("select pg_stat_clear_snapshot()")


async def test_closing_days_twice_changes_nothing(owner_pool: Pool, clinic: Clinic, tools: Tools) -> None:
    client_id = await a_due_client(owner_pool, clinic)
    now = NOW + timedelta(days=4)
    first = await close_client_days.run_once(tools, clinic.clinic_id, now=now)
    assert (first.counts["marked"], first.counts["clients"], first.failed) == (1, 1, 0)
    assert await last_day_of(owner_pool, clinic, client_id) == TODAY + timedelta(days=3)
    second = await close_client_days.run_once(tools, clinic.clinic_id, now=now)
    assert set(second.counts.values()) == {0}


COUNTS = """
select
  (select count(*) from device_token where clinic_id = $1) as device_tokens,
  (select count(*) from device where clinic_id = $1 and revoked_at is null) as devices,
  (select count(*) from job_run where clinic_id = $1) as job_runs
"""


A_REMINDER = """
insert into reminder (clinic_id, client_id, client_day, due_at, state, claimed_at)
values ($1, $2, $3, $4, $5, $4)
"""


async def test_pruning_takes_what_ran_out_and_leaves_the_rest(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    async with database.transaction(web_pool, clinic.clinic_id) as db:
        reminded = await a_client(db)
        await a_phone(db, reminded, now=NOW)
        await a_phone(db, await a_client(db), now=NOW, hours=100 * 24)
        await a_phone(db, await a_client(db), now=NOW - device_tokens.UNUSED_LIFE - timedelta(days=1))
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        for days_ago in (61, 1):
            day = NOW.date() - timedelta(days=days_ago)
            await db.execute(A_REMINDER, db.clinic_id, reminded, day, NOW, "sent")
    job = Ran()
    await runner.run_due(tools, runner.Lookout([a_daily(job)]), "long ago", now=NOW - timedelta(days=61))
    later = NOW + timedelta(hours=2)
    first = await prune_expired.run_once(tools, clinic.clinic_id, now=later)
    assert first.counts["devices_revoked"] == 1
    assert (first.counts["job_runs"], first.counts["reminders"]) == (1, 1)
    async with database.transaction(owner_pool, clinic.clinic_id) as db:
        left = dict((await db.connection.fetch(COUNTS, clinic.clinic_id))[0])
    assert left == {"device_tokens": 1, "devices": 2, "job_runs": 0}
    second = await prune_expired.run_once(tools, clinic.clinic_id, now=later)
    assert set(second.counts.values()) == {0}


async def test_the_sweep_sees_ids_and_times_of_every_clinic_and_no_health_data(
    owner_pool: Pool, clinic: Clinic, sweep_pool: Pool
) -> None:
    await a_due_client(owner_pool, clinic)
    async with database.across_clinics(sweep_pool) as connection:
        assert await connection.fetchval("select count(*) from fold_due") == 1
        for sql in ("select craving from check_in", "select * from alert", "select note_sealed from alert_event"):
            with pytest.raises(Exception, match="permission denied"):
                async with connection.transaction():
                    await connection.fetch(sql)


def test_the_timetable_names_every_job_once_and_says_why() -> None:
    names = [each.name for each in timetable.PERIODS] + [each.name for each in timetable.DAILIES]
    assert len(set(names)) == len(names) == len(timetable.lines())
    assert all(each.why for each in timetable.PERIODS)
    assert all(each.why for each in timetable.DAILIES)
    unhurried = ("refit_population", "plan_briefs")
    someone_waits = [period for period in timetable.PERIODS if period.name not in unhurried]
    assert all(period.seconds <= (2 if period.hinted else 60) for period in someone_waits)
