"""What breaks each promise that the reconciler watches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.alert import EventKind, NewFinding, Rule, Tier
from schemas.rota import ShiftForm
from schemas.staff import Role
from service import ids
from service.alerting import alert_states, alerts
from service.database import Db
from service.facts import fold_queue
from service.people import audit, clients, shifts, staff, webhook_endpoints
from tests.builders import MASTER, NOW, a_client, an_answer
from tests.desk import a_trend, a_trend_day

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


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
    further = "update alert set step = 2, next_step_at = $2 where clinic_id = $1"
    await db.execute(further, db.clinic_id, NOW + 2 * HOUR)
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
    await db.execute("update care_team_member set until_at = $2 where clinic_id = $1", db.clinic_id, NOW + 99 * DAY)
    await db.execute(
        "insert into job_run (clinic_id, job, local_date, local_time, claimed_by, claimed_at, state)"
        " values ($1, 'plan_digests', $2, '07:00', 'gone', $3, 'done')",
        db.clinic_id,
        NOW.date(),
        NOW,
    )


async def no_person(db: Db) -> None:
    """A machine took the message, which counts as nobody, and so does whoever was told and left."""
    await no_climb(db)
    told, machine = await _somebody(db), await webhook_endpoints.add(db, MASTER, "https://hooks.example", now=NOW)
    await db.execute(
        "update delivery set staff_id = null, webhook_endpoint_id = $2, channel = 'webhook' where clinic_id = $1",
        db.clinic_id,
        machine[0],
    )
    await db.execute(
        "insert into delivery (clinic_id, delivery_id, kind, alert_id, channel, staff_id, round, step, state, due_at,"
        " created_at) select $1, $2, 'alert', alert_id, 'email', $3, 1, 0, 'sent', $4, $4 from alert",
        db.clinic_id,
        ids.new(),
        told,
        NOW,
    )
    await db.execute("update staff set disabled_at = $2 where clinic_id = $1", db.clinic_id, NOW)


async def no_proof(db: Db) -> None:
    """A push service took it, no browser showed it, and the letter did not go."""
    await no_taker(db)
    await db.execute("update delivery set channel = 'push' where clinic_id = $1", db.clinic_id)


async def no_time_yet(db: Db) -> None:
    """Written by a clock that runs ahead."""
    await an_alert(db)
    later = "update alert set round_began_at = $2, next_step_at = $2 where clinic_id = $1"
    await db.execute(later, db.clinic_id, NOW + 2 * HOUR)
    await db.execute(
        "update delivery set created_at = $2, due_at = $2 where clinic_id = $1", db.clinic_id, NOW + 2 * HOUR
    )


async def no_taker(db: Db) -> None:
    await no_climb(db)
    await db.execute("update alert set next_step_at = $2 where clinic_id = $1", db.clinic_id, NOW + 2 * HOUR)


async def no_way_through(db: Db) -> None:
    await no_taker(db)
    failing = "update delivery set state = 'failed', failing_since = $2, due_at = $3 where clinic_id = $1"
    await db.execute(failing, db.clinic_id, NOW, NOW + 2 * HOUR)


async def no_plan(db: Db) -> None:
    await no_climb(db)
    await db.execute("update alert set next_step_at = null where clinic_id = $1", db.clinic_id)


async def no_end(db: Db) -> None:
    await no_lease_end(db)
    await db.execute("update alert set lease_until = $2 where clinic_id = $1", db.clinic_id, NOW + 900 * DAY)


async def no_holder(db: Db) -> None:
    await no_lease_end(db)
    await db.execute("update staff set disabled_at = $2 where clinic_id = $1", db.clinic_id, NOW)


async def no_reach(db: Db) -> None:
    """Who took it on left the client's team."""
    await no_lease_end(db)
    await db.execute("update alert set lease_until = $2 where clinic_id = $1", db.clinic_id, NOW + HOUR + 20 * MINUTE)
    await db.execute("update care_team_member set until_at = $2 where clinic_id = $1", db.clinic_id, NOW + MINUTE)


async def no_queue(db: Db) -> None:
    client_id = await a_client(db, now=NOW)
    local = NOW.astimezone(ZoneInfo("America/Chicago"))
    await an_answer(db, client_id, local.date(), at=local.time())
    await a_trend(db, client_id, [a_trend_day(local.date() - DAY)])
    await fold_queue.settle(db, [client_id])


class Breaking(NamedTuple):
    """What breaks a promise, the others that it breaks with it, and after how long it is seen."""

    broken: Callable[[Db], Awaitable[None]]
    with_it: frozenset[str] = frozenset()
    seen_after: timedelta = timedelta(hours=1)


BREAKING = {
    "check_in_not_folded": Breaking(no_fold),
    "day_not_in_trend": Breaking(no_queue),
    "urgent_untaken": Breaking(no_taker, seen_after=76 * MINUTE),
    "message_failing": Breaking(no_way_through, frozenset({"urgent_not_dispatched"})),
    "lease_too_long": Breaking(no_holder, seen_after=10 * MINUTE),
    "step_not_planned": Breaking(no_plan),
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
