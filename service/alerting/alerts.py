"""Alerts: findings grouped into what the care team is asked to act on, and what people did about them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from uuid import UUID

import msgspec

from schemas.alert import Alert, AlertEvent, AlertState, EventKind, Finding, NewFinding, Outcome, Rule, Tier
from schemas.client import RecordOrigin
from service import errors, ids
from service.alerting import alert_states, deliveries, findings, leases, news, notes, rounds
from service.alerting.alert_states import Stood
from service.database import Db
from service.facts import client_day, client_zone, fold_queue
from service.keys.sealing import Sealer
from service.people import clients

# What staff did about a crossing says that it was real; the chart then takes back what the crossing added to its limit.
CONFIRMING = frozenset({Outcome.CALLED, Outcome.SESSION_MOVED, Outcome.SAFETY_PLAN, Outcome.INFUSION_REVIEWED})


class AlertChange(msgspec.Struct, frozen=True, kw_only=True):
    """What findings opened, and what they joined."""

    opened: list[UUID]
    joined: list[UUID]


async def open_or_join(
    db: Db,
    client_id: UUID,
    new_findings: Sequence[NewFinding],
    *,
    now: datetime,
    rule_set_version: int,
    origin: RecordOrigin = RecordOrigin.LIVE,
) -> AlertChange:
    """Store findings, each once, and open or join the alerts that group them, first messages queued.

    A client has one open alert for tier 1 and one for tiers 2 and 3; a finding of tier 2 raises one of tier 3. What is
    stored already changes nothing, so a replay adds nothing. Imported ones are closed at once, one alert a client day.
    """
    change = AlertChange(opened=[], joined=[])
    if not new_findings:
        return change
    stored = findings.Store(db, client_id, now=now, origin=origin, rule_set_version=rule_set_version)
    fresh = await stored.not_yet(new_findings)
    for finding in fresh:
        if finding.tier is None:
            await stored.add(finding, alert_id=None)
    for group in _groups(fresh, origin):
        tier = Tier(min(finding.tier for finding in group if finding.tier is not None))
        if origin is RecordOrigin.IMPORT:
            change.opened.append(await _keep_as_history(stored, tier, group))
            continue
        alert, opened = await _hold_open(db, client_id, tier, now=now)
        await _add_findings(stored, alert.alert_id, group, opened=opened)
        (change.opened if opened else change.joined).append(alert.alert_id)
        if opened:
            await rounds.begin_first(db, alert, now=now)
        else:
            await _tell_again(db, alert, tier, now=now)
    return change


def _groups(fresh: Sequence[NewFinding], origin: RecordOrigin) -> Iterator[list[NewFinding]]:
    def key(finding: NewFinding) -> tuple[bool, date]:
        return finding.tier is Tier.URGENT, finding.client_day if origin is RecordOrigin.IMPORT else date.min

    alerting = [finding for finding in fresh if finding.tier is not None]
    for _, group in groupby(sorted(alerting, key=key), key=key):
        yield list(group)


async def _add_findings(stored: findings.Store, alert_id: UUID, group: Sequence[NewFinding], *, opened: bool) -> None:
    kind = EventKind.OPENED if opened else EventKind.JOINED
    for finding in group:
        finding_id = await stored.add(finding, alert_id=alert_id)
        if finding_id is not None:
            await alert_states.record(
                stored.db, alert_id, kind, now=stored.now, finding_id=finding_id, detail={"tier": finding.tier}
            )
            kind = EventKind.JOINED


FIND_OPEN = """
select alert_id, client_id, tier, state, origin, opened_at, round, acknowledged_by, acknowledged_at, lease_until,
  snoozed_until, recalculated_at, closed_at, outcome
from alert
where clinic_id = $1
  and client_id = $2
  and (tier = 1) = $3
  and state not in ('resolved', 'auto_resolved')
for no key update
"""
INSERT_OPEN = """
insert into alert (clinic_id, alert_id, client_id, tier, state, origin, opened_at, round_began_at)
values ($1, $2, $3, $4, 'open', 'live', $5, $5)
on conflict do nothing
"""


async def _hold_open(db: Db, client_id: UUID, tier: Tier, *, now: datetime) -> tuple[Alert, bool]:
    """Lock the client's open alert of the tier's kind, opening one where there is none; whether it was opened now."""
    urgent = tier is Tier.URGENT
    alert_id = ids.new()
    opened = False
    while True:
        alert = await db.find(Alert, FIND_OPEN, db.clinic_id, client_id, urgent)
        if alert is not None:
            return alert, opened
        # No row inserted: another transaction opened it first and has committed by now. Look again.
        opened = await db.execute(INSERT_OPEN, db.clinic_id, alert_id, client_id, tier, now) > 0


INSERT_HISTORY = """
insert into alert (clinic_id, alert_id, client_id, tier, state, origin, opened_at, round_began_at, closed_at)
values ($1, $2, $3, $4, 'auto_resolved', 'import', $5, $5, $5)
"""


async def _keep_as_history(stored: findings.Store, tier: Tier, group: Sequence[NewFinding]) -> UUID:
    alert_id = ids.new()
    db = stored.db
    await db.execute(INSERT_HISTORY, db.clinic_id, alert_id, stored.client_id, tier, stored.now)
    await _add_findings(stored, alert_id, group, opened=True)
    await alert_states.record(db, alert_id, EventKind.AUTO_RESOLVED, now=stored.now, detail={"why": "imported"})
    return alert_id


async def _tell_again(db: Db, alert: Alert, tier: Tier, *, now: datetime) -> None:
    """What a joining finding asks for: tier 1 is told again, tier 3 may become 2, a lapsed lease ends; else nothing."""
    if tier < alert.tier:
        await rounds.begin(db, alert, tier, EventKind.RAISED, now=now)
    elif tier <= Tier.TODAY and leases.lapsed(alert, now):
        await rounds.begin(db, alert, alert.tier, EventKind.LEASE_LAPSED, now=now)
    elif tier is Tier.URGENT:
        about_to = await deliveries.about_to_tell(db, alert.alert_id, in_round=alert.round, now=now)
        if alert.state not in alert_states.UNTAKEN:
            await rounds.begin(db, alert, tier, EventKind.REOPENED, now=now)
        elif alert.state is not AlertState.OPEN or not about_to:
            await rounds.tell_again(db, alert, EventKind.REOPENED, now=now)


LOCK = """
select alert_id, client_id, tier, state, origin, opened_at, round, acknowledged_by, acknowledged_at, lease_until,
  snoozed_until, recalculated_at, closed_at, outcome
from alert
where clinic_id = $1
  and alert_id = $2
for no key update
"""


async def _lock(db: Db, alert_id: UUID) -> Alert:
    return await db.get(Alert, LOCK, db.clinic_id, alert_id)


ACKNOWLEDGE = """
update alert a
set state = $3,
    acknowledged_by = $4,
    acknowledged_at = $5,
    lease_until = $6,
    snoozed_until = null,
    next_step_at = null
from alert stood
where a.clinic_id = $1
  and a.alert_id = $2
  and stood.clinic_id = $1
  and stood.alert_id = $2
returning
  stood.state, stood.next_step_at, stood.snoozed_until, stood.acknowledged_by, stood.acknowledged_at, stood.lease_until
"""


async def acknowledge(db: Db, alert_id: UUID, *, by: UUID, now: datetime, seen: int | None = None) -> datetime:
    """Take it on, as a lease; until when. Raises NotFound, Conflict where the state does not allow it, Unread where
    a reason joined after the `seen` events (`news`).

    What somebody took on and let lapse can be taken on as if it were open.
    """
    alert = await _lock(db, alert_id)
    taken_over = leases.lapsed(alert, now)
    state = alert_states.after(AlertState.OPEN if taken_over else alert.state, EventKind.ACKNOWLEDGED, alert.tier)
    await news.refuse_unread(db, alert_id, seen=seen, by=by, reasons_only=True)
    lease_until = await leases.until(db, alert.tier, now=now)
    stood = await db.get(Stood, ACKNOWLEDGE, db.clinic_id, alert_id, state, by, now, lease_until)
    detail = {"lease_until": lease_until.isoformat(), "stood": msgspec.to_builtins(stood)}
    if taken_over:
        detail["taken_over_from"] = str(alert.acknowledged_by)
    await alert_states.record(db, alert_id, EventKind.ACKNOWLEDGED, by=by, now=now, detail=detail)
    return lease_until


LONGEST_SNOOZE = timedelta(days=14)
SNOOZE = """
update alert
set state = $3,
    snoozed_until = $4,
    next_step_at = null,
    acknowledged_by = null,
    acknowledged_at = null,
    lease_until = null
where clinic_id = $1
  and alert_id = $2
"""


async def snooze(
    db: Db,
    alert_id: UUID,
    until: datetime,
    reason: str,
    *,
    by: UUID,
    now: datetime,
    sealer: Sealer,
    seen: int | None = None,
) -> None:
    """Put it off: nobody is told of it until then, and then it is told again. The reason is sealed like a note.

    Raises NotFound, Invalid for a time past or too far ahead and for no reason, Conflict for tier 1 and by its state,
    Unread where something came after the `seen` events (`news`).
    """
    if not now < until <= now + LONGEST_SNOOZE:
        fault = errors.FieldFault("until", f"within the next {LONGEST_SNOOZE.days} days")
        raise errors.Invalid("It cannot be put off until then.", fields=(fault,))
    if not reason.strip():
        raise errors.Invalid("Say why.", fields=(errors.FieldFault("reason", "at least one character"),))
    alert = await _lock(db, alert_id)
    state = alert_states.after(alert.state, EventKind.SNOOZED, alert.tier)
    await news.refuse_unread(db, alert_id, seen=seen, by=by)
    await notes.append(
        db, alert_id, EventKind.SNOOZED, reason, detail={"until": until.isoformat()}, by=by, now=now, sealer=sealer
    )
    await db.execute(SNOOZE, db.clinic_id, alert_id, state, until)


RENEW_LEASE = """
update alert
set lease_until = $3
where clinic_id = $1
  and alert_id = $2
"""


async def note(
    db: Db,
    alert_id: UUID,
    text: str,
    *,
    by: UUID,
    now: datetime,
    sealer: Sealer,
    sent_as: UUID | None = None,
    seen: int | None = None,
) -> None:
    """Append a note, sealed with the client's key. Raises NotFound, Invalid for an empty one.

    It is taken on an older page, too; `seen`, of how many events that told, says whether its writer knew a new reason.

    Whoever has the alert has it anew from then on; what a colleague writes, or they themselves once their time ran out,
    does not put off when others are told. The same one sent twice under one id, as by somebody whom no answer reached,
    is appended once.
    """
    if not text.strip():
        raise errors.Invalid("The note is empty.", fields=(errors.FieldFault("note", "at least one character"),))
    alert = await _lock(db, alert_id)
    alert_states.after(alert.state, EventKind.NOTED, alert.tier)
    if not await notes.append_once(db, alert_id, text, sent_as=sent_as, by=by, now=now, sealer=sealer, seen=seen):
        return
    if by == alert.acknowledged_by and alert.state is AlertState.ACKNOWLEDGED and not leases.lapsed(alert, now):
        await db.execute(RENEW_LEASE, db.clinic_id, alert_id, await leases.until(db, alert.tier, now=now))


RESOLVE = """
update alert
set state = $3,
    outcome = $4,
    closed_at = $5,
    lease_until = null,
    snoozed_until = null,
    next_step_at = null
where clinic_id = $1
  and alert_id = $2
"""


async def resolve(
    db: Db,
    alert_id: UUID,
    outcome: Outcome,
    *,
    by: UUID,
    now: datetime,
    note: str | None = None,
    sent_as: UUID | None = None,
    sealer: Sealer | None = None,
    seen: int | None = None,
) -> None:
    """Close it with what came of it; a `note`, sent under an id as in `note`, needs the client's `sealer`.

    The outcome is a dated fact that the fold reads: "new usual" restarts the baseline from today's client day on, and
    an action taken confirms the crossing. Raises NotFound, Conflict where it is closed already, Unread where something
    came after the `seen` events (`news`), Invalid for "new usual" where no worsening stands.
    """
    client_id = (await get(db, alert_id)).client_id
    today = await _client_day_of(db, client_id, now=now)
    if outcome is Outcome.NEW_USUAL or outcome in CONFIRMING:
        # Before the alert's row: whoever folds holds the client first and then their alerts, and so do we.
        await fold_queue.mark_due(db, client_id, from_day=today, now=now)
    alert = await _lock(db, alert_id)
    state = alert_states.after(alert.state, EventKind.RESOLVED, alert.tier)
    await news.refuse_unread(db, alert_id, seen=seen, by=by)
    if outcome is Outcome.NEW_USUAL and not offers_new_usual(await findings.of_alerts(db, [alert_id])):
        fault = errors.FieldFault("outcome", "another one: no worsening stands here")
        raise errors.Invalid("Only what got worse can be the new usual.", fields=(fault,))
    if note is not None and note.strip():
        assert sealer is not None, "a note needs the key of its client"
        await notes.append_once(db, alert_id, note, sent_as=sent_as, by=by, now=now, sealer=sealer)
    await db.execute(RESOLVE, db.clinic_id, alert_id, state, outcome, now)
    detail = {"outcome": outcome, "client_day": today.isoformat()}
    await alert_states.record(db, alert_id, EventKind.RESOLVED, by=by, now=now, detail=detail)


def offers_new_usual(found: Sequence[Finding]) -> bool:
    """Whether what an alert rests on can be called the client's new usual: only a worsening that stands."""
    return any(each.rule is Rule.WORSENING for each in findings.standing(found))


async def _client_day_of(db: Db, client_id: UUID, *, now: datetime) -> date:
    client = await clients.get(db, client_id)
    zone = await client_zone.of(db, client)
    return client_day.of(now, zone)


MARK_RECALCULATED = """
update alert
set recalculated_at = $3
where clinic_id = $1
  and alert_id = $2
"""


async def mark_recalculated(db: Db, alert_id: UUID, *, finding_id: UUID, now: datetime) -> None:
    """Show that a late answer took one of its findings away; the alert stays as it is."""
    await db.execute(MARK_RECALCULATED, db.clinic_id, alert_id, now)
    await alert_states.record(db, alert_id, EventKind.RECALCULATED, finding_id=finding_id, now=now)


GET = """
select alert_id, client_id, tier, state, origin, opened_at, round, acknowledged_by, acknowledged_at, lease_until,
  snoozed_until, recalculated_at, closed_at, outcome
from alert
where clinic_id = $1
  and alert_id = $2
"""


async def get(db: Db, alert_id: UUID) -> Alert:
    """One alert. Raises NotFound."""
    return await db.get(Alert, GET, db.clinic_id, alert_id)


INBOX = """
select alert_id, client_id, tier, state, origin, opened_at, round, acknowledged_by, acknowledged_at, lease_until,
  snoozed_until, recalculated_at, closed_at, outcome
from alert
where clinic_id = $1
  and ($2::uuid[] is null or client_id = any ($2))
  and (state in ('resolved', 'auto_resolved')) = $3
order by case when $3 then 0 else tier end, opened_at desc, alert_id desc
limit $4
"""


async def inbox(db: Db, client_ids: Sequence[UUID] | None, *, closed: bool = False, limit: int = 200) -> list[Alert]:
    """The alerts of some clients (None: of all), the most urgent first; the closed ones newest first."""
    ids_or_all = None if client_ids is None else list(client_ids)
    return await db.rows(Alert, INBOX, db.clinic_id, ids_or_all, closed, limit)


EVENTS_OF = """
select alert_event_id, kind, staff_id, finding_id, detail, note_sealed, happened_at
from alert_event
where clinic_id = $1
  and alert_id = $2
order by alert_event_id
"""


async def events_of(db: Db, alert_id: UUID) -> list[AlertEvent]:
    """Everything that happened to an alert, in order."""
    return await db.rows(AlertEvent, EVENTS_OF, db.clinic_id, alert_id)
