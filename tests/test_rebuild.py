"""Derived state can be dropped and comes back the same, by one command."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import date, timedelta

from service import database as databases
from service.config import DatabaseUrls
from service.database import Pool
from tests.builders import NOW, a_client, a_clinic, days_of
from tests.command_line import environment
from tests.folding import folded, trend_of

TODAY = date(2026, 11, 22)


async def test_rebuild_brings_back_what_stood_there(database: DatabaseUrls, owner_pool: Pool, jobs_pool: Pool) -> None:
    clinic = await a_clinic(owner_pool)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=40))
        await days_of(db, client_id, until=TODAY, craving=[3, 4, None, 2] * 10)
    await folded(jobs_pool, clinic, client_id, now=NOW)
    before = await trend_of(owner_pool, clinic, client_id)
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await db.execute("delete from trend where clinic_id = $1", clinic.clinic_id)
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "service", "rebuild", "--clinic", "harbour"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(database),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("1 clients, ")
    after = await trend_of(owner_pool, clinic, client_id)
    assert after[: len(before)] == before


async def test_findings_replay_to_the_same_bytes_and_one_that_was_changed_is_named(
    database: DatabaseUrls, owner_pool: Pool, jobs_pool: Pool
) -> None:
    clinic = await a_clinic(owner_pool)
    worse = [2, 3, 2, 4, 3, 2, 3, 3] * 6 + [5, 6, 6, 7, 7, 8, 8, 8]
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        client_id = await a_client(db, started_on=TODAY - timedelta(days=len(worse)))
        await days_of(db, client_id, until=TODAY, craving=worse)
    for ago in range(7, -1, -1):
        await folded(jobs_pool, clinic, client_id, now=NOW - timedelta(days=ago))
    checked = await asyncio.to_thread(check, database)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    same = int(checked.stdout.split()[0])
    assert same > 1
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        tampered = (
            "update finding set numbers = numbers || '{\"limit\": 99}' where clinic_id = $1 and rule = 'worsening'"
        )
        assert await db.execute(tampered, clinic.clinic_id) > 0
    checked = await asyncio.to_thread(check, database)
    assert checked.returncode == 1
    assert "replays otherwise" in checked.stdout


def check(database: DatabaseUrls) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "service", "rebuild", "--check", "--clinic", "harbour"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(database),
    )
