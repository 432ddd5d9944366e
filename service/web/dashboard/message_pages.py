"""Where a message's link leads, and the script that shows push messages.

The link holds the message's id alone. It leads on only for whoever is signed in, and counts as opened only for its
recipient: what a mail scanner fetches ends at the sign-in page, and a browser that fetches ahead changes nothing.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath

from schemas.alert import DeliveryKind
from service.alerting import notices, receipts
from service.people.access import Permission
from service.web import desk_page, page_problems, static_files
from service.web.desk_session import Desk, open_desk
from service.web.pages import go_to
from service.web.services import Services

PLACES = {DeliveryKind.DIGEST: "/inbox", DeliveryKind.ENDPOINT: "/settings"}


@get("/messages/{delivery_id:uuid}", opt={"access": Permission.USE_OWN_ACCOUNT})
async def follow(
    request: Request[Any, Any, Any], desk: NamedDependency[Desk], delivery_id: FromPath[UUID]
) -> Response[None]:
    """On to what the message is about; a message of somebody else's leads to where one begins."""
    ahead = "prefetch" in request.headers.get("sec-purpose", "") or request.headers.get("purpose") == "prefetch"
    if ahead:
        found = await receipts.find_own(desk.db, delivery_id, staff_id=desk.who.staff_id)
    else:
        found = await receipts.mark_opened(desk.db, delivery_id, by=desk.who.staff_id, now=desk.now)
    if found is None:
        return go_to(desk_page.home_of(desk.who.parties))
    if not ahead:
        await desk.record("message.open", object_id=delivery_id)
    if found.several:
        return go_to(desk_page.home_of(desk.who.parties, "/inbox"))
    if found.alert_id is not None:
        return go_to(f"/alerts/{found.alert_id}")
    if found.kind is DeliveryKind.BRIEF and found.subject_id is not None:
        brief = await notices.brief_of(desk.db, found.subject_id)
        return go_to(f"/clients/{brief.client_id}/brief?for={brief.brief_for}")
    if found.kind is DeliveryKind.COURSE:
        return go_to(f"/clients/{found.subject_id}/treatment")
    return go_to(desk_page.home_of(desk.who.parties, PLACES.get(found.kind)))


@get("/messages/worker.js", opt={"access": Permission.COME_IN}, sync_to_thread=False)
def get_worker(request: Request[Any, Any, Any], services: NamedDependency[Services]) -> Response[bytes]:
    """The script with which a browser shows push messages."""
    return static_files.worker(request, services, "desk_worker.js")


ROUTES = (
    Router(
        path="/",
        route_handlers=[follow],
        dependencies={"desk": Provide(open_desk)},
        exception_handlers={Exception: page_problems.handle},
        include_in_schema=False,
    ),
    Router(path="/", route_handlers=[get_worker], include_in_schema=False),
)
