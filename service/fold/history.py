"""The answers of a clinic's stable clients, as a population is learned from them; they never leave the clinic."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID

import msgspec

from schemas.client import RecordOrigin
from service import detection
from service.database import Db
from service.fold import days
from service.fold import facts as fold_facts
from service.fold.facts import Due

# A year says what is usual; what is older may be another life.
LONGEST = timedelta(days=365)
CLIENTS_AT_ONCE = 64


class _Live(msgspec.Struct, frozen=True, kw_only=True):
    client_id: UUID
    time_zone: str
    enrolled_on: date


LIVE_CLIENTS = """
select client_id, time_zone, enrolled_on
from client
where clinic_id = $1
  and origin = 'live'
order by client_id
"""


async def read(db: Db, *, now: datetime) -> list[detection.Days]:
    """The last year of every live client whom staff have not found to be worse, in batches."""
    clients = await db.rows(_Live, LIVE_CLIENTS, db.clinic_id)
    batches = []
    for start in range(0, len(clients), CLIENTS_AT_ONCE):
        facts = await fold_facts.read(db, [_due(each, now) for each in clients[start : start + CLIENTS_AT_ONCE]])
        stable = [each for each in facts if each.days and not each.confirmed_days and not each.new_usual_days]
        history = days.history_of(stable, now=now)
        if len(history.scores):
            batches.append(history)
    return batches


def _due(client: _Live, now: datetime) -> Due:
    since = (now - LONGEST).date()
    return Due(
        client_id=client.client_id,
        from_day=date.min,
        version="",
        time_zone=client.time_zone,
        enrolled_on=client.enrolled_on,
        origin=RecordOrigin.LIVE,
        checkpoint_day=since if client.enrolled_on < since else None,
        checkpoint_state=None,
        newest_day=None,
        newest_layout=None,
        told_before=None,
    )
