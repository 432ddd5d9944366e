"""Check-ins as stored facts: reading them back, and which of them counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import msgspec

from schemas.checkin import CheckIn, Kind, Origin
from schemas.course import Substance
from service.database import Db
from service.facts import client_day as client_days
from service.keys.sealing import Sealer

SCALE_VERSION = 1


class CheckInRow(msgspec.Struct, frozen=True, kw_only=True):
    """A check-in as its table holds it. Not `schemas/checkin.py:CheckIn`, which is what the API shows: a column may
    change without it, and a note is in the clear there only."""

    check_in_id: UUID
    client_id: UUID
    kind: Kind
    answered_at: datetime
    sent_at: datetime
    received_at: datetime
    counted_at: datetime
    time_zone: str
    zone_known: bool
    client_day: date
    craving: dict[Substance, int]
    mood: int | None
    anxiety: int | None
    used: list[Substance] | None
    safety: bool | None
    note_sealed: bytes | None
    origin: Origin
    content_hash: bytes


DAYS_OF = """
select distinct on (c.client_id, c.client_day)
  c.check_in_id, c.client_id, c.kind, c.answered_at, c.sent_at, c.received_at, c.counted_at, c.time_zone, c.zone_known,
  c.client_day, c.craving, c.mood, c.anxiety, c.used, c.safety, c.note_sealed, c.origin, c.content_hash
from unnest($2::uuid[], $3::date[]) as wanted (client_id, from_day)
join check_in c
  on c.clinic_id = $1
  and c.client_id = wanted.client_id
  and c.client_day between wanted.from_day and $4
where c.kind = 'daily'
  and not exists (
    select
    from check_in newer
    where newer.clinic_id = $1
      and newer.supersedes = c.check_in_id
  )
order by
  c.client_id,
  c.client_day,
  (c.craving <> '{}' or c.mood is not null or c.anxiety is not null) desc,
  (
    c.sent_at - c.received_at between -interval '10 minutes' and interval '10 minutes'
    and c.answered_at <= c.sent_at
    and c.counted_at <= c.answered_at
  ) desc,
  c.answered_at desc,
  c.check_in_id desc
"""


async def days_of_many(db: Db, from_days: Mapping[UUID, date], *, until_day: date) -> list[CheckInRow]:
    """The daily check-in that counts for each answered client day of some clients, by client and day.

    `from_days` says for each client from which day on; both bounds are inclusive. Of several check-ins of a day the
    greatest (answered_at, id) counts, one with a skew past ten minutes never over one without.
    """
    return await db.rows(CheckInRow, DAYS_OF, db.clinic_id, list(from_days.keys()), list(from_days.values()), until_day)


async def days_of(db: Db, client_id: UUID, *, from_day: date, until_day: date) -> list[CheckInRow]:
    """The daily check-in that counts for each answered client day of one client, both bounds inclusive, by day."""
    return await days_of_many(db, {client_id: from_day}, until_day=until_day)


HISTORY = """
select
  check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
  client_day, craving, mood, anxiety, used, safety, note_sealed, origin, content_hash
from check_in c
where c.clinic_id = $1
  and c.client_id = $2
  and ($3::uuid is null or (c.counted_at, c.check_in_id) < ($4::timestamptz, $3))
  and not exists (
    select
    from check_in newer
    where newer.clinic_id = $1
      and newer.supersedes = c.check_in_id
  )
order by c.counted_at desc, c.check_in_id desc
limit $5
"""


async def history(
    db: Db, client_id: UUID, *, limit: int, before: tuple[datetime, UUID] | None = None
) -> list[CheckInRow]:
    """A client's check-ins of either kind, newest first, those before (counted_at, id) where given."""
    counted_at, check_in_id = before or (None, None)
    return await db.rows(CheckInRow, HISTORY, db.clinic_id, client_id, check_in_id, counted_at, limit)


FIND = """
select
  check_in_id, client_id, kind, answered_at, sent_at, received_at, counted_at, time_zone, zone_known,
  client_day, craving, mood, anxiety, used, safety, note_sealed, origin, content_hash
from check_in
where clinic_id = $1
  and check_in_id = $2
"""


async def find(db: Db, check_in_id: UUID) -> CheckInRow | None:
    """One check-in by its id."""
    return await db.find(CheckInRow, FIND, db.clinic_id, check_in_id)


def is_partly_answered(row_craving: dict[Substance, int], active: Sequence[Substance], kind: Kind) -> bool:
    """Whether a daily check-in lacks a substance that the course treats on its client day."""
    return kind is Kind.DAILY and any(substance not in row_craving for substance in active)


def day_craving(row: CheckInRow, active: Sequence[Substance]) -> int | None:
    """The highest over the substances treated that day; none where one of them was not answered."""
    if not active or is_partly_answered(row.craving, active, Kind.DAILY):
        return None
    return max(row.craving[substance] for substance in active)


def shown(
    row: CheckInRow, active: Sequence[Substance], sealer: Sealer | None, *, clinic_id: UUID, clinic_zone: ZoneInfo
) -> CheckIn:
    """A stored check-in as it goes out; the note only where the reader's `sealer` opens it.

    `active`: the substances that the course treats on its client day.
    """
    zone = client_days.zone_or_none(row.time_zone) or clinic_zone
    note = None
    if row.note_sealed is not None and sealer is not None:
        note = sealer.open(row.note_sealed, bound_to=note_binding(clinic_id, row.check_in_id)).decode()
    return CheckIn(
        id=row.check_in_id,
        kind=row.kind,
        answered_at=row.answered_at,
        sent_at=row.sent_at,
        received_at=row.received_at,
        counted_at=row.counted_at,
        time_zone=row.time_zone,
        zone_known=row.zone_known,
        client_day=row.client_day,
        craving=row.craving,
        mood=row.mood,
        anxiety=row.anxiety,
        used=row.used,
        safety=row.safety,
        note=note,
        partly=is_partly_answered(row.craving, active, row.kind),
        late=client_days.of(row.received_at, zone) > row.client_day,
        origin=row.origin,
    )


def note_binding(clinic_id: UUID, check_in_id: UUID) -> str:
    """What a sealed note is bound to, so that it opens in its own row only."""
    return f"check_in:{clinic_id}:{check_in_id}:note"
