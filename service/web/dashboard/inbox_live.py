"""The inbox live: a stream that says when it changed, and nothing else; the page fetches the rest as it always does.

Each reader's inbox is read again every few seconds under their own session, so that whoever is signed out, disabled or
taken off a care team hears nothing more, and nothing can be missed: the id of an event is the version of what the
inbox says, and a browser that comes back with the last it saw is told at once where that is not what holds. No
notification is relied on (docs/decisions/0013-the-inbox-is-read-again.md).

A page must know whether it still hears: a connection that is half open, or a server that stands still, closes nothing.
So each look that found nothing new is told every few seconds as an event that scripts see, which a comment is not.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from litestar import Request, Router, get
from litestar.di import NamedDependency, Provide
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from service import database, errors
from service.alerting import leases
from service.desk import inbox
from service.keys.tokens import Token
from service.people import access, staff_sessions
from service.people.access import Permission
from service.web import page_problems
from service.web.desk_session import Desk, credential_of, open_desk
from service.web.pages import HEADERS, moment
from service.web.services import Services

LOOK_SECONDS = 2.0
# Told so often that the inbox was looked at; desk_live.js stops saying "live" when it missed two. It also keeps what
# stands between from cutting a stream that says nothing.
BEAT = timedelta(seconds=10)
RETRY_MILLISECONDS = 3_000


@get("/inbox/stream", opt={"access": Permission.SEE_ALERTS})
async def stream(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], services: NamedDependency[Services]
) -> ServerSentEvent:
    """Events named `changed`, each with the version of the inbox as its id, and `here`; both tell the clinic's time."""
    await desk.record("inbox.follow")
    token, _ = credential_of(request)
    seen = request.headers.get("last-event-id") or request.query_params.get("seen")
    # Proxies that gather what they pass on would make of a stream a download.
    headers = {**HEADERS, "X-Accel-Buffering": "no"}
    return ServerSentEvent(changes(services, token, seen), headers=headers)


async def changes(services: Services, token: Token, seen: str | None) -> AsyncGenerator[ServerSentEventMessage, None]:
    """What to tell a browser that saw this version: each further one, until its session or the process ends."""
    yield ServerSentEventMessage(data=None, comment="before the first look", retry=RETRY_MILLISECONDS)
    said_at: datetime | None = None
    while not services.stopping.is_set():
        now = datetime.now(UTC)
        try:
            # Whoever closes the page cancels this; a look that has begun ends with its transaction all the same.
            look = await asyncio.shield(_look(services, token, now=now))
        except (errors.Unauthenticated, access.OutOfReach):
            return
        if look.version != seen:
            seen, said_at = look.version, now
            yield ServerSentEventMessage(data=look.clock, event="changed", id=look.version)
        elif said_at is None or now - said_at >= BEAT:
            said_at = now
            yield ServerSentEventMessage(data=look.clock, event="here")
        with suppress(TimeoutError):
            await asyncio.wait_for(services.stopping.wait(), LOOK_SECONDS)


class _Look(NamedTuple):
    version: str
    clock: str


async def _look(services: Services, token: Token, *, now: datetime) -> _Look:
    async with database.transaction(services.pool, token.clinic_id) as db:
        who = await staff_sessions.current(db, token.digest, now=now, by_hand=False)
        view = await services.views.get_within(db)
        _, version = await read_open(Desk(db, who, view, services, now, Permission.SEE_ALERTS))
        return _Look(version, moment(now, view.zone))


async def read_open(desk: Desk) -> tuple[inbox.InboxPage, str]:
    """What is open for whoever sits at this desk, and the version of it. Raises NotFound for who sees no alerts."""
    findings_for = desk.reach_or_none(Permission.SEE_ALERT_FINDINGS)
    page = await inbox.read(desk.db, desk.reach(), findings_for=findings_for, closed=False, now=desk.now)
    return page, _version_of(page, desk.now)


def _version_of(page: inbox.InboxPage, now: datetime) -> str:
    """A digest of whatever the inbox says that may change: alerts, their reasons, leases that run out."""
    said = [
        (entry.row, [finding.finding_id for finding in entry.findings or ()], leases.lapsed(entry.row, now))
        for entry in page.entries
    ]
    return hashlib.sha256(repr(said).encode()).hexdigest()[:16]


ROUTES = (
    Router(
        path="/",
        route_handlers=[stream],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
)
