"""The audit trail is sealed block after block, and whatever is done to it later is found and named."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from jobs import seal_audit
from jobs.work import Tools
from schemas.audit import AuditFault, AuditFaultKind, AuditHead
from schemas.clinic import Clinic
from service import audit_seals, errors, ids
from service import database as databases
from service.alerting.writing import Sending
from service.audit_seals import Signer, closing
from service.config import DatabaseUrls
from service.database import Db, Pool
from service.keys.sealing import Sealer
from service.people import audit
from tests.audit_trails import all_finished
from tests.builders import MASTER, NOW, a_clinic
from tests.command_line import run_command
from tests.sealed_trails import SIGNER, Undo, a_sealed_trail, clinic, head_of, sealed, undo, verdict, written

__all__ = ["clinic"]


@pytest.fixture
def tools(jobs_pool: Pool, sweep_pool: Pool) -> Tools:
    return Tools(jobs_pool, sweep_pool, Sending({}, MASTER, "https://neap.example"))


async def test_what_is_sealed_once_is_not_sealed_again(jobs_pool: Pool, clinic: Clinic) -> None:
    await sealed(jobs_pool, clinic)
    await written(jobs_pool, clinic, 3)
    assert [await sealed(jobs_pool, clinic), await sealed(jobs_pool, clinic)] == [3, 0]
    await written(jobs_pool, clinic, 2)
    seen = await verdict(jobs_pool, clinic)
    assert (seen.fault, seen.unsealed) == (None, 2)
    assert await sealed(jobs_pool, clinic) == 2
    assert (await verdict(jobs_pool, clinic)).unsealed == 0


async def test_rows_of_a_transaction_that_still_runs_wait_for_the_next_seal(
    web_pool: Pool, jobs_pool: Pool, clinic: Clinic
) -> None:
    await sealed(jobs_pool, clinic)
    async with databases.transaction(web_pool, clinic.clinic_id) as slow:
        await audit.record(slow, audit.JOB, "client.read", now=NOW)
        await written(jobs_pool, clinic, 2)
        assert await sealed(jobs_pool, clinic, wait=False) == 0, "what began later must not close the door on what runs"
    assert await sealed(jobs_pool, clinic) == 3
    assert (await verdict(jobs_pool, clinic)).fault is None


async def test_two_processes_seal_a_block_once(jobs_pool: Pool, clinic: Clinic) -> None:
    await sealed(jobs_pool, clinic)
    await written(jobs_pool, clinic, 5)
    await all_finished(jobs_pool, clinic)
    counts = await asyncio.gather(*(sealed(jobs_pool, clinic) for _ in range(3)))
    assert sum(counts) == 5
    assert (await verdict(jobs_pool, clinic)).fault is None


async def test_a_backlog_is_sealed_in_blocks_that_never_part_a_transaction(
    jobs_pool: Pool, clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    await sealed(jobs_pool, clinic)
    monkeypatch.setattr(closing, "MOST_ROWS", 4)
    for count in (3, 3, 6, 1):
        async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
            await audit.record_each(db, audit.JOB, "client.read", [ids.new() for _ in range(count)], now=NOW)
    await all_finished(jobs_pool, clinic)
    counts = []
    while count := await sealed(jobs_pool, clinic):
        counts.append(count)
    assert sum(counts) == 13
    assert (await verdict(jobs_pool, clinic)).fault is None


async def test_the_job_seals_every_clinic_and_finds_nothing_to_do_then(
    owner_pool: Pool, web_pool: Pool, clinic: Clinic, tools: Tools
) -> None:
    other = await a_clinic(owner_pool, slug="cove")
    await all_finished(web_pool, other)
    await seal_audit.run_once(tools, now=NOW)
    for each in (clinic, other):
        await written(web_pool, each, 2)
        await all_finished(web_pool, each)
    assert (await seal_audit.run_once(tools, now=NOW)).counts == {"sealed": 4}
    assert (await seal_audit.run_once(tools, now=NOW)).counts == {"sealed": 0}


async def test_a_sealing_that_dies_leaves_nothing_and_the_next_one_does_it(jobs_pool: Pool, clinic: Clinic) -> None:
    await sealed(jobs_pool, clinic)
    await written(jobs_pool, clinic, 2)
    await all_finished(jobs_pool, clinic)
    with suppress(Undo):
        async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
            assert await audit_seals.seal_next(db, SIGNER, now=NOW) == 2
            undo()
    assert (await verdict(jobs_pool, clinic)).unsealed == 2
    assert await sealed(jobs_pool, clinic) == 2


async def test_another_key_does_not_sign_for_this_deployment(jobs_pool: Pool, clinic: Clinic) -> None:
    await a_sealed_trail(jobs_pool, clinic, blocks=1)
    stranger = Signer(Sealer(bytes(32)))
    async with databases.transaction(jobs_pool, clinic.clinic_id) as db:
        seen = await audit_seals.verify(db, stranger.public)
        assert seen.fault == AuditFault(kind=AuditFaultKind.SEAL_EDITED, seal=1)
        with pytest.raises(errors.Invalid, match="head"):
            audit_seals.refuse_forged(await head_of(jobs_pool, clinic), stranger.public)


async def test_a_head_finds_what_was_cut_off_together_with_its_seals(
    owner_pool: Pool, jobs_pool: Pool, clinic: Clinic
) -> None:
    await a_sealed_trail(jobs_pool, clinic)
    head = await head_of(jobs_pool, clinic)
    assert msgspec.json.decode(msgspec.json.encode(head), type=AuditHead) == head
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await cut_off(db, after=2)
    assert (await verdict(jobs_pool, clinic)).fault is None, "nobody can tell without the head"
    fault = (await verdict(jobs_pool, clinic, head)).fault
    assert fault == AuditFault(kind=AuditFaultKind.CUT_OFF, seal=3, audit_event_id=head.last_event_id)


async def cut_off(db: Db, *, after: int) -> None:
    until = await db.value(
        "select until_transaction::text::bigint from audit_seal where clinic_id = $1 and number = $2",
        db.clinic_id,
        after,
    )
    await db.execute("delete from audit_seal where clinic_id = $1 and number > $2", db.clinic_id, after)
    await db.execute(
        "delete from audit_event where clinic_id = $1 and transaction_id >= $2::bigint::text::xid8",
        db.clinic_id,
        until,
    )


class Sealed(msgspec.Struct, frozen=True):
    """A sealed row: its id, its transaction, its seal."""

    audit_event_id: UUID
    transaction_number: int
    seal: int


SEALED = """
select e.audit_event_id, e.transaction_id::text::bigint as transaction_number, s.number as seal
from audit_event e
join audit_seal s
  on s.clinic_id = e.clinic_id
  and e.transaction_id >= s.from_transaction
  and e.transaction_id < s.until_transaction
where e.clinic_id = $1
order by e.transaction_id, e.audit_event_id
"""
COLUMNS = {
    "happened_at": "happened_at + interval '1 microsecond'",
    "actor_kind": "'job'",
    "actor_id": "gen_random_uuid()",
    "action": "action || '.'",
    "client_id": "null",
    "object_id": "gen_random_uuid()",
    "allowed": "not allowed",
    "reason": "'because'",
}

Tampering = Callable[[Db, random.Random, Sequence[Sealed]], Awaitable[AuditFault]]


async def edit(db: Db, chance: random.Random, rows: Sequence[Sealed]) -> AuditFault:
    row, column = chance.choice(rows), chance.choice(sorted(COLUMNS))
    await db.execute(
        f"update audit_event set {column} = {COLUMNS[column]} where clinic_id = $1 and audit_event_id = $2",
        db.clinic_id,
        row.audit_event_id,
    )
    return AuditFault(kind=AuditFaultKind.EDITED, seal=row.seal, audit_event_id=row.audit_event_id)


async def take_out(db: Db, chance: random.Random, rows: Sequence[Sealed]) -> AuditFault:
    row = chance.choice(rows)
    await db.execute(
        "delete from audit_event where clinic_id = $1 and audit_event_id = $2", db.clinic_id, row.audit_event_id
    )
    return AuditFault(kind=AuditFaultKind.MISSING, seal=row.seal, audit_event_id=row.audit_event_id)


async def put_in(db: Db, chance: random.Random, rows: Sequence[Sealed]) -> AuditFault:
    beside, new = chance.choice(rows), ids.new()
    await db.execute(
        "insert into audit_event (clinic_id, audit_event_id, happened_at, actor_kind, action, allowed, transaction_id)"
        " values ($1, $2, $3, 'job', 'client.read', true, $4::bigint::text::xid8)",
        db.clinic_id,
        new,
        NOW,
        beside.transaction_number,
    )
    return AuditFault(kind=AuditFaultKind.ADDED, seal=beside.seal, audit_event_id=new)


async def move(db: Db, chance: random.Random, rows: Sequence[Sealed]) -> AuditFault:
    """Out of its block, behind the last seal."""
    row = chance.choice(rows)
    await db.execute(
        "update audit_event set transaction_id = pg_current_xact_id() where clinic_id = $1 and audit_event_id = $2",
        db.clinic_id,
        row.audit_event_id,
    )
    return AuditFault(kind=AuditFaultKind.MISSING, seal=row.seal, audit_event_id=row.audit_event_id)


async def change_seal(db: Db, chance: random.Random, rows: Sequence[Sealed]) -> AuditFault:
    seal = chance.choice(rows).seal
    column = chance.choice(
        [
            "sealed_at = sealed_at + interval '1 hour'",
            "hash = sha256(hash)",
            "marks = overlay(marks placing sha256(marks) from 1)",
            "signature = signature || ''::bytea, previous_hash = sha256(previous_hash)",
            "until_transaction = (until_transaction::text::bigint + 1)::text::xid8",
        ]
    )
    await db.execute(f"update audit_seal set {column} where clinic_id = $1 and number = $2", db.clinic_id, seal)
    return AuditFault(kind=AuditFaultKind.SEAL_EDITED, seal=seal)


async def take_out_seal(db: Db, chance: random.Random, rows: Sequence[Sealed]) -> AuditFault:
    seal = chance.choice([row.seal for row in rows if row.seal < rows[-1].seal])
    await db.execute("delete from audit_seal where clinic_id = $1 and number = $2", db.clinic_id, seal)
    return AuditFault(kind=AuditFaultKind.SEAL_MISSING, seal=seal)


TAMPERINGS: Sequence[Tampering] = (edit, take_out, put_in, move, change_seal, take_out_seal)


async def all_found(pool: Pool, clinic: Clinic, *, tries: int, seed: int) -> None:
    """Tamper at random, look, undo; the fault that is named is the one that was made."""
    chance = random.Random(seed)
    async with databases.transaction(pool, clinic.clinic_id) as db:
        rows = await db.rows(Sealed, SEALED, db.clinic_id)
    for number in range(tries):
        tampering = TAMPERINGS[number % len(TAMPERINGS)]
        with suppress(Undo):
            async with databases.transaction(pool, clinic.clinic_id) as db:
                made = await tampering(db, chance, rows)
                found = (await audit_seals.verify(db, SIGNER.public)).fault
                undo()
        assert found == made, tampering.__name__
    assert (await verdict(pool, clinic)).fault is None


async def test_every_tampering_is_found_and_the_first_row_named(
    owner_pool: Pool, jobs_pool: Pool, clinic: Clinic
) -> None:
    await a_sealed_trail(jobs_pool, clinic)
    await all_found(owner_pool, clinic, tries=4 * len(TAMPERINGS), seed=1)


@pytest.mark.slow
async def test_a_thousand_tamperings_are_all_found(owner_pool: Pool, jobs_pool: Pool, clinic: Clinic) -> None:
    await a_sealed_trail(jobs_pool, clinic, blocks=12, rows=20)
    await all_found(owner_pool, clinic, tries=1_002, seed=2)


async def test_the_command_says_of_each_clinic_whether_its_trail_is_as_sealed(
    owner_pool: Pool, jobs_pool: Pool, clinic: Clinic, database: DatabaseUrls, tmp_path: Path
) -> None:
    await a_sealed_trail(jobs_pool, clinic)
    head = tmp_path / "head.json"
    handed_out = await run_command(database, "audit", "head")
    assert handed_out.returncode == 0, handed_out.stderr
    head.write_text(handed_out.stdout)
    looked = await run_command(database, "audit", "verify", "--head", str(head))
    assert (looked.returncode, looked.stdout.splitlines()) == (0, [looked.stdout.strip()])
    assert looked.stdout.startswith("harbour: as sealed")
    async with databases.transaction(owner_pool, clinic.clinic_id) as db:
        await cut_off(db, after=1)
    looked = await run_command(database, "audit", "verify", "--head", str(head))
    assert looked.returncode == 1
    assert "cut off" in looked.stdout
    head.write_text("{}")
    looked = await run_command(database, "audit", "verify", "--head", str(head))
    assert (looked.returncode, len(looked.stderr.splitlines())) == (2, 1)
