"""What must hold of messages: each is tried when it is due, and gets through to somebody."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from service.invariants.promise import Invariant

MESSAGE_OVERDUE = """
select clinic_id
from delivery
where state in ('queued', 'failed')
  and due_at <= $1
  and (leased_until is null or leased_until <= $1)
group by clinic_id
"""
# One person's mail may be slow for a while; nobody's got through.
MESSAGE_FAILING = """
select d.clinic_id
from delivery d
join alert a
  on a.clinic_id = d.clinic_id
  and a.alert_id = d.alert_id
  and a.round = d.round
  and a.state in ('open', 'dispatched')
where d.state = 'failed'
  and d.staff_id is not null
  and d.failing_since <= $1
  and not exists (
    select
    from delivery other
    join staff s
      on s.clinic_id = other.clinic_id
      and s.staff_id = other.staff_id
      and s.disabled_at is null
    where other.clinic_id = d.clinic_id
      and other.alert_id = d.alert_id
      and other.round = d.round
      and other.state in ('sent', 'delivered', 'opened')
  )
group by d.clinic_id
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
  and d.due_at > $1::timestamptz + interval '1 minute' * case when a.tier = 1 then 1 else 3001 end
group by d.clinic_id
"""
# Somebody has been on a care team and worked here all the while, and no digest reached them: whoever had one before,
# whoever has been there for days, and everybody where none was written.
DIGEST_ABSENT = """
select s.clinic_id
from staff s
where s.disabled_at is null
  and (s.enabled_at is null or s.enabled_at <= $1)
  and exists (
    select
    from job_run r
    where r.clinic_id = s.clinic_id
      and r.job = 'plan_digests'
  )
  and exists (
    select
    from care_team_member m
    where m.clinic_id = s.clinic_id
      and m.staff_id = s.staff_id
      and m.from_at <= $1
      and (m.until_at is null or m.until_at > $1::timestamptz + interval '26 hours')
  )
  and (
    exists (
      select
      from delivery d
      where d.clinic_id = s.clinic_id
        and d.staff_id = s.staff_id
        and d.alert_id is null
        and d.kind = 'digest'
        and d.created_at <= $1
    )
    or exists (
      select
      from care_team_member m
      where m.clinic_id = s.clinic_id
        and m.staff_id = s.staff_id
        and m.from_at <= $1::timestamptz - interval '2 days'
        and (m.until_at is null or m.until_at > $1::timestamptz + interval '26 hours')
    )
    or not exists (
      select
      from delivery d
      where d.clinic_id = s.clinic_id
        and d.alert_id is null
        and d.kind = 'digest'
        and d.created_at > $1
    )
  )
  and not exists (
    select
    from delivery d
    where d.clinic_id = s.clinic_id
      and d.staff_id = s.staff_id
      and d.alert_id is null
      and d.kind = 'digest'
      and d.created_at > $1
      and d.state in ('sent', 'delivered', 'opened')
  )
group by s.clinic_id
"""

# Between two local mornings lie 25 hours where the clock goes back, and an hour is time enough to send.
MORNING = timedelta(hours=26)
MINUTE = timedelta(minutes=1)


def every() -> Sequence[Invariant]:
    """All of them."""
    return (
        Invariant("message_overdue", MESSAGE_OVERDUE, 5 * MINUTE, "a message that is due is not even tried"),
        Invariant("message_failing", MESSAGE_FAILING, 30 * MINUTE, "no message of an alert gets through to anybody"),
        Invariant("message_held", MESSAGE_HELD, MINUTE, "a message waits longer than its recipient chose"),
        Invariant("digest_absent", DIGEST_ABSENT, MORNING, "somebody was not told this morning how things stand"),
    )
