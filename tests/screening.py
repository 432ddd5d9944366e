"""Questionnaires that a client answers."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from uuid import UUID

from service import ids
from service.database import Db
from service.facts import instruments
from service.facts.instruments import ResponseRow
from service.instruments import catalogue, scoring


async def answer(db: Db, client_id: UUID, day: date, answers: dict[str, int], *, code: str = "phq9") -> None:
    """A response put straight into the table, as if sent at noon (UTC) of its client day."""
    instrument, at = catalogue.shipped()[code, 1], datetime.combine(day, time(12), UTC)
    score = scoring.score(instrument, answers)
    row = ResponseRow(
        instrument_response_id=ids.new(),
        client_id=client_id,
        code=code,
        version=1,
        answers=answers,
        total=score.total,
        missing=score.missing,
        answered_at=at,
        sent_at=at,
        received_at=at,
        counted_at=at,
        time_zone="UTC",
        zone_known=True,
        client_day=day,
        device_id=None,
        content_hash=ids.new().bytes,
    )
    assert await instruments.store(db, row)
