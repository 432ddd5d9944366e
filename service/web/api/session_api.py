"""The JSON API of therapy sessions: booking, changing, history, which infusions are covered; calendars' addresses."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, delete, get, patch, post, put
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.session import (
    CalendarAddress,
    CoverageReply,
    SessionChange,
    SessionForm,
    SessionReply,
    SessionsReply,
)
from service import errors
from service.appointments import watch
from service.desk import sessions as desk_sessions
from service.facts import sessions
from service.people import access, calendar_feeds, clients
from service.people.access import Permission
from service.web import strict
from service.web.api.staff_api import HEADERS, json_reply, made_or_known
from service.web.desk_session import Desk, open_desk

Caller = Request[Any, Any, Any]
SEE = {"access": Permission.SEE_SESSIONS}


@get("/v1/clients/{client_id:uuid}/sessions", opt={**SEE, "replies": {200: SessionsReply}}, tags=["Sessions"])
async def list_sessions(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """A client's sessions by time."""
    await desk.require_client(client_id)
    await desk.record("session.read", client_id=client_id)
    return json_reply(SessionsReply(items=await sessions.of(desk.db, client_id)))


@put(
    "/v1/clients/{client_id:uuid}/sessions/{session_id:uuid}",
    opt={
        "access": Permission.BOOK_SESSIONS,
        "body": SessionForm,
        "replies": {201: SessionReply, 200: SessionReply},
        "problems": (409,),
    },
    tags=["Sessions"],
)
async def put_session(
    request: Caller, desk: NamedDependency[Desk], client_id: FromPath[UUID], session_id: FromPath[UUID]
) -> Response[bytes]:
    """Book a session, once for each id; the same again is 200 and gives it as it stands now."""
    await desk.require_client(client_id)
    first_time = await booked(desk, client_id, session_id, strict.decode(await request.body(), SessionForm))
    return await _session(desk, session_id, made_or_known(first_time))


async def _refuse_strangers(desk: Desk, client_id: UUID, staff_id: UUID | None) -> None:
    """Whoever is not on the care team could read neither the client's page nor the brief."""
    if staff_id is None:
        return
    team = await clients.care_team_of(desk.db, client_id, now=desk.now)
    if staff_id not in {each.staff_id for each in team}:
        fault = errors.FieldFault("staff_id", "somebody on the client's care team")
        raise errors.Invalid("This person is not on the client's care team.", fields=(fault,))


async def booked(desk: Desk, client_id: UUID, session_id: UUID, form: SessionForm) -> bool:
    """Book a session, withdraw what it settles, and write it down; whether it was booked just now.

    Raises as `sessions.plan` does, and Conflict for an id that is in use otherwise.
    """
    await clients.hold(desk.db, client_id)
    if (before := await sessions.find(desk.db, session_id)) is not None:
        first = (await sessions.events_of(desk.db, [session_id]))[0]
        said = SessionForm(
            planned_at=first.planned_at, staff_id=first.staff_id, modality=first.modality, minutes=first.minutes
        )
        if before.client_id != client_id or said != form:
            raise errors.Conflict("This id is already in use for another session.")
        return False
    await _refuse_strangers(desk, client_id, form.staff_id)
    await sessions.plan(
        desk.db,
        client_id,
        staff_id=form.staff_id,
        planned_at=form.planned_at,
        modality=form.modality,
        minutes=form.minutes,
        by=desk.recorder,
        now=desk.now,
        therapy_session_id=session_id,
    )
    await watch.watch(desk.db, client_id, now=desk.now)
    await desk.record("session.book", client_id=client_id, object_id=session_id)
    return True


@get("/v1/sessions/{session_id:uuid}", opt={**SEE, "replies": {200: SessionReply}}, tags=["Sessions"])
async def get_session(desk: NamedDependency[Desk], session_id: FromPath[UUID]) -> Response[bytes]:
    """One session with everything that happened to it."""
    client_id = await access.require_session(desk.db, desk.reach(), session_id, now=desk.now)
    await desk.record("session.read", client_id=client_id, object_id=session_id)
    return await _session(desk, session_id)


@patch(
    "/v1/sessions/{session_id:uuid}",
    opt={
        "access": Permission.BOOK_SESSIONS,
        "body": SessionChange,
        "replies": {200: SessionReply},
        "problems": (409,),
    },
    tags=["Sessions"],
)
async def change_session(request: Caller, desk: NamedDependency[Desk], session_id: FromPath[UUID]) -> Response[bytes]:
    """Move a session, hand it over, or record that it was attended, missed or cancelled. Its history stays."""
    client_id = await access.require_session(desk.db, desk.reach(), session_id, now=desk.now)
    await changed(desk, client_id, session_id, strict.decode(await request.body(), SessionChange))
    return await _session(desk, session_id)


async def changed(desk: Desk, client_id: UUID, session_id: UUID, change: SessionChange) -> None:
    """Change a session, withdraw what that settles, and write it down. Raises as `sessions.change` does."""
    await _refuse_strangers(desk, client_id, change.staff_id)
    await sessions.change(
        desk.db,
        session_id,
        state=change.state,
        planned_at=change.planned_at,
        staff_id=change.staff_id,
        modality=change.modality,
        minutes=change.minutes,
        version=change.version,
        by=desk.recorder,
        now=desk.now,
    )
    await watch.watch(desk.db, client_id, now=desk.now)
    await desk.record("session.change", client_id=client_id, object_id=session_id)


async def _session(desk: Desk, session_id: UUID, status: int = 200) -> Response[bytes]:
    session = await sessions.get(desk.db, session_id)
    return json_reply(SessionReply(session=session, history=await sessions.events_of(desk.db, [session_id])), status)


@get("/v1/clients/{client_id:uuid}/coverage", opt={**SEE, "replies": {200: CoverageReply}}, tags=["Sessions"])
async def get_coverage(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """Which given infusions are followed by therapy inside the clinic's window."""
    await desk.require_client(client_id)
    await desk.record("session.read", client_id=client_id)
    return json_reply(await desk_sessions.coverage_of(desk.db, client_id, now=desk.now))


@post(
    "/v1/calendar",
    opt={"access": Permission.USE_OWN_ACCOUNT, "replies": {201: CalendarAddress}},
    tags=["Sessions"],
)
async def issue_own_calendar(desk: NamedDependency[Desk]) -> Response[bytes]:
    """A secret address for the calendar of one's own sessions, told this once; the former one ends."""
    return json_reply(CalendarAddress(url=await own_address(desk)), 201)


async def own_address(desk: Desk) -> str:
    """A fresh address of this person's calendar, written down."""
    path = await calendar_feeds.issue(desk.db, staff_id=desk.who.staff_id, by=desk.who.staff_id, now=desk.now)
    await desk.record("calendar.issue", object_id=desk.who.staff_id)
    return desk.services.config.base_url + path


@delete(
    "/v1/calendar",
    status_code=204,
    opt={"access": Permission.USE_OWN_ACCOUNT, "replies": {204: None}},
    tags=["Sessions"],
)
async def revoke_own_calendar(desk: NamedDependency[Desk]) -> Response[None]:
    """End the address of one's own calendar."""
    await calendar_feeds.revoke(desk.db, staff_id=desk.who.staff_id, now=desk.now)
    await desk.record("calendar.revoke", object_id=desk.who.staff_id)
    return Response(None, status_code=204, headers=HEADERS)


@post(
    "/v1/clients/{client_id:uuid}/calendar",
    opt={"access": Permission.MANAGE_CLIENTS, "replies": {201: CalendarAddress}},
    tags=["Sessions"],
)
async def issue_calendar(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[bytes]:
    """A secret address for a client's own calendar, to be handed to them; the former one ends."""
    await desk.require_client(client_id)
    return json_reply(CalendarAddress(url=await address_of_client(desk, client_id)), 201)


async def address_of_client(desk: Desk, client_id: UUID) -> str:
    """A fresh address of a client's calendar, written down."""
    path = await calendar_feeds.issue(desk.db, client_id=client_id, by=desk.who.staff_id, now=desk.now)
    await desk.record("calendar.issue", client_id=client_id)
    return desk.services.config.base_url + path


@delete(
    "/v1/clients/{client_id:uuid}/calendar",
    status_code=204,
    opt={"access": Permission.MANAGE_CLIENTS, "replies": {204: None}},
    tags=["Sessions"],
)
async def revoke_calendar(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[None]:
    """End the address of a client's calendar."""
    await desk.require_client(client_id)
    await calendar_feeds.revoke(desk.db, client_id=client_id, now=desk.now)
    await desk.record("calendar.revoke", client_id=client_id)
    return Response(None, status_code=204, headers=HEADERS)


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            list_sessions,
            put_session,
            get_session,
            change_session,
            get_coverage,
            issue_own_calendar,
            revoke_own_calendar,
            issue_calendar,
            revoke_calendar,
        ],
        dependencies={"desk": Provide(open_desk)},
    ),
)
