"""The page behind the link that ends reminders by e-mail; a mail program may press its button itself (RFC 8058)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from service import database, errors
from service.keys import tokens
from service.notify import texts
from service.people import reminder_stops
from service.people.access import Permission
from service.web import page_problems, pages
from service.web.services import Services

OPEN = {"access": Permission.COME_IN}
PATH = "/reminders/{client_id:uuid}/stop/{token:str}"
# The address is the proof: nothing that is opened from here learns of it.
STOP_HEADERS = {**pages.HEADERS, "Referrer-Policy": "no-referrer"}


@get(PATH, opt=OPEN, sync_to_thread=False)
def show_stop(
    services: NamedDependency[Services], token: FromPath[str], language: FromQuery[str] = texts.SOURCE
) -> Response[Any]:
    """What the link does, and the button that does it: whatever looks at links on the way ends nothing."""
    _parsed(token)
    return _page(services, texts.STOP, language)


@post(PATH, opt=OPEN, status_code=200)
async def stop(
    services: NamedDependency[Services],
    now: NamedDependency[datetime],
    client_id: FromPath[UUID],
    token: FromPath[str],
    language: FromQuery[str] = texts.SOURCE,
) -> Response[Any]:
    """Send no more reminders to the address that this link was sent to. Done twice it is done once."""
    parsed = _parsed(token)
    async with database.transaction(services.pool, parsed.clinic_id) as db:
        await reminder_stops.stop(db, services.master, client_id, parsed, now=now)
    return _page(services, texts.STOPPED, language)


def _parsed(text: str) -> tokens.Token:
    try:
        return tokens.parse(text, "stop")
    except errors.Unauthenticated as error:
        raise errors.NotFound("This link is not complete. Copy all of it.") from error


def _page(services: Services, words: texts.Words, language: str) -> Response[Any]:
    said = texts.catalogue(language).gettext
    context = {
        "fictional": services.config.demo,
        "title": said(words.title),
        "words": said(words.words),
        "button": said(words.button) if words.button else "",
    }
    page = services.pages.show("reminder_stop.html", context)
    page.headers.update(STOP_HEADERS)
    return page


ROUTES = (
    Router(
        path="/",
        route_handlers=[show_stop, stop],
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
