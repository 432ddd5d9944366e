"""A clinic's archive is read into another deployment whole, sends nothing of its past, and its audit trail goes on."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from jobs import plan_untold, seal_audit
from jobs.work import Tools
from schemas.alert import Channel
from schemas.clinic import Clinic
from service import audit_seals
from service import database as databases
from service.audit_seals import Signer
from service.config import DatabaseUrls
from service.database import Pool
from service.embedded import Cluster
from service.keys import root_key
from service.keys.sealing import Sealer
from service.people import audit
from tests import senders
from tests.archives import FORGOTTEN, NOW, OTHER_KEY, Archived, archived, command, restored, rows_of
from tests.builders import MASTER, a_clinic
from tests.command_line import environment
from tests.conftest import a_database, a_pool
from tests.outbox import sending, tools
from tests.sinks import MailSink

__all__ = ["archived", "sending", "tools"]


async def test_every_row_comes_back_and_what_would_go_on_by_itself_does_not(
    archived: Archived, database: DatabaseUrls, owner_pool: Pool
) -> None:
    await restored(database, archived)
    back = await rows_of(owner_pool, archived.clinic.clinic_id)
    assert back.keys() == archived.rows.keys()
    changed = {name for name, rows in archived.rows.items() if back[name] != rows}
    assert all(len(archived.rows[name]) > 0 for name in changed)
    assert changed == FORGOTTEN | {"audit_event", "audit_seal", "delivery"} | ({"enrolment_code"} & changed)
    assert sum(map(len, archived.rows.values())) > 1_500
    assert [back[name] for name in FORGOTTEN] == [[], [], []]
    assert len(back["audit_event"]) == len(archived.rows["audit_event"]) + 1
    queued = [row for row in archived.rows["delivery"] if ",queued," in row]
    assert len(set(back["delivery"]) - set(archived.rows["delivery"])) == len(queued) > 0
    assert not [row for row in back["delivery"] if ",queued," in row]
    replayed = await command(database, "rebuild", "--check")
    assert replayed.returncode == 0, replayed.stdout
    async with databases.transaction(owner_pool, archived.clinic.clinic_id) as db:
        codes = "select count(*) from enrolment_code where clinic_id = $1 and used_at is null and voided_at is null"
        assert await db.value(codes, db.clinic_id) == 0


async def test_a_second_time_is_refused_and_changes_nothing(
    archived: Archived, database: DatabaseUrls, owner_pool: Pool
) -> None:
    await restored(database, archived)
    before = await rows_of(owner_pool, archived.clinic.clinic_id)
    again = await command(database, "restore-clinic", str(archived.folder))
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "is here already" in again.stderr
    assert await rows_of(owner_pool, archived.clinic.clinic_id) == before


@pytest.mark.slow
async def test_another_clinic_of_its_name_is_in_the_way(
    archived: Archived, database: DatabaseUrls, owner_pool: Pool
) -> None:
    await a_clinic(owner_pool, slug=archived.clinic.slug)
    refused = await command(database, "restore-clinic", str(archived.folder))
    assert (refused.returncode, "is here already" in refused.stderr) == (2, True)


@pytest.mark.slow
async def test_beside_another_clinic_of_the_same_root_key_it_has_a_place(
    archived: Archived, database: DatabaseUrls, owner_pool: Pool
) -> None:
    other = await a_clinic(owner_pool, slug="cove")
    before = await rows_of(owner_pool, other.clinic_id)
    await restored(database, archived)
    assert await rows_of(owner_pool, other.clinic_id) == before


@pytest.mark.slow
async def test_the_trail_goes_on_behind_its_last_seal(
    archived: Archived, database: DatabaseUrls, owner_pool: Pool, tools: Tools
) -> None:
    """Transactions here have smaller numbers than any of the trail's: the order is not theirs alone."""
    await restored(database, archived)
    async with databases.transaction(tools.pool, archived.clinic.clinic_id) as db:
        seen = await audit_seals.verify(db, Signer(MASTER).public, head=archived.head)
        assert (seen.fault, seen.unsealed) == (None, 1)  # the row of the restore itself
        await audit.record(db, audit.JOB, "test.later", now=NOW)
    await all_finished_here(tools.pool, archived.clinic)
    assert (await seal_audit.run_once(tools, now=NOW)).counts == {"sealed": 2}
    assert (await seal_audit.run_once(tools, now=NOW)).counts == {"sealed": 0}
    async with databases.transaction(tools.pool, archived.clinic.clinic_id) as db:
        seen = await audit_seals.verify(db, Signer(MASTER).public, head=archived.head)
        assert (seen.fault, seen.unsealed) == (None, 0)
        assert seen.seals == archived.head.number + 2


async def all_finished_here(pool: Pool, clinic: Clinic) -> None:
    """As `all_finished`, of the rows that were written in this server."""
    overtaken = (
        "select coalesce(max(transaction_id) < pg_snapshot_xmin(pg_current_snapshot()), true) or pg_sleep(0.01) is null"
        " from audit_event where clinic_id = $1 and moved = 0"
    )
    async with asyncio.timeout(30):
        while True:
            async with databases.transaction(pool, clinic.clinic_id) as db:
                if await db.value(overtaken, db.clinic_id):
                    return


@pytest.mark.slow
async def test_a_clinic_that_moves_twice_keeps_one_chain(
    archived: Archived, database: DatabaseUrls, tools: Tools, cluster: Cluster, tmp_path: Path
) -> None:
    await restored(database, archived)
    written = await command(database, "archive-clinic", str(tmp_path / "again"), "--clinic", archived.clinic.slug)
    assert written.returncode == 0, written.stderr
    async with a_database(cluster) as third:
        await restored(third, archived._replace(folder=tmp_path / "again"))
        verified = await command(third, "audit", "verify")
    assert verified.returncode == 0, verified.stdout
    assert f"as sealed: {archived.head.number + 2} seals" in verified.stdout


@pytest.mark.slow
async def test_nothing_of_the_past_is_sent_and_what_is_open_is_told(
    archived: Archived, database: DatabaseUrls, tools: Tools, mail: MailSink
) -> None:
    await restored(database, archived)
    assert (await senders.deliver_everywhere(tools, Channel.EMAIL, now=NOW)).counts["sent"] == 0
    assert mail.messages == []
    async with databases.transaction(tools.pool, archived.clinic.clinic_id) as db:
        is_open = await db.value(
            "select count(*) from alert where clinic_id = $1 and state = 'open' and tier = 2", db.clinic_id
        )
    assert is_open == 1
    assert (await plan_untold.run_once(tools, now=NOW)).counts["planned"] > 0


@pytest.mark.slow
async def test_a_phone_goes_on_with_the_token_it_has(
    archived: Archived, database: DatabaseUrls, web_pool: Pool
) -> None:
    await restored(database, archived)
    async with databases.transaction(web_pool, archived.clinic.clinic_id) as db:
        known = await db.value(
            "select count(*) from device_token t join device d on d.clinic_id = $1 and d.device_id = t.device_id"
            " where t.clinic_id = $1 and d.revoked_at is null",
            db.clinic_id,
        )
    assert known


def a_row_removed(folder: Path) -> None:
    lines = (folder / "check_in.csv").read_bytes().splitlines(keepends=True)
    (folder / "check_in.csv").write_bytes(b"".join(lines[:-1]))


def a_mood_changed(folder: Path) -> None:
    (folder / "check_in.csv").write_bytes((folder / "check_in.csv").read_bytes().replace(b",7,", b",8,", 1))


def a_table_taken_out(folder: Path) -> None:
    (folder / "alert.csv").unlink()


def another_schema(folder: Path) -> None:
    said = json.loads((folder / "manifest.json").read_text())
    said["migrations"].append("20990101000000")
    (folder / "manifest.json").write_text(json.dumps(said, indent=1) + "\n")


def no_manifest(folder: Path) -> None:
    (folder / "manifest.json").unlink()


@pytest.mark.slow
@pytest.mark.parametrize(
    "tamper",
    [
        a_mood_changed,
        *(
            pytest.param(each, marks=pytest.mark.slow)
            for each in (a_row_removed, a_table_taken_out, another_schema, no_manifest)
        ),
    ],
)
async def test_an_archive_that_was_changed_is_refused_in_one_line(
    archived: Archived, database: DatabaseUrls, owner_pool: Pool, tmp_path: Path, tamper: Callable[[Path], None]
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(archived.folder, folder)
    tamper(folder)
    refused = await command(database, "restore-clinic", str(folder))
    assert (refused.returncode, refused.stderr.count("\n"), refused.stdout) == (2, 1, "")
    assert_nothing(await rows_of(owner_pool, archived.clinic.clinic_id))


def assert_nothing(rows: Mapping[str, list[str]]) -> None:
    assert {name for name, some in rows.items() if some} == set()


@pytest.mark.slow
async def test_a_restore_that_is_killed_leaves_nothing_and_the_next_one_does_it(
    archived: Archived, database: DatabaseUrls, owner_pool: Pool
) -> None:
    async with held_up(database, "finding") as reached:
        killed = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "service", "restore-clinic", str(archived.folder)),
            env=environment(database) | {"PYTHONUNBUFFERED": "1"},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        await reached()
        killed.kill()
        await killed.wait()
    assert_nothing(await rows_of(owner_pool, archived.clinic.clinic_id))
    await restored(database, archived)


WAITED_FOR = """
select not exists (select from pg_locks where relation = $1::regclass and not granted) and pg_sleep(0.02) is not null
"""


@asynccontextmanager
async def held_up(urls: DatabaseUrls, table: str) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """While this lasts nobody writes into the table; the value waits until somebody wants to."""
    async with a_pool(urls.owner) as pool, pool.acquire() as holding:
        begun = holding.transaction()
        await begun.start()
        await holding.execute(f"lock table {table} in exclusive mode")

        async def reached() -> None:
            async with asyncio.timeout(60):
                while await holding.fetchval(WAITED_FOR, table):
                    pass

        yield reached
        await begun.rollback()


@pytest.mark.slow
async def test_another_master_key_is_refused(archived: Archived, database: DatabaseUrls, owner_pool: Pool) -> None:
    refused = await command(database, "restore-clinic", str(archived.folder), NEAP_KEY=OTHER_KEY)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "another master key" in refused.stderr
    assert_nothing(await rows_of(owner_pool, archived.clinic.clinic_id))


@pytest.mark.slow
async def test_an_empty_deployment_takes_over_the_root_key_under_a_master_key_of_its_own(
    archived: Archived, database: DatabaseUrls, owner_pool: Pool, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(base64.urlsafe_b64encode(bytes(range(32))).decode())
    done = await command(database, "restore-clinic", str(archived.folder), "--key", str(key), NEAP_KEY=OTHER_KEY)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    async with owner_pool.acquire() as connection:
        opened = await root_key.sealer(connection, bytes(range(1, 33)))
    assert opened.keyed_hash(b"x", purpose="x") == Sealer(bytes(range(32))).keyed_hash(b"x", purpose="x")
    verified = await command(database, "audit", "verify", NEAP_KEY=OTHER_KEY)
    assert verified.returncode == 0, verified.stdout


@pytest.mark.slow
async def test_clinics_under_another_root_key_and_processes_that_run_are_in_the_way(
    archived: Archived, database: DatabaseUrls, owner_pool: Pool, web_pool: Pool, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text(base64.urlsafe_b64encode(bytes(range(32))).decode())
    arguments = ("restore-clinic", str(archived.folder), "--key", str(key))
    async with web_pool.acquire():
        refused = await command(database, *arguments, NEAP_KEY=OTHER_KEY)
        assert (refused.returncode, "Stop web and jobs first" in refused.stderr) == (2, True)
    await a_clinic(owner_pool, slug="cove")
    refused = await command(database, *arguments, NEAP_KEY=OTHER_KEY)
    assert (refused.returncode, "another root key" in refused.stderr) == (2, True)
    assert_nothing(await rows_of(owner_pool, archived.clinic.clinic_id))
