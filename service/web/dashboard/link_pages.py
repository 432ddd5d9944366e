"""One-time links: a page that says what the link is for, and the button that spends it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from schemas.staff import LinkPurpose
from service import database, errors
from service.keys import tokens
from service.people import one_time_links, sign_in
from service.people.access import Permission
from service.people.clinics import ClinicView
from service.web import page_problems, pages
from service.web.dashboard.staff_auth import door_of, with_session
from service.web.desk_session import form_of
from service.web.pages import go_to
from service.web.services import Services
from service.web.visitors import visitor_of

OPEN = {"access": Permission.COME_IN}
# Secrets in an address leave by the Referer; a form of this page then says `Origin: null`, and its link is its proof.
LINK_HEADERS = {**pages.HEADERS, "Referrer-Policy": "no-referrer"}


@get("/link/{token:str}", opt=OPEN)
async def show_link(
    services: NamedDependency[Services], now: NamedDependency[datetime], token: FromPath[str]
) -> Response[Any]:
    """What a one-time link is for, and the button that spends it."""
    return await _link_page(services, _link_token(token), token, now)


@post("/link/{token:str}", opt=OPEN)
async def spend_link(
    request: Request[Any, Any, Any],
    services: NamedDependency[Services],
    now: NamedDependency[datetime],
    token: FromPath[str],
) -> Response[Any]:
    """Spend a one-time link: set a password, or walk into the demonstration."""
    if request.headers.get("sec-fetch-site") == "cross-site":
        raise errors.Invalid("This request came from another site.")
    parsed, form = _link_token(token), await form_of(request)
    view = await _view_of_link(services, parsed)
    if "password" not in form:
        if not services.config.demo:
            raise errors.Gone("This link is for something else.")
        session = await sign_in.into_demo(door_of(services), parsed.clinic_id, parsed.digest, now=now)
        return with_session(go_to("/"), session, view)
    if form["password"] != form.get("again"):
        return await _link_page(services, parsed, token, now, message="The two passwords are not the same.")
    try:
        session = await sign_in.set_password(
            door_of(services), parsed.clinic_id, visitor_of(request), parsed.digest, form["password"], now=now
        )
    except errors.Invalid as refusal:
        return await _link_page(services, parsed, token, now, message=refusal.message)
    return with_session(go_to("/sign-in/authenticator"), session, view)


def _link_token(text: str) -> tokens.Token:
    try:
        return tokens.parse(text, "link")
    except errors.Unauthenticated as error:
        raise errors.Gone("This link is not complete. Copy all of it.") from error


async def _view_of_link(services: Services, token: tokens.Token) -> ClinicView:
    try:
        return await services.views.get(token.clinic_id)
    except errors.NotFound as error:
        raise errors.Gone("This link was used already or has run out.") from error


async def _link_page(
    services: Services, parsed: tokens.Token, token: str, now: datetime, *, message: str | None = None
) -> Response[str]:
    view = await _view_of_link(services, parsed)
    async with database.transaction(services.pool, parsed.clinic_id) as db:
        link = await one_time_links.get(db, parsed.digest, now=now)
    context = {
        "link": link,
        "token": token,
        "message": message,
        "clinic": view.clinic,
        "fictional": view.fictional,
        "sets_password": link.purpose is LinkPurpose.SET_PASSWORD,
    }
    return services.pages.show("link.html", context, status=400 if message else 200, headers=LINK_HEADERS)


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_link, spend_link],
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
