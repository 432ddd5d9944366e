"""What must hold of alerts: a person knows of each, and somebody is told again where nobody acts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from service.invariants.promise import Invariant

# Whatever its state says, and wherever a machine was told: a person who works here has to know of it. That a push
# service took a message proves nothing. What is said to have begun in the future was written by a clock that is wrong;
# two answers that came together may have read theirs in the other order.
URGENT_NOT_DISPATCHED = """
select a.clinic_id
from alert a
where a.state in ('open', 'dispatched')
  and a.tier = 1
  and a.origin = 'live'
  and (a.round_began_at <= $1 or a.round_began_at > $1::timestamptz + interval '90 seconds')
  and not exists (
    select
    from delivery d
    join staff s
      on s.clinic_id = d.clinic_id
      and s.staff_id = d.staff_id
      and s.disabled_at is null
    where d.clinic_id = a.clinic_id
      and d.alert_id = a.alert_id
      and d.created_at >= a.round_began_at - interval '1 minute'
      and (d.state in ('delivered', 'opened') or d.state = 'sent' and d.channel = 'email')
  )
group by a.clinic_id
"""
URGENT_UNTAKEN = """
select a.clinic_id
from alert a
where a.state in ('open', 'dispatched')
  and a.tier = 1
  and a.origin = 'live'
  and (
    select max(e.happened_at)
    from alert_event e
    where e.clinic_id = a.clinic_id
      and e.alert_id = a.alert_id
      and e.kind in ('opened', 'acknowledged', 'lease_lapsed')
      and not exists (
        select
        from alert_event back
        where back.clinic_id = e.clinic_id
          and back.alert_id = e.alert_id
          and back.kind = 'given_back'
          and back.happened_at between e.happened_at and e.happened_at + interval '1 minute'
      )
  ) <= $1
group by a.clinic_id
"""
ALERT_REACHES_NOBODY = """
select a.clinic_id
from alert a
where a.state in ('open', 'dispatched')
  and a.tier <= 2
  and a.origin = 'live'
  and a.round_began_at <= $1
  and not exists (
    select
    from delivery d
    join staff s
      on s.clinic_id = d.clinic_id
      and s.staff_id = d.staff_id
      and s.disabled_at is null
    where d.clinic_id = a.clinic_id
      and d.alert_id = a.alert_id
      and d.round = a.round
      and d.state not in ('blocked', 'dead')
      and not (d.state = 'sent' and d.channel = 'push' and d.created_at <= $1::timestamptz - interval '6 minutes')
  )
group by a.clinic_id
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
# Seven days are the longest lease, fourteen the longest that an alert is put off for. Nobody has what is out of reach.
LEASE_TOO_LONG = """
select a.clinic_id
from alert a
where a.state = 'acknowledged'
  and (
    not exists (
      select
      from alert_holder_reach r
      where r.clinic_id = a.clinic_id
        and r.alert_id = a.alert_id
        and r.from_at <= greatest(a.acknowledged_at, $1::timestamptz)
        and (r.until_at is null or r.until_at > $1::timestamptz)
    )
    or a.lease_until is null
    or a.lease_until > $1::timestamptz + case when a.tier = 1 then interval '35 minutes' else interval '8 days' end
  )
  or a.state = 'snoozed'
  and (a.snoozed_until is null or a.snoozed_until > $1::timestamptz + interval '15 days')
group by a.clinic_id
"""
STEP_NOT_CLIMBED = """
select clinic_id
from alert
where state in ('open', 'dispatched')
  and next_step_at <= $1
group by clinic_id
"""
# An urgent alert always goes on, the next one up to its last step; a clinic may be open for an hour a week.
STEP_NOT_PLANNED = """
select clinic_id
from alert
where state in ('open', 'dispatched')
  and origin = 'live'
  and round_began_at <= $1
  and (
    tier = 1 and (next_step_at is null or next_step_at > $1::timestamptz + interval '3 hours')
    or tier = 2 and step < 2 and (next_step_at is null or next_step_at > $1::timestamptz + interval '70 days')
  )
group by clinic_id
"""

# Who is to be told is planned in the transaction that asks for it: what is looked at each minute may say so by then.
AT_ONCE = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def every() -> Sequence[Invariant]:
    """All of them."""
    return (
        Invariant("urgent_not_dispatched", URGENT_NOT_DISPATCHED, MINUTE, "no person was told of an urgent alert"),
        Invariant("urgent_untaken", URGENT_UNTAKEN, 75 * MINUTE, "nobody takes on an urgent alert; somebody must call"),
        Invariant("alert_reaches_nobody", ALERT_REACHES_NOBODY, AT_ONCE, "there is nobody whom a message could reach"),
        Invariant("on_call_not_told", ON_CALL_NOT_TOLD, 2 * MINUTE, "an alert came to whoever is on call, unheard"),
        Invariant("lease_not_ended", LEASE_NOT_ENDED, 2 * MINUTE, "somebody's time ran out, nobody was told again"),
        Invariant("lease_too_long", LEASE_TOO_LONG, 2 * MINUTE, "an alert is with somebody who cannot act, or stays"),
        Invariant("step_not_climbed", STEP_NOT_CLIMBED, 2 * MINUTE, "nobody took it on, and the next were not told"),
        Invariant("step_not_planned", STEP_NOT_PLANNED, MINUTE, "if nobody takes it on, the next would not be told"),
    )
