"""Staying signed in: minutes before a session ends by itself, each page of the desk says so and offers to go on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency, Provide

from service.people import staff_sessions
from service.people.access import Permission
from service.web import page_problems
from service.web.desk_session import BY_ITSELF, Desk, open_desk

# A page asks each minute: so whoever is there reads it two minutes before the end at the latest (WCAG 2.2.1).
TOLD_BEFORE = timedelta(minutes=3)


@get("/account/stay", opt={"access": Permission.USE_OWN_ACCOUNT})
async def stay(request: Request[Any, Any, Any], desk: NamedDependency[Desk]) -> Response[Any]:
    """When the session ends, where that is soon, else nothing. Asked by hand, it goes on."""
    end, why = staff_sessions.ends(desk.who, now=desk.now, by_hand=BY_ITSELF not in request.headers)
    soon = end - desk.now <= TOLD_BEFORE
    context = {"end": end if soon else None, "why": why, "zone": desk.view.zone}
    return desk.services.pages.show("stay.html", context)


ROUTES = (
    Router(
        path="/",
        route_handlers=[stay],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
