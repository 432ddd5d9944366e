"""The alerts of some clients that nobody has closed, and who has each in hand."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.alert import AlertState, Tier
from service.alerting import leases
from service.database import Db
from service.desk import sentences

A_MINUTE = timedelta(minutes=1)


class _Dated(msgspec.Struct, frozen=True, kw_only=True):
    opened_at: datetime
    newest_at: datetime

    @property
    def renewed(self) -> bool:
        """Whether a reason came after those with which it was opened: they come within a minute."""
        return self.newest_at - self.opened_at >= A_MINUTE


class OpenAlert(_Dated, frozen=True, kw_only=True):
    """An alert nobody has closed yet; `newest_at`: when its newest reason came; `unread`: one joined it after anybody
    last did something about it.

    A note is something only of whoever has it, and where they had read that reason: not on an older page.
    """

    alert_id: UUID
    client_id: UUID
    tier: Tier
    state: AlertState
    lease_until: datetime | None
    snoozed_until: datetime | None
    acknowledged_by_name: str | None
    unread: bool

    def in_hand(self, now: datetime) -> bool:
        """Whether somebody has it, or put it off, with all its reasons: nobody else has to look now."""
        if self.unread:
            return False
        taken = self.state is AlertState.ACKNOWLEDGED and not leases.lapsed(self, now)
        return taken or self.state is AlertState.SNOOZED


OPEN_ALERTS = """
select
  a.alert_id, a.client_id, a.tier, a.state, a.opened_at, a.lease_until, a.snoozed_until,
  s.name as acknowledged_by_name,
  greatest(
    a.opened_at,
    (
      select max(come.happened_at)
      from alert_event come
      where come.clinic_id = $1
        and come.alert_id = a.alert_id
        and come.kind in ('joined', 'raised')
    )
  ) as newest_at,
  exists (
    select
    from alert_event joined
    where joined.clinic_id = $1
      and joined.alert_id = a.alert_id
      and joined.kind in ('joined', 'raised')
      and not exists (
        select
        from alert_event done
        where done.clinic_id = $1
          and done.alert_id = a.alert_id
          and done.staff_id is not null
          -- What was taken on and given back was looked at by nobody.
          and done.kind <> 'given_back'
          and (done.kind <> 'acknowledged' or a.state = 'acknowledged')
          and (
            done.kind <> 'noted'
            or coalesce(a.acknowledged_by = done.staff_id, true)
            and (done.detail ->> 'seen')::integer >= (
              select count(*)
              from alert_event told
              where told.clinic_id = $1
                and told.alert_id = a.alert_id
                and told.alert_event_id <= joined.alert_event_id
            )
          )
          and done.alert_event_id > joined.alert_event_id
      )
  ) as unread
from alert a
left join staff s
  on s.clinic_id = a.clinic_id
  and s.staff_id = a.acknowledged_by
where a.clinic_id = $1
  and a.client_id = any ($2::uuid[])
  and a.state not in ('resolved', 'auto_resolved')
order by a.tier, a.opened_at
"""


async def of(db: Db, client_ids: Sequence[UUID]) -> list[OpenAlert]:
    """Those of these clients, the most urgent first."""
    return await db.rows(OpenAlert, OPEN_ALERTS, db.clinic_id, client_ids)


class Waiting(_Dated, frozen=True, kw_only=True):
    """An open alert as a page about something else says that there is one: how urgent, since when, and who has it."""

    alert_id: UUID
    tier: Tier
    whose: str


async def waiting(
    db: Db, client_ids: Sequence[UUID], clinic_zone: ZoneInfo, *, now: datetime
) -> Mapping[UUID, Sequence[Waiting]]:
    """The urgent ones of these clients and today's, by client, the most urgent first; one query, however many."""
    by_client: defaultdict[UUID, list[Waiting]] = defaultdict(list)
    for each in await of(db, client_ids):
        if each.tier <= Tier.TODAY:
            line = Waiting(
                alert_id=each.alert_id,
                tier=each.tier,
                opened_at=each.opened_at,
                newest_at=each.newest_at,
                whose=whose(each, clinic_zone, now=now),
            )
            by_client[each.client_id].append(line)
    return by_client


def whose(alert: OpenAlert, clinic_zone: ZoneInfo, *, now: datetime) -> str:
    """Who has an alert in hand, or until when it was put off; and that there is more to it since."""
    said = _whose(alert, clinic_zone, now=now)
    touched = alert.state in (AlertState.ACKNOWLEDGED, AlertState.SNOOZED)
    return f"{said} New reason since." if touched and alert.unread else said


def _whose(alert: OpenAlert, clinic_zone: ZoneInfo, *, now: datetime) -> str:
    if alert.state in (AlertState.OPEN, AlertState.DISPATCHED):
        return "Not yet acknowledged."
    if alert.state is AlertState.SNOOZED:
        return f"Put off until {_clock(alert.snoozed_until, clinic_zone, now)}." if alert.snoozed_until else "Put off."
    name = alert.acknowledged_by_name or "Somebody"
    if alert.lease_until is not None and leases.lapsed(alert, now):
        return f"{name} had it until {_clock(alert.lease_until, clinic_zone, now)}: lapsed."
    return f"{name} has it."


def _clock(at: datetime, zone: ZoneInfo, now: datetime) -> str:
    local = at.astimezone(zone)
    return f"{sentences.day(local.date(), now.astimezone(zone).date())} {local:%H:%M}"
