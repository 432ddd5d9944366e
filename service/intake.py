"""A check-in's whole transaction: who sends it, storing it once, urgent rules, audit, and the fold it makes due.

The only door for answers from phones. Most check-ins take the short way: one statement does everything. One that
carries a note, use or a positive safety answer takes a few statements more, in the same transaction.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.checkin import CheckIn, CheckInForm, CheckInReply, Kind, Next, Origin
from schemas.course import Substance
from service import alerts, checkins, clients, courses, devices, errors, ids, placing, rules
from service.clinics import ClinicView
from service.database import Db
from service.sealing import Sealer

ACTION = "check_in.store"


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """`first_time`: stored now (201); otherwise it was stored before with the same content (200)."""

    first_time: bool
    reply: CheckInReply


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    client_id: UUID
    device_id: UUID
    stored: bool
    treated: list[Substance]
    answered_today: bool
    next_infusion_at: datetime | None


def content_hash(form: CheckInForm, master: Sealer) -> bytes:
    """A keyed hash of what the client answered: equal for every resend, whatever its `sent_at` or key order."""
    content = (
        form.kind,
        form.answered_at.timestamp(),
        form.time_zone,
        sorted(form.craving.items()),
        form.mood,
        form.anxiety,
        None if form.used is None else sorted(set(form.used)),
        form.safety,
        form.note,
    )
    return master.keyed_hash(msgspec.json.encode(content), purpose="check_in.content")


STORE = """
with sender as (
  select device_id, client_id
  from device_token
  where clinic_id = $1
    and token_hash = $2
    and kind = 'access'
    and expires_at > $3
), stored as (
  insert into check_in (
    clinic_id, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
    client_day, craving, mood, anxiety, used, safety, note_sealed, scale_version, device_id, origin, content_hash
  )
  select $1, $4, client_id, $5, $6, $7, $3, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, device_id, 'phone', $19
  from sender
  on conflict on constraint check_in_pkey do nothing
  returning client_id, device_id
), due as (
  insert into fold_due (clinic_id, client_id, from_day, since)
  select $1, client_id, $11, $3
  from stored
  where $5 = 'daily'
  on conflict on constraint fold_due_pkey do update
  set from_day = least(fold_due.from_day, excluded.from_day)
), audited as (
  insert into audit_event
    (clinic_id, audit_event_id, happened_at, actor_kind, actor_id, action, client_id, object_id, allowed)
  select $1, $20, $3, 'device', device_id, $21, client_id, $4, true
  from stored
)
select
  sender.client_id,
  sender.device_id,
  exists (select from stored) as stored,
  array(
    select cs.substance
    from course_substance cs
    join course c
      on c.clinic_id = cs.clinic_id
      and c.course_id = cs.course_id
    where cs.clinic_id = $1
      and c.client_id = sender.client_id
      and cs.from_on <= $11
      and $11 <= coalesce(least(cs.until_on, c.ended_on), 'infinity')
    order by cs.is_primary desc, cs.substance
  ) as treated,
  exists (
    select
    from check_in today
    where today.clinic_id = $1
      and today.client_id = sender.client_id
      and today.client_day = $22
      and today.kind = 'daily'
  ) as answered_today,
  (
    select min(planned_at)
    from infusion
    where clinic_id = $1
      and infusion.client_id = sender.client_id
      and state = 'planned'
      and planned_at > $3
  ) as next_infusion_at
from sender
"""


async def accept(
    db: Db,
    token_digest: bytes,
    check_in_id: UUID,
    form: CheckInForm,
    *,
    master: Sealer,
    view: ClinicView,
    now: datetime,
) -> Accepted:
    """Store one check-in, once, with everything that hangs on it.

    Raises Unauthenticated for a token that is unknown, expired or revoked, Invalid for an impossible time, Conflict
    when the id was used before for something else.
    """
    placed = placing.place(form, received_at=now, clinic_zone=view.zone)
    used = None if form.used is None else sorted(set(form.used))
    hashed = content_hash(form, master)
    note_sealed = await _sealed_note(db, token_digest, check_in_id, form.note, master=master, now=now)
    stored = await db.find(
        _Stored,
        STORE,
        db.clinic_id,
        token_digest,
        now,
        check_in_id,
        form.kind,
        form.answered_at,
        form.sent_at,
        placed.counted_at,
        form.time_zone,
        placed.zone_known,
        placed.client_day,
        form.craving,
        form.mood,
        form.anxiety,
        used,
        form.safety,
        note_sealed,
        checkins.SCALE_VERSION,
        hashed,
        ids.new(),
        ACTION,
        placed.today,
    )
    if stored is None:
        raise errors.Unauthenticated("This access token is not valid.")
    if not stored.stored:
        return await _replayed(db, stored, check_in_id, hashed, master=master, view=view, today=placed.today)
    if rules.may_give_findings(form.safety, used):
        await _open_alerts(db, stored, check_in_id, form, placed, now=now)
    check_in = _first_shown(check_in_id, form, placed, stored, received_at=now)
    return Accepted(first_time=True, reply=_reply(check_in, stored, placed.today, view))


def _first_shown(
    check_in_id: UUID, form: CheckInForm, placed: placing.Placed, stored: _Stored, *, received_at: datetime
) -> CheckIn:
    return CheckIn(
        id=check_in_id,
        kind=form.kind,
        answered_at=form.answered_at,
        sent_at=form.sent_at,
        received_at=received_at,
        counted_at=placed.counted_at,
        time_zone=form.time_zone,
        zone_known=placed.zone_known,
        client_day=placed.client_day,
        craving=form.craving,
        mood=form.mood,
        anxiety=form.anxiety,
        used=None if form.used is None else sorted(set(form.used)),
        safety=form.safety,
        note=form.note,
        partly=checkins.is_partly_answered(form.craving, stored.treated, form.kind),
        late=placed.today > placed.client_day,
        origin=Origin.PHONE,
    )


def _reply(check_in: CheckIn, stored: _Stored, today: date, view: ClinicView) -> CheckInReply:
    # The statement's snapshot is older than its own insert: today's own daily check-in is not in it.
    is_todays = check_in.kind is Kind.DAILY and check_in.client_day == today
    done = stored.answered_today or is_todays
    return CheckInReply(
        check_in=check_in,
        next=Next(check_in_on=today + timedelta(days=1) if done else today, infusion_at=stored.next_infusion_at),
        monitoring=view.monitoring_notice,
        crisis=view.crisis if check_in.safety else None,
    )


async def _sealed_note(
    db: Db, token_digest: bytes, check_in_id: UUID, note: str | None, *, master: Sealer, now: datetime
) -> bytes | None:
    if not note:
        return None
    sender = await devices.authenticate(db, token_digest, now=now)
    sealer = await clients.sealer_of(db, master, sender.client_id)
    return sealer.seal(note.encode(), bound_to=checkins.note_binding(db.clinic_id, check_in_id))


async def _replayed(
    db: Db, stored: _Stored, check_in_id: UUID, hashed: bytes, *, master: Sealer, view: ClinicView, today: date
) -> Accepted:
    # A concurrent duplicate is invisible to the statement that lost to it; this later statement sees it.
    row = await checkins.find(db, check_in_id)
    if row is None or row.client_id != stored.client_id or row.content_hash != hashed:
        raise errors.Conflict("This id is already in use for another check-in.")
    sealer = await clients.sealer_of(db, master, row.client_id) if row.note_sealed else None
    active = courses.active_on(await courses.substances_of(db, row.client_id), row.client_day)
    check_in = checkins.shown(row, active, sealer, clinic_id=db.clinic_id, clinic_zone=view.zone)
    return Accepted(first_time=False, reply=_reply(check_in, stored, today, view))


USED_BEFORE = """
select distinct unnest(used)
from check_in
where clinic_id = $1
  and client_id = $2
  and check_in_id <> $3
  and counted_at >= $4
  and counted_at <= $5
"""
RULE_SET_VERSION = """
select max(version)
from rule_set
where clinic_id = $1
  and valid_from <= $2
"""


async def _open_alerts(
    db: Db, stored: _Stored, check_in_id: UUID, form: CheckInForm, placed: placing.Placed, *, now: datetime
) -> None:
    since = placed.counted_at - timedelta(days=rules.ABSTINENCE_DAYS)
    used_before = await db.connection.fetch(
        USED_BEFORE, db.clinic_id, stored.client_id, check_in_id, since, placed.counted_at
    )
    findings = rules.findings_of_check_in(
        check_in_id=check_in_id,
        client_day=placed.client_day,
        safety=form.safety,
        used=form.used,
        treated=stored.treated,
        used_before={Substance(record[0]) for record in used_before},
        late_days=max(0, (placed.today - placed.client_day).days),
    )
    version = await db.value(RULE_SET_VERSION, db.clinic_id, placed.client_day)
    await alerts.open_or_join(
        db, stored.client_id, findings, now=now, rule_set_version=version if isinstance(version, int) else 1
    )
