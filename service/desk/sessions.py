"""Therapy sessions as the staff read them: a client's sessions with their history, and which infusions they cover."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from schemas.client import Client
from schemas.course import InfusionState, Modality, TherapySession
from schemas.session import Coverage, CoverageReply, SessionEvent
from schemas.staff import Staff
from service import errors
from service.database import Db
from service.desk import sentences
from service.desk.doubts import night, past
from service.facts import courses, coverage, gate_checks, infusions, sessions
from service.people import calendar_feeds, clients, covers, staff

# What was held yesterday is written down today; an earlier time is more often a slip than a record.
PAST_UNASKED = timedelta(days=1)
# Forty minutes of infusion, and two hours until somebody may go home.
WITH_INFUSION = timedelta(minutes=160)
AT_THE_CLINIC = frozenset({InfusionState.PLANNED, InfusionState.HELD, InfusionState.GIVEN})


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
    at = session.planned_at.astimezone(zone)
    today = now.astimezone(zone).date()
    client = await clients.get(db, session.client_id)
    doubts = await _past(db, session, at.date(), today) if session.planned_at < now - PAST_UNASKED else []
    doubts += night(at.date(), at.time(), today=today)
    for infusion in await infusions.of(db, session.client_id):
        begins = infusion.given_at or infusion.planned_at
        is_on = infusion.state in AT_THE_CLINIC and begins < session.planned_at + timedelta(minutes=session.minutes)
        if is_on and session.planned_at < begins + WITH_INFUSION:
            doubts.append(f"{_name(client)} has an infusion then: {_moment(begins.astimezone(zone), today)}.")
    return doubts + await _away_then(db, session, zone, today) + await _sessions_then(db, session, client, zone, today)


async def _past(db: Db, session: TherapySession, on: date, today: date) -> list[str]:
    began = min((each.started_on for each in await courses.of(db, session.client_id)), default=None)
    if began is not None and on < began:
        fault = errors.FieldFault("planned_at", f"not before {sentences.day(began, today)}, when the course began")
        raise errors.Invalid("The course had not begun then.", fields=(fault,))
    return [past(on, today)]


async def _away_then(db: Db, session: TherapySession, zone: ZoneInfo, today: date) -> list[str]:
    if session.staff_id is None:
        return []
    until = session.planned_at + timedelta(minutes=session.minutes)
    standing = await covers.of_staff(db, session.staff_id, now=session.planned_at)
    return [
        f"{(await staff.get(db, session.staff_id)).name} is away then:"
        f" {_moment(each.from_at.astimezone(zone), today)} to {_moment(each.until_at.astimezone(zone), today)}."
        for each in covers.away_during(standing, session.staff_id, session.planned_at, until)
    ]


async def _sessions_then(db: Db, session: TherapySession, client: Client, zone: ZoneInfo, today: date) -> list[str]:
    doubts = []
    names = {each.staff_id: each.name for each in await staff.all_of(db)}
    for other in await sessions.at_that_time(db, session):
        who = [_name(client)] if other.client_id == session.client_id else []
        # A group is several clients with one therapist.
        alone = Modality.GROUP not in (session.modality, other.modality)
        if other.staff_id is not None and other.staff_id == session.staff_id and (who or alone):
            who.append(names[other.staff_id])
        if who:
            verb = "has" if len(who) == 1 else "have"
            when = f"{_moment(other.planned_at.astimezone(zone), today)}, {other.minutes} minutes"
            doubts.append(f"{' and '.join(who)} {verb} a session then already: {when}.")
    return doubts


def _name(client: Client) -> str:
    return f"{client.given_name} {client.family_name}".strip()


def _moment(at: datetime, today: date) -> str:
    return f"{sentences.day(at.date(), today)} {at:%H:%M}"
