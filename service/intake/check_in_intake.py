"""A check-in's whole transaction: who sends it, storing it once, urgent rules, audit, and the fold it makes due.

Answers from phones come in by `intake_door` alone. Most are plain: one statement does everything, for one check-in or
for many. One that carries a note, use or a positive safety answer takes a few statements more, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.checkin import CheckIn, CheckInForm, CheckInReply, Kind, Next, Origin
from schemas.course import Substance
from schemas.gate import Analyte
from service import errors, ids
from service.alerting import alerts
from service.database import Db
from service.facts import checkins, courses, gate_records, placing
from service.keys.sealing import Sealer
from service.people import audit, clients, devices
from service.people.clinics import ClinicView
from service.rules import urgent_rules

ACTION = "check_in.store"
READ_AGAIN = "check_in.resend"


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """`first_time`: stored now (201); otherwise it was stored before with the same content (200)."""

    first_time: bool
    reply: CheckInReply


class Sent(msgspec.Struct, frozen=True, kw_only=True):
    """A check-in on its way in: what was answered, with which access token, and where it stands in time."""

    token_digest: bytes
    check_in_id: UUID
    form: CheckInForm
    used: list[Substance] | None
    content_hash: bytes
    placed: placing.Placed
    received_at: datetime
    view: ClinicView

    @property
    def is_plain(self) -> bool:
        """Whether one statement stores all of it: no note to seal, nothing that an urgent rule could find."""
        return not self.form.note and not urgent_rules.may_give_findings(self.form.safety, self.used)


def sent(
    token_digest: bytes, check_in_id: UUID, form: CheckInForm, *, master: Sealer, view: ClinicView, now: datetime
) -> Sent:
    """Take a check-in in, before any database."""
    used = None if form.used is None else sorted(set(form.used))
    return Sent(
        token_digest=token_digest,
        check_in_id=check_in_id,
        form=form,
        used=used,
        content_hash=content_hash(form, master),
        placed=placing.place(form, received_at=now, clinic_zone=view.zone),
        received_at=now,
        view=view,
    )


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
        form.note or None,
    )
    return master.keyed_hash(msgspec.json.encode(content), purpose="check_in.content")


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    check_in_id: UUID
    client_id: UUID
    device_id: UUID
    stored: bool
    treated: list[Substance]
    answered_today: bool
    next_infusion_at: datetime | None


# Any number of check-ins with different ids, as one JSON array. The planner takes such a set for a hundred rows and
# would read whole tables for it; `limit 1` makes it look each token and each answered day up by its key.
STORE = """
with sent as (
  select form.*, sender.device_id, sender.client_id
  from jsonb_to_recordset($2) as form (
    check_in_id uuid, token_hash bytea, kind text, answered_at timestamptz, sent_at timestamptz,
    received_at timestamptz, counted_at timestamptz, time_zone text, zone_known boolean, client_day date, today date,
    craving jsonb, mood smallint, anxiety smallint, used text[], safety boolean, note_sealed bytea,
    content_hash bytea, audit_event_id uuid
  )
  cross join lateral (
    select device_id, client_id
    from device_token
    where clinic_id = $1
      and token_hash = form.token_hash
      and kind = 'access'
      and expires_at > form.received_at
    limit 1
  ) as sender
), stored as (
  insert into check_in (
    clinic_id, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
    client_day, craving, mood, anxiety, used, safety, note_sealed, scale_version, device_id, origin, content_hash
  )
  select
    $1, check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
    client_day, craving, mood, anxiety, used, safety, note_sealed, $3, device_id, 'phone', content_hash
  from sent
  on conflict on constraint check_in_pkey do nothing
  returning check_in_id, client_id, kind, client_day, received_at
), due as (
  insert into fold_due (clinic_id, client_id, from_day, since)
  select $1, client_id, min(client_day), min(received_at)
  from stored
  where kind = 'daily'
  group by client_id
  order by client_id
  on conflict on constraint fold_due_pkey do update
  set from_day = least(fold_due.from_day, excluded.from_day)
), audited as (
  insert into audit_event
    (clinic_id, audit_event_id, happened_at, actor_kind, actor_id, action, client_id, object_id, allowed)
  select $1, audit_event_id, sent.received_at, 'device', device_id, $4, sent.client_id, check_in_id, true
  from stored
  join sent using (check_in_id)
)
select
  sent.check_in_id,
  sent.client_id,
  sent.device_id,
  exists (select from stored where stored.check_in_id = sent.check_in_id) as stored,
  array(
    select cs.substance
    from course_substance cs
    join course c
      on c.clinic_id = cs.clinic_id
      and c.course_id = cs.course_id
    where cs.clinic_id = $1
      and c.client_id = sent.client_id
      and cs.from_on <= sent.client_day
      and sent.client_day <= coalesce(least(cs.until_on, c.ended_on), 'infinity')
    order by cs.is_primary desc, cs.substance
  ) as treated,
  coalesce((
    select true
    from check_in answered
    where answered.clinic_id = $1
      and answered.client_id = sent.client_id
      and answered.client_day = sent.today
      and answered.kind = 'daily'
    limit 1
  ), false) as answered_today,
  (
    select min(planned_at)
    from infusion
    where clinic_id = $1
      and infusion.client_id = sent.client_id
      and state = 'planned'
      and planned_at > sent.received_at
  ) as next_infusion_at
from sent
"""


async def _store(db: Db, several: Sequence[Sent], *, note_sealed: bytes | None = None) -> dict[UUID, _Stored]:
    """What became of each by its id; nothing of those whose token is not valid."""
    rows = [_row(one, note_sealed) for one in several]
    stored = await db.rows(_Stored, STORE, db.clinic_id, rows, checkins.SCALE_VERSION, ACTION)
    return {one.check_in_id: one for one in stored}


def _row(one: Sent, note_sealed: bytes | None) -> dict[str, object]:
    return {
        "check_in_id": one.check_in_id,
        "token_hash": _as_bytea(one.token_digest),
        "kind": one.form.kind,
        "answered_at": one.placed.answered_at,
        "sent_at": one.placed.sent_at,
        "received_at": one.received_at,
        "counted_at": one.placed.counted_at,
        "time_zone": one.form.time_zone,
        "zone_known": one.placed.zone_known,
        "client_day": one.placed.client_day,
        "today": one.placed.today,
        "craving": one.form.craving,
        "mood": one.form.mood,
        "anxiety": one.form.anxiety,
        "used": one.used,
        "safety": one.form.safety,
        "note_sealed": note_sealed and _as_bytea(note_sealed),
        "content_hash": _as_bytea(one.content_hash),
        "audit_event_id": ids.new(),
    }


def _as_bytea(octets: bytes) -> str:
    return "\\x" + octets.hex()


async def accept_plain(db: Db, several: Sequence[Sent]) -> list[Accepted | None]:
    """Store plain check-ins with different ids by one statement; None for each that `accept` has to decide about."""
    found = await _store(db, several)
    return [
        _first_accepted(one, stored) if (stored := found.get(one.check_in_id)) and stored.stored else None
        for one in several
    ]


async def accept(db: Db, one: Sent, *, master: Sealer) -> Accepted:
    """Store one check-in, once, with everything that hangs on it.

    Raises Unauthenticated for a token that is unknown, expired or revoked, Conflict when the id was used before for
    something else.
    """
    note_sealed = await _sealed_note(db, one, master=master)
    stored = (await _store(db, [one], note_sealed=note_sealed)).get(one.check_in_id)
    if stored is None:
        raise errors.Unauthenticated("This access token is not valid.")
    if not stored.stored:
        return await _replayed(db, one, stored, master=master)
    if urgent_rules.may_give_findings(one.form.safety, one.used):
        await _open_alerts(db, one, stored)
    return _first_accepted(one, stored)


def _first_accepted(one: Sent, stored: _Stored) -> Accepted:
    form, placed = one.form, one.placed
    check_in = CheckIn(
        id=one.check_in_id,
        kind=form.kind,
        answered_at=placed.answered_at,
        sent_at=placed.sent_at,
        received_at=one.received_at,
        counted_at=placed.counted_at,
        time_zone=form.time_zone,
        zone_known=placed.zone_known,
        client_day=placed.client_day,
        craving=form.craving,
        mood=form.mood,
        anxiety=form.anxiety,
        used=one.used,
        safety=form.safety,
        note=form.note or None,
        partly=checkins.is_partly_answered(form.craving, stored.treated, form.kind),
        late=placed.today > placed.client_day,
        origin=Origin.PHONE,
    )
    return Accepted(first_time=True, reply=_reply(check_in, stored, placed.today, one.view))


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


async def _sealed_note(db: Db, one: Sent, *, master: Sealer) -> bytes | None:
    if not one.form.note:
        return None
    sender = await devices.authenticate(db, one.token_digest, now=one.received_at)
    sealer = await clients.sealer_of(db, master, sender.client_id)
    return sealer.seal(one.form.note.encode(), bound_to=checkins.note_binding(db.clinic_id, one.check_in_id))


async def _replayed(db: Db, one: Sent, stored: _Stored, *, master: Sealer) -> Accepted:
    # A concurrent duplicate is invisible to the statement that lost to it; this later statement sees it.
    row = await checkins.find(db, one.check_in_id)
    if row is None or row.client_id != stored.client_id or row.content_hash != one.content_hash:
        raise errors.Conflict("This id is already in use for another check-in.")
    sealer = await clients.sealer_of(db, master, row.client_id) if row.note_sealed else None
    active = courses.active_on(await courses.substances_of(db, row.client_id), row.client_day)
    check_in = checkins.shown(row, active, sealer, clinic_id=db.clinic_id, clinic_zone=one.view.zone)
    device = audit.Actor("device", stored.device_id)
    await audit.record(db, device, READ_AGAIN, now=one.received_at, client_id=row.client_id, object_id=row.check_in_id)
    return Accepted(first_time=False, reply=_reply(check_in, stored, one.placed.today, one.view))


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


async def _open_alerts(db: Db, one: Sent, stored: _Stored) -> None:
    placed = one.placed
    since = placed.counted_at - timedelta(days=urgent_rules.ABSTINENCE_DAYS)
    used_before = await db.connection.fetch(
        USED_BEFORE, db.clinic_id, stored.client_id, one.check_in_id, since, placed.counted_at
    )
    findings = urgent_rules.findings_of_check_in(
        check_in_id=one.check_in_id,
        client_day=placed.client_day,
        safety=one.form.safety,
        used=one.used,
        treated=stored.treated,
        used_before={Substance(record[0]) for record in used_before},
        opioid_screened=await gate_records.was_positive(
            db, stored.client_id, Analyte.OPIOID, since=since, until=placed.counted_at
        ),
        late_days=max(0, (placed.today - placed.client_day).days),
    )
    version = await db.value(RULE_SET_VERSION, db.clinic_id, placed.client_day)
    await alerts.open_or_join(
        db,
        stored.client_id,
        findings,
        now=one.received_at,
        rule_set_version=version if isinstance(version, int) else 1,
    )
