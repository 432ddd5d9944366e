"""What is left after all the killing, held against what was promised."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from service import audit_seals, database, invariants
from service.audit_seals import Signer
from service.backup import proof
from service.config import Config, embedded_url
from service.keys.sealing import Sealer
from tests.crash.phones import Said

PATIENCE_SECONDS = 240
LOOK_SECONDS = 0.2
LATER = timedelta(seconds=90)

OUTSTANDING = """
select
  (select count(*) from fold_due) as to_fold,
  (select count(*) from delivery where state in ('queued', 'failed')) as to_send,
  (select count(*) from alert where tier = 1 and state = 'open') as to_dispatch
"""
# The schedule of tries, and how long a lease of the dead lasts, are not what is tested here.
NOW_DUE = "update delivery set due_at = now() where state in ('queued', 'failed') and due_at > now()"
LEASES_END = "update delivery set leased_until = now() where leased_until > now()"


async def settled(config: Config) -> None:
    """Wait until everything is folded, dispatched and sent. Raises TimeoutError, saying what is left."""
    connection = await asyncpg.connect(embedded_url(config.data_dir, "postgres"))
    left = None
    try:
        await connection.execute(LEASES_END)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                await connection.execute(NOW_DUE)
                left = await connection.fetchrow(OUTSTANDING)
                if left is not None and not any(left.values()):
                    return
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError as error:
        raise TimeoutError(f"still outstanding: {left and dict(left)}") from error
    finally:
        await connection.close()


# Of phones: the weeks before were put in without one.
STORED = "select check_in_id, client_id from check_in where device_id is not null"
STORED_TWICE = """
select object_id
from audit_event
where action = 'check_in.store'
group by object_id
having count(*) > 1
"""
URGENT = """
select f.check_in_id
from finding f
join alert a
  on a.clinic_id = f.clinic_id
  and a.alert_id = f.alert_id
where f.rule = 'safety'
  and a.tier = 1
  and not exists (
    select
    from finding_withdrawal w
    where w.clinic_id = f.clinic_id
      and w.finding_id = f.finding_id
  )
"""
MESSAGES = "select delivery_id, state, attempts from delivery where channel in ('email', 'webhook')"


async def faults_of(
    config: Config, clinic_id: UUID, said: Said, arrived: Mapping[str, list[bytes]]
) -> tuple[list[str], dict[str, int]]:
    """Every promise that was broken, in words, and how much there was of each thing."""
    connection = await asyncpg.connect(embedded_url(config.data_dir, "postgres"))
    try:
        stored = {row["check_in_id"]: row["client_id"] for row in await connection.fetch(STORED)}
        twice = await connection.fetch(STORED_TWICE)
        urgent = [row["check_in_id"] for row in await connection.fetch(URGENT)]
        messages = await connection.fetch(MESSAGES)
    finally:
        await connection.close()
    faults = _of_answers(said, stored, len(twice)) + _of_alerts(said, stored, urgent)
    faults += _of_messages({str(row["delivery_id"]): row["state"] for row in messages}, arrived)
    more, days = await _of_state(config, clinic_id)
    counts = {
        "sent": len(said.sent),
        "tries": said.tries,
        "acknowledged": len(said.acknowledged),
        "stored": len(stored),
        "unsafe": len(said.unsafe & set(stored)),
        "messages": len(messages),
        "arrived more than once": sum(len(bodies) > 1 for bodies in arrived.values()),
        "days of trend": days,
    }
    return faults + more, counts


def _of_answers(said: Said, stored: Mapping[UUID, UUID], twice: int) -> list[str]:
    faults = []
    if lost := said.acknowledged - set(stored):
        faults.append(f"{len(lost)} acknowledged answers are lost")
    if strange := set(stored) - set(said.sent):
        faults.append(f"{len(strange)} answers are stored that nobody sent")
    if wrong := [each for each, client_id in stored.items() if said.sent[each].client_id != client_id]:
        faults.append(f"{len(wrong)} answers are stored as somebody else's")
    if twice:
        faults.append(f"{twice} answers were stored more than once")
    if said.refused:
        faults.append(f"{len(said.refused)} answers were refused, such as: {said.refused[0]}")
    return faults


def _of_alerts(said: Said, stored: Mapping[UUID, UUID], urgent: list[UUID]) -> list[str]:
    faults = []
    if missing := (said.unsafe & set(stored)) - set(urgent):
        faults.append(f"{len(missing)} urgent answers have no alert")
    if len(urgent) != len(set(urgent)):
        faults.append("an urgent answer has more than one standing finding")
    return faults


def _of_messages(states: Mapping[str, str], arrived: Mapping[str, list[bytes]]) -> list[str]:
    faults = []
    if strange := set(arrived) - set(states):
        faults.append(f"{len(strange)} messages arrived under ids that no delivery has")
    went = [each for each, state in states.items() if state in ("sent", "delivered", "opened")]
    if silent := [each for each in went if each not in arrived]:
        faults.append(f"{len(silent)} deliveries count as sent and never arrived")
    if dead := [each for each, state in states.items() if state == "dead"]:
        faults.append(f"{len(dead)} deliveries were given up")
    if changed := [each for each, bodies in arrived.items() if len(set(bodies)) > 1]:
        faults.append(f"{len(changed)} messages were sent again with other words")
    return faults


async def _of_state(config: Config, clinic_id: UUID) -> tuple[list[str], int]:
    faults = []
    signer = Signer(Sealer(config.master_key()))
    pool = await database.open_pool(config.database_url_of("jobs"), size=2, application_name="neap_verdict")
    async with pool:
        other, days = await proof.differing_trends(pool, clinic_id, now=datetime.now(UTC))
        async with database.transaction(pool, clinic_id) as db:
            verdict = await audit_seals.verify(db, signer.public)
    sweep = await database.open_pool(config.database_url_of("sweep"), size=1, application_name="neap_verdict")
    async with sweep, database.across_clinics(sweep) as connection:
        # As if it looked a little later: whoever has a minute to be told, or to be alarmed for, has had it by then.
        broken = await invariants.broken(connection, now=datetime.now(UTC) + LATER)
    faults += [f"{other} days of trend are not what the facts give"] if other else []
    faults += [f"the audit trail is not what was sealed ({verdict.fault.kind})"] if verdict.fault is not None else []
    faults += [f"the reconciler says {each.name}" for each in broken]
    return faults, days
