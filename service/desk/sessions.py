"""Therapy sessions as the staff read them: a client's sessions with their history, and which infusions they cover."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.client import Client
from schemas.course import Modality, TherapySession
from schemas.session import Coverage, CoverageReply, SessionEvent
from schemas.staff import Staff
from service import errors
from service.database import Db
from service.desk import sentences
from service.facts import courses, coverage, gate_checks, infusions, sessions
from service.people import calendar_feeds, clients, staff

# What was held yesterday is written down today; an earlier time is more often a slip than a record.
PAST_UNASKED = timedelta(days=1)


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


async def doubts_of(db: Db, session: TherapySession, *, zone: ZoneInfo, now: datetime) -> list[str]:
    """What a person is asked about before a session is booked for such a time, as sentences; none where nothing is odd.

    Raises Invalid for a time in the past before the client's first course began.
    """
    past = session.planned_at < now - PAST_UNASKED
    today = now.astimezone(zone).date()
    on = session.planned_at.astimezone(zone).date()
    began = min((each.started_on for each in await courses.of(db, session.client_id)), default=None)
    if past and began is not None and on < began:
        fault = errors.FieldFault("planned_at", f"not before {sentences.day(began, today)}, when the course began")
        raise errors.Invalid("The course had not begun then.", fields=(fault,))
    doubts = [f"{sentences.day(on, today)} is {(today - on).days} days ago."] if past else []
    client = await clients.get(db, session.client_id)
    names = {each.staff_id: each.name for each in await staff.all_of(db)}
    for other in await sessions.at_that_time(db, session):
        who = [f"{client.given_name} {client.family_name}".strip()] if other.client_id == session.client_id else []
        # A group is several clients with one therapist.
        alone = Modality.GROUP not in (session.modality, other.modality)
        if other.staff_id is not None and other.staff_id == session.staff_id and (who or alone):
            who.append(names[other.staff_id])
        if who:
            verb = "has" if len(who) == 1 else "have"
            at = other.planned_at.astimezone(zone)
            when = f"{sentences.day(at.date(), today)} {at:%H:%M}, {other.minutes} minutes"
            doubts.append(f"{' and '.join(who)} {verb} a session then already: {when}.")
    return doubts
