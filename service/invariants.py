"""What must hold at any moment: statements that return no row, looked at each minute as `neap_sweep`.

Each names the clinics in which it does not hold. A row here is an alarm for the operator: something that a person waits
for does not happen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from service.database import Connection


class Invariant(NamedTuple):
    """A promise: its name, the statement that returns where it is broken, how long it may take, why it matters."""

    name: str
    sql: str
    within: timedelta
    why: str


class Broken(NamedTuple):
    """An invariant that does not hold, and in which clinics."""

    name: str
    clinic_ids: list[UUID]


CHECK_IN_NOT_FOLDED = """
select clinic_id
from fold_due
where since <= $1
group by clinic_id
"""
URGENT_NOT_DISPATCHED = """
select clinic_id
from alert
where state = 'open'
  and tier = 1
  and round_began_at <= $1
group by clinic_id
"""
ALERT_REACHES_NOBODY = """
select a.clinic_id
from alert a
where a.state = 'open'
  and a.tier <= 2
  and a.round_began_at <= $1
  and not exists (
    select
    from delivery d
    where d.clinic_id = a.clinic_id
      and d.alert_id = a.alert_id
      and d.round = a.round
      and d.staff_id is not null
      and d.state not in ('blocked', 'dead')
  )
group by a.clinic_id
"""
MESSAGE_OVERDUE = """
select clinic_id
from delivery
where state in ('queued', 'failed')
  and due_at <= $1
  and (leased_until is null or leased_until <= $1)
group by clinic_id
"""
# No choice of a person holds a message beyond the second morning, and an urgent one not at all. By then it is due, and
# what is due is watched above.
MESSAGE_HELD = """
select d.clinic_id
from delivery d
join alert a
  on a.clinic_id = d.clinic_id
  and a.alert_id = d.alert_id
  and a.state in ('open', 'dispatched')
where d.state = 'queued'
  and d.created_at <= $1
  and d.due_at > $1 + interval '1 minute' + case when a.tier = 1 then interval '0' else interval '50 hours' end
group by d.clinic_id
"""
# Somebody has been on call since before the alert came to their step, is not away, and has no message of the round.
ON_CALL_NOT_TOLD = """
select a.clinic_id
from alert a
join shift s
  on s.clinic_id = a.clinic_id
  and s.from_at <= $1
  and s.until_at > $1
join staff p
  on p.clinic_id = s.clinic_id
  and p.staff_id = s.staff_id
  and p.disabled_at is null
where a.state in ('open', 'dispatched')
  and a.tier <= 2
  and a.step >= 2
  and (
    select max(e.happened_at)
    from alert_event e
    where e.clinic_id = a.clinic_id
      and e.alert_id = a.alert_id
      and e.kind = 'escalated'
  ) between s.from_at and $1
  and not exists (
    select
    from cover c
    where c.clinic_id = s.clinic_id
      and c.staff_id = s.staff_id
      and c.until_at > a.round_began_at
  )
  and not exists (
    select
    from delivery d
    where d.clinic_id = a.clinic_id
      and d.alert_id = a.alert_id
      and d.round = a.round
      and d.staff_id = s.staff_id
  )
group by a.clinic_id
"""
LEASE_NOT_ENDED = """
select clinic_id
from alert
where (state = 'acknowledged' and lease_until <= $1)
  or (state = 'snoozed' and snoozed_until <= $1)
group by clinic_id
"""
STEP_NOT_CLIMBED = """
select clinic_id
from alert
where state in ('open', 'dispatched')
  and next_step_at <= $1
group by clinic_id
"""
# A later slot of the same day does the work of one that was left.
RUN_NOT_FINISHED = """
select r.clinic_id
from job_run r
where r.state in ('running', 'failed')
  and r.claimed_at <= $1
  and r.local_date >= ($1 - interval '3 days')::date
  and not exists (
    select
    from job_run later
    where later.clinic_id = r.clinic_id
      and later.job = r.job
      and later.local_date = r.local_date
      and later.local_time > r.local_time
      and later.state = 'done'
  )
group by r.clinic_id
"""
AUDIT_NOT_SEALED = """
select c.clinic_id
from clinic c
where exists (
  select
  from audit_event e
  where e.clinic_id = c.clinic_id
    and e.happened_at <= $1
    and e.transaction_id >= coalesce((
      select s.until_transaction
      from audit_seal s
      where s.clinic_id = c.clinic_id
      order by s.number desc
      limit 1
    ), '0')
)
"""
# A digest was queued here before, somebody has been on a care team all the while, and none went out or was given up.
DIGEST_ABSENT = """
select r.clinic_id
from job_run r
where r.job = 'plan_digests'
  and exists (
    select
    from care_team_member m
    join staff s
      on s.clinic_id = m.clinic_id
      and s.staff_id = m.staff_id
    where m.clinic_id = r.clinic_id
      and m.from_at <= $1
      and m.until_at is null
      and s.disabled_at is null
  )
  and not exists (
    select
    from delivery d
    where d.clinic_id = r.clinic_id
      and d.alert_id is null
      and d.kind = 'digest'
      and d.created_at > $1
      and d.state not in ('queued', 'failed')
  )
group by r.clinic_id
"""

# Who is to be told is planned in the transaction that asks for it: what is looked at each minute may say so by then.
AT_ONCE = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
# Between two local mornings lie 25 hours where the clock goes back, and an hour is time enough to send.
MORNING = timedelta(hours=26)


def every() -> Sequence[Invariant]:
    """All invariants; what is not here is not watched."""
    return (
        Invariant("check_in_not_folded", CHECK_IN_NOT_FOLDED, 2 * MINUTE, "what a client answered is in no trend yet"),
        Invariant("urgent_not_dispatched", URGENT_NOT_DISPATCHED, MINUTE, "no message of an urgent alert has gone out"),
        Invariant("alert_reaches_nobody", ALERT_REACHES_NOBODY, AT_ONCE, "there is nobody whom a message could reach"),
        Invariant("message_overdue", MESSAGE_OVERDUE, 5 * MINUTE, "a message that is due is not even tried"),
        Invariant("message_held", MESSAGE_HELD, MINUTE, "a message waits longer than its recipient chose"),
        Invariant("on_call_not_told", ON_CALL_NOT_TOLD, 2 * MINUTE, "an alert came to whoever is on call, unheard"),
        Invariant("lease_not_ended", LEASE_NOT_ENDED, 2 * MINUTE, "somebody's time ran out, nobody was told again"),
        Invariant("step_not_climbed", STEP_NOT_CLIMBED, 2 * MINUTE, "nobody took it on, and the next were not told"),
        Invariant("run_not_finished", RUN_NOT_FINISHED, 30 * MINUTE, "a clinic's daily job failed and did not recover"),
        Invariant("digest_absent", DIGEST_ABSENT, MORNING, "nobody of a clinic was told this morning how things stand"),
        Invariant("audit_not_sealed", AUDIT_NOT_SEALED, 5 * MINUTE, "the audit trail could still be changed unseen"),
    )


async def broken(connection: Connection, *, now: datetime) -> list[Broken]:
    """Every invariant that does not hold now, with its clinics; a constant number of statements."""
    found = []
    for invariant in every():
        records = await connection.fetch(invariant.sql, now - invariant.within)
        if records:
            found.append(Broken(invariant.name, [record["clinic_id"] for record in records]))
    return found
