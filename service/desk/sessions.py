"""Therapy sessions as the staff read them: a client's sessions with their history, and which infusions they cover."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from schemas.client import Client
from schemas.course import TherapySession
from schemas.session import Coverage, CoverageReply, SessionEvent
from schemas.staff import Staff
from service.database import Db
from service.facts import coverage, gate_checks, infusions, sessions
from service.people import calendar_feeds, clients, staff


class SessionsView(NamedTuple):
    """All that a client's page of sessions shows; `calendar_since`: since when their calendar has an address."""

    client: Client
    coming: list[TherapySession]
    past: list[TherapySession]
    history: dict[UUID, list[SessionEvent]]
    coverage: CoverageReply
    colleagues: list[Staff]
    names: dict[UUID, str]
    calendar_since: datetime | None


async def read(db: Db, client_id: UUID, *, now: datetime) -> SessionsView:
    """A client's sessions: the coming ones by time, those that began newest first. Raises NotFound."""
    booked = await sessions.of(db, client_id)
    history: defaultdict[UUID, list[SessionEvent]] = defaultdict(list)
    for event in await sessions.events_of(db, [each.therapy_session_id for each in booked]):
        history[event.therapy_session_id].append(event)
    everybody = await staff.all_of(db)
    team = {each.staff_id for each in await clients.care_team_of(db, client_id, now=now)}
    return SessionsView(
        client=await clients.get(db, client_id),
        coming=[each for each in booked if each.planned_at > now],
        past=[each for each in reversed(booked) if each.planned_at <= now],
        history=history,
        coverage=await coverage_of(db, client_id, now=now),
        colleagues=[each for each in everybody if not each.disabled_at and each.staff_id in team],
        names={
            each.staff_id: f"{each.name} (does not work here any more)" if each.disabled_at else each.name
            for each in everybody
        },
        calendar_since=await calendar_feeds.since(db, client_id=client_id),
    )


async def coverage_of(db: Db, client_id: UUID, *, now: datetime) -> CoverageReply:
    """Which of a client's infusions are covered, the newest first. Raises NotFound for a clinic without settings."""
    window_hours = (await gate_checks.setting_of(db)).therapy_window_hours
    found: list[Coverage] = coverage.of(
        await infusions.of(db, client_id),
        await sessions.of(db, client_id),
        window_hours=window_hours,
        now=now,
        gone=await staff.gone(db),
    )
    covered, closed = coverage.counts(found, now=now)
    return CoverageReply(items=found[::-1], window_hours=window_hours, covered=covered, closed=closed)
