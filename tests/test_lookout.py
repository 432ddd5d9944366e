"""A look-out that forgets what was done everywhere finds what a look over the whole month finds."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from jobs import runner
from jobs.runner import Lookout, Slot
from jobs.work import Daily, Result, Tools
from service import database
from service.alerting.writing import Sending
from service.database import Pool
from service.people import clinics
from tests import slot_rule
from tests.builders import MASTER, NOW, a_clinic

ZONES = ("America/Chicago", "Europe/Berlin", "Asia/Kolkata", "Pacific/Kiritimati", "Pacific/Pago_Pago")
LOOKS = 25
LEFT_BY_THE_DEAD = """
update job_run
set state = 'running',
    claimed_at = $2
where clinic_id = $1
  and state = 'failed'
"""


@pytest.mark.parametrize("seed", range(3))
async def test_a_look_out_finds_what_a_look_over_the_whole_month_finds(
    owner_pool: Pool, jobs_pool: Pool, sweep_pool: Pool, seed: int
) -> None:
    """Downtime of days, runs that fail, runs left by the dead, clinics that come later."""
    random = Random(seed)
    tools = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))

    async def run_once(tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
        if random.random() < 0.05:
            raise ZeroDivisionError
        return Result({}, failed=random.random() < 0.1)

    dailies = [
        Daily("often", run_once, (time(0, 5), time(8, 5), time(16, 5)), ""),
        Daily("once", run_once, (time(3),), ""),
    ]
    lookout, now, found_any = Lookout(dailies), NOW, 0
    for look in range(LOOKS):
        if look % 5 == 0:
            zone = ZONES[look // 5]
            await a_clinic(owner_pool, slug=f"clinic-{look}", time_zone=zone, now=now)
        due = await lookout.due(sweep_pool, now=now)
        assert due == await runner.Lookout(dailies).due(sweep_pool, now=now)
        assert due == await by_the_rule(sweep_pool, dailies, now=now)
        found_any += len(due)
        for slot, daily in random.sample(due, random.randint(0, len(due))):
            await runner.run_slot(tools, slot, daily, "here", now=now)
        if due and random.random() < 0.3:
            slot, _ = random.choice(due)
            async with database.transaction(jobs_pool, slot.clinic_id) as db:
                await db.execute(LEFT_BY_THE_DEAD, db.clinic_id, now)
        now += random.choice([timedelta(minutes=3), timedelta(hours=2), timedelta(hours=9), timedelta(days=4)])
    assert found_any > LOOKS


async def by_the_rule(sweep: Pool, dailies: Sequence[Daily], *, now: datetime) -> list[tuple[Slot, Daily]]:
    """The same, clinic by clinic, from every run that is recorded."""
    async with database.across_clinics(sweep) as connection:
        every = await clinics.all_clinics(connection)
        runs = await connection.fetch(
            "select clinic_id, job, local_date, local_time, state, claimed_at from job_run order by local_time"
        )
    found = []
    for clinic in every:
        for daily in dailies:
            own = [run for run in runs if (run["clinic_id"], run["job"]) == (clinic.clinic_id, daily.name)]
            ran = {
                run["local_date"]: run["local_time"] for run in own if is_taken(run["state"], now - run["claimed_at"])
            }
            since = min((run["local_date"] for run in own), default=None)
            found += [
                (Slot(clinic_id=clinic.clinic_id, job=daily.name, local_date=day, local_time=at), daily)
                for day, at in slot_rule.due(daily.at, ZoneInfo(clinic.time_zone), now=now, ran=ran, since=since)
            ]
    return found


def is_taken(state: str, age: timedelta) -> bool:
    return (
        state == "done"
        or (state == "running" and age < runner.CLAIM_LASTS)
        or (state == "failed" and age < runner.FAILED_RESTS)
    )


async def test_days_that_a_run_by_hand_opened_are_caught_up_within_minutes(
    owner_pool: Pool, jobs_pool: Pool, sweep_pool: Pool
) -> None:
    tools = Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))

    async def run_once(tools: Tools, clinic_id: UUID, *, now: datetime) -> Result:
        return Result({})

    daily = Daily("once", run_once, (time(3),), "")
    clinic, lookout = await a_clinic(owner_pool, now=NOW), Lookout([daily])
    for slot, _ in await lookout.due(sweep_pool, now=NOW):
        await runner.run_slot(tools, slot, daily, "here", now=NOW)
    assert await lookout.due(sweep_pool, now=NOW) == []
    today = NOW.astimezone(ZoneInfo(clinic.time_zone)).date()
    old = runner.Slot(clinic_id=clinic.clinic_id, job="once", local_date=today - timedelta(days=5), local_time=time(3))
    await runner.run_slot(tools, old, daily, "by hand", now=NOW, by_hand=True)
    later = await lookout.due(sweep_pool, now=NOW + timedelta(minutes=10))
    assert [slot.local_date for slot, _ in later] == [today - timedelta(days=ago) for ago in (4, 3, 2, 1)]
