"""What must hold of work that nobody sees: answers are folded, daily jobs end, the audit trail is sealed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from service.invariants.promise import Invariant

CHECK_IN_NOT_FOLDED = """
select clinic_id
from fold_due
where since <= $1
group by clinic_id
"""
# Should the queue have lost it, the facts still say so. A course that began lately has a trend once its first day is
# folded: the day before says whether days have one. In a pause (whatever it became: another version is folded anew) and
# after a discharge, also one that is told afterwards, no day has.
DAY_NOT_IN_TREND = """
select c.clinic_id
from check_in c
where c.received_at > $1::timestamptz - interval '1 day'
  and c.received_at <= $1
  and c.kind = 'daily'
  and c.origin = 'phone'
  and not exists (
    select
    from trend t
    where t.clinic_id = c.clinic_id
      and t.client_id = c.client_id
      and t.client_day = c.client_day
  )
  and exists (
    select
    from trend t
    where t.clinic_id = c.clinic_id
      and t.client_id = c.client_id
      and t.client_day = c.client_day - 1
  )
  and not exists (
    select
    from fold_due f
    where f.clinic_id = c.clinic_id
      and f.client_id = c.client_id
  )
  and not exists (
    select
    from pause p
    where p.clinic_id = c.clinic_id
      and p.client_id = c.client_id
      and p.from_on <= c.client_day
      and coalesce(p.until_on, c.client_day) >= c.client_day
  )
  and (
    select coalesce(bool_or(coalesce(o.ended_on, c.client_day) >= c.client_day), true)
    from course o
    where o.clinic_id = c.clinic_id
      and o.client_id = c.client_id
      and o.started_on <= c.client_day
  )
group by c.clinic_id
"""
# A later slot of the same day does the work of one that was left.
RUN_NOT_FINISHED = """
select r.clinic_id
from job_run r
where r.state in ('running', 'failed')
  and r.claimed_at <= $1
  and r.local_date >= ($1::timestamptz - interval '3 days')::date
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
# Where the sealing begins is said here once more, and not taken from `jobs/seal_audit.py`: a promise that asked by the
# job's own words would be blind wherever the job is.
AUDIT_NOT_SEALED = """
select c.clinic_id
from clinic c
where exists (
  select
  from audit_event e
  where e.clinic_id = c.clinic_id
    and e.happened_at <= $1
    and e.moved = 0
    and e.transaction_id >= coalesce((
      select case when s.moved = 0 then s.until_transaction end
      from audit_seal s
      where s.clinic_id = c.clinic_id
      order by s.number desc
      limit 1
    ), '0')
)
"""

MINUTE = timedelta(minutes=1)


def every() -> Sequence[Invariant]:
    """All of them."""
    return (
        Invariant("check_in_not_folded", CHECK_IN_NOT_FOLDED, 2 * MINUTE, "what a client answered is in no trend yet"),
        Invariant("day_not_in_trend", DAY_NOT_IN_TREND, 2 * MINUTE, "an answer is in no trend, nor on its way"),
        Invariant("run_not_finished", RUN_NOT_FINISHED, 30 * MINUTE, "a clinic's daily job failed and did not recover"),
        Invariant("audit_not_sealed", AUDIT_NOT_SEALED, 5 * MINUTE, "the audit trail could still be changed unseen"),
    )
