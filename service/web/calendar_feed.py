"""The calendar behind a secret address, for a calendar program that signs in nowhere."""

from __future__ import annotations

from datetime import datetime

from litestar import Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service import database, errors
from service.appointments import feed
from service.keys import tokens
from service.people import audit, calendar_feeds
from service.people.access import Permission
from service.web.services import Services

HEADERS = {
    "Cache-Control": "no-store",
    # The address is the secret: nothing that is opened from here learns of it, and no search engine keeps it.
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Content-Disposition": 'inline; filename="appointments.ics"',
}


@get("/calendar/{token:str}", opt={"access": Permission.COME_IN})
async def show_calendar(
    services: NamedDependency[Services], now: NamedDependency[datetime], token: FromPath[str]
) -> Response[bytes]:
    """Appointments as iCalendar, with neutral titles."""
    try:
        parsed = tokens.parse(token.removesuffix(".ics"), "calendar")
    except errors.Unauthenticated as error:
        raise errors.NotFound("Not found.") from error
    async with database.transaction(services.pool, parsed.clinic_id) as db:
        found = await calendar_feeds.get(db, parsed.digest)
        entries = await feed.entries_of(db, found, now=now)
        await audit.record(
            db,
            audit.ANONYMOUS,
            "calendar.read",
            client_id=found.client_id,
            object_id=found.calendar_feed_id,
            now=now,
        )
    text = feed.text_of(found, entries, base_url=services.config.base_url)
    return Response(text, media_type="text/calendar", headers=HEADERS)


ROUTES = (Router(path="/", route_handlers=[show_calendar], include_in_schema=False),)
