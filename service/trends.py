"""Stored trends: a row a client day, and the states from which a fold goes on. Rebuilt from facts at will."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

import msgspec

from schemas.trend import Trend
from service.database import Db


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The detector's state after a client day."""

    client_id: UUID
    client_day: date
    state: bytes
    rule_set_version: int


OF_CLIENT = """
select
  client_day, status, answered, partly, craving, mood, anxiety, baseline, sd, level, band_low, band_high, statistic,
  limit_value, crossing, resting, silent_days, days_since_infusion, origin, rule_set_version
from trend
where clinic_id = $1
  and client_id = $2
  and client_day between $3 and $4
order by client_day
"""


async def of(db: Db, client_id: UUID, *, from_day: date, until_day: date) -> list[Trend]:
    """A client's trend between two client days, both inclusive."""
    return await db.rows(Trend, OF_CLIENT, db.clinic_id, client_id, from_day, until_day)


LISTS = ("baseline", "sd", "level", "band_low", "band_high")


def as_stored(trend: Trend) -> Trend:
    """The trend as the table's four-byte numbers give it back."""
    lists = {name: [_four_bytes(each) for each in getattr(trend, name)] for name in LISTS}
    numbers = {name: _four_bytes(getattr(trend, name)) for name in ("statistic", "limit_value")}
    return msgspec.structs.replace(trend, **lists, **numbers)


def _four_bytes(number: float | None) -> float | None:
    return None if number is None else struct.unpack("f", struct.pack("f", number))[0]


DELETE_FROM = """
delete from trend
using unnest($2::uuid[], $3::date[]) as changed (client_id, from_day)
where trend.clinic_id = $1
  and trend.client_id = changed.client_id
  and trend.client_day >= changed.from_day
"""
INSERT = """
insert into trend (
  clinic_id, client_id, client_day, status, answered, partly, craving, mood, anxiety, baseline, sd, level, band_low,
  band_high, statistic, limit_value, crossing, resting, silent_days, days_since_infusion, origin, rule_set_version
)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22)
"""


async def replace(db: Db, from_days: Mapping[UUID, date], trends: Sequence[tuple[UUID, Trend]]) -> None:
    """Put these rows in the place of what stands from each client's day of `from_days` on."""
    await db.execute(DELETE_FROM, db.clinic_id, list(from_days.keys()), list(from_days.values()))
    rows = [(db.clinic_id, client_id, *msgspec.structs.astuple(trend)) for client_id, trend in trends]
    await db.execute_many(INSERT, rows)


# A late answer makes every later state wrong; of the earlier ones the last of each month stays.
DELETE_CHECKPOINTS = """
delete from trend_checkpoint
using unnest($2::uuid[], $3::date[]) as changed (client_id, from_day)
where trend_checkpoint.clinic_id = $1
  and trend_checkpoint.client_id = changed.client_id
  and (
    trend_checkpoint.client_day >= changed.from_day
    or extract(day from trend_checkpoint.client_day + 1) <> 1
  )
"""
INSERT_CHECKPOINT = """
insert into trend_checkpoint (clinic_id, client_id, client_day, state, rule_set_version)
values ($1, $2, $3, $4, $5)
on conflict on constraint trend_checkpoint_pkey do update
set state = excluded.state,
    rule_set_version = excluded.rule_set_version
"""


async def replace_checkpoints(db: Db, from_days: Mapping[UUID, date], checkpoints: Sequence[Checkpoint]) -> None:
    """Keep these, each client's newest and the ends of months, and of the older ones the ends of months alone."""
    await db.execute(DELETE_CHECKPOINTS, db.clinic_id, list(from_days.keys()), list(from_days.values()))
    await db.execute_many(
        INSERT_CHECKPOINT,
        [(db.clinic_id, each.client_id, each.client_day, each.state, each.rule_set_version) for each in checkpoints],
    )


def ends_month(client_day: date) -> bool:
    """Whether the state after this day is one of those kept to start again from."""
    return (client_day + timedelta(days=1)).day == 1


DELETE_CHECKPOINTS_OF = """
delete from trend_checkpoint
where clinic_id = $1
  and client_id = $2
"""


async def forget(db: Db, client_id: UUID) -> None:
    """Drop a client's states, so that the next fold begins at the first day."""
    await db.execute(DELETE_CHECKPOINTS_OF, db.clinic_id, client_id)
