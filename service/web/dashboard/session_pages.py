"""The desk's pages of therapy sessions and calendars: plain forms, no script needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import segno
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.course import Modality, SessionState, TherapySession
from schemas.session import SessionChange, SessionForm
from service import errors, ids
from service.desk import gate_words, sessions
from service.facts import sessions as stored
from service.people import access, calendar_feeds, clients
from service.people.access import Permission
from service.web import desk_page, local_times, page_problems
from service.web.api.session_api import address_of_client, booked, changed, own_address
from service.web.desk_session import Desk, form_of, open_desk, sent_id, typed_number
from service.web.forms import meant
from service.web.pages import go_to

Caller = Request[Any, Any, Any]
SEE, BOOK = {"access": Permission.SEE_SESSIONS}, {"access": Permission.BOOK_SESSIONS}
OWN, MANAGE = {"access": Permission.USE_OWN_ACCOUNT}, {"access": Permission.MANAGE_CLIENTS}
MOST_MINUTES = 480


@get("/clients/{client_id:uuid}/sessions", opt=SEE)
async def show_sessions(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """A client's sessions, which infusions they follow, and their calendar."""
    await desk.require_client(client_id)
    view = await sessions.read(desk.db, client_id, now=desk.now)
    await desk.record("session.read", client_id=client_id)
    context = {
        "view": view,
        "may_book": await desk.reaches(Permission.BOOK_SESSIONS, client_id),
        "may_manage": await desk.reaches(Permission.MANAGE_CLIENTS, client_id),
        "modalities": list(Modality),
        "words": gate_words,
        "fresh_id": ids.new(),
        "typed": lambda at: local_times.typed(at, desk.view.zone),
    }
    return await desk_page.show(desk, "sessions.html", context, here="/caseload")


@get("/sessions/{session_id:uuid}", opt=SEE)
async def open_session(desk: NamedDependency[Desk], session_id: FromPath[UUID]) -> Response[Any]:
    """Where a calendar's entry leads: to the session among the client's others."""
    client_id = await access.require_session(desk.db, desk.reach(), session_id, now=desk.now)
    return go_to(f"/clients/{client_id}/sessions#s-{session_id}")


@post("/clients/{client_id:uuid}/sessions", opt=BOOK)
async def book(request: Caller, desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """Book a session."""
    await desk.require_client(client_id)
    form = await form_of(request)
    session = SessionForm(
        planned_at=local_times.instant_of(form.get("at", ""), desk.view.zone, "at"),
        staff_id=_person(form.get("staff_id", "")),
        modality=_modality(form.get("modality", "")) or Modality.OTHER,
        minutes=_minutes(form.get("minutes", "50")),
    )
    # The page gave the form its id: sent twice, it books once.
    session_id = sent_id(form) or ids.new()
    await _ask(desk, form, _as_booked(session, client_id, session_id))
    await booked(desk, client_id, session_id, session)
    return go_to(f"/clients/{client_id}/sessions#s-{session_id}")


@post("/sessions/{session_id:uuid}/state", opt=BOOK)
async def record_state(request: Caller, desk: NamedDependency[Desk], session_id: FromPath[UUID]) -> Response[Any]:
    """Record that it was attended, missed or cancelled, or is planned after all."""
    client_id = await access.require_session(desk.db, desk.reach(), session_id, now=desk.now)
    form = await form_of(request)
    state = next((each for each in SessionState if each == form.get("state")), None)
    if state is None:
        raise errors.Invalid("Say what became of it.", fields=(errors.FieldFault("state", "choose one"),))
    before = await stored.get(desk.db, session_id)
    if state is SessionState.PLANNED and before.state is SessionState.CANCELLED and before.planned_at > desk.now:
        await _ask(desk, form, before, beside=meant.MEANT)
    await changed(desk, client_id, session_id, SessionChange(state=state, version=_version(form)))
    return go_to(f"/clients/{client_id}/sessions#s-{session_id}")


@post("/sessions/{session_id:uuid}/change", opt=BOOK)
async def change(request: Caller, desk: NamedDependency[Desk], session_id: FromPath[UUID]) -> Response[Any]:
    """Move it, hand it over, or change what it is."""
    client_id = await access.require_session(desk.db, desk.reach(), session_id, now=desk.now)
    form = await form_of(request)
    what = SessionChange(
        planned_at=local_times.instant_of(form.get("at", ""), desk.view.zone, "at"),
        staff_id=_person(form.get("staff_id", "")),
        modality=_modality(form.get("modality", "")),
        minutes=_minutes(form["minutes"]) if form.get("minutes") else None,
        version=_version(form),
    )
    before = await stored.get(desk.db, session_id)
    after = msgspec.structs.replace(
        before,
        planned_at=what.planned_at or before.planned_at,
        staff_id=what.staff_id or before.staff_id,
        minutes=what.minutes or before.minutes,
    )
    if after != before:
        await _ask(desk, form, after)
    await changed(desk, client_id, session_id, what)
    return go_to(f"/clients/{client_id}/sessions#s-{session_id}")


def _as_booked(form: SessionForm, client_id: UUID, session_id: UUID) -> TherapySession:
    return TherapySession(
        therapy_session_id=session_id,
        client_id=client_id,
        staff_id=form.staff_id,
        state=SessionState.PLANNED,
        planned_at=form.planned_at,
        modality=form.modality,
        minutes=form.minutes,
        version=1,
    )


async def _ask(desk: Desk, form: Mapping[str, str], session: TherapySession, *, beside: str = "at") -> None:
    """Have the form come back with what is odd about the time, unless whoever sent it says that just this is meant.

    The words stand `beside` a field of this name.
    """
    doubts = await sessions.doubts_of(desk.db, session, zone=desk.view.zone, now=desk.now)
    meant.ask(form, " ".join(doubts), beside=beside)


def _person(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError as error:
        raise errors.Invalid("Choose a person.", fields=(errors.FieldFault("staff_id", "one of the list"),)) from error


def _modality(text: str) -> Modality | None:
    return next((each for each in Modality if each == text), None)


def _version(form: Mapping[str, str]) -> int | None:
    """That of the session on the page from which the form was sent."""
    version = typed_number(form.get("version", ""))
    return version if isinstance(version, int) else None


def _minutes(text: str) -> int:
    minutes = typed_number(text)
    if isinstance(minutes, int) and 5 <= minutes <= MOST_MINUTES:
        return minutes
    raise errors.Invalid("The length cannot be.", fields=(errors.FieldFault("minutes", f"5 to {MOST_MINUTES}"),))


@post("/account/calendar", opt=OWN)
async def issue_own(desk: NamedDependency[Desk]) -> Response[Any]:
    """The address of one's own calendar, shown this once."""
    return await _address_page(desk, await own_address(desk), client_id=None)


@post("/account/calendar/end", opt=OWN)
async def end_own(desk: NamedDependency[Desk]) -> Response[Any]:
    """End the address of one's own calendar."""
    await calendar_feeds.revoke(desk.db, staff_id=desk.who.staff_id, now=desk.now)
    await desk.record("calendar.revoke", object_id=desk.who.staff_id)
    return go_to("/account")


@post("/clients/{client_id:uuid}/calendar", opt=MANAGE)
async def issue(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """The address of a client's calendar, shown this once for them to keep."""
    await desk.require_client(client_id)
    return await _address_page(desk, await address_of_client(desk, client_id), client_id=client_id)


async def _address_page(desk: Desk, url: str, *, client_id: UUID | None) -> Response[Any]:
    context = {
        "url": url,
        "client": await clients.get(desk.db, client_id) if client_id is not None else None,
        "qr": segno.make_qr(url).svg_inline(scale=6, dark="#000", light="#fff", omitsize=True),
    }
    here = "/account" if client_id is None else "/caseload"
    return await desk_page.show(desk, "calendar_address.html", context, here=here)


@post("/clients/{client_id:uuid}/calendar/end", opt=MANAGE)
async def end(desk: NamedDependency[Desk], client_id: FromPath[UUID]) -> Response[Any]:
    """End the address of a client's calendar."""
    await desk.require_client(client_id)
    await calendar_feeds.revoke(desk.db, client_id=client_id, now=desk.now)
    await desk.record("calendar.revoke", client_id=client_id)
    return go_to(f"/clients/{client_id}/sessions")


ROUTES = (
    Router(
        path="/",
        route_handlers=[
            show_sessions,
            open_session,
            book,
            record_state,
            change,
            issue_own,
            end_own,
            issue,
            end,
        ],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
