"""The inbox: alerts that somebody may see, open or closed, and all that is known of one; and acting on it."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import msgspec

from schemas.alert import Alert, AlertEvent, AlertState, Finding, Outcome, Tier
from schemas.client import RecordOrigin
from service.alerting import alerts, deliveries, findings, notes, writing
from service.database import Db
from service.desk import reasons, told
from service.desk.told import Told
from service.keys.sealing import Sealer
from service.people import access, clients, consents
from service.people.access import Reach

PAGE = 50
# More open ones than anybody reads through; what is beyond is said.
MOST_OPEN = 200


class InboxRow(msgspec.Struct, frozen=True, kw_only=True):
    """An alert as the inbox lists it, and what became of its current round's messages.

    Of people, on whichever channel: `told`, and of them those who `opened` a message. `webhooks`: the endpoints that
    took it. `queued` and `failed`: people and endpoints whom no message has reached yet, or could not; what is
    withheld for want of consent, or not needed any more, has not failed.
    """

    alert_id: UUID
    client_id: UUID
    given_name: str
    family_name: str
    tier: Tier
    state: AlertState
    origin: RecordOrigin
    opened_at: datetime
    acknowledged_by_name: str | None
    lease_until: datetime | None
    snoozed_until: datetime | None
    recalculated_at: datetime | None
    closed_at: datetime | None
    outcome: Outcome | None
    queued: int
    told: int
    opened: int
    webhooks: int
    failed: int


class Entry(NamedTuple):
    """A line of the inbox and the findings that its alert groups, the weightiest first; None: not for this reader."""

    row: InboxRow
    findings: list[Finding] | None


class InboxPage(NamedTuple):
    """One page of the inbox; `next` is the position to go on from among the closed, None on the last page.

    `cut`: more are open than stand here.
    """

    entries: list[Entry]
    next: tuple[datetime, UUID] | None
    cut: bool = False

    @property
    def alert_ids(self) -> list[UUID]:
        """The alerts on it."""
        return [entry.row.alert_id for entry in self.entries]


ROWS = """
select
  a.alert_id, a.client_id, c.given_name, c.family_name, a.tier, a.state, a.origin, a.opened_at,
  s.name as acknowledged_by_name, a.lease_until, a.snoozed_until, a.recalculated_at, a.closed_at, a.outcome,
  coalesce(d.queued, 0) as queued, coalesce(d.told, 0) as told, coalesce(d.opened, 0) as opened,
  coalesce(d.webhooks, 0) as webhooks, coalesce(d.failed, 0) as failed
from alert a
join client c
  on c.clinic_id = a.clinic_id
  and c.client_id = a.client_id
left join staff s
  on s.clinic_id = a.clinic_id
  and s.staff_id = a.acknowledged_by
left join lateral (
  select
    count(*) filter (where each.waits and not each.reached) as queued,
    count(*) filter (where each.reached and each.staff_id is not null) as told,
    count(*) filter (where each.opened) as opened,
    count(*) filter (where each.reached and each.staff_id is null) as webhooks,
    count(*) filter (where each.failed and not each.waits and not each.reached) as failed
  from (
    select
      d.staff_id,
      bool_or(d.state in ('sent', 'delivered', 'opened')) as reached,
      bool_or(d.state = 'opened') as opened,
      bool_or(d.state = 'queued') as waits,
      bool_or(
        d.state in ('failed', 'dead') or (d.state = 'blocked' and (d.problem = any ($9::text[])) is not true)
      ) as failed
    from delivery d
    where d.clinic_id = $1
      and d.alert_id = a.alert_id
      and d.round = a.round
    group by d.staff_id, d.webhook_endpoint_id
  ) each
) d on true
where a.clinic_id = $1
  and (
    a.client_id = any ($2::uuid[])
    or ($3 and exists (
      select
      from delivery sent
      where sent.clinic_id = $1
        and sent.alert_id = a.alert_id
        and sent.staff_id = $4
        and (sent.state not in ('blocked', 'dead') or a.acknowledged_by = $4)
    ))
  )
  and (a.state in ('resolved', 'auto_resolved')) = $5
  and ($6::timestamptz is null or (a.opened_at, a.alert_id) < ($6, $7::uuid))
order by
  (case when $5 then 0 else a.tier end),
  (not $5 and (a.state = 'snoozed' or (a.state = 'acknowledged' and (a.lease_until is null or a.lease_until > $10)))),
  (case when not $5 then a.opened_at end),
  a.opened_at desc,
  a.alert_id desc
limit $8
"""


async def read(
    db: Db,
    who: Reach,
    *,
    findings_for: Reach | None,
    closed: bool,
    now: datetime,
    before: tuple[datetime, UUID] | None = None,
) -> InboxPage:
    """The alerts this reach covers: the open ones, or the closed ones, newest first.

    Of the open ones the most urgent come first, of a tier those that nobody has, of these whoever has waited longest.

    An alert that the ladder brought may be of a client who is none of the reader's: its findings are read only where
    `findings_for` covers the client.
    """
    visible = await access.visible_clients(db, who, now=now)
    opened_before, id_before = before or (None, None)
    limit = PAGE if closed else MOST_OPEN
    rows = await db.rows(
        InboxRow,
        ROWS,
        db.clinic_id,
        visible,
        who.routed,
        who.staff_id,
        closed,
        opened_before,
        id_before,
        limit + 1,
        [consents.NOT_GIVEN, *sorted(writing.NEEDLESS)],
        now,
    )
    shown = rows[:limit]
    read_of = set() if findings_for is None else set(await access.visible_clients(db, findings_for, now=now))
    grouped: defaultdict[UUID | None, list[Finding]] = defaultdict(list)
    for finding in await findings.of_alerts(db, [row.alert_id for row in shown if row.client_id in read_of]):
        grouped[finding.alert_id].append(finding)
    more = len(rows) > limit
    return InboxPage(
        [Entry(row, reasons.by_weight(grouped[row.alert_id]) if row.client_id in read_of else None) for row in shown],
        (shown[-1].opened_at, shown[-1].alert_id) if more and closed else None,
        more and not closed,
    )


# Whom a reach covers is said in each statement that asks (`service/people/access.py` has the others): as a list of
# clients from there, it would be a second question on every page, and one as long as the caseload.
COUNT_OPEN = """
select count(*)
from alert a
where a.clinic_id = $1
  and a.state not in ('resolved', 'auto_resolved')
  and (
    $3
    or ($4 and exists (
      select
      from care_team_reach m
      where m.clinic_id = $1
        and m.client_id = a.client_id
        and m.staff_id = $2
        and m.from_at <= $5
        and (m.until_at is null or m.until_at > $5)
    ))
    or ($6 and exists (
      select
      from delivery d
      where d.clinic_id = $1
        and d.alert_id = a.alert_id
        and d.staff_id = $2
        and (d.state not in ('blocked', 'dead') or a.acknowledged_by = $2)
    ))
  )
"""


async def count_open(db: Db, who: Reach, *, now: datetime) -> int:
    """How many alerts this reach covers are open."""
    count = await db.value(COUNT_OPEN, db.clinic_id, who.staff_id, who.clinic, who.care_team, now, who.routed)
    return count if isinstance(count, int) else 0


class Happened(NamedTuple):
    """One event of an alert: who did it, and the note's text for whoever may read notes."""

    event: AlertEvent
    name: str | None
    note: str | None


class AlertView(NamedTuple):
    """All of one alert."""

    alert: Alert
    given_name: str
    family_name: str
    findings: list[Finding]
    told: list[Told]
    events: list[Happened]
    acknowledged_by: str | None


async def view_of(db: Db, alert_id: UUID, *, sealer: Sealer | None) -> AlertView:
    """One alert with its findings, messages and events; notes only where the reader's `sealer` opens them.

    Raises NotFound.
    """
    alert = await alerts.get(db, alert_id)
    client = await clients.get(db, alert.client_id)
    messages, events = await deliveries.of_alert(db, alert_id), await alerts.events_of(db, alert_id)
    people = {message.staff_id for message in messages} | {event.staff_id for event in events} | {alert.acknowledged_by}
    names = await told.names_of(db, people)
    return AlertView(
        alert,
        client.given_name,
        client.family_name,
        await findings.of_alerts(db, [alert_id]),
        [Told.of(each, names) for each in messages],
        [_happened(db, event, names, sealer) for event in events],
        names.get(alert.acknowledged_by) if alert.acknowledged_by else None,
    )


def _happened(db: Db, event: AlertEvent, names: dict[UUID, str], sealer: Sealer | None) -> Happened:
    note = notes.text_of(event, sealer, clinic_id=db.clinic_id) if sealer is not None else None
    return Happened(event, names.get(event.staff_id) if event.staff_id else None, note)
