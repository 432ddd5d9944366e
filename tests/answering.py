"""What every test of instruments over HTTP does: answers, the form that carries them, and a definition of one's own."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import httpx

from tests.builders import PhoneRow

OWN: dict[str, object] = {
    "code": "own",
    "version": 1,
    "title": "Own",
    "asks": "Two questions",
    "lead": "How was it?",
    "language": "en",
    "licence": "Licensed to this clinic.",
    "attribution": "Somebody",
    "source": "Somewhere 2020;1:1.",
    "scoring": "sum",
    "options": [{"value": 0, "text": "No"}, {"value": 1, "text": "Yes"}],
    "items": [{"code": "a", "text": "One?"}, {"code": "b", "text": "Two?"}],
    "urgent": [{"item": "b", "above": 0}],
    "schedule": [{"phase": "induction", "every_days": 7, "open_days": 7}],
}


def an_own(**parts: object) -> dict[str, object]:
    """A clinic's own instrument of two questions, the second urgent."""
    return copy.deepcopy(OWN) | parts


def phq9(*values: int | None) -> dict[str, int]:
    """Answers to the PHQ-9 in order, None for one left out; fewer stand for the first, the rest is 0."""
    every = [*values, *[0] * (9 - len(values))]
    return {str(number): value for number, value in enumerate(every, start=1) if value is not None}


def a_response(
    answers: dict[str, int] | None = None, *, ago: timedelta = timedelta(0), **fields: object
) -> dict[str, object]:
    """A response to the PHQ-9 as a phone sends it, answered half a minute and `ago` ago."""
    now = datetime.now(UTC)
    return {
        "instrument": "phq9",
        "version": 1,
        "answered_at": (now - timedelta(seconds=30) - ago).isoformat(),
        "sent_at": now.isoformat(),
        "time_zone": "America/Chicago",
        "answers": phq9(1, 2, 1) if answers is None else answers,
    } | fields


async def send(
    http: httpx.AsyncClient, phone: PhoneRow, response: dict[str, object], response_id: UUID | None = None
) -> httpx.Response:
    address = f"/v1/instrument-responses/{response_id or uuid4()}"
    return await http.put(address, json=response, headers=phone.headers)
