"""The operator's page: whether anything is late, above everything else, and nothing of any client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from schemas.staff import Role
from service import config, database, watch
from service.backup import base_backup
from service.config import Config
from service.database import Pool
from service.doctor import machine
from service.people import clients, webhook_endpoints
from tests.builders import MASTER, a_client
from tests.desk import a_person, a_session, an_alert
from tests.desk_visit import Desk, a_desk


@pytest.fixture
async def desk(settings: Config, owner_pool: Pool, tmp_path: Path) -> AsyncIterator[Desk]:
    async with a_desk(settings, owner_pool, tmp_path) as visited:
        yield visited


BEAT = """
insert into deployment_job_run (job, process, started_at, seen_at, counts)
values ('deliver_email', 'a', $1, $1, '{"runs": 7, "failed": 1}')
"""


async def all_well(jobs: Pool) -> None:
    """A jobs process reports, and looked."""
    async with jobs.acquire() as connection:
        await connection.execute(BEAT, datetime.now(UTC))
    await watch.keep(jobs, {}, now=datetime.now(UTC))


async def test_where_all_is_well_the_page_says_so_first(desk: Desk, jobs_pool: Pool) -> None:
    await all_well(jobs_pool)
    page = (await desk.get("/operator")).text
    assert "<h1>Nothing is late</h1>" in page
    assert '<th scope="row">deliver email</th>' in page
    assert '<a href="/operator" class="on" aria-current="page">Operations' in page


async def test_a_silent_jobs_process_is_the_first_thing_said(desk: Desk) -> None:
    page = (await desk.get("/operator")).text
    assert page.index("<h1>Late or lost</h1>") < page.index("no jobs process") < page.index("What waits here")
    assert "No jobs process has reported since yesterday" in page


async def test_broken_promises_lost_messages_and_what_waits_are_shown_and_no_client(
    desk: Desk, jobs_pool: Pool
) -> None:
    await all_well(jobs_pool)
    now = datetime.now(UTC)
    await watch.keep(jobs_pool, {"message_overdue": 1, "run_overdue": 1}, now=now)
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        client_id = await a_client(db, given_name="Quintessa")
        await clients.assign(db, client_id, desk.person.staff_id, Role.THERAPIST, from_at=now)
        await an_alert(db, client_id)
        lost = "update delivery set state = 'dead', attempts = 9, problem = 'no such mailbox', settled_at = $1"
        await db.execute(lost, now - timedelta(hours=2))
        endpoint_id, _ = await webhook_endpoints.add(db, MASTER, "https://hooks.example/x", now=now)
        await an_alert(db, await a_client(db, given_name="Quintessa"))
        await webhook_endpoints.disable(db, endpoint_id, why="the endpoint answered 410", now=now)
    page = (await desk.get("/operator")).text
    assert "a message that is due is not even tried" in page
    assert "a clinic&#39;s daily job should have run" in page
    assert "1 message lost since yesterday" in page
    for said in ("no such mailbox", "Messages by webhook", "https://hooks.example/x", "the endpoint answered 410"):
        assert said in page
    assert "Quintessa" not in page
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        await db.execute(
            "insert into delivery (clinic_id, delivery_id, kind, alert_id, channel, staff_id, round, step, state,"
            " due_at, created_at) select clinic_id, gen_random_uuid(), kind, alert_id, 'push', staff_id, round, step,"
            " 'sent', due_at, created_at from delivery where state = 'dead'"
        )
    assert "lost since" not in (await desk.get("/operator")).text, "the person was reached by another channel"
    assert "orsening" not in page


async def test_the_page_is_the_admin_s(desk: Desk) -> None:
    async with database.transaction(desk.owner, desk.clinic.clinic_id) as db:
        who = {role: await a_session(db, await a_person(db, role)) for role in (Role.ADMIN, Role.COORDINATOR)}
    assert (await desk.http.get("/operator", headers=who[Role.ADMIN].cookie)).status_code == 200
    assert (await desk.http.get("/operator", headers=who[Role.COORDINATOR].cookie)).status_code == 404


async def test_backup_and_disk_are_told_and_where_the_rest_is_known(desk: Desk, tmp_path: Path) -> None:
    page = (await desk.get("/operator")).text
    for said in ("Backup: cannot be seen of a server of its own", "service doctor", "service restore-drill"):
        assert said in page
    data, folder = tmp_path / "house", tmp_path / "backups"
    data.mkdir()
    here = config.load({"NEAP_DATA_DIR": str(data), "NEAP_BACKUP_DIR": str(folder)})
    backup, *disks = machine.backup_and_disk(here)
    assert backup.seen == "none was taken yet"
    assert disks
    assert all("GiB free" in each.seen for each in disks)
    base_backup.folder_of(folder).parent.mkdir(parents=True, exist_ok=True)
    base_backup.folder_of(folder).write_text("no folder")
    with pytest.raises(OSError, match="base"):
        machine.backup_and_disk(here)


FAILED = """
insert into job_run (clinic_id, job, local_date, local_time, state, claimed_at, finished_at, claimed_by)
values ($1, 'seal_audit', '2026-11-26', '03:00', 'failed', $2, $2, 'a')
"""


async def test_a_backup_that_does_not_exist_and_a_run_that_failed_stand_at_the_head(
    settings: Config, owner_pool: Pool, jobs_pool: Pool, tmp_path: Path
) -> None:
    data = tmp_path / "house"
    data.mkdir()
    here = config.load({"NEAP_DATA_DIR": str(data)})
    await all_well(jobs_pool)
    async with a_desk(settings, owner_pool, tmp_path) as desk:
        state = desk.application.state
        state.services = msgspec.structs.replace(state.services, config=here)
        page = (await desk.get("/operator")).text
        head = page[: page.index("<section>")]
        assert "<h1>Nothing is late, but something is wrong</h1>" in head
        assert '<b>Backup: none is kept</b>: <a href="#machine">' in head
        assert 'id="machine"' in page
        async with database.transaction(owner_pool, desk.clinic.clinic_id) as db:
            await db.execute(FAILED, db.clinic_id, datetime.now(UTC))
        page = (await desk.get("/operator")).text
        assert '<b>The run of seal audit for 26 Nov failed</b>: <a href="#runs">' in page[: page.index("<section>")]
